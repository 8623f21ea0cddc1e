"""Trade-off: what a strategy keeps against what it loses, and what that costs."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from clbench.report.figures.canvas import canvas, style
from clbench.report.figures.legend import legend, legend_mm
from clbench.report.figures.looks import looks
from clbench.report.groups import Group, Row
from clbench.report.processors import device_of
from clbench.runfolder import Run

LEAST_SPAN = 0.05
SMALLEST, LARGEST = 14.0, 160.0
"""Marker areas in square points; the largest shrinks where rows are many."""
ROOMY = 10
"""Rows whose largest markers, and a dot for each of their seeds, leave one another room."""


def tradeoff(group: Group) -> Figure:
    """Final Dice against bwt, a marker per row whose area grows with its seconds; references as level lines."""
    look = looks(group.rows)
    placed = [(row, _average(row, "bwt"), _average(row, "final")) for row in group.rows]
    seconds = {row.label: _seconds(row) for row in group.rows}
    most = max((value for value in seconds.values() if value), default=1.0)
    largest = LARGEST * min(1.0, ROOMY / len(placed))
    labels = {row.label: f"{row.label} ({seconds[row.label] or 0:.0f} s)" for row in group.rows}
    with style():
        figure, (ax,) = canvas(62 + legend_mm([*labels.values()]))
        for row, bwt, final in placed:
            drawn = look[row.label]
            if bwt is None or final is None:
                if final is not None:
                    ax.axhline(final, color=drawn.color, linestyle=drawn.line, linewidth=0.9, label=row.label)
                continue
            area = SMALLEST + (largest - SMALLEST) * (seconds[row.label] or 0.0) / most
            if len(placed) <= ROOMY:
                _spread(ax, row, drawn.color)
            ax.scatter(
                [bwt], [final], s=area, color=drawn.color, marker=drawn.marker or "x", alpha=0.8, linewidth=0, zorder=3
            )
            named = {**drawn.plain, "linestyle": "", "marker": drawn.marker or "x"}
            ax.plot([], [], label=labels[row.label], **named)
        ax.margins(0.15)
        _widen(ax)
        ax.xaxis.set_major_locator(MaxNLocator(6))
        ax.set_xlabel("bwt (0: nothing lost)")
        ax.set_ylabel("final Dice")
        ax.set_title(_title(group), loc="left", size=6)
        legend(figure, ax)
    return figure


def _title(group: Group) -> str:
    """What the markers show; seconds of different processors are not a cost of the strategies."""
    several = len({device_of(run) for row in group.rows for run in row.runs}) > 1
    return f"marker area: seconds of training and scoring{', on different processors' if several else ''}"


def _spread(ax: Axes, row: Row, color: str) -> None:
    """One small dot per seed."""
    if len(row.runs) > 1:
        metrics = [run.metrics() for run in row.runs]
        points = [[found[key] or 0.0 for found in metrics] for key in ("bwt", "final")]
        ax.plot(*points, ".", ms=2, color=color, zorder=4)


def _widen(ax: Axes) -> None:
    """Axes of at least ``LEAST_SPAN``: noise should not look like a difference."""
    for get, put in ((ax.get_xlim, ax.set_xlim), (ax.get_ylim, ax.set_ylim)):
        low, high = get()
        more = max(0.0, LEAST_SPAN - (high - low)) / 2
        put(low - more, high + more)


def _average(row: Row, key: str) -> float | None:
    """A metric's mean over seeds; None where a seed has none."""
    values = [run.metrics()[key] for run in row.runs]
    known = [value for value in values if value is not None]
    return _mean(known) if len(known) == len(values) else None


def _seconds(row: Row) -> float | None:
    return _mean([total for run in row.runs if (total := run_seconds(run)) is not None])


def run_seconds(run: Run) -> float | None:
    """Seconds of training and scoring of a run; None where its cost file does not say."""
    stages = run.cost.get("stages", [])
    known = [stage.get("seconds") for stage in stages]
    numbers = [float(value) for value in known if isinstance(value, (int, float))]
    return sum(numbers) if numbers else None


def _mean(values: Sequence[float]) -> float | None:
    return float(np.mean(values)) if values else None
