"""Ranks of strategies, and how sure they are."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from clbench.continual import Floats
from clbench.report.stats.intervals import LEVEL


def ranks(values: Floats, *, higher_is_better: bool = True) -> Floats:
    """Rank of every row in every resample, 1 the best; ties share their mean rank, undefined values come last.

    Args:
        values: (B, M).
        higher_is_better: False for distances.

    Returns:
        (B, M).
    """
    from scipy.stats import rankdata

    worst = np.where(np.isnan(values), -np.inf, values if higher_is_better else -values)
    ranked: Floats = rankdata(-worst, axis=1)
    return ranked


def rank_intervals(values: Floats, *, higher_is_better: bool = True) -> NDArray[np.float64]:
    """The range of ranks that a row takes in ``LEVEL`` of the resamples.

    Args:
        values: (B, M) a statistic of every row; all rows share each resample's patients and, where they have the same
            seeds, its seeds.
        higher_is_better: False for distances.

    Returns:
        (M, 2) lowest and highest rank: quantiles of the ranks that were taken, never between two of them.

    Source: Wiesenfarth et al. 2021, doi 10.1038/s41598-021-82017-6 (challengeR), section "Ranking stability".
    Differs from the source in: resampled are seeds, too, not test cases alone.
    """
    tail = (1 - LEVEL) / 2
    ranked = ranks(values, higher_is_better=higher_is_better)
    low = np.quantile(ranked, tail, axis=0, method="inverted_cdf")
    high = np.quantile(ranked, 1 - tail, axis=0, method="inverted_cdf")
    return np.stack([low, high], axis=1)
