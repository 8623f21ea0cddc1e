"""Drift: CKA and the Frechet distance against closed forms, and rows that come back as they were written."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.linalg import sqrtm
from scipy.stats import ortho_group

from clbench.drift import METRICS, DriftRow, drift_rows, frechet_distance, linear_cka, summarize_drift


@pytest.fixture
def features():
    return np.random.default_rng(0).normal(size=(200, 5)) * [1.0, 2.0, 0.5, 3.0, 1.0] + 4.0


def with_moments(mean, deviations, n=400):
    """Samples whose sample mean and covariance are exactly the given ones."""
    raw = np.random.default_rng(1).normal(size=(n, len(mean)))
    raw -= raw.mean(0)
    white = raw @ np.linalg.inv(np.linalg.cholesky(np.cov(raw.T))).T
    return white * deviations + mean


def test_cka_does_not_see_rotation_scale_and_position(features):
    rotation = ortho_group.rvs(5, random_state=2)
    assert linear_cka(features, -7.0 * features @ rotation + 3.0) == pytest.approx(1.0, abs=1e-12)


def test_cka_sees_a_scaling_of_one_axis_alone(features):
    assert linear_cka(features, features * [1.0, 1.0, 1.0, 0.0, 1.0]) < 0.6


def test_cka_of_orthogonal_features_is_zero():
    x = np.array([[1.0], [-1.0], [1.0], [-1.0]])
    y = np.array([[1.0], [1.0], [-1.0], [-1.0]])
    assert linear_cka(x, y) == 0.0


def test_cka_worked_out_by_hand():
    x = np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])
    y = np.array([[1.0], [-1.0], [0.0], [0.0]])
    assert linear_cka(x, y) == pytest.approx(4.0 / (math.sqrt(8.0) * 2.0))


def test_cka_is_the_kernel_form(features):
    other = np.tanh(features[:, :3])
    center = np.eye(200) - 1 / 200
    k, m = (center @ side @ side.T @ center for side in (features, other))
    assert linear_cka(features, other) == pytest.approx((k * m).sum() / math.sqrt((k * k).sum() * (m * m).sum()))


def test_cka_of_constant_features_is_undefined(features):
    assert math.isnan(linear_cka(features, np.ones((200, 3))))


def test_frechet_distance_of_diagonal_gaussians_is_that_of_means_and_deviations():
    x, y = with_moments([0.0, 1.0, 2.0], [1.0, 2.0, 3.0]), with_moments([1.0, 1.0, 0.0], [2.0, 0.5, 3.0])
    assert frechet_distance(x, y) == pytest.approx(math.sqrt(1 + 4 + 1 + 2.25))


def test_frechet_distance_agrees_with_the_matrix_root(features):
    other = features @ np.random.default_rng(3).normal(size=(5, 5)) + 1.0
    s, t = np.cov(features.T), np.cov(other.T)
    square = ((features.mean(0) - other.mean(0)) ** 2).sum() + np.trace(s + t - 2 * sqrtm(s @ t).real)
    assert frechet_distance(features, other) == pytest.approx(math.sqrt(square))


def test_frechet_distance_of_fewer_samples_than_features_is_finite_and_symmetric():
    x, y = np.random.default_rng(4).normal(size=(2, 6, 20))
    assert frechet_distance(x, y) == pytest.approx(frechet_distance(y, x))
    assert frechet_distance(x, x + 1.0) == pytest.approx(math.sqrt(20))


def test_features_that_stayed_have_not_drifted(features):
    assert [row.value for row in drift_rows(1, "last", features, features)] == pytest.approx([0.0] * 3, abs=1e-6)


def test_relative_drift_does_not_depend_on_the_scale_of_the_features(features):
    moved = features + np.sin(features)
    plain, scaled = drift_rows(1, "last", features, moved), drift_rows(1, "last", 9 * features, 9 * moved)
    assert scaled[1].value == pytest.approx(9 * plain[1].value)
    assert (scaled[0].value, scaled[2].value) == pytest.approx((plain[0].value, plain[2].value))
    assert [row.metric for row in plain] == list(METRICS)


def test_constant_features_give_no_number_but_no_failure_either():
    rows = drift_rows(1, "last", np.ones((4, 2)), np.ones((4, 2)))
    assert [math.isnan(row.value) for row in rows] == [True, False, True]


@pytest.mark.parametrize("function", [linear_cka, frechet_distance])
def test_shapes_that_do_not_match_are_named(function):
    with pytest.raises(ValueError, match=r"\(1, 3\), \(4, 2\)"):
        function(np.zeros((1, 3)), np.zeros((4, 2)))


def test_the_summary_has_means_per_tap_and_over_all():
    values = {(1, "a"): 0.1, (2, "a"): 0.3, (1, "b"): 0.5, (2, "b"): 0.7}
    found = summarize_drift(DriftRow(task, tap, "frechet", value) for (task, tap), value in values.items())
    assert found == {
        "frechet": {"tasks": {"a": [0.1, 0.3], "b": [0.5, 0.7]}, "taps": {"a": 0.2, "b": 0.6}, "mean": 0.4}
    }


def test_an_undefined_value_makes_its_means_undefined():
    found = summarize_drift([DriftRow(1, "a", "frechet", math.nan), DriftRow(2, "a", "frechet", 1.0)])["frechet"]
    assert found == {"tasks": {"a": [None, 1.0]}, "taps": {"a": None}, "mean": None}
