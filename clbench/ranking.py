"""What a run must be to be ranked beside others, and what a reader must know of its strategy."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from clbench.consistency import consistency
from clbench.report.leaderboard import Leaderboard, leaderboard
from clbench.report.load import find_runs
from clbench.report.marks import REPLAYS, TOLD_TASK
from clbench.runfolder import Run
from clbench.strategies import STRATEGIES


def marked_strategies() -> dict[str, set[str]]:
    """Mark -> the strategies whose rows have it; what a run says of itself can only add to that."""
    return {
        TOLD_TASK: {name for name, spec in STRATEGIES.items() if spec.task_identity},
        REPLAYS: {name for name, spec in STRATEGIES.items() if spec.replays},
    }


def inconsistency(run: Run) -> str:
    """Why a run whose files are as they were may still not be ranked; empty when it may."""
    return "; ".join([*map(str, consistency(run)), *outdated(run)])


def outdated(run: Run) -> list[str]:
    """The parts of a run's strategy whose arithmetic was changed since, each as a reason not to show its numbers."""
    return [
        f"made by revision {revision} of {part}, whose numbers were mended in revision {STRATEGIES[part].revision}; "
        "run its command again"
        for part, revision in run.revisions.items()
        if part in STRATEGIES and revision < STRATEGIES[part].revision
    ]


def rank(*paths: Path | str, metric: str = "dice") -> Leaderboard:
    """The leaderboard of every run at or below the paths, those that may not be ranked named.

    Raises:
        InputError: an unknown metric, a path that is no folder, or no run folder anywhere.
    """
    with _without_collection():
        return leaderboard(*find_runs(*paths), metric=metric, marked=marked_strategies(), check=inconsistency)


@contextmanager
def _without_collection() -> Iterator[None]:
    """No search for cycles: of millions of rows none is in one, yet all would be looked at again and again."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()
