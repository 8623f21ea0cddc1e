"""The bootstrap against closed forms and scipy.stats.bootstrap."""

from __future__ import annotations

import numpy as np
import pytest

from clbench.report.stats import resampling
from clbench.report.stats.panel import Panel, strata
from clbench.report.stats.resampling import draw, influences, over_seeds, patient_draws, seed_draws
from simulated_suites import simulated_panel

RNG = np.random.default_rng


def mean_of_all(matrices):
    return {"mean": matrices.mean(axis=(-2, -1))}


def test_each_stratum_gives_one_draw_less_than_it_has_members():
    counts = draw(np.array([0, 0, 0, 1, 2, 2]), 1000, RNG(0))
    assert (counts[:, :3].sum(axis=1) == 2).all()
    assert (counts[:, 3] == 1).all()
    assert (counts[:, 4:].sum(axis=1) == 1).all()
    np.testing.assert_allclose(counts.mean(axis=0), [2 / 3, 2 / 3, 2 / 3, 1, 0.5, 0.5], atol=0.06)


def test_the_variance_of_a_resampled_mean_is_that_of_the_sample_without_bias():
    values = RNG(1).normal(size=5)
    means = draw(np.zeros(5, int), 200_000, RNG(0)) @ values / 4
    assert means.var() == pytest.approx(values.var(ddof=1) / 5, rel=0.02)


def test_it_agrees_with_scipy_but_for_the_draw_that_is_left_out():
    from scipy.stats import bootstrap

    values = RNG(2).gamma(2.0, size=30)
    theirs = bootstrap((values,), np.mean, n_resamples=100_000, rng=RNG(3)).standard_error
    ours = (draw(np.zeros(30, int), 100_000, RNG(0)) @ values / 29).std(ddof=1)
    assert ours == pytest.approx(theirs * np.sqrt(30 / 29), rel=0.02)


def test_quantiles_of_many_values_agree_with_those_of_scipy():
    from scipy.stats import bootstrap

    values = RNG(2).gamma(2.0, size=400)
    known = bootstrap((values,), np.mean, n_resamples=50_000, method="percentile", rng=RNG(3)).confidence_interval
    ours = draw(np.zeros(400, int), 50_000, RNG(0)) @ values / 399
    assert np.percentile(ours, [2.5, 97.5]) == pytest.approx(list(known), abs=0.004)


def test_a_matrix_of_a_resample_is_that_of_the_drawn_patients():
    panel = simulated_panel(RNG(0), tasks=3, patients=4, seeds=2)
    weights = draw(panel.stratum, 50, RNG(1))
    matrices = panel.matrices(weights)
    assert matrices.shape == (50, 2, 4, 3)
    for resample in (0, 7):
        for task in range(3):
            cells = np.flatnonzero(panel.task == task)
            repeated = np.repeat(cells, weights[resample, panel.patient[cells]].astype(int))
            np.testing.assert_allclose(matrices[resample, :, :, task], panel.scores[repeated].mean(axis=0).T)


def test_a_case_without_a_score_is_not_counted():
    scores = np.full((3, 2, 1), np.nan)
    scores[:, 1, 0] = 0.2, 0.6, np.nan
    panel = Panel(scores, np.zeros(3, int), np.arange(3), np.zeros(3, int), "domain")
    matrices = panel.matrices(np.array([[1.0, 1, 1], [2, 0, 1], [0, 0, 3]]))
    np.testing.assert_allclose(matrices[:, 0, 1, 0], [0.4, 0.2, np.nan])
    assert np.isnan(matrices[:, 0, 0, 0]).all()


def test_patients_whose_cases_are_in_the_same_tasks_are_exchanged():
    task, patient = np.array([0, 1, 0, 1, 0, 1]), np.array([0, 0, 1, 1, 2, 3])
    assert strata(task, patient).tolist() == [0, 0, 1, 2]


def test_equal_seeds_give_equal_draws_and_parts_do_not_matter(monkeypatch):
    panel = simulated_panel(RNG(0))
    whole = patient_draws(panel, mean_of_all, resamples=300, seed=5)["mean"]
    again = patient_draws(panel, mean_of_all, resamples=300, seed=5)["mean"]
    np.testing.assert_array_equal(whole, again)
    assert not np.array_equal(whole, patient_draws(panel, mean_of_all, resamples=300, seed=6)["mean"])
    first = seed_draws([0, 1, 2], 100)
    resampling._seed_draws.cache_clear()
    np.testing.assert_array_equal(first, seed_draws([0, 1, 2], 100))
    with pytest.raises(ValueError, match="read-only"):
        first[0, 0] = 5
    assert not np.array_equal(seed_draws([0, 1, 2], 100), seed_draws([0, 1, 3], 100))
    monkeypatch.setattr("clbench.report.stats.resampling._MOST_NUMBERS", 4000)
    parted = patient_draws(panel, mean_of_all, resamples=300, seed=5)["mean"]
    assert parted.shape == whole.shape == (300, 3)
    assert parted.std() == pytest.approx(whole.std(), rel=0.2)


def drawn_in_lots(panel, **given):
    """The resampled means, and how many resamples were worked on at a time."""
    sizes = []

    def counted(matrices):
        sizes.append(len(matrices))
        return mean_of_all(matrices)

    return patient_draws(panel, counted, **given)["mean"], sizes


@pytest.mark.parametrize("lot", [16, 17, 299, 10_000])
def test_lots_are_worked_on_apart_and_come_to_the_same(monkeypatch, lot):
    panel = simulated_panel(RNG(0))
    whole = patient_draws(panel, mean_of_all, resamples=300, seed=5)["mean"]
    of_each = panel.scores.shape[1] * panel.scores.shape[2] * max(np.bincount(panel.task))
    monkeypatch.setattr("clbench.report.stats.resampling._UNTHREADED", int(of_each) * lot)
    found, sizes = drawn_in_lots(panel, resamples=300, seed=5)
    assert sizes == [min(lot, 300 - start) for start in range(0, 300, lot)]
    np.testing.assert_allclose(found, whole, rtol=1e-12)


def test_where_lots_would_be_hardly_any_all_are_worked_on_at_once(monkeypatch):
    monkeypatch.setattr("clbench.report.stats.resampling._UNTHREADED", 1)
    assert drawn_in_lots(simulated_panel(RNG(0)), resamples=300)[1] == [300]


def test_runs_share_the_patients_of_a_resample():
    """Two runs that differ by a constant differ by it in every resample."""
    panel = simulated_panel(RNG(0), seeds=1)
    pair = Panel(
        np.concatenate([panel.scores, panel.scores + 0.1], axis=2), panel.task, panel.patient, panel.stratum, "domain"
    )
    found = patient_draws(pair, mean_of_all, resamples=200)["mean"]
    np.testing.assert_allclose(found[:, 1] - found[:, 0], 0.1)
    assert found[:, 0].std() > 0.001


def test_a_mean_over_seeds_counts_the_drawn_ones():
    values = np.array([[1.0, 2.0, 6.0], [1.0, 2.0, np.nan]])
    counts = np.array([[1.0, 1.0, 0.0], [0.0, 1.0, 1.0]])
    np.testing.assert_allclose(over_seeds(values, counts), [1.5, np.nan])
    np.testing.assert_allclose(over_seeds(values[:, :1], np.ones((2, 1))), [1.0, 1.0])


def test_a_patient_moves_a_mean_by_what_it_is_above_it():
    panel = simulated_panel(RNG(0), tasks=2, patients=4, seeds=3)
    found = influences(panel, lambda matrices: {"final": matrices[..., -1, :].mean(axis=-1)})["final"]
    of_task = panel.scores[:, -1].reshape(2, 4, 3)
    expected = (of_task - of_task.mean(axis=1, keepdims=True)) / 2  # each task is half of the mean
    np.testing.assert_allclose(found, expected.reshape(8, 3), atol=1e-12)


def test_a_patient_alone_in_its_stratum_is_never_left_out():
    panel = simulated_panel(RNG(0), tasks=3, patients=1, seeds=2)
    assert not influences(panel, mean_of_all)["mean"].any()
