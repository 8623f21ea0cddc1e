"""Intervals of every number of an array that a row's R gives, such as R itself or a curve over the stream."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from clbench.continual import Floats
from clbench.report.groups import Row
from clbench.report.stats.intervals import Resampled, interval
from clbench.report.stats.panel import panel_of
from clbench.report.stats.resampling import RESAMPLES, influences, over_seeds, patient_draws, seed_draws


def band(
    row: Row, statistic: Callable[[Floats], Floats], metric: str = "dice", *, resamples: int = RESAMPLES
) -> tuple[Floats, Floats]:
    """Ends of the intervals that a leaderboard would give, from one bootstrap over seeds and patients.

    Args:
        row: one strategy's runs.
        statistic: maps matrices (*B, T + 1, T) to arrays (*B, *S).
        metric: the score behind them.
        resamples: of the bootstrap.

    Returns:
        Two arrays (*S); NaN where a value is undefined or there is nothing to resample.
    """
    panel = panel_of(row.runs, metric)

    def numbered(matrices: Floats) -> dict[str, Floats]:
        found = statistic(matrices)
        flat = found.reshape(*found.shape[:2], -1)
        return {str(at): flat[..., at] for at in range(flat.shape[-1])}

    whole = panel.matrices(np.ones((1, panel.patients)))
    points, moved = numbered(whole), influences(panel, numbered)
    draws = patient_draws(panel, numbered, resamples=resamples)
    counts = seed_draws([run.seed for run in row.runs], resamples)
    ends = [
        interval(Resampled(points[key][0], over_seeds(of, counts), moved[key].mean(axis=1), panel.stratum))
        for key, of in draws.items()
    ]
    shape = statistic(whole).shape[2:]
    low, high = (np.array([getattr(one, end) for one in ends]).reshape(shape) for end in ("low", "high"))
    return low, high
