"""Intervals against Student's, and whether they cover a known truth."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import t, ttest_1samp

from clbench.report.stats.group_draws import GroupDraws
from clbench.report.stats.intervals import Resampled, interval, p_of_zero
from clbench.report.stats.paired import compare
from clbench.report.stats.ranks import rank_intervals, ranks
from clbench.report.stats.resampling import influences, patient_draws
from simulated_suites import KEYS, UNEQUAL, coverage, estimates, resampled, simulated_panel, statistics


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


def test_a_number_of_one_task_has_the_freedom_of_the_patients_of_that_task():
    panel = simulated_panel(np.random.default_rng(0), tasks=5, patients=3, seeds=1)
    values = panel.scores[panel.task == 2, -1, 0]

    def third(matrices):
        return {"third": matrices[..., -1, 2]}

    draws, moved = patient_draws(panel, third, resamples=100_000), influences(panel, third)
    found = interval(Resampled(values.mean(keepdims=True), draws["third"][:, 0], moved["third"][:, 0], panel.stratum))
    known = t.interval(0.95, 2, values.mean(), values.std(ddof=1) / math.sqrt(3))
    assert (found.low, found.high) == pytest.approx(known, abs=2e-3)


def test_p_is_that_of_the_t_test_and_below_a_twentieth_where_the_interval_excludes_zero():
    panel = simulated_panel(np.random.default_rng(0), tasks=1, patients=12, seeds=1)
    for shift in (0.74, 0.78, 0.83, 0.88):
        panel.scores[:] -= shift
        of = resampled(panel, 100_000)["final"]
        found = interval(of)
        assert p_of_zero(of) == pytest.approx(ttest_1samp(panel.scores[:, 1, 0], 0.0).pvalue, rel=0.03)
        assert (p_of_zero(of) < 0.05) == (found.low > 0 or found.high < 0)
        panel.scores[:] += shift


def test_p_of_numbers_without_error():
    same = Resampled(np.zeros(3), np.zeros(9), np.zeros(4), np.zeros(4, dtype=np.int64))
    assert p_of_zero(same) == 1.0
    assert p_of_zero(replace(same, points=np.ones(3))) == 0.0
    assert math.isnan(p_of_zero(replace(same, stratum=np.arange(4), points=np.zeros(1))))


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


@pytest.mark.slow
@pytest.mark.parametrize(
    ("seeds", "of_seed"), [(3, 0.02), (3, 0.03), (5, 0.03), (5, 0.05)], ids=lambda value: str(value)
)
def test_intervals_cover_the_truth_in_93_to_97_of_100_suites(seeds, of_seed):
    found = coverage(1000, seeds=seeds, of_seed=of_seed)
    assert all(0.93 <= share <= 0.97 for share in found.values()), found


@pytest.mark.slow
@pytest.mark.parametrize(("seeds", "of_seed"), [(3, 0.01), (3, 0.02), (3, 0.03), (5, 0.02)], ids=str)
def test_three_patients_to_a_task_of_which_one_differs_much_are_covered(seeds, of_seed):
    """The spreads of a published stream: one task's patients make nearly all of the error, with two degrees."""
    found = coverage(1000, seeds=seeds, of_seed=of_seed, **UNEQUAL)
    assert all(0.92 <= share <= 0.99 for share in found.values()), found


def false_alarms(suites, seeds, of_seed, patients):
    """How often two equal strategies are told apart at p < .05."""
    alarms = dict.fromkeys(KEYS, 0)
    for number in range(suites):
        panel = simulated_panel(np.random.default_rng([number, 9]), seeds=2 * seeds, of_seed=of_seed, patients=patients)
        whole = statistics(panel.matrices(np.ones((1, panel.patients))))
        drawn = GroupDraws(
            {"one": {seed: seed for seed in range(seeds)}, "other": {seed: seed + seeds for seed in range(seeds)}},
            {key: values[0] for key, values in whole.items()},
            patient_draws(panel, statistics, resamples=1000, seed=number),
            influences(panel, statistics),
            panel.stratum,
            number,
        )
        for key in KEYS:
            alarms[key] += p_of_zero(drawn.difference("one", "other", key)) < 0.05
    return {key: count / suites for key, count in alarms.items()}


@pytest.mark.slow
@pytest.mark.parametrize(("seeds", "of_seed", "patients"), [(3, 0.03, 8), (3, 0.05, 8), (3, 0.05, 3), (5, 0.03, 8)])
def test_equal_strategies_are_told_apart_in_one_of_twenty_suites(seeds, of_seed, patients):
    found = false_alarms(1000, seeds, of_seed, patients)
    assert all(share <= 0.08 for share in found.values()), found


@pytest.mark.slow
@pytest.mark.parametrize(("seeds", "of_seed"), [(3, 0.03), (3, 0.05), (5, 0.03)])
def test_the_signed_rank_test_does_not_know_of_other_seeds(seeds, of_seed):
    alarms = 0
    for number in range(300):
        panel = simulated_panel(np.random.default_rng([number, 9]), seeds=2 * seeds, of_seed=of_seed, patients=8)
        final = panel.scores[:, -1]
        alarms += compare(final[:, :seeds].mean(axis=1), final[:, seeds:].mean(axis=1)).p < 0.05
    assert 0.25 <= alarms / 300 <= 0.40


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
