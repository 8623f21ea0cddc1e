"""Curves: Dice of each task over the stream, and forgetting over the stream, with intervals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from clbench.continual import Floats
from clbench.report.figures.canvas import canvas, style
from clbench.report.figures.courses import Course, draw, interval_note
from clbench.report.figures.legend import legend, legend_mm, wrapped
from clbench.report.figures.looks import Look, looks
from clbench.report.figures.matrices import forgetting_curve, mean_forgetting, mean_matrix
from clbench.report.groups import Group, Row
from clbench.report.stats.bands import band


def task_curves(group: Group, rows: Sequence[Row]) -> Figure:
    """One panel per task: its Dice after 1 to T tasks, a line per sequential row, references as level lines.

    Args:
        group: whose references are drawn.
        rows: sequential rows of it.
    """
    tasks = [task.name for task in group.rows[0].runs[0].stream.tasks]
    look, lines = looks(group.rows), -(-len(tasks) // 2)
    references = [(row, mean_matrix(row)) for row in group.rows if row.runs[0].regime != "sequential"]
    labels = [row.label for row in (*rows, *(row for row, _ in references))]
    scores = {row.label: _within_dice(row) for row in rows}
    with style():
        figure, axes = canvas(16 + 33 * lines + legend_mm(labels), lines, 2, sharey=True)
        for index, (ax, name) in enumerate(zip(axes, tasks, strict=False)):
            ax.axvline(index + 1, color="#bbbbbb", linewidth=3, zorder=0)
            draw(ax, [Course(label, look[label], *of[..., index]) for label, of in scores.items()])
            for row, matrix in references:
                _level(ax, look[row.label], row, matrix, index)
            ax.set_title(f"{index + 1} {name}")
            ax.set_xticks(range(1, len(tasks) + 1))
            ax.set_xlabel("tasks trained" if index >= len(tasks) - 2 else "")
        for ax in axes[len(tasks) :]:
            ax.set_axis_off()
        axes[0].set_ylim(_floor(axes[: len(tasks)]) - 0.02, 1.02)
        axes[0].yaxis.set_major_locator(MaxNLocator(6, steps=[1, 2, 5, 10]))
        figure.supylabel("Dice (gray: when the task was learned)", size=7)
        figure.suptitle(wrapped(interval_note(rows), 76), size=6)
        legend(figure, axes[0])
    return figure


def forgetting_curves(group: Group, rows: Sequence[Row]) -> Figure:
    """Mean loss from the best score so far on all earlier tasks, after 2 to T tasks: a line per sequential row."""
    look = looks(group.rows)
    tasks = len(group.rows[0].runs[0].stream.tasks)
    with style():
        figure, (ax,) = canvas(48 + legend_mm([row.label for row in rows]))
        lost = {row.label: (mean_forgetting(row), *band(row, forgetting_curve)) for row in rows}
        draw(ax, [Course(label, look[label], *of) for label, of in lost.items()], first=2)
        ax.axhline(0, color="#888888", linewidth=0.6)
        ax.set_xticks(range(2, tasks + 1))
        ax.set_xlabel("tasks trained")
        ax.set_ylabel("Dice lost on earlier tasks")
        figure.suptitle(wrapped(interval_note(rows), 76), size=6)
        legend(figure, ax)
    return figure


def _within_dice(row: Row) -> Floats:
    """R and the ends of its intervals, these as far as there is a Dice: (3, T + 1, T)."""
    low, high = band(row, np.copy)
    return np.stack([mean_matrix(row), np.clip(low, 0.0, 1.0), np.clip(high, 0.0, 1.0)])


def _level(ax: Axes, look: Look, row: Row, matrix: Floats, index: int) -> None:
    """The score of a reference on one task: of ``joint`` at the end, of ``single`` when it learned that task alone."""
    score = matrix[-1 if row.runs[0].regime == "joint" else index + 1, index]
    ax.axhline(score, color=look.color, linestyle=look.line, linewidth=0.9, label=row.label)


def _floor(axes: Sequence[Axes]) -> float:
    """A round number under everything that is drawn, so that nothing is cut off and differences can be seen."""
    least = min(ax.dataLim.y0 for ax in axes)
    return max(0.0, float(np.floor(10 * least) / 10)) if np.isfinite(least) else 0.0
