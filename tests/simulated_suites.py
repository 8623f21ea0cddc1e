"""Panels of simulated scores with a known truth: what the next seeds and patients would give on average."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from clbench.report.stats.panel import Panel, strata


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
