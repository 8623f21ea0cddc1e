"""Courses: rows over the stream as lines, with bands where they are few and whiskers at the end where they are many."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes

from clbench.continual import Floats
from clbench.report.figures.looks import Look
from clbench.report.groups import Row

MOST_BANDS = 3
"""Rows whose bands can be told apart; more would cover each other."""
MARGIN, STEP = 0.08, 0.045
"""Beside the lines and from whisker to whisker, as parts of the width that the lines have."""


@dataclass(frozen=True)
class Course:
    """One row over the stream.

    Attributes:
        label: of the row.
        look: of the row.
        values: (T + 1,) after 0..T tasks, NaN where it was not scored. What an untrained network scores says nothing of
            a strategy and is not drawn.
        low: (T + 1,) lower ends of the intervals.
        high: (T + 1,) upper ends.
    """

    label: str
    look: Look
    values: Floats
    low: Floats
    high: Floats


def draw(ax: Axes, courses: Sequence[Course], first: int = 1) -> None:
    """The lines of one panel, with their intervals.

    Args:
        ax: empty or not; its horizontal limits are set.
        courses: at least one.
        first: the stage where the lines begin.
    """
    last = len(courses[0].values) - 1
    wide, few = max(last - first, 1), len(courses) <= MOST_BANDS
    for place, course in enumerate(courses):
        at = np.flatnonzero(np.isfinite(course.values))
        at = at[at > 0]
        ax.plot(at, course.values[at], label=course.label, **(course.look.plain if few else course.look.fine))
        if few:
            ax.fill_between(at, course.low[at], course.high[at], color=course.look.color, alpha=0.12, linewidth=0)
        else:
            _whisker(ax, course, last + wide * (MARGIN + STEP * place))
    whiskers = 0.0 if few else MARGIN + STEP * (len(courses) - 1)
    ax.set_xlim(first - MARGIN / 2 * wide, last + (whiskers + MARGIN / 2) * wide)


def _whisker(ax: Axes, course: Course, at: float) -> None:
    """The interval after the last task, beside those of the other rows."""
    color = course.look.color
    ax.plot([at, at], [course.low[-1], course.high[-1]], color=color, linewidth=0.9)
    ax.plot([at], [course.values[-1]], **{**course.look.fine, "linestyle": ""})


def interval_note(rows: Sequence[Row]) -> str:
    """What the bands or whiskers of these rows are."""
    single = [len(row.runs) == 1 for row in rows]
    what = "bands: 95 % intervals" if len(rows) <= MOST_BANDS else "at the right: 95 % intervals after the last task"
    over = "patients; one seed" if all(single) else "seeds and patients"
    return f"{what}, over {over}{' (rows of one seed: patients)' if any(single) and not all(single) else ''}"
