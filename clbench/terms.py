"""Terms: what each continual-learning metric is the mean of, task by task, for any number of score matrices at once."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Column:
    """What one task contributes to the metrics: its column of R and its references, for any number of matrices B.

    Attributes:
        task: the task's number j, from 1.
        scores: (T + 1, *B) scores on task j after 0..T tasks.
        single, naive, joint: (*B) S[j], Q[j, j] and J[j]; NaN where there is no such run.
        sign: 1 when higher scores are better, -1 when lower ones are.
    """

    task: int
    scores: Floats
    single: Floats
    naive: Floats
    joint: Floats
    sign: int

    @property
    def last(self) -> int:
        """T, the number of tasks."""
        return len(self.scores) - 1

    @property
    def learned(self) -> Floats:
        """(1, *B) R[j, j]."""
        return self.scores[self.task : self.task + 1]

    def gain(self, scores: Floats, reference: Floats) -> Floats:
        """How much better scores are than a reference; positive is better whatever the direction of the score."""
        return self.sign * (scores - reference)


def _earlier(column: Column, terms: Floats) -> Floats:
    """The terms, or none for the last task (means over j < T)."""
    return terms if column.task < column.last else terms[:0]


def _later(column: Column, terms: Floats) -> Floats:
    """The terms, or none for the first task (means over j > 1)."""
    return terms if column.task > 1 else terms[:0]


def _backward(column: Column) -> Floats:
    return _earlier(column, column.gain(column.scores[-1:], column.learned))


def _forgotten(column: Column) -> Floats:
    if column.task == column.last:
        return column.scores[:0]
    best = column.sign * np.max(column.sign * column.scores[column.task : -1], axis=0)
    return column.gain(best, column.scores[-1:])


def _ratio_to_single(column: Column) -> Floats:
    ratio = column.learned / column.single
    return _later(column, ratio if column.sign > 0 else 1.0 / ratio)


# Every metric is the mean over all tasks of the terms its column gives, so that the same definition serves the score
# matrix, a single case (METRICS.md asks for both) and thousands of resampled matrices at once.
TERMS: dict[str, Callable[[Column], Floats]] = {
    "final": lambda c: c.scores[-1:],
    "average": lambda c: c.scores[c.task :],
    "learned": lambda c: c.learned,
    "bwt": _backward,
    "bwt_all": lambda c: c.gain(c.scores[c.task + 1 :], c.learned),
    "bwt_relative": lambda c: _backward(c) / c.learned,
    "forgetting": _forgotten,
    "fwt_init": lambda c: _later(c, c.gain(c.scores[c.task - 1 : c.task], c.scores[0])),
    "fwt_upper": lambda c: c.scores[1 : c.task],
    "fwt_upper_init": lambda c: c.gain(c.scores[1 : c.task], c.scores[0]),
    "fwt_single": lambda c: _later(c, c.gain(c.scores[c.task - 1 : c.task], c.single)),
    "plasticity_naive": lambda c: _later(c, c.gain(c.learned, c.naive)),
    "plasticity_naive_relative": lambda c: _later(c, c.gain(c.learned, c.naive) / c.naive),
    "rma": _ratio_to_single,
    "intransigence": lambda c: c.gain(c.joint, c.learned),
    "gap_joint": lambda c: c.gain(c.joint, c.scores[-1:]),
}

OF_BWT_ALL: dict[str, Callable[[Floats], Floats]] = {
    "remembering": lambda backward: 1.0 - np.abs(np.minimum(backward, 0.0)),
    "bwt_plus": lambda backward: np.maximum(backward, 0.0),
}
