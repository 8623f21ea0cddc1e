"""Dice against closed forms, scikit-learn and MONAI."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from clbench.metrics.dice import dice

masks = arrays(np.bool_, (3, 4, 2))
EMPTY, BALL = np.zeros((4, 4, 4), bool), np.zeros((4, 4, 4), bool)
BALL[1:3, 1:3, 1:3] = True


def test_perfect_and_disjoint():
    assert dice(BALL, BALL) == 1.0
    assert dice(BALL, ~BALL) == 0.0


def test_half_overlap():
    shifted = np.roll(BALL, 1, axis=2)
    assert dice(BALL, shifted) == 0.5


def test_both_empty_is_undefined():
    assert math.isnan(dice(EMPTY, EMPTY))


def test_a_false_alarm_on_an_empty_truth_and_a_missed_structure_count_as_zero():
    assert dice(BALL, EMPTY) == 0.0
    assert dice(EMPTY, BALL) == 0.0


def test_masks_of_different_shapes_are_refused():
    with pytest.raises(ValueError, match="different shapes"):
        dice(BALL, BALL[1:])


@given(masks, masks)
def test_symmetric_in_range_and_blind_to_axis_order(prediction, truth):
    value = dice(prediction, truth)
    np.testing.assert_equal(value, dice(truth, prediction))
    np.testing.assert_equal(value, dice(prediction.transpose(2, 0, 1), truth.transpose(2, 0, 1)))
    assert math.isnan(value) or 0.0 <= value <= 1.0


@given(masks.filter(np.any), masks)
def test_agrees_with_the_f1_score(truth, prediction):
    from sklearn.metrics import f1_score

    expected = f1_score(truth.ravel(), prediction.ravel(), zero_division=0.0)
    assert dice(prediction, truth) == pytest.approx(expected, abs=1e-12)


@given(st.integers(0, 2**32))
def test_agrees_with_monai_where_the_truth_is_not_empty(seed):
    import torch
    from monai.metrics import compute_dice

    truth, prediction = np.random.default_rng(seed).random((2, 3, 4, 2)) < 0.4
    truth[0, 0, 0] = True
    tensors = (torch.from_numpy(mask)[None, None].float() for mask in (prediction, truth))
    assert dice(prediction, truth) == pytest.approx(compute_dice(*tensors).item(), abs=1e-6)
