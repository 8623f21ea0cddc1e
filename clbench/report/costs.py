"""What a row costs, from its runs' ``cost.json``, which are read without being trusted."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean
from typing import Any

from clbench.runfolder import Run

Stage = Mapping[str, Any]


def costs(runs: Sequence[Run]) -> dict[str, float | None]:
    """Each of ``COSTS``, mean over a row's runs; None where a run does not say."""
    found = {key: [of(_stages(run)) for run in runs] for key, of in COSTS.items()}
    return {
        key: None if None in values else fmean(value for value in values if value is not None)
        for key, values in found.items()
    }


def _stages(run: Run) -> list[Stage]:
    return list(run.cost.get("stages", []))


def _numbers(stages: Sequence[Stage], name: str, *, training: bool = True) -> list[float]:
    """The values of a name in training stages, or in all."""
    found = [stage.get(name) for stage in stages if not training or stage.get("stage") == "train"]
    return [float(value) for value in found if isinstance(value, (int, float)) and math.isfinite(value)]


def _train_seconds(stages: Sequence[Stage]) -> float | None:
    seconds = _numbers(stages, "seconds")
    return math.fsum(seconds) if seconds else None


def _peak_memory_mb(stages: Sequence[Stage]) -> float | None:
    return max(_numbers(stages, "peak_memory_mb", training=False), default=None)


def _stored_bytes(stages: Sequence[Stage]) -> float | None:
    """Most bytes held between two tasks."""
    held = [stage["stored_bytes"] for stage in stages if isinstance(stage.get("stored_bytes"), dict)]
    totals = [sum(v for v in parts.values() if isinstance(v, (int, float)) and math.isfinite(v)) for parts in held]
    return float(max(totals)) if totals else None


def _replayed_fraction(stages: Sequence[Stage]) -> float | None:
    return max(_numbers(stages, "replayed_fraction"), default=None)


def _parameters(stages: Sequence[Stage]) -> float | None:
    return max(_numbers(stages, "parameters"), default=None)


COSTS: dict[str, Callable[[Sequence[Stage]], float | None]] = {
    "train_seconds": _train_seconds,
    "peak_memory_mb": _peak_memory_mb,
    "stored_bytes": _stored_bytes,
    "replayed_fraction": _replayed_fraction,
    "parameters": _parameters,
}
"""Cost columns of a leaderboard, each from the stages of one run."""
