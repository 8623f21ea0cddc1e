"""Looks: the color, marker and line of each row of a table, told apart without color too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from clbench.report.figures.matrices import mean_matrix
from clbench.report.groups import Group, Row

# Okabe and Ito 2008, without their yellow (too light on white) and black (for references).
_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00")
_MARKERS = ("o", "s", "^", "D", "v", "P")
REFERENCES = {"joint": (0, (5, 2)), "single": (0, (1, 1.5)), "cumulative": (0, (5, 1, 1, 1))}
MOST = 6
"""Rows in one figure besides naive; more become another figure of the same kind."""


@dataclass(frozen=True)
class Look:
    """How a row is drawn: a color, a marker and a line style of matplotlib."""

    color: str
    marker: str
    line: Any

    @property
    def plain(self) -> dict[str, Any]:
        """For ``Axes.plot``."""
        size = 4.5 if self.marker in ("X", "P") else 3.0  # smaller crosses look like squares
        return {"color": self.color, "marker": self.marker, "linestyle": self.line, "markersize": size}

    @property
    def fine(self) -> dict[str, Any]:
        """The same, thinner: for lines that cross and cover many others."""
        size = 1.15 * self.plain["markersize"]  # their white edges make them smaller
        return {**self.plain, "markersize": size, "linewidth": 0.8, "markeredgewidth": 0.25, "markeredgecolor": "w"}


NAIVE = Look("#000000", "X", (0, (3, 1)))
"""What every strategy is compared with."""


def looks(rows: Sequence[Row]) -> dict[str, Look]:
    """Label -> look. Rows of the same place in the list look the same in every figure of a group."""
    found, drawn = {}, 0
    for row in rows:
        strategy, regime = row.runs[0].strategy, row.runs[0].regime
        if regime != "sequential":
            found[row.label] = Look("#444444", "", REFERENCES.get(strategy, REFERENCES["joint"]))
        elif strategy == "naive" and NAIVE not in found.values():
            found[row.label] = NAIVE
        else:
            found[row.label] = Look(_COLORS[drawn % MOST], _MARKERS[(drawn + drawn // MOST) % MOST], "-")
            drawn += 1
    return found


def best_first(group: Group) -> Group:
    """The group with its rows by final Dice, so that the first of several figures has the rows that matter most."""
    finals = {row.label: float(np.mean(mean_matrix(row)[-1])) for row in group.rows}
    order = sorted(group.rows, key=lambda row: (np.isnan(finals[row.label]), -finals[row.label], row.label))
    return replace(group, rows=tuple(order))


def portions(rows: Sequence[Row]) -> list[list[Row]]:
    """The sequential rows in portions that one figure can hold, naive in front of each, so that all can be compared."""
    known = looks(rows)
    sequential = [row for row in rows if row.runs[0].regime == "sequential"]
    naive = [row for row in sequential if known[row.label] == NAIVE]
    others = [row for row in sequential if row not in naive]
    if not others:
        return [naive] if naive else []
    return [[*naive, *others[start : start + MOST]] for start in range(0, len(others), MOST)]
