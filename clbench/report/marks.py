"""What a reader must know of a row before comparing it with others."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from clbench.report.groups import Row

TOLD_TASK, REPLAYS = "told the task at test time", "replays images"


def marks(row: Row, spent: Mapping[str, float | None], told_task: Collection[str]) -> tuple[str, ...]:
    """The marks of a row.

    Args:
        row: strategy and runs.
        spent: what it costs, as ``costs`` gives it.
        told_task: strategies that are told the task of a test image.
    """
    told = not set(row.runs[0].strategy.split("+")).isdisjoint(told_task)
    return (*((TOLD_TASK,) if told else ()), *((REPLAYS,) if spent["replayed_fraction"] else ()))
