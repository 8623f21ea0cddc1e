"""Violins: how the final scores of the cases spread, task by task."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure

from clbench.continual import Floats, case_scores
from clbench.report.figures.canvas import canvas, style
from clbench.report.figures.legend import legend, legend_mm
from clbench.report.figures.looks import looks
from clbench.report.groups import Group, Row
from clbench.wording import counted

FEWEST = 5
"""Cases that a violin needs; fewer are shown as dots alone."""


def violins(group: Group, rows: Sequence[Row]) -> Figure:
    """One panel per task: the final Dice of every test case (dots: mean over seeds) and their density, per row."""
    tasks = group.rows[0].runs[0].stream.tasks
    look = looks(group.rows)
    lines = -(-len(tasks) // 2)
    with style():
        figure, axes = canvas(6 + 27 * lines + legend_mm([f"1 {row.label}" for row in rows]), lines, 2, sharey=True)
        for index, (ax, task) in enumerate(zip(axes, tasks, strict=False)):
            for place, row in enumerate(rows):
                scores, color = final_scores(row, index + 1), look[row.label].color
                if len(scores) >= FEWEST and np.ptp(scores) > 0:
                    parts = ax.violinplot([scores], [place], widths=0.8, showextrema=False)
                    for body in parts["bodies"]:  # type: ignore[attr-defined]
                        body.set(facecolor=color, alpha=0.3, linewidth=0)
                spread = np.linspace(-0.12, 0.12, len(scores)) if len(scores) > 1 else np.zeros(len(scores))
                ax.plot(place + spread, np.sort(scores), ".", ms=1.6, color=color, zorder=2)
                if len(scores):
                    label = f"{place + 1} {row.label}"
                    ax.plot([place - 0.3, place + 0.3], [np.mean(scores)] * 2, color=color, lw=1.4, label=label)
            ax.set_title(f"{index + 1} {task.name} ({counted(len(final_scores(rows[0], index + 1)), 'case')})")
            ax.set_xticks(range(len(rows)), [str(place + 1) for place in range(len(rows))])
        for ax in axes[len(tasks) :]:
            ax.set_axis_off()
        axes[0].set_ylim(max(0.0, axes[0].get_ylim()[0]), 1.0)
        figure.supylabel("Dice after the last task", size=7)
        legend(figure, axes[0])
    return figure


def final_scores(row: Row, task: int, metric: str = "dice") -> Floats:
    """The score of every test case of a task after the last task, mean over seeds; undefined ones left out."""
    last = len(row.runs[0].stream.tasks)
    label_sets = row.runs[0].stream.task_labels
    by_case: dict[str, list[float]] = {}
    for run in row.runs:
        chosen = [
            item
            for item in run.rows
            if (item.split, item.metric, item.after_task, item.on_task) == ("test", metric, last, task)
            and item.label in label_sets[task - 1]
        ]
        for (_, _, case), score in case_scores(chosen).items():
            by_case.setdefault(case, []).append(score)
    means: Floats = np.array([np.mean(scores) for _, scores in sorted(by_case.items())])
    return np.asarray(means[np.isfinite(means)], dtype=np.float64)
