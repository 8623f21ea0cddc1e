"""Acquisition shifts: each does what its model says, equally strong on any intensity scale, the same every time."""

import json

import nibabel as nib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from clbench.data import shifts
from clbench.data.shifts import SHIFTS, apply_shift

every_shift = pytest.mark.parametrize("name", list(SHIFTS))


@pytest.fixture
def image():
    """Smooth structure in [0, 1] with some texture, (20, 24, 18) float32."""
    return make_image()


def make_image():
    noise = np.random.default_rng(0).standard_normal((20, 24, 18))
    smooth = ndimage.gaussian_filter(noise, 2) * 8 + 0.3 * noise
    return ((smooth - smooth.min()) / np.ptp(smooth)).astype(np.float32)


@every_shift
def test_equal_cases_are_shifted_equally_and_others_differently(name, image):
    before = image.copy()
    first, again, other = (apply_shift(name, image, case) for case in ("a", "a", "b"))
    np.testing.assert_array_equal(first, again)
    np.testing.assert_array_equal(image, before)
    assert not np.array_equal(first, other)
    assert first.shape == image.shape
    assert first.dtype == np.float32
    assert np.isfinite(first).all()


@every_shift
@given(factor=st.sampled_from([1e-3, 0.5, 40.0, 1e5]), offset=st.sampled_from([0.0, -3.0, 100.0]))
def test_a_shift_does_not_depend_on_the_intensity_scale(name, factor, offset):
    image = make_image().astype(np.float64)
    plain = apply_shift(name, image, "case")
    scaled = (apply_shift(name, factor * (image + offset), "case") / factor) - offset
    np.testing.assert_allclose(scaled, plain, atol=1e-4)


@every_shift
def test_a_shift_survives_the_normalization_that_follows(name, image):
    """A change of brightness and contrast alone would be undone by the z-score and would be no shift."""
    shifted = apply_shift(name, image, "case")
    normalized = [(array - array.mean()) / array.std() for array in (image, shifted)]
    assert np.sqrt(np.mean((normalized[0] - normalized[1]) ** 2)) > 0.25


@every_shift
def test_an_image_without_contrast_stays_as_it_is(name):
    np.testing.assert_array_equal(
        apply_shift(name, np.full((4, 5, 6), 7.0, np.float32), "case"), np.full((4, 5, 6), 7.0)
    )


@every_shift
@pytest.mark.parametrize("shape", [(1, 5, 5), (2, 3, 1), (7, 1, 1)])
def test_thin_images_keep_their_shape(name, shape):
    thin = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    shifted = apply_shift(name, thin, "case")
    assert shifted.shape == shape
    assert np.isfinite(shifted).all()


@every_shift
def test_a_few_bright_voxels_on_nothing_are_no_division_by_zero(name):
    sparse = np.zeros((20, 20, 20), np.float32)
    sparse[3, 4, 5] = 9.0
    assert np.isfinite(apply_shift(name, sparse, "case")).all()


def test_the_bias_field_is_smooth_and_as_strong_as_documented():
    for seed in range(10):
        field = shifts.bias_field(np.ones((30, 40, 30)), np.random.default_rng(seed))
        low, high = np.percentile(field, (5, 95))
        assert 2.9 < high / low < 6.1
        assert field.min() > 0
        assert max(np.abs(np.diff(np.log(field), axis=axis)).max() for axis in range(3)) < 0.5


def test_low_resolution_keeps_the_mean_and_loses_the_fine_detail():
    noise = np.random.default_rng(0).standard_normal((24, 24, 24)) + 5
    coarse = shifts.blur_low_resolution(noise, np.random.default_rng(1))
    assert coarse.mean() == pytest.approx(noise.mean(), abs=0.05)
    assert coarse.std() < 0.4 * noise.std()


def test_low_resolution_does_not_move_the_anatomy():
    ball = np.zeros((25, 25, 25))
    ball[8:17, 8:17, 8:17] = 1.0
    for seed in range(5):
        coarse = shifts.blur_low_resolution(ball, np.random.default_rng(seed))
        assert np.abs(np.array(ndimage.center_of_mass(coarse)) - 12).max() < 0.3


def test_rician_noise_has_the_moments_of_the_rice_distribution():
    """E[M^2] = A^2 + 2 sigma^2, whatever the signal A."""
    for signal in (0.0, 0.5, 1.0):
        noisy = shifts.rician_noise(np.full((40, 40, 40), signal), np.random.default_rng(3))
        sigma = np.random.default_rng(3).uniform(0.12, 0.2)
        assert np.mean(noisy**2) == pytest.approx(signal**2 + 2 * sigma**2, rel=0.02)


def test_gamma_inversion_reverses_the_order_of_intensities():
    ramp = np.linspace(0, 1, 60).reshape(3, 4, 5)
    inverted = shifts.gamma_inversion(ramp, np.random.default_rng(0))
    assert np.all(np.diff(inverted.ravel()) < 0)
    assert inverted.ravel()[[0, -1]] == pytest.approx([1.0, 0.0])


def test_an_unknown_shift_is_named_with_its_neighbours(image):
    with pytest.raises(ValueError, match="unknown shift 'bias-feld'; did you mean bias-field"):
        apply_shift("bias-feld", image, "case")


def test_an_image_with_channels_is_refused(image):
    with pytest.raises(ValueError, match=r"\(1, 20, 24, 18\)"):
        apply_shift("bias-field", image[None], "case")


@pytest.mark.data
@every_shift
def test_real_images_of_any_type_and_scale_are_shifted_by_a_like_amount(name, real_data):
    folder = real_data / "msd" / "Task04_Hippocampus"
    listed = [entry["image"] for entry in json.loads((folder / "dataset.json").read_text())["training"]]
    changes = []
    for file in listed[:40:5]:
        image = nib.load(folder / file).get_fdata().astype(np.float32)
        shifted = apply_shift(name, image, file)
        normalized = [(array - array.mean()) / array.std() for array in (image, shifted)]
        changes.append(np.sqrt(np.mean((normalized[0] - normalized[1]) ** 2)))
    assert min(changes) > 0.2
    assert max(changes) < 2.5
