"""Estimates with intervals: what a row's number would be with other seeds and other patients."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from clbench.continual import Floats

LEVEL = 0.95


@dataclass(frozen=True)
class Estimate:
    """A number with its interval.

    Attributes:
        value: mean over seeds, of all patients.
        low: lower end; NaN when it is undefined.
        high: upper end.
    """

    value: float
    low: float
    high: float


def interval(points: Sequence[float] | Floats, draws: Floats, hierarchical: Floats, freedom: int) -> Estimate:
    """Student's t interval with the standard error of the bootstrap over seeds and patients.

    The degrees of freedom are Satterthwaite's: those of the seeds where the seeds make the error, which are few, and
    those of the patients where they do. With one seed the interval speaks of that seed's network only.

    Args:
        points: (K,) the statistic of each seed on all patients.
        draws: (B, K) the same on resampled patients.
        hierarchical: (B,) mean over resampled seeds of ``draws``.
        freedom: patients less strata.

    Returns:
        The interval at ``LEVEL``; NaN ends where there is nothing to resample or a value is undefined.

    Source: Efron and Tibshirani 1993, An Introduction to the Bootstrap, chapter 12.2; Satterthwaite 1946,
        doi 10.2307/3002019.
    Differs from the source in: percentiles of the resamples are not used; with two to five seeds they are too narrow
        (``docs/protocol.md`` has the measured coverage).
    """
    values = np.asarray(points, dtype=np.float64)
    value = math.fsum(values) / len(values)
    variance = float(np.var(hierarchical, ddof=1))
    of_patients = float(np.var(draws.mean(axis=1), ddof=1))
    of_seeds = float(np.var(values, ddof=1)) / len(values) if len(values) > 1 else 0.0
    if not math.isfinite(value) or not math.isfinite(variance) or (freedom < 1 and len(values) < 2):
        return Estimate(value, math.nan, math.nan)
    if variance == 0.0:
        return Estimate(value, value, value)
    from scipy.stats import t

    uncertain = of_seeds**2 / max(len(values) - 1, 1) + of_patients**2 / max(freedom, 1)
    half = float(t.ppf(0.5 + LEVEL / 2, variance**2 / uncertain)) * math.sqrt(variance)
    return Estimate(value, value - half, value + half)
