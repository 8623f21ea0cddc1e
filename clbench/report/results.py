"""ResultTable: what a table says, before it is written in any format."""

from __future__ import annotations

from dataclasses import dataclass

from clbench.continual import METRIC_KEYS
from clbench.report.groups import Group
from clbench.wording import counted

DECIMALS = {"seconds": 0, "stored_mb": 1, "parameters": 0}
"""Of columns that are no score; scores have three."""
COST = tuple(DECIMALS)
"""Time of training and evaluation, most bytes kept between two tasks, and the largest network's parameters."""
EVERY = (*METRIC_KEYS, "drift", *COST)
"""The columns of a table that has room for all of them, n/a or not: CSV, and the report's table of all metrics."""


@dataclass(frozen=True)
class Value:
    """One number of a table.

    Attributes:
        mean: over seeds; None when it is n/a for one of them.
        sd: sample standard deviation over seeds; None for a single seed.
    """

    mean: float | None
    sd: float | None = None

    def text(self, decimals: int = 3) -> str:
        """As people read it."""
        if self.mean is None:
            return "n/a"
        mean = f"{self.mean:.{decimals}f}"
        return mean if self.sd is None else f"{mean} ± {self.sd:.{decimals}f}"


@dataclass(frozen=True)
class Line:
    """One row of a table: a strategy, its network and seeds, its values by column, and what to know of it."""

    strategy: str
    network: str
    seeds: int
    values: dict[str, Value]
    marks: tuple[str, ...] = ()


@dataclass(frozen=True)
class ResultTable:
    """One table.

    Attributes:
        group: what its runs share.
        score: key of the metric that R is made of.
        columns: those of a page, which has room for some; ``EVERY`` names all that a line has a value of.
        lines: best ``final`` first.
    """

    group: Group
    score: str
    columns: tuple[str, ...]
    lines: tuple[Line, ...]

    @property
    def title(self) -> str:
        """Everything a number of this table depends on besides its row."""
        return title(self.group, self.score)


def scored_on(group: Group) -> str:
    """``15 test patients, 30 cases``: what the scores of all rows are means over."""
    owners = {row.case: row.patient for row in group.rows[0].runs[0].rows if row.split == "test"}
    return f"{counted(len(set(owners.values())), 'test patient')}, {counted(len(owners), 'case')}"


def title(group: Group, score: str) -> str:
    """Everything a number of a table depends on besides its row."""
    shown = [
        f"preset {group.settings.get('preset', '?')}",
        str(group.settings.get("precision", "?")),
        *(f"network {network}" for network in group.networks if len(group.networks) == 1),
        *(f"{key} {value}" for key, value in group.differing.items()),
        f"data {group.fingerprint[:8]}",
        scored_on(group),
    ]
    return f"{group.stream}: test {'Dice' if score == 'dice' else score}, {', '.join(shown)}"
