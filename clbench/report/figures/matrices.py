"""Score matrices of a row and what curves are drawn from them."""

from __future__ import annotations

import numpy as np

from clbench.continual import Floats
from clbench.report.groups import Row


def mean_matrix(row: Row, metric: str = "dice") -> Floats:
    """R, mean over seeds: (T + 1, T) float64; NaN where a seed was not scored."""
    return np.asarray(np.mean([run.scores("test", metric).scores for run in row.runs], axis=0), dtype=np.float64)


def forgetting_curve(matrices: Floats) -> Floats:
    """Mean loss from the best score so far on the tasks before the last one learned, after 0..T tasks.

    Args:
        matrices: (..., T + 1, T).

    Returns:
        (..., T + 1); NaN after none and one task, where nothing can be forgotten. Its last value is ``forgetting``
        but for the best score's own range, which is the one of Chaudhry et al. 2018: from learning to the task before.
    """
    tasks = matrices.shape[-1]
    curve = np.full(matrices.shape[:-1], np.nan)
    for after in range(2, tasks + 1):
        lost = [
            matrices[..., task:after, task - 1].max(axis=-1) - matrices[..., after, task - 1]
            for task in range(1, after)
        ]
        curve[..., after] = np.mean(lost, axis=0)
    return curve


def mean_forgetting(row: Row, metric: str = "dice") -> Floats:
    """The forgetting curve, mean over seeds, as the tables have ``forgetting``: (T + 1,) float64."""
    curves = [forgetting_curve(run.scores("test", metric).scores) for run in row.runs]
    return np.asarray(np.mean(curves, axis=0), dtype=np.float64)
