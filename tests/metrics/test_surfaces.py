"""Surface distances against closed forms and MONAI."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.ndimage import distance_transform_edt

from clbench.metrics import METRICS
from clbench.metrics.surfaces import border, surface_distances

DISTANCES = ("hd95_mm", "assd_mm", "nsd_2mm")
SPACING = (1.0, 1.5, 4.0)
EMPTY = np.zeros((10, 12, 6), bool)


def block(*slices, shape=EMPTY.shape):
    mask = np.zeros(shape, bool)
    mask[slices] = True
    return mask


CUBE = block(slice(2, 6), slice(3, 8), slice(1, 5))


def score(key, prediction, truth, spacing=SPACING):
    return METRICS[key].compute(prediction, truth, spacing)


def test_a_border_voxel_has_a_face_neighbor_outside():
    inner = block(slice(3, 5), slice(4, 7), slice(2, 4))
    np.testing.assert_array_equal(border(CUBE), CUBE & ~inner)


def test_beyond_the_edge_of_the_volume_everything_is_outside():
    everything = np.ones((4, 4, 4), bool)
    assert border(everything).sum() == 64 - 8
    np.testing.assert_array_equal(border(np.ones((4, 4, 1), bool)), np.ones((4, 4, 1), bool))


@pytest.mark.parametrize(("axis", "step_mm"), list(enumerate(SPACING)))
def test_two_plates_are_as_far_apart_as_the_spacing_of_the_axis_between_them(axis, step_mm):
    plates = [np.moveaxis(block(number, shape=(6, 5, 4)), 0, axis) for number in (1, 4)]
    assert score("hd95_mm", *plates) == score("assd_mm", *plates) == 3 * step_mm
    assert score("nsd_2mm", *plates) == 0.0


def test_mean_and_percentile_of_a_line_of_points():
    truth = block(0, 0, 0, shape=(101, 1, 1))
    prediction = np.ones((101, 1, 1), bool)  # 0..100 mm from the truth, which itself is hit
    assert score("hd95_mm", prediction, truth, (1, 1, 1)) == pytest.approx(95.0)
    assert score("assd_mm", prediction, truth, (1, 1, 1)) == pytest.approx(5050 / 102)
    assert score("nsd_2mm", prediction, truth, (1, 1, 1)) == pytest.approx((3 + 1) / 102)


def test_what_a_small_mask_misses_counts_as_much_as_what_a_large_one_adds():
    """The percentile of both directions together would be 0 here."""
    large = block(slice(0, 10), slice(0, 12), slice(0, 6))
    both = np.concatenate([large, np.zeros((30, 12, 6), bool)])
    truth = both.copy()
    both[39, 11, 5] = True  # one voxel of hundreds: forgiven
    assert score("hd95_mm", both, truth) == 0.0
    assert score("hd95_mm", truth, both[::-1]) > 10.0


@pytest.mark.parametrize("key", DISTANCES)
def test_a_perfect_prediction(key):
    assert score(key, CUBE, CUBE) == (1.0 if METRICS[key].higher_is_better else 0.0)


@pytest.mark.parametrize("key", DISTANCES)
def test_both_empty_is_undefined(key):
    assert math.isnan(score(key, EMPTY, EMPTY))


@pytest.mark.parametrize("masks", [(CUBE, EMPTY), (EMPTY, CUBE)], ids=["false alarm", "missed"])
def test_one_empty_mask_is_the_diagonal_of_the_volume_away(masks):
    diagonal = math.sqrt(10**2 + (12 * 1.5) ** 2 + (6 * 4) ** 2)
    assert score("hd95_mm", *masks) == pytest.approx(diagonal, abs=1e-12)
    assert score("assd_mm", *masks) == pytest.approx(diagonal, abs=1e-12)
    assert score("nsd_2mm", *masks) == 0.0


def test_no_prediction_is_worse_than_none():
    corners = block(0, 0, 0), block(-1, -1, -1)
    assert score("hd95_mm", *corners) < score("hd95_mm", corners[0], EMPTY)


@pytest.mark.parametrize("spacing", [(2.0, 1, 1), (0.1, 1, 1), (np.float32(0.4), 1, 1), (np.float32(1 / 3), 1, 1)])
def test_exactly_two_millimetres_are_within_the_tolerance(spacing):
    steps = round(2 / float(spacing[0]))
    masks = [block(number, 0, 0, shape=(40, 1, 1)) for number in (0, steps)]
    assert score("nsd_2mm", *masks, spacing) == 1.0
    assert score("nsd_2mm", masks[0], block(steps + 1, 0, 0, shape=(40, 1, 1)), spacing) == 0.0


@pytest.mark.parametrize("key", DISTANCES)
@given(seed=st.integers(0, 2**32))
def test_symmetric_and_blind_to_the_order_and_direction_of_axes(key, seed):
    prediction, truth = np.random.default_rng(seed).random((2, 4, 5, 3)) < 0.2
    value = score(key, prediction, truth)
    np.testing.assert_allclose(score(key, truth, prediction), value, rtol=1e-12)
    turned = [mask.transpose(2, 0, 1)[::-1] for mask in (prediction, truth)]
    np.testing.assert_allclose(score(key, *turned, (SPACING[2], *SPACING[:2])), value, rtol=1e-12)


def monai(key, prediction, truth, spacing):
    import torch
    from monai.metrics import compute_average_surface_distance, compute_hausdorff_distance, compute_surface_dice

    masks = [torch.from_numpy(mask)[None, None] for mask in (prediction, truth)]
    known = {"include_background": True, "spacing": [float(step) for step in spacing]}
    if key == "hd95_mm":
        return compute_hausdorff_distance(*masks, percentile=95, **known).item()
    if key == "assd_mm":
        return compute_average_surface_distance(*masks, symmetric=True, **known).item()
    return compute_surface_dice(*masks, class_thresholds=[2.0], **known).item()


from_monai = pytest.mark.filterwarnings("ignore:.*always_return_as_numpy:FutureWarning")  # its own call of itself


@from_monai
@pytest.mark.parametrize("key", DISTANCES)
@given(seed=st.integers(0, 2**32), density=st.floats(0.01, 0.9))
def test_agrees_with_monai_on_noise(key, seed, density):
    rng = np.random.default_rng(seed)
    spacing = rng.uniform(0.3, 4.0, 3)
    prediction, truth = rng.random((2, 7, 6, 4)) < density
    prediction[3, 3, 1] = truth[4, 3, 2] = True
    assert score(key, prediction, truth, spacing) == pytest.approx(monai(key, prediction, truth, spacing), rel=1e-5)


@from_monai
@pytest.mark.parametrize("key", DISTANCES)
def test_agrees_with_monai_on_smooth_shapes(key):
    x, y, z = np.indices((40, 36, 8))
    truth = (x - 20) ** 2 + (y - 18) ** 2 + 9 * (z - 4) ** 2 < 12**2
    prediction = (x - 22) ** 2 + 0.8 * (y - 17) ** 2 + 9 * (z - 4) ** 2 < 11**2
    spacing = (1.3, 1.1, 8.0)
    assert score(key, prediction, truth, spacing) == pytest.approx(monai(key, prediction, truth, spacing), rel=1e-5)


def test_masks_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="do not fit"):
        surface_distances(CUBE, CUBE[1:], SPACING)
    with pytest.raises(ValueError, match="do not fit"):
        surface_distances(CUBE, CUBE, SPACING[:2])


@pytest.mark.parametrize("spacing", [(1.0, 1.0, 1.0), (0.4, 0.4, 2.0), (1.5625, 1.3, 10.0)])
def test_distances_are_those_of_the_distance_transform_to_the_last_bit_that_counts(spacing):
    random = np.random.default_rng(0)
    prediction, truth = (random.random((14, 12, 6)) > threshold for threshold in (0.8, 0.95))
    found = surface_distances(prediction, truth, spacing).from_prediction
    expected = distance_transform_edt(~border(truth), sampling=spacing)[border(prediction)]
    assert found == pytest.approx(expected, rel=1e-15)
    assert np.array_equal(found <= 2, expected <= 2)
