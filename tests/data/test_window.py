"""Windows against plain indexing and against SciPy's affine transform."""

import numpy as np
import pytest
from scipy import ndimage

from clbench.data.augment import rotation_matrix
from clbench.data.window import make_warp, read_window

VOLUME = np.random.default_rng(0).normal(size=(2, 12, 10, 8)).astype(np.float32)


def by_scipy(channel, corner, size, matrix):
    half = (np.array(size) - 1) / 2
    offset = np.array(corner) + half - matrix @ half
    return ndimage.affine_transform(channel, matrix, offset, tuple(size), order=1, mode="grid-constant", cval=0.0)


def test_a_window_inside_is_the_plain_slice():
    assert np.array_equal(read_window(VOLUME, (2, 3, 1), (5, 4, 6)), VOLUME[:, 2:7, 3:7, 1:7])


@pytest.mark.parametrize("corner", [(-3, 2, 0), (9, -2, 5), (-4, -3, -2), (40, 0, 0), (-40, 0, 0)])
def test_what_sticks_out_is_zero(corner):
    padded = np.pad(VOLUME, [(0, 0), *[(50, 50)] * 3])
    expected = padded[(slice(None), *(slice(start + 50, start + 55) for start in corner))]
    assert np.array_equal(read_window(VOLUME, corner, (5, 5, 5)), expected)


@pytest.mark.parametrize("corner", [(2, 3, 1), (-3, 4, 2), (-2, -2, -4)])
@pytest.mark.parametrize(
    ("angles", "scale"), [((0.0, 0.0, 0.0), 1.3), ((20.0, -35.0, 80.0), 0.7), ((170.0, 5.0, 9.0), 1.4)]
)
def test_a_warped_volume_agrees_with_scipy(corner, angles, scale):
    matrix, size = scale * rotation_matrix(angles), (9, 8, 11)
    found = make_warp(VOLUME.shape[1:], corner, size, matrix).image(VOLUME)
    assert found == pytest.approx(np.stack([by_scipy(channel, corner, size, matrix) for channel in VOLUME]), abs=1e-5)


@pytest.mark.parametrize("angle", [0.0, 33.0, -120.0])
@pytest.mark.parametrize("corner", [(0, 0), (-5, 3)])
def test_a_warped_slice_agrees_with_scipy(corner, angle):
    matrix, size = 1.2 * rotation_matrix((angle,)), (13, 9)
    found = make_warp((12, 10), corner, size, matrix).image(VOLUME[..., 3])
    assert found == pytest.approx(np.stack([by_scipy(part, corner, size, matrix) for part in VOLUME[..., 3]]), abs=1e-5)


@pytest.mark.parametrize("angles", [(30.0,), (10.0, -50.0, 25.0)])
def test_a_warped_mask_shows_the_label_with_the_largest_share(angles):
    dims = 2 if len(angles) == 1 else 3
    mask = np.random.default_rng(1).integers(0, 3, (12, 10, 8)[:dims]).astype(np.uint8)
    mask = ndimage.median_filter(mask, 3)
    matrix, corner, size = 0.9 * rotation_matrix(angles), (-1, 1, 2)[:dims], (9, 8, 7)[:dims]
    shares = np.stack([by_scipy((mask == label).astype(np.float32), corner, size, matrix) for label in range(3)])
    shares[0] += 1 - shares.sum(0)  # outside is background
    first, second = np.sort(shares, axis=0)[::-1][:2]
    found = make_warp(mask.shape, corner, size, matrix).mask(mask, (1, 2))
    clear = first - second > 1e-4
    assert clear.mean() > 0.9
    assert np.array_equal(found[clear], shares.argmax(0)[clear])


def test_a_quarter_turn_is_exact():
    turned = make_warp((8, 8), (0, 0), (8, 8), rotation_matrix((90.0,))).image(VOLUME[:, :8, :8, 0])
    assert turned == pytest.approx(np.rot90(VOLUME[:, :8, :8, 0], -1, (1, 2)), abs=1e-5)
