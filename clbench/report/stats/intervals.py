"""Estimates with intervals: what a row's number would be with other seeds and other patients."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from clbench.continual import Floats
from clbench.report.stats.panel import Ints

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


@dataclass(frozen=True)
class Resampled:
    """One statistic of a row, as it is and resampled.

    Attributes:
        points: (K,) of each seed on all patients.
        draws: (B,) mean over resampled seeds, on resampled patients.
        influence: (P,) of each patient, mean over seeds; see ``resampling.influences``.
        stratum: (P,) of each patient, as in ``Panel``.
    """

    points: Floats
    draws: Floats
    influence: Floats
    stratum: Ints

    @property
    def value(self) -> float:
        """Mean over seeds, of all patients."""
        return math.fsum(self.points) / len(self.points)

    def error(self) -> tuple[float, float]:
        """Squared standard error of ``value``, and its degrees of freedom; NaN with nothing to resample."""
        variance = float(np.var(self.draws, ddof=1))
        parts = [*self._of_seeds(), *self._of_patients()]
        if not math.isfinite(variance) or not parts:
            return math.nan, math.nan
        uncertain = math.fsum(part**2 / degrees for part, degrees in parts)
        return variance, variance**2 / uncertain if uncertain else math.inf

    def _of_seeds(self) -> Iterator[tuple[float, int]]:
        """Variance that the seeds make, and its degrees of freedom; none of one seed."""
        seeds = len(self.points)
        if seeds > 1:
            yield float(np.var(self.points, ddof=1)) / seeds, seeds - 1

    def _of_patients(self) -> Iterator[tuple[float, int]]:
        """The same for the patients of every stratum of more than one."""
        for stratum in np.unique(self.stratum):
            members = self.influence[self.stratum == stratum]
            if len(members) > 1:
                yield float(np.var(members, ddof=1)) / len(members), len(members) - 1


def interval(of: Resampled) -> Estimate:
    """Student's t interval with the standard error of the bootstrap over seeds and patients.

    The degrees of freedom are Satterthwaite's, from the variances that the seeds and the patients of each stratum
    make: a number that rests on one task's three patients has two. With one seed the interval speaks of that seed's
    network only.

    Returns:
        The interval at ``LEVEL``; NaN ends where there is nothing to resample or a value is undefined.

    Source: Efron and Tibshirani 1993, An Introduction to the Bootstrap, chapter 12.2; Satterthwaite 1946,
        doi 10.2307/3002019.
    Differs from the source in: percentiles of the resamples are not used; with two to five seeds they are too narrow
        (``docs/protocol.md`` has the measured coverage).
    """
    value, (variance, degrees) = of.value, of.error()
    if not math.isfinite(value) or not math.isfinite(variance):
        return Estimate(value, math.nan, math.nan)
    if variance == 0.0:
        return Estimate(value, value, value)
    from scipy.stats import t

    half = float(t.ppf(0.5 + LEVEL / 2, degrees)) * math.sqrt(variance)
    return Estimate(value, value - half, value + half)


def p_of_zero(of: Resampled) -> float:
    """Two-sided p of the t test that ``interval`` inverts.

    Returns:
        How likely a value at least as far from 0 were, with other seeds and other patients, if the truth was 0: below
        1 - ``LEVEL`` exactly where the interval excludes 0. NaN where there is no interval.
    """
    value, (variance, degrees) = of.value, of.error()
    if not math.isfinite(value) or not math.isfinite(variance):
        return math.nan
    if variance == 0.0:
        return 1.0 if value == 0.0 else 0.0
    from scipy.stats import t

    return float(2.0 * t.sf(abs(value) / math.sqrt(variance), degrees))
