"""The Python interface: ``clbench.run(...)`` does what ``clbench run`` does."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clbench.config import make_config
from clbench.experiment import run_config
from clbench.reporter import Reporter


def run(
    stream: str,
    strategy: str,
    *,
    settings: Mapping[str, Any] | None = None,
    reporter: Reporter | None = None,
    **fields: Any,
) -> Path:
    """Train a strategy through a stream and score it, or continue or reuse what an earlier call left.

    Args:
        stream: shipped stream name or path of a card file.
        strategy: one name or several joined by ``+``.
        settings: ``{"ewc.weight": 1.0, "training.steps": 100}``, as ``--set`` on the command line.
        reporter: told where the run is; silent by default.
        fields: other fields of ``clbench.config.RunConfig``: ``seed``, ``preset``, ``data``, ``phantom``, ``out``, ...

    Returns:
        The run folder; read it with ``clbench.load_runs``.

    Raises:
        InputError: a mistake in the arguments or the data.
        RunError: the run failed.
    """
    pairs = [f"{name}={_text(value)}" for name, value in (settings or {}).items()]
    return run_config(make_config(stream=stream, strategy=strategy, settings=pairs, **fields), reporter)


def _text(value: Any) -> str:
    return ",".join(str(item) for item in value) if isinstance(value, (list, tuple)) else str(value)
