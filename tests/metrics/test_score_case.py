"""Scoring a case: every label and metric, each in the part of the volume that holds it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clbench.metrics import METRICS, required_metrics, score_case
from clbench.metrics.boxes import label_boxes

BALL = np.zeros((4, 4, 4), bool)
BALL[1:3, 1:3, 1:3] = True


def test_a_case_is_scored_label_by_label_and_metric_by_metric():
    truth = np.array([[[1, 1, 2, 0]]], np.uint8)
    prediction = np.array([[[1, 0, 2, 0]]], np.uint8)
    scores = score_case(prediction, truth, {"a": 1, "b": 2}, (1.0, 1.0, 3.0))
    assert scores == [
        ("a", "dice", pytest.approx(2 / 3)),
        ("a", "hd95_mm", pytest.approx(0.95 * 3)),
        ("a", "assd_mm", 1.0),
        ("a", "nsd_2mm", pytest.approx(2 / 3)),
        ("b", "dice", 1.0),
        ("b", "hd95_mm", 0.0),
        ("b", "assd_mm", 0.0),
        ("b", "nsd_2mm", 1.0),
    ]


def test_a_label_absent_from_both_is_undefined_for_that_label_only():
    ones = np.ones((2, 2, 2), np.uint8)
    scores = score_case(ones, ones, {"a": 1, "b": 2}, (1, 1, 1))
    assert all(math.isnan(score) == (label == "b") for label, _, score in scores)


def test_maps_on_different_grids_are_refused():
    with pytest.raises(ValueError, match="different grids"):
        score_case(np.zeros((2, 2, 2), np.uint8), np.zeros((2, 2, 1), np.uint8), {"a": 1}, (1, 1, 1))


@given(st.integers(0, 2**32))
def test_cropping_changes_no_score(seed):
    rng = np.random.default_rng(seed)
    prediction, truth = (np.where(rng.random((5, 6, 4)) < 0.1, rng.integers(1, 4, (5, 6, 4)), 0) for _ in range(2))
    spacing = (0.7, 1.1, 3.0)
    whole = [
        (str(value), key, METRICS[key].compute(prediction == value, truth == value, spacing))
        for value in (1, 2, 3)
        for key in METRICS
    ]
    cropped = score_case(prediction, truth, {"1": 1, "2": 2, "3": 3}, spacing)
    assert [row[:2] for row in cropped] == [row[:2] for row in whole]
    np.testing.assert_array_equal([row[2] for row in cropped], [row[2] for row in whole])


def test_a_box_is_around_a_label_in_both_maps():
    first, second = np.zeros((2, 5, 6), np.uint8)
    first[1, 1], second[3, 0], second[4, 4] = 2, 2, 7
    assert label_boxes(first, second) == {
        2: (slice(1, 4), slice(0, 2)),
        7: (slice(4, 5), slice(4, 5)),
    }


@pytest.mark.parametrize("name", METRICS)
def test_registered_metrics_can_be_computed(name):
    assert METRICS[name].summary
    perfect = METRICS[name].compute(BALL, BALL, (1.0, 2.0, 3.0))
    assert perfect == (1.0 if METRICS[name].higher_is_better else 0.0)
    assert METRICS[name].compute(BALL, ~BALL, (1.0, 2.0, 3.0)) != perfect


def test_only_runs_since_a_metric_exists_must_have_it():
    assert required_metrics(1) == {"dice"}
    assert required_metrics(2) == set(METRICS)
