"""What a run was computed on and with how many threads: each rounds in its own way, and training amplifies that."""

from __future__ import annotations

import re
from collections.abc import Iterable

from clbench.runfolder import Run

_ON_PROCESSOR = re.compile(r"cpu, (?P<threads>[1-9]\d*) threads")


def device_of(run: Run) -> str:
    """The device and threads that ``run.json`` records, as people read them; ``?`` where it does not say."""
    return as_read(str(run.provenance.get("device", "?")))


def as_read(device: str) -> str:
    """The text of ``clbench.device.device_name`` as people read it: one thread is no "threads"."""
    return re.sub(r"\b1 threads$", "1 thread", device)


def threads_of(run: Run) -> int | None:
    """The processor threads of torch, as ``run.json`` records them.

    Returns:
        None where the run does not say, and for a GPU, which computes the network by itself.
    """
    found = _ON_PROCESSOR.fullmatch(str(run.provenance.get("device", "")))
    return int(found["threads"]) if found else None


def known_threads(runs: Iterable[Run]) -> tuple[int, ...]:
    """The different numbers of threads of runs that say it, ascending."""
    found = {threads_of(run) for run in runs}
    return tuple(sorted(count for count in found if count is not None))
