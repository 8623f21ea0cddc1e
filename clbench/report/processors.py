"""What a run was computed on: each processor and number of threads rounds in its own way, and training amplifies it."""

from __future__ import annotations

import re
from collections.abc import Iterable

from clbench.runfolder import Run

_ON_PROCESSOR = re.compile(r"cpu(?: (?P<kernels>[\w-]+))?, (?P<threads>[1-9]\d*) threads")


def device_of(run: Run) -> str:
    """The device and threads that ``run.json`` records, as people read them; ``?`` where it does not say."""
    return as_read(str(run.provenance.get("device", "?")))


def as_read(device: str) -> str:
    """The text of ``clbench.device.device_name`` as people read it: one thread is no "threads"."""
    return re.sub(r"\b1 threads$", "1 thread", device)


def known_processors(runs: Iterable[Run]) -> tuple[str, ...]:
    """How the processors of runs differ: ``1 thread``, ``2 threads``, ``1 thread (AVX2)``; fewest threads first.

    The instructions are those that torch had kernels for; runs of earlier versions do not name them. A run that does
    not say its threads has no part here, nor has one on a GPU, which computes the network by itself.
    """
    found = {_processor(run) for run in runs}
    return tuple(_text(*one) for one in sorted(one for one in found if one is not None))


def _processor(run: Run) -> tuple[int, str] | None:
    """Threads and instructions, the latter empty where they are not recorded."""
    match = _ON_PROCESSOR.fullmatch(str(run.provenance.get("device", "")))
    return (int(match["threads"]), match["kernels"] or "") if match else None


def _text(threads: int, kernels: str) -> str:
    return f"{threads} thread{'' if threads == 1 else 's'}{f' ({kernels})' if kernels else ''}"
