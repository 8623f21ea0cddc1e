"""Augmentation: how often and how strongly it is drawn, and what it does, against MONAI and torch."""

import numpy as np
import pytest
import torch
from monai.transforms import AdjustContrast, Flip, GaussianSmooth

from clbench.data.augment import (
    AugmentParams,
    ChannelParams,
    add_noise,
    apply,
    change_contrast,
    change_gamma,
    draw,
    lower_resolution,
    rotation_matrix,
)
from clbench.seeding import numpy_generator
from clbench.streams.stream import Plan

FLAT = Plan(2, (1.0, 1.0, 1.0), (24, 20), mirror_axes=(0, 1), rotation_deg=180.0)
SOLID = Plan(3, (1.0, 1.0, 1.0), (8, 8, 8), mirror_axes=(0, 2), rotation_deg=30.0)
IMAGE = np.random.default_rng(0).normal(size=(2, 24, 20)).astype(np.float32)
MASK = np.random.default_rng(1).integers(0, 3, (24, 20)).astype(np.uint8)


@pytest.fixture(scope="module")
def drawn():
    return [draw(numpy_generator(0, "draw", number), SOLID) for number in range(6000)]


def both(**channel):
    return AugmentParams(channels=(ChannelParams(**channel), ChannelParams(**channel)))


@pytest.mark.parametrize(
    ("what", "chance"),
    [
        (lambda params: any(params.angles_deg), 0.2),
        (lambda params: params.scale != 1.0, 0.2),
        (lambda params: params.noise_std > 0, 0.1),
        (lambda params: params.channels[0].blur_sigma != (), 0.2 / 2),
        (lambda params: params.channels[0].brightness != 1.0, 0.15),
        (lambda params: params.channels[0].contrast != 1.0, 0.15),
        (lambda params: params.channels[0].zoom != 1.0, 0.25 / 2),
        (lambda params: params.channels[0].inverted_gamma != 1.0, 0.1),
        (lambda params: params.channels[0].gamma != 1.0, 0.3),
        (lambda params: 0 in params.mirror, 0.5),
        (lambda params: 1 in params.mirror, 0.0),
        (lambda params: 2 in params.mirror, 0.5),
    ],
)
def test_each_kind_is_drawn_as_often_as_in_nnunet(drawn, what, chance):
    assert np.mean([what(params) for params in drawn]) == pytest.approx(chance, abs=4 * np.sqrt(0.25 / 6000))


@pytest.mark.parametrize(
    ("value", "low", "high"),
    [
        (lambda params: params.angles_deg, -30, 30),
        (lambda params: [params.scale], 0.7, 1.4),
        (lambda params: [params.noise_std], 0.0, 0.1),
        (lambda params: params.channels[0].blur_sigma, 0.5, 1.0),
        (lambda params: [params.channels[0].brightness], 0.75, 1.25),
        (lambda params: [params.channels[0].contrast], 0.75, 1.25),
        (lambda params: [params.channels[0].zoom], 0.5, 1.0),
        (lambda params: [params.channels[0].gamma], 0.7, 1.5),
        (lambda params: [params.channels[0].inverted_gamma], 0.7, 1.5),
    ],
)
def test_strengths_fill_their_range(drawn, value, low, high):
    found = [one for params in drawn for one in value(params)]
    assert low <= min(found) < low + 0.05 * (high - low)
    assert high - 0.05 * (high - low) < max(found) <= high


def test_a_patch_has_as_many_angles_as_it_can_turn_about(drawn):
    flat = [draw(numpy_generator(1, "draw", number), FLAT) for number in range(200)]
    assert {len(params.angles_deg) for params in drawn} == {0, 3}
    assert {len(params.angles_deg) for params in flat} == {0, 1}
    assert all(params.matrix is None or params.matrix.shape == (2, 2) for params in flat)


def test_channels_are_drawn_apart():
    found = [draw(numpy_generator(2, "draw", number), FLAT, channels=2).channels for number in range(100)]
    assert all(len(channels) == 2 for channels in found)
    assert any(first.gamma != second.gamma for first, second in found)
    assert all((first.gamma == 1.0) == (second.gamma == 1.0) for first, second in found)


def test_nothing_drawn_does_nothing_and_inputs_are_left_alone():
    image, mask = IMAGE.copy(), MASK.copy()
    strong = ChannelParams((0.7, 0.7), 1.2, 0.8, 0.6, 1.3, 0.8)
    apply(image, mask, AugmentParams(noise_std=0.1, channels=(strong, strong), mirror=(0, 1)))
    assert np.array_equal(image, IMAGE)
    assert np.array_equal(mask, MASK)
    same, same_mask = apply(image, mask, AugmentParams(channels=(ChannelParams(),) * 2))
    assert np.array_equal(same, IMAGE)
    assert np.array_equal(same_mask, MASK)
    assert AugmentParams().matrix is None


@pytest.mark.parametrize("gamma", [0.7, 1.5])
def test_gamma_agrees_with_monai(gamma):
    expected = AdjustContrast(gamma, retain_stats=True)(IMAGE[0]).numpy()
    assert change_gamma(IMAGE[0], gamma) == pytest.approx(expected, abs=1e-4)


def test_inverted_gamma_agrees_with_monai():
    expected = AdjustContrast(1.3, invert_image=True, retain_stats=True)(IMAGE[0]).numpy()
    assert apply(IMAGE, MASK, both(inverted_gamma=1.3))[0][0] == pytest.approx(expected, abs=1e-4)


def test_gamma_keeps_mean_and_spread():
    found = change_gamma(IMAGE[0], 1.4)
    assert (found.mean(), found.std()) == pytest.approx((IMAGE[0].mean(), IMAGE[0].std()), abs=1e-5)


def test_blur_agrees_with_monai_away_from_the_edge():
    expected = GaussianSmooth((0.6, 0.9), approx="sampled")(torch.from_numpy(IMAGE)).numpy()
    weight = 1 + 2 * np.exp(-2 * (np.pi * 0.6) ** 2)  # what MONAI's sampled kernel sums to; ours sums to 1
    found, _ = apply(IMAGE, MASK, both(blur_sigma=(0.6, 0.9)))
    assert found[:, 5:-5, 5:-5] == pytest.approx(expected[:, 5:-5, 5:-5] / weight, abs=1e-4)


@pytest.mark.parametrize("axes", [(0,), (1,), (0, 1)])
def test_mirroring_agrees_with_monai_and_moves_the_mask_along(axes):
    image, mask = apply(IMAGE, MASK, AugmentParams(channels=(ChannelParams(),) * 2, mirror=axes))
    assert np.array_equal(image, Flip(axes)(torch.from_numpy(IMAGE)).numpy())
    assert np.array_equal(mask, Flip(axes)(torch.from_numpy(MASK)[None])[0].numpy())
    assert image.flags.c_contiguous
    assert mask.flags.c_contiguous


@pytest.mark.parametrize("zoom", [0.5, 0.77])
def test_low_resolution_agrees_with_torch(zoom):
    coarse = [round(size * zoom) for size in IMAGE[0].shape]
    small = torch.nn.functional.interpolate(torch.from_numpy(IMAGE[:1])[None], coarse, mode="nearest-exact")
    expected = torch.nn.functional.interpolate(small, IMAGE[0].shape, mode="bilinear")[0, 0].numpy()
    assert lower_resolution(IMAGE[0], zoom) == pytest.approx(expected, abs=1e-5)


def test_contrast_stretches_around_the_mean_within_the_old_range():
    found = change_contrast(IMAGE[0], 1.2)
    mean = IMAGE[0].mean()
    free = np.abs(IMAGE[0]) < 1
    assert found[free] == pytest.approx((IMAGE[0] - mean)[free] * 1.2 + mean, abs=1e-5)
    assert (found.min(), found.max()) == (IMAGE[0].min(), IMAGE[0].max())


def test_brightness_multiplies():
    assert apply(IMAGE, MASK, both(brightness=1.2))[0] == pytest.approx(IMAGE * 1.2, abs=1e-6)


def test_noise_has_the_asked_strength_and_repeats():
    zeros = np.zeros((2, 100, 100), dtype=np.float32)
    found = add_noise(zeros, 0.05, 7)
    assert found.dtype == np.float32
    assert found.std() == pytest.approx(0.05, rel=0.03)
    assert np.array_equal(found, add_noise(zeros, 0.05, 7))
    assert not np.array_equal(found[0], found[1])


@pytest.mark.parametrize("what", [{"gamma": 1.4}, {"contrast": 0.8}, {"inverted_gamma": 0.8}, {"zoom": 0.5}])
def test_a_constant_patch_stays_finite(what):
    found, _ = apply(np.full((2, 8, 8), 1.5, dtype=np.float32), MASK[:8, :8], both(**what))
    assert found == pytest.approx(np.full((2, 8, 8), 1.5), abs=1e-5)


def test_everything_stays_float32():
    everything = ChannelParams((0.5, 0.5), 1.1, 1.1, 0.9, 1.1, 1.1)
    params = AugmentParams(noise_std=0.1, channels=(everything, everything), mirror=(0,))
    image, mask = apply(IMAGE, MASK, params)
    assert (image.dtype, mask.dtype) == (np.float32, np.uint8)


@pytest.mark.parametrize("angles", [(35.0,), (10.0, -20.0, 30.0)])
def test_rotations_keep_lengths(angles):
    matrix = rotation_matrix(angles)
    assert matrix @ matrix.T == pytest.approx(np.eye(len(matrix)))
    assert np.linalg.det(matrix) == pytest.approx(1.0)
