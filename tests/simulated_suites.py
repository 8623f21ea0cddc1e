"""Panels of simulated scores with a known truth: what the next seeds and patients would give on average."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from clbench.continual import resampled_metric
from clbench.report.stats.intervals import Resampled, interval
from clbench.report.stats.panel import Panel, strata
from clbench.report.stats.resampling import influences, over_seeds, patient_draws, seed_draws

KEYS = ("final", "bwt", "learned")
UNEQUAL = {"tasks": 5, "patients": 3, "of_patient": (0.022, 0.177, 0.042, 0.010, 0.064), "of_both": 0.02}
"""Spreads of a published stream: one task's three patients make nearly all of the error, with two degrees."""


def truth(tasks: int) -> np.ndarray:
    """R without noise: .4 before a task is learned, .8 after, .05 less with every task that follows."""
    after, on = np.indices((tasks + 1, tasks))
    learned = after > on
    return np.where(learned, 0.8 - 0.05 * (after - on - 1), 0.4)


def simulated_panel(
    rng: np.random.Generator,
    *,
    tasks: int = 4,
    patients: int = 15,
    seeds: int = 3,
    of_seed: float = 0.02,
    of_patient: float | Sequence[float] = 0.08,
    of_both: float = 0.05,
) -> Panel:
    """One case of each patient, ``patients`` to a task; deviations of seeds, patients and both are normal.

    ``of_patient`` may be another for each task.
    """
    task = np.repeat(np.arange(tasks), patients)
    cells = len(task)
    spread = np.broadcast_to(np.asarray(of_patient), tasks)[task][:, None, None]
    scores = (
        truth(tasks)[:, task].T[:, :, None]
        + rng.normal(0, of_seed, (seeds, tasks + 1, tasks)).T[task]
        + spread * rng.normal(size=(cells, 1, 1))
        + spread / 2 * rng.normal(size=(cells, tasks + 1, 1))
        + rng.normal(0, of_both, (cells, tasks + 1, seeds))
    )
    patient = np.arange(cells)
    return Panel(scores, task, patient, strata(task, patient), "domain")


def statistics(matrices):
    """Metric -> value of every matrix (*B, T + 1, T)."""
    return {key: resampled_metric(key, matrices) for key in KEYS}


def resampled(panel, resamples, seed=0):
    """Metric -> one row with all runs of a panel as its seeds."""
    draws, moved = patient_draws(panel, statistics, resamples=resamples, seed=seed), influences(panel, statistics)
    points = statistics(panel.matrices(np.ones((1, panel.patients))))
    counts = seed_draws(range(panel.scores.shape[2]), resamples, seed)
    return {
        key: Resampled(points[key][0], over_seeds(draws[key], counts), moved[key].mean(axis=1), panel.stratum)
        for key in KEYS
    }


def estimates(panel, resamples, seed=0):
    """Metric -> estimate of that row."""
    return {key: interval(of) for key, of in resampled(panel, resamples, seed).items()}


def coverage(suites, **fields):
    """In which share of simulated suites the interval of each metric holds the truth."""
    known = {key: float(resampled_metric(key, truth(fields.get("tasks", 4)))) for key in KEYS}
    hits = dict.fromkeys(KEYS, 0)
    for number in range(suites):
        found = estimates(simulated_panel(np.random.default_rng([number, 7]), **fields), 1000, number)
        for key, one in found.items():
            hits[key] += one.low <= known[key] <= one.high
    return {key: count / suites for key, count in hits.items()}
