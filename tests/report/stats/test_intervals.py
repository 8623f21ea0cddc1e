"""Intervals against Student's, and whether they cover a known truth."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.stats import t

from clbench.continual import resampled_metric
from clbench.report.stats.intervals import interval
from clbench.report.stats.ranks import rank_intervals, ranks
from clbench.report.stats.resampling import over_seeds, patient_draws, seed_draws
from simulated_suites import simulated_panel, truth

KEYS = ("final", "bwt", "learned")


def estimates(panel, resamples, seed=0):
    """Metric -> estimate of one row with all runs of a panel as its seeds."""

    def statistics(matrices):
        return {key: resampled_metric(key, matrices) for key in KEYS}

    draws = patient_draws(panel, statistics, resamples=resamples, seed=seed)
    points = statistics(panel.matrices(np.ones((1, panel.patients))))
    counts = seed_draws(range(panel.scores.shape[2]), resamples, seed)
    freedom = panel.patients - len(set(panel.stratum.tolist()))
    return {key: interval(points[key][0], draws[key], over_seeds(draws[key], counts), freedom) for key in KEYS}


def test_one_seed_and_one_task_give_the_t_interval_of_the_patients():
    panel = simulated_panel(np.random.default_rng(0), tasks=1, patients=12, seeds=1)
    values = panel.scores[:, 1, 0]
    low, high = t.interval(0.95, 11, values.mean(), values.std(ddof=1) / math.sqrt(12))
    found = estimates(panel, 100_000)["final"]
    assert found.value == pytest.approx(values.mean(), abs=1e-12)
    assert (found.low, found.high) == pytest.approx((low, high), abs=6e-4)


def test_seeds_that_alone_differ_give_the_t_interval_of_the_seeds():
    panel = simulated_panel(np.random.default_rng(0), tasks=1, seeds=4, of_patient=0, of_both=0)
    values = panel.scores[0, 1]
    low, high = t.interval(0.95, 3, values.mean(), values.std(ddof=1) / 2)
    found = estimates(panel, 100_000)["final"]
    assert (found.low, found.high) == pytest.approx((low, high), abs=6e-4)


def test_without_anything_to_resample_there_is_no_interval():
    panel = simulated_panel(np.random.default_rng(0), patients=1, seeds=1)
    found = estimates(panel, 10)["final"]
    assert math.isfinite(found.value)
    assert math.isnan(found.low)
    assert math.isnan(found.high)


def test_a_number_without_error_has_an_interval_without_width():
    panel = simulated_panel(np.random.default_rng(0), of_seed=0, of_patient=0, of_both=0)
    found = estimates(panel, 10)["final"]
    assert found.low == pytest.approx(found.value) == pytest.approx(found.high)


def coverage(suites, **fields):
    known = {key: float(resampled_metric(key, truth(4))) for key in KEYS}
    hits = dict.fromkeys(KEYS, 0)
    for number in range(suites):
        found = estimates(simulated_panel(np.random.default_rng([number, 7]), **fields), 1000, number)
        for key, one in found.items():
            hits[key] += one.low <= known[key] <= one.high
    return {key: count / suites for key, count in hits.items()}


@pytest.mark.slow
@pytest.mark.parametrize(
    ("seeds", "of_seed"), [(3, 0.02), (3, 0.03), (5, 0.03), (5, 0.05)], ids=lambda value: str(value)
)
def test_intervals_cover_the_truth_in_93_to_97_of_100_suites(seeds, of_seed):
    found = coverage(1000, seeds=seeds, of_seed=of_seed)
    assert all(0.93 <= share <= 0.97 for share in found.values()), found


def test_ranks_are_those_of_the_values_with_undefined_ones_last():
    values = np.array([[0.5, 0.9, 0.5, np.nan]])
    assert ranks(values).tolist() == [[2.5, 1.0, 2.5, 4.0]]
    assert ranks(values, higher_is_better=False).tolist() == [[1.5, 3.0, 1.5, 4.0]]


def test_a_rank_that_never_changes_has_an_interval_of_one():
    values = np.random.default_rng(0).normal([0.9, 0.5, 0.1], 0.01, (500, 3))
    assert rank_intervals(values).tolist() == [[1, 1], [2, 2], [3, 3]]


def test_ranks_that_change_places_one_time_in_ten_are_not_told_apart():
    values = np.tile([0.9, 0.5, 0.1], (1000, 1))
    values[:100, :2] = 0.5, 0.9
    values[:10, 2] = 1.0  # one time in a hundred: not in the interval
    assert rank_intervals(values).tolist() == [[1, 2], [1, 2], [3, 3]]
