"""The leaderboard of one group of runs as a table that sorts, and all its metrics as another."""

from __future__ import annotations

import math
from collections.abc import Sequence

from clbench.report.costs import COSTS
from clbench.report.groups import Group
from clbench.report.html.elements import Markup, element, scrollable
from clbench.report.leaderboard.board import KEYS, Board, Entry
from clbench.report.leaderboard.cells import HEAD, notes, rows
from clbench.report.markup import NOTE
from clbench.report.results import DECIMALS, EVERY, Value
from clbench.report.tables import result_table

UP_FIRST = {
    *("rank", "strategy", "marks", "drift", "forgetting", "intransigence", "gap_joint", "seconds", "stored_mb"),
    *("train, s", "peak, MB", "stored, MB", "replayed", "parameters"),
}
"""Columns whose small values are the good ones, or that are texts: the first click sorts them upwards."""
TEXTS = {"strategy", "marks"}


def board_table(board: Board) -> Markup:
    """What ``clbench leaderboard`` says: ranks and metrics with intervals, costs, paired tests, marks."""
    lines = [
        _line(entry, [_cell(*told) for told in zip(HEAD, texts, _values(entry), strict=True)])
        for entry, texts in zip(board.entries, rows(board), strict=True)
    ]
    said = element("ul", *(element("li", note) for note in notes([board])), class_="notes")
    table = _table("Leaderboard", HEAD, "rank", lines, "board")
    return Markup(scrollable(table, f"Leaderboard of {board.group.stream}") + said)


def _values(entry: Entry) -> list[str | float | None]:
    """What each column of a leaderboard is sorted by; as long as ``HEAD``."""
    found = entry.against_best
    return [
        entry.rank,
        entry.row.label,
        len(entry.row.runs),
        *(entry.estimates[key].value for key in KEYS),
        entry.drift,
        *(entry.costs[key] for key in COSTS),
        found.difference if found else None,
        ", ".join(entry.marks),
    ]


def metrics_table(group: Group) -> Markup:
    """Every continual-learning metric, drift and costs, behind a line to open."""
    head = ("strategy", "seeds", *EVERY)
    lines = []
    for line in result_table(group).lines:
        cells = [_cell("strategy", line.strategy, line.strategy), _cell("seeds", str(line.seeds), line.seeds)]
        cells += [_number(key, line.values[key]) for key in EVERY]
        lines.append(element("tr", *cells, data_strategy=line.strategy))
    shown = scrollable(_table(NOTE, head, "final", lines, "metrics"), f"All metrics of {group.stream}")
    return element("details", element("summary", "All metrics, mean and spread over seeds"), shown)


def _number(key: str, value: Value) -> Markup:
    return _cell(key, value.text(DECIMALS.get(key, 3)), value.mean)


def _table(caption: str, head: Sequence[str], sorted_by: str, lines: Sequence[Markup], class_: str) -> Markup:
    """A table whose heads are buttons that sort it."""
    first = "ascending" if sorted_by in UP_FIRST else "descending"
    heads = [
        element(
            "th",
            element("button", name, type="button"),
            scope="col",
            class_="text" if name in TEXTS else None,
            aria_sort=first if name == sorted_by else "none",
            data_first="ascending" if name in UP_FIRST else "descending",
        )
        for name in head
    ]
    parts = (element("caption", caption), element("thead", element("tr", *heads)), element("tbody", *lines))
    return element("table", *parts, class_=class_)


def _line(entry: Entry, cells: Sequence[Markup]) -> Markup:
    return element("tr", *cells, data_strategy=entry.row.label)


def _cell(column: str, text: str, value: str | float | None) -> Markup:
    """One cell with what it is sorted by; the strategy heads its row."""
    told = value if isinstance(value, str) else None if value is None or math.isnan(value) else repr(value)
    if column == "strategy":
        return element("th", text, scope="row", class_="text", data_value=told)
    return element("td", text, class_="text" if column in TEXTS else None, data_value=told)
