"""Panel: the scores of several runs on the same test cases, as arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clbench.continual import Floats, Kind
from clbench.runfolder import Run

Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Panel:
    """Case scores of M runs of one stream.

    Attributes:
        scores: (N, T + 1, M) float64: on each (task, test case) after 0..T tasks by each run; NaN where undefined.
        task: (N,) index of the task, from 0.
        patient: (N,) index of the patient.
        stratum: (P,) for each patient, which patients it may be exchanged with: those that have cases in the same
            tasks. In a stream whose tasks share their test cases, a patient is drawn for all tasks at once.
        kind: of the stream.
    """

    scores: Floats
    task: Ints
    patient: Ints
    stratum: Ints
    kind: Kind

    @property
    def patients(self) -> int:
        """P."""
        return len(self.stratum)

    def matrices(self, weights: Floats) -> Floats:
        """R of every run with patients weighted, as often as a bootstrap drew them.

        Args:
            weights: (B, P), >= 0.

        Returns:
            (B, M, T + 1, T) float64, NaN where no case has a score.
        """
        _, rows, runs = self.scores.shape
        # B and M last in memory: the metrics work on one entry of R of all resamples and runs at a time
        entries = np.full((rows, rows - 1, len(weights), runs), np.nan)
        for task in range(rows - 1):
            chosen = self.task == task
            drawn = weights[:, self.patient[chosen]]
            mean = _weighted_mean(drawn, self.scores[chosen].reshape(len(drawn.T), rows * runs))
            entries[:, task] = mean.reshape(len(weights), rows, runs).swapaxes(0, 1)
        return np.moveaxis(entries, (0, 1), (2, 3))


def _weighted_mean(weights: Floats, values: Floats) -> Floats:
    """(B, N) weights and (N, C) values, some NaN -> (B, C) mean of the defined ones."""
    defined = np.isfinite(values)
    with np.errstate(divide="ignore", invalid="ignore"):
        if defined.all() and len(values):
            mean: Floats = weights @ values
            mean /= weights.sum(axis=1, keepdims=True)  # in place: of all resamples this is a large array
            return mean
        total = weights @ np.where(defined, values, 0.0)
        if (defined == defined[:1]).all():
            mean = total / weights.sum(axis=1, keepdims=True)
            return np.where(defined[:1].any(axis=0), mean, np.nan) if len(values) else np.full(total.shape, np.nan)
        return total / (weights @ defined)


def panel_of(runs: Sequence[Run], metric: str = "dice", split: str = "test") -> Panel:
    """The panel of runs on one stream and data.

    Args:
        runs: at least one, all with the same stream record and patients.
        metric: which score's rows to take.
        split: ``test`` or ``val``.
    """
    stream = runs[0].stream
    cells = [(task, case) for task, record in enumerate(stream.tasks) for case in record.cases.get(split, ())]
    scores = np.full((len(cells), len(stream.tasks) + 1, len(runs)), np.nan)
    for number, run in enumerate(runs):
        curves = run.case_curves(split, metric)
        for at, (task, case) in enumerate(cells):
            if (task + 1, case) in curves:
                scores[at, :, number] = curves[task + 1, case]
    names = [runs[0].patients.get(case, case) for _, case in cells]
    index = {name: at for at, name in enumerate(dict.fromkeys(names))}
    tasks = np.array([task for task, _ in cells], dtype=np.int64)
    patient = np.array([index[name] for name in names], dtype=np.int64)
    return Panel(scores, tasks, patient, strata(tasks, patient), stream.kind)


def strata(task: Ints, patient: Ints) -> Ints:
    """(P,) the stratum of every patient: patients with cases in the same tasks share one.

    Args:
        task: (N,) index of each case's task.
        patient: (N,) index of each case's patient, 0 to P - 1.
    """
    count = int(patient.max()) + 1 if len(patient) else 0
    tasks = [frozenset(task[patient == number].tolist()) for number in range(count)]
    order = {group: at for at, group in enumerate(dict.fromkeys(tasks))}
    return np.array([order[group] for group in tasks], dtype=np.int64)
