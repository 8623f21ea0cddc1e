"""The bootstrap over seeds and patients: every resample draws both, and all runs share it."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import lru_cache

import numpy as np

from clbench.continual import Floats
from clbench.report.stats.panel import Ints, Panel

RESAMPLES = 10_000
_MOST_NUMBERS = 4_000_000
"""Matrix entries of the resamples drawn at a time. The draws depend on it, and with them every interval."""
_UNTHREADED = 2**18
"""Multiplications of a matrix product up to which OpenBLAS starts no threads, which on products little larger wait for
each other longer than they work."""
_SMALLEST_LOT = 16
"""Resamples worked on at once, at least; below it, calls cost more than threads that wait."""


def draw(strata: Ints, resamples: int, rng: np.random.Generator) -> Floats:
    """How often each of P units is in each resample: n - 1 draws with replacement from every stratum of n.

    Drawing n - 1 instead of n makes the variance of a resampled mean s² / n with the sample variance s², without
    bias; n draws would give (n - 1) / n of it, which for the three seeds of a suite is a third too little.

    Args:
        strata: (P,) the stratum of each unit; one that is alone in its stratum is drawn always.
        resamples: B.
        rng: whose draws make the result.

    Returns:
        (B, P) float64.

    Source: Rao and Wu 1988, doi 10.1080/01621459.1988.10478591, section 2.3 with m = n - 1.
    """
    counts = np.zeros((resamples, len(strata)))
    for stratum in np.unique(strata):
        members = np.flatnonzero(strata == stratum)
        if len(members) == 1:
            counts[:, members] = 1.0
            continue
        size = len(members)
        drawn = rng.integers(size, size=(resamples, size - 1)) + size * np.arange(resamples)[:, None]
        counts[:, members] = np.bincount(drawn.ravel(), minlength=resamples * size).reshape(resamples, size)
    return counts


def patient_draws(
    panel: Panel,
    statistics: Callable[[Floats], Mapping[str, Floats]],
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Floats]:
    """Statistics of every run on resampled patients; runs share each resample, so that they can be compared.

    Args:
        panel: of M runs.
        statistics: maps matrices (B, M, T + 1, T) to named values (B, M).
        resamples: in all; they are worked through in parts, so that memory does not grow with runs.
        seed: of the draws.

    Returns:
        name -> (resamples, M).
    """
    rng = np.random.default_rng(seed)
    drawn = (draw(panel.stratum, size, rng) for size in _part_sizes(panel, resamples))
    parts = [statistics(panel.matrices(lot)) for weights in drawn for lot in _lots(panel, weights)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def influences(panel: Panel, statistics: Callable[[Floats], Mapping[str, Floats]]) -> dict[str, Floats]:
    """How much each patient moves a statistic of every run: n - 1 times what leaving the patient out takes from it.

    Of a mean it is the patient's score less the mean; patients alone in their stratum have none, as they are never
    resampled.

    Args:
        panel: of M runs.
        statistics: as in ``patient_draws``.

    Returns:
        name -> (P, M).

    Source: Efron and Tibshirani 1993, An Introduction to the Bootstrap, chapter 11.5, within strata.
    """
    sizes = np.bincount(panel.stratum)[panel.stratum]
    whole = statistics(panel.matrices(np.ones((1, panel.patients))))
    found = {name: np.zeros((panel.patients, *values.shape[1:])) for name, values in whole.items()}
    several, start = np.flatnonzero(sizes > 1), 0
    for size in _part_sizes(panel, len(several)):
        without = several[start : start + size]
        start += size
        weights = np.ones((size, panel.patients))
        weights[np.arange(size), without] = 0.0
        for name, values in statistics(panel.matrices(weights)).items():
            found[name][without] = (sizes[without] - 1)[:, None] * (whole[name] - values)
    return found


def seed_draws(seeds: Sequence[int], resamples: int = RESAMPLES, seed: int = 0) -> Floats:
    """(resamples, K) how often each of K seeds is drawn; equal seeds give equal draws, whichever row they are of.

    Read-only: the rows of a table mostly have the same seeds, and share them.
    """
    return _seed_draws(tuple(seeds), resamples, seed)


@lru_cache(maxsize=16)
def _seed_draws(seeds: tuple[int, ...], resamples: int, seed: int) -> Floats:
    key = zlib.crc32(",".join(map(str, seeds)).encode())
    counts = draw(np.zeros(len(seeds), dtype=np.int64), resamples, np.random.default_rng([seed, key]))
    counts.flags.writeable = False
    return counts


def over_seeds(values: Floats, counts: Floats) -> Floats:
    """Mean over the drawn seeds of each resample.

    Args:
        values: (B, K) a statistic of each seed's run.
        counts: (B, K).

    Returns:
        (B,); NaN where a drawn run's value is undefined.
    """
    with np.errstate(invalid="ignore"):
        mean: Floats = (values * counts).sum(axis=1) / counts.sum(axis=1)
    return mean


def _lots(panel: Panel, weights: Floats) -> Iterator[Floats]:
    """The resamples in lots whose products start no threads; all at once where a lot would be hardly any."""
    _, rows, runs = panel.scores.shape
    cases = int(np.bincount(panel.task).max()) if len(panel.task) else 0  # of the largest task
    most = _UNTHREADED // max(1, rows * runs * cases)
    size = max(1, len(weights)) if most < _SMALLEST_LOT else most
    for start in range(0, len(weights), size):
        yield weights[start : start + size]


def _part_sizes(panel: Panel, resamples: int) -> Iterator[int]:
    _, rows, runs = panel.scores.shape
    most = max(1, _MOST_NUMBERS // (max(rows * (rows - 1) * runs, panel.patients, 1)))
    for start in range(0, resamples, most):
        yield min(most, resamples - start)
