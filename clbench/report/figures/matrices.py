"""Score matrices of a row: their mean over seeds, and bootstrap draws of it over seeds and patients."""

from __future__ import annotations

import warnings
import zlib
from collections import defaultdict

import numpy as np

from clbench.continual import Floats, case_curves
from clbench.report.groups import Row
from clbench.runfolder import Run

DRAWS = 1000


def mean_matrix(row: Row, metric: str = "dice") -> Floats:
    """R, mean over seeds: (T + 1, T) float64; NaN where a seed was not scored."""
    return np.asarray(np.mean([run.scores("test", metric).scores for run in row.runs], axis=0), dtype=np.float64)


def drawn_matrices(row: Row, metric: str = "dice", draws: int = DRAWS) -> Floats:
    """R of resampled seeds and patients, all cases of a patient together: (draws, T + 1, T) float64.

    Seeds are drawn once for all tasks, and patients once for all tasks that test the same ones. The same row gives the
    same draws every time.
    """
    seeds = len(row.runs)
    of_runs = [_patients(run, metric) for run in row.runs]
    rng = _rng("seeds")
    by_seed = rng.multinomial(seeds, np.full(seeds, 1 / seeds), size=draws).astype(np.float64)
    columns = []
    for task in range(1, len(row.runs[0].stream.tasks) + 1):
        patients = sorted({patient for found in of_runs for on_task, patient in found if on_task == task})
        shape = (2, len(row.runs[0].stream.tasks) + 1)
        sums = np.array([[found.get((task, name), np.zeros(shape)) for name in patients] for found in of_runs])
        by_patient = _weights(tuple(patients), draws)
        totals = np.einsum("bs,sprt,bp->brt", by_seed, sums, by_patient) if patients else np.zeros((draws, *shape))
        with np.errstate(invalid="ignore", divide="ignore"):
            columns.append(totals[:, 0] / totals[:, 1])
    return np.stack(columns, axis=-1)


def band(draws: Floats) -> tuple[Floats, Floats]:
    """Bounds of the middle 95 % along the first axis; NaN where nothing was scored."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # columns without any score
        low, high = np.nanquantile(draws, [0.025, 0.975], axis=0)
    return low, high


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


def _patients(run: Run, metric: str) -> dict[tuple[int, str], Floats]:
    """(on_task, patient) -> (2, T + 1): sum and number of the defined scores of its test cases."""
    patient_of = {row.case: row.patient for row in run.rows}
    curves = case_curves(run.rows, run.stream.task_labels, run.stream.kind, "test", metric)
    found: dict[tuple[int, str], Floats] = defaultdict(lambda: np.zeros((2, len(run.stream.tasks) + 1)))
    for (on_task, case), curve in curves.items():
        found[on_task, patient_of[case]] += np.stack([np.nan_to_num(curve), np.isfinite(curve)])
    return found


def _weights(patients: tuple[str, ...], draws: int) -> Floats:
    """How often each patient is drawn: (draws, patients)."""
    if not patients:
        return np.zeros((draws, 0))
    rng = _rng(*patients)
    return rng.multinomial(len(patients), np.full(len(patients), 1 / len(patients)), size=draws).astype(np.float64)


def _rng(*names: str) -> np.random.Generator:
    """A stream of random numbers of its own for these names (no training framework needed, unlike ``seeding``)."""
    return np.random.default_rng(zlib.crc32("\0".join(names).encode()))
