"""Heat map of R: one row of a table, mean over its seeds."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from clbench.report.figures.canvas import canvas, style
from clbench.report.figures.legend import wrapped
from clbench.report.figures.matrices import mean_matrix
from clbench.report.groups import Row

AFTER = {"sequential": "after training on", "single": "trained only on", "joint": ""}
"""What the rows of R are, by regime."""
DARK = 0.48
"""Scores up to here have colors on which white is read better than black."""


def heatmap(row: Row, metric: str = "dice") -> Figure:
    """R as colored cells with their numbers; a frame marks the task just learned, hatching what was not scored."""
    stream, matrix = row.runs[0].stream, mean_matrix(row, metric)
    names = [task.name for task in stream.tasks]
    joint = row.runs[0].regime == "joint"
    shown = [index for index in range(len(names) + 1) if np.isfinite(matrix[index]).any()]
    with style():
        figure, (ax,) = canvas(16 + 6.5 * len(shown))
        ax.grid(visible=False)
        ax.spines[:].set_visible(False)
        ax.pcolormesh(np.ma.masked_invalid(matrix[shown]), vmin=0, vmax=1)  # vectors, unlike imshow
        ax.invert_yaxis()
        for y, after in enumerate(shown):
            for x, score in enumerate(matrix[after]):
                if np.isnan(score):
                    ax.add_patch(Rectangle((x, y), 1, 1, fill=False, hatch="////", edgecolor="#cccccc", lw=0))
                    continue
                ink = "k" if score > DARK else "w"
                ax.text(x + 0.5, y + 0.5, f"{score:.2f}", ha="center", va="center", size=6, color=ink)
                if after == x + 1 and not joint:
                    ax.add_patch(Rectangle((x + 0.03, y + 0.04), 0.94, 0.92, fill=False, edgecolor="#D55E00", lw=1.2))
        learned = ["untrained", *(["all tasks"] * len(names) if joint else names)]
        ax.set_xticks(np.arange(len(names)) + 0.5, names)
        if max(map(len, names)) * len(names) > 45:
            ax.tick_params(axis="x", labelrotation=30)
            for label in ax.get_xticklabels():
                label.set(horizontalalignment="right", rotation_mode="anchor")
        ax.set_yticks(np.arange(len(shown)) + 0.5, [learned[after] for after in shown])
        ax.tick_params(length=0)
        ax.set_xlabel("scored on")
        ax.set_ylabel(AFTER[row.runs[0].regime])
        seeds = f"mean of {len(row.runs)} seeds" if len(row.runs) > 1 else "one seed"
        figure.suptitle(wrapped(f"{row.label}: Dice, {seeds}"), size=7)
    return figure
