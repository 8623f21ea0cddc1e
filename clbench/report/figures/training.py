"""Training log: the terms that a strategy adds to the loss, over the stream."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from clbench.report.figures.canvas import canvas, style
from clbench.report.figures.legend import wrapped
from clbench.report.groups import Row
from clbench.runfolder import TrainRow
from clbench.runfolder.tables import read_train

PLAIN = {"ce", "dice", "loss"}
"""Terms that every strategy has."""
MOST_POINTS = 400


def added_terms(row: Row) -> list[str]:
    """The loss terms and diagnostics (penalties, latent losses, codebooks) in the log of a row's first run."""
    path = row.runs[0].path / "train.csv"
    return sorted({term for line in _log(path) for term in line.losses} - PLAIN)


def training_terms(row: Row) -> Figure:
    """One panel per added term, a line per seed; grey lines stand where a task began."""
    terms = added_terms(row)
    with style():
        figure, axes = canvas(14 + 24 * len(terms), len(terms), 1, sharex=True)
        for ax, term in zip(axes, terms, strict=True):
            courses = [(run.seed, *_course(_log(run.path / "train.csv"), term)) for run in row.runs]
            for seed, at, values in courses:
                ax.plot(at, values, linewidth=0.7, label=f"seed {seed}", alpha=0.9)
            for task in range(1, len(row.runs[0].stream.tasks)):
                ax.axvline(task, color="#bbbbbb", linewidth=0.8, zorder=0)
            every = np.concatenate([values for _, _, values in courses])
            if every.size and 0 < every.min() < every.max() / 100:
                ax.set_yscale("log")
                ax.minorticks_off()
            ax.set_title(term)
            ax.set_xlim(0, len(row.runs[0].stream.tasks))
        figure.suptitle(wrapped(f"{row.label}: what it logs beside the loss"), size=7)
        axes[-1].set_xlabel("tasks trained")
        names = [task.name for task in row.runs[0].stream.tasks]
        axes[-1].set_xticks(np.arange(len(names)) + 0.5, names)
        axes[-1].tick_params(axis="x", length=0)
        if len(row.runs) > 1:
            axes[0].legend(ncols=3)
    return figure


def _log(path: Path) -> list[TrainRow]:
    return read_train(path) if path.exists() else []


def _course(lines: list[TrainRow], term: str) -> tuple[np.ndarray, np.ndarray]:
    """Where (in tasks) and what, in at most ``MOST_POINTS`` means of neighbors."""
    steps = max((line.step for line in lines), default=1)
    found = np.array([(line.task - 1 + line.step / steps, line.losses[term]) for line in lines if term in line.losses])
    if not len(found):
        return np.empty(0), np.empty(0)
    groups = np.array_split(found, min(len(found), MOST_POINTS))
    means = np.array([group.mean(axis=0) for group in groups])
    return means[:, 0], means[:, 1]
