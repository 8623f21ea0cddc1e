"""Heat map of R: one row of a table, mean over its seeds."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from clbench.report.figures.canvas import canvas, style
from clbench.report.figures.matrices import mean_matrix
from clbench.report.groups import Row


def heatmap(row: Row, metric: str = "dice") -> Figure:
    """R as colored cells with their numbers; a frame marks the task just learned, hatching what was not scored."""
    stream, matrix = row.runs[0].stream, mean_matrix(row, metric)
    names = [task.name for task in stream.tasks]
    shown = [index for index in range(len(names) + 1) if np.isfinite(matrix[index]).any()]
    with style():
        figure, (ax,) = canvas(16 + 6.5 * len(shown))
        ax.grid(visible=False)
        ax.spines[:].set_visible(False)
        image = ax.imshow(np.ma.masked_invalid(matrix[shown]), vmin=0, vmax=1, aspect="auto")
        for y, after in enumerate(shown):
            for x, score in enumerate(matrix[after]):
                if np.isnan(score):
                    ax.add_patch(
                        Rectangle((x - 0.5, y - 0.5), 1, 1, fill=False, hatch="////", edgecolor="#cccccc", lw=0)
                    )
                    continue
                ax.text(x, y, f"{score:.2f}", ha="center", va="center", size=6, color="k" if score > 0.6 else "w")
                if after == x + 1 and row.runs[0].regime != "joint":
                    ax.add_patch(Rectangle((x - 0.47, y - 0.46), 0.94, 0.92, fill=False, edgecolor="#D55E00", lw=1.2))
        ax.set_xticks(
            range(len(names)), names, rotation=30 if max(map(len, names)) * len(names) > 45 else 0, ha="center"
        )
        ax.set_yticks(range(len(shown)), ["untrained" if not after else names[after - 1] for after in shown])
        ax.tick_params(length=0)
        ax.set_xlabel("scored on")
        ax.set_ylabel("trained on all" if row.runs[0].regime == "joint" else "after training on")
        seeds = f"mean of {len(row.runs)} seeds" if len(row.runs) > 1 else "one seed"
        ax.set_title(f"{row.label}: Dice, {seeds}")
        bar = figure.colorbar(image, ax=ax, fraction=0.04, pad=0.02)
        bar.outline.set_visible(False)
    return figure
