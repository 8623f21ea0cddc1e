"""Curves: Dice of each task over the stream, and forgetting over the stream, with intervals."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from clbench.continual import Floats
from clbench.report.figures.canvas import canvas, style
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
    look = looks(group.rows)
    references = [row for row in group.rows if row.runs[0].regime != "sequential"]
    lines = -(-len(tasks) // 2)
    with style():
        figure, axes = canvas(16 + 30 * lines + 3 * _legend_lines(len(rows) + len(references)), lines, 2, sharey=True)
        matrices = [(row, mean_matrix(row), band(row, np.copy)) for row in rows]
        for index, (ax, name) in enumerate(zip(axes, tasks, strict=False)):
            ax.axvline(index + 1, color="#bbbbbb", linewidth=3, zorder=0)
            for row, matrix, (low, high) in matrices:
                _line(ax, look[row.label], row.label, matrix[:, index], low[:, index], high[:, index])
            for row in references:
                _level(ax, look[row.label], row, mean_matrix(row), index)
            ax.set_title(f"{index + 1} {name}")
            ax.set_xticks(range(1, len(tasks) + 1))
            ax.set_xlabel("tasks trained" if index >= len(tasks) - 2 else "")
        for ax in axes[len(tasks) :]:
            ax.set_axis_off()
        axes[0].set_ylim(_floor([matrix for _, matrix, _ in matrices]), 1.0)
        figure.supylabel("Dice (gray: when the task was learned)", size=7)
        figure.suptitle(interval_note(rows), size=6)
        _legend(figure, axes[0])
    return figure


def forgetting_curves(group: Group, rows: Sequence[Row]) -> Figure:
    """Mean loss from the best score so far on all earlier tasks, after 2 to T tasks: a line per sequential row."""
    look = looks(group.rows)
    tasks = len(group.rows[0].runs[0].stream.tasks)
    with style():
        figure, (ax,) = canvas(48 + 3 * _legend_lines(len(rows)))
        for row in rows:
            _line(ax, look[row.label], row.label, mean_forgetting(row), *band(row, forgetting_curve))
        ax.axhline(0, color="#888888", linewidth=0.6)
        ax.set_xticks(range(2, tasks + 1))
        ax.set_xlabel("tasks trained")
        ax.set_ylabel("Dice lost on earlier tasks")
        ax.set_title(interval_note(rows), size=6)
        _legend(figure, ax)
    return figure


def interval_note(rows: Sequence[Row]) -> str:
    """What the bands of these rows are."""
    single = [len(row.runs) == 1 for row in rows]
    over = "patients; one seed" if all(single) else "seeds and patients"
    return (
        f"bands: 95 % intervals over {over}{' (rows of one seed: patients)' if any(single) and not all(single) else ''}"
    )


def _line(ax: Axes, look: Look, label: str, values: Floats, low: Floats, high: Floats) -> None:
    places = np.flatnonzero(np.isfinite(values))
    places = places[places > 0]  # what an untrained network scores says nothing of a strategy
    ax.fill_between(places, low[places], high[places], color=look.color, alpha=0.1, linewidth=0)
    ax.plot(places, values[places], label=label, **look.plain)


def _level(ax: Axes, look: Look, row: Row, matrix: Floats, index: int) -> None:
    """The score of a reference on one task: of ``joint`` at the end, of ``single`` when it learned that task alone."""
    score = matrix[-1 if row.runs[0].regime == "joint" else index + 1, index]
    ax.axhline(score, color=look.color, linestyle=look.line, linewidth=0.9, label=row.label)


def _floor(matrices: Sequence[Floats]) -> float:
    """A round number under every score of a trained network, so that differences can be seen."""
    least = min((np.nanmin(matrix[1:]) for matrix in matrices), default=0.0)
    return max(0.0, float(np.floor(10 * least - 1) / 10))


def _legend(figure: Figure, ax: Axes) -> None:
    handles, labels = ax.get_legend_handles_labels()
    if labels:
        columns = 3 if max(map(len, labels)) < 16 else 2
        figure.legend(handles, labels, loc="outside lower center", ncols=columns)


def _legend_lines(rows: int) -> int:
    return -(-rows // 2)
