"""Legend: below the axes, in as many columns as its labels leave room for; long texts are broken, not cut."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

MOST_LETTERS = 58
"""Of a line of text across the figure."""
COLUMNS = {15: 3, 26: 2}
"""Letters of the longest label -> columns that fit."""


def legend(figure: Figure, ax: Axes) -> None:
    """The labels of one axes, below all."""
    handles, labels = ax.get_legend_handles_labels()
    if labels:
        broken = [wrapped(label) for label in labels]
        figure.legend(handles, broken, loc="outside lower center", ncols=_columns(labels))


def legend_mm(labels: Sequence[str]) -> float:
    """The height that a legend needs."""
    lines = sum(wrapped(label).count("\n") + 1 for label in labels)
    return 3.2 * -(-lines // _columns(labels))


def wrapped(text: str, letters: int = MOST_LETTERS) -> str:
    """Text in lines that fit the figure."""
    return textwrap.fill(text, letters)


def _columns(labels: Sequence[str]) -> int:
    longest = max(map(len, labels), default=0)
    return next((columns for most, columns in COLUMNS.items() if longest <= most), 1)
