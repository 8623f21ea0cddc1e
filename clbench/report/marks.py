"""What a reader must know of a row before comparing it with others."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from types import MappingProxyType

from clbench.report.groups import Group, Row
from clbench.report.processors import known_processors

TOLD_TASK, REPLAYS = "told the task at test time", "replays images"
Marked = Mapping[str, Collection[str]]
NO_MARKS: Marked = MappingProxyType({})


def marks(group: Group, row: Row, spent: Mapping[str, float | None], marked: Marked) -> tuple[str, ...]:
    """The marks of a row.

    Args:
        group: the table that the row stands in; where its runs had different processors or numbers of threads, each row
            is marked with its own, since training amplifies the float noise between them.
        row: strategy and runs.
        spent: what it costs, as ``costs`` gives it.
        marked: mark -> strategies whose rows have it, whatever their runs say.
    """
    parts = set(row.runs[0].strategy.split("+"))
    known = {mark for mark, strategies in marked.items() if parts.intersection(strategies)}
    said = {REPLAYS} if spent["replayed_fraction"] else set()
    flags = tuple(mark for mark in (TOLD_TASK, REPLAYS) if mark in known | said)
    several = len(known_processors(run for other in group.rows for run in other.runs)) > 1
    processors = " and ".join(known_processors(row.runs)) if several else ""
    return (*flags, processors) if processors else flags
