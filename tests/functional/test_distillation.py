"""Distillation against hand-computed small cases."""

import itertools
import math

import numpy as np
import pytest
import torch

from clbench.functional.distillation import (
    distillation,
    local_profiles,
    mean_over_levels,
    over_levels,
    pooled_outputs_distillation,
    unbiased_distillation,
)


def logits_of(*chances):
    """Logits (1, K, 1, 1) of given probabilities."""
    return torch.tensor(chances, dtype=torch.float64).log().reshape(1, -1, 1, 1)


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_the_divergence_is_that_worked_out_by_hand():
    student, teacher = logits_of(0.25, 0.75), logits_of(0.5, 0.5)
    expected = 0.5 * math.log(0.5 / 0.25) + 0.5 * math.log(0.5 / 0.75)
    assert distillation(student, teacher, 1.0).item() == pytest.approx(expected)


def test_temperature_softens_both_and_is_made_up_for():
    student, teacher = logits_of(0.2, 0.8), logits_of(0.9, 0.1)
    p, q = 0.9**0.5 / (0.9**0.5 + 0.1**0.5), 0.2**0.5 / (0.2**0.5 + 0.8**0.5)
    expected = 4 * (p * math.log(p / q) + (1 - p) * math.log((1 - p) / (1 - q)))
    assert distillation(student, teacher, 2.0).item() == pytest.approx(expected)


def test_the_divergence_is_a_mean_over_voxels_and_batch():
    one = distillation(logits_of(0.25, 0.75), logits_of(0.5, 0.5), 1.0)
    many = distillation(logits_of(0.25, 0.75).expand(3, 2, 4, 5), logits_of(0.5, 0.5).expand(3, 2, 4, 5), 1.0)
    assert many.item() == pytest.approx(one.item())


def test_classes_that_the_teacher_does_not_know_are_not_looked_at():
    grown = distillation(logits_of(0.1, 0.3, 0.6), logits_of(0.5, 0.5), 1.0)
    assert grown.item() == pytest.approx(distillation(logits_of(0.25, 0.75), logits_of(0.5, 0.5), 1.0).item())


def test_an_unbiased_teacher_takes_new_classes_for_background():
    """Half of the teacher's background may have gone to a new class at no cost."""
    agreeing = unbiased_distillation(logits_of(0.3, 0.4, 0.3), logits_of(0.6, 0.4), 1.0)
    assert agreeing.item() == pytest.approx(0, abs=1e-12)
    assert distillation(logits_of(0.3, 0.4, 0.3), logits_of(0.6, 0.4), 1.0) > 0.01
    moved = unbiased_distillation(logits_of(0.2, 0.5, 0.3), logits_of(0.6, 0.4), 1.0)
    assert moved.item() == pytest.approx(0.6 * math.log(0.6 / 0.5) + 0.4 * math.log(0.4 / 0.5))


def test_without_new_classes_the_unbiased_divergence_is_the_usual_one():
    student, teacher = normal(2, 3, 4, 4), normal(2, 3, 4, 4, seed=1)
    usual = distillation(student, teacher, 1.0)
    assert unbiased_distillation(student, teacher, 1.0).item() == pytest.approx(usual.item())


def test_alpha_sharpens_the_teacher():
    student, teacher = logits_of(0.5, 0.5), logits_of(0.8, 0.2)
    sharp = 0.8**2 / (0.8**2 + 0.2**2)
    expected = sharp * math.log(sharp / 0.5) + (1 - sharp) * math.log((1 - sharp) / 0.5)
    assert unbiased_distillation(student, teacher, 2.0).item() == pytest.approx(expected)


@pytest.mark.parametrize("loss", [lambda s, t: distillation(s, t, 2.0), lambda s, t: unbiased_distillation(s, t, 1.5)])
def test_gradients_are_right_and_the_teacher_gets_none(loss):
    student, teacher = normal(1, 3, 2, 2).requires_grad_(), normal(1, 2, 2, 2, seed=1).requires_grad_()
    assert torch.autograd.gradcheck(lambda s: loss(s, teacher.detach()), (student,))
    loss(student, teacher).backward()
    assert teacher.grad is None


def test_extreme_logits_stay_finite():
    student = (1e4 * normal(1, 3, 4, 4)).float().requires_grad_()
    for loss in (
        distillation(student, -student.detach()[:, :2], 2.0),
        unbiased_distillation(student, -student[:, :2], 1),
    ):
        assert torch.isfinite(loss)
        (gradient,) = torch.autograd.grad(loss, student)
        assert torch.isfinite(gradient).all()


def test_it_is_float32_under_autocast():
    student, teacher = normal(1, 3, 4, 4).bfloat16(), normal(1, 2, 4, 4).bfloat16()
    with torch.autocast("cpu", torch.bfloat16):
        assert distillation(student, teacher, 1.0).dtype == torch.float32
        assert unbiased_distillation(student, teacher, 1.0).dtype == torch.float32
        assert pooled_outputs_distillation([student], [student], 2).dtype == torch.float32


def test_mismatched_shapes_are_named():
    with pytest.raises(ValueError, match=r"\(1, 2, 4\), \(1, 3, 4\)"):
        distillation(torch.zeros(1, 2, 4), torch.zeros(1, 3, 4), 1.0)
    with pytest.raises(ValueError, match="do not match"):
        pooled_outputs_distillation([torch.zeros(1, 2, 4, 4)], [torch.zeros(1, 3, 4, 4)], 1)
    with pytest.raises(ValueError, match="at 2 resolutions, its teacher at 1"):
        over_levels([torch.zeros(1), torch.zeros(1)], torch.zeros(1))


def test_levels_are_weighted_as_deep_supervision_weights_them():
    values = [torch.tensor(1.0), torch.tensor(4.0)]
    assert mean_over_levels(values).item() == pytest.approx((1 * 2 / 3) + (4 * 1 / 3))


def test_profiles_of_a_small_map_are_those_worked_out_by_hand():
    features = torch.tensor([[1.0, 2.0], [3.0, 4.0]]).reshape(1, 1, 2, 2)
    # Squares 1 4 / 9 16: profile along the first axis 2.5, 12.5 and along the second 5, 10; then four blocks of one.
    assert local_profiles(features, 1).tolist() == [[2.5, 12.5, 5.0, 10.0]]
    assert local_profiles(features, 2).tolist() == [[2.5, 12.5, 5.0, 10.0, 1, 4, 9, 16, 1, 4, 9, 16]]


def test_profiles_of_a_block_are_those_of_the_block_alone():
    features = normal(2, 3, 8, 4)
    whole = local_profiles(features, 2)[:, -2 * 3 * 2 * 2 * 4 :]  # the blocks of scale 2 come last
    corner = local_profiles(features[:, :, :4, :2], 1)
    assert all((value.abs() - whole[0].abs()).abs().min() < 1e-12 for value in corner[0])


def test_an_axis_shorter_than_the_blocks_is_cut_into_voxels():
    assert local_profiles(normal(1, 2, 3, 1), 3).isfinite().all()


def test_volumes_have_one_profile_per_axis():
    features = torch.arange(8.0).reshape(1, 1, 2, 2, 2).sqrt()
    assert local_profiles(features, 1)[0].tolist() == pytest.approx([1.5, 5.5, 2.5, 4.5, 3.0, 4.0])


def test_equal_features_cost_nothing_and_have_a_finite_gradient():
    features = normal(2, 3, 8, 8).requires_grad_()
    loss = pooled_outputs_distillation([features], [features.detach()], 3)
    loss.backward()
    assert loss.item() == 0
    assert torch.isfinite(features.grad).all()


def test_the_distance_of_small_maps_is_that_worked_out_by_hand():
    ours, theirs = torch.tensor([[0.0, 3.0], [0.0, 0.0]]).reshape(1, 1, 2, 2), torch.ones(1, 1, 2, 2)
    # Profiles 4.5 0 and 0 4.5 against 1 1 and 1 1; of length 1 they are r 0 0 r, r the root of 1/2, and 1/2 four times.
    expected = math.sqrt(2 * (math.sqrt(0.5) - 0.5) ** 2 + 2 * 0.5**2)
    assert pooled_outputs_distillation([ours], [theirs], 1).item() == pytest.approx(expected)
    level = pooled_outputs_distillation([ours, theirs], [theirs, theirs], 1)
    assert level.item() == pytest.approx(expected / 2)
    patch = pooled_outputs_distillation([torch.cat([ours, theirs])], [torch.cat([theirs, theirs])], 1)
    assert patch.item() == pytest.approx(expected / 2)


def profiles_block_by_block(features, scales):
    """All local profiles of one sample (C, *S) behind each other, scaled to length 1."""
    parts = []
    for number in (2**scale for scale in range(scales)):
        counts = [min(number, size) for size in features.shape[1:]]
        widths = [size // count for size, count in zip(features.shape[1:], counts, strict=True)]
        for place in itertools.product(*map(range, counts)):
            corner = [slice(at * width, (at + 1) * width) for at, width in zip(place, widths, strict=True)]
            block = features[:, *corner] ** 2
            axes = range(1, block.ndim)
            parts += [block.mean(tuple(other for other in axes if other != axis)).ravel() for axis in axes]
    values = np.concatenate(parts)
    return values / np.sqrt((values**2).sum())


@pytest.mark.parametrize("shape", [(2, 3, 5, 4), (2, 2, 4, 3, 2)], ids=str)
def test_the_distance_is_that_of_profiles_taken_block_by_block(shape):
    ours, theirs = normal(*shape), normal(*shape, seed=1)
    pairs = zip(ours.numpy(), theirs.numpy(), strict=True)
    distances = [
        np.linalg.norm(profiles_block_by_block(one, 3) - profiles_block_by_block(other, 3)) for one, other in pairs
    ]
    assert pooled_outputs_distillation([ours], [theirs], 3).item() == pytest.approx(np.mean(distances))


def test_the_distance_does_not_depend_on_the_size_of_the_features():
    ours, theirs = normal(2, 3, 8, 8), normal(2, 3, 8, 8, seed=1)
    small, large = (pooled_outputs_distillation([k * ours], [k * theirs], 3).item() for k in (1.0, 50.0))
    assert small == pytest.approx(large)
    assert 0 < small <= 2


def test_the_gradient_of_the_distance_is_right():
    student = normal(1, 2, 4, 4).requires_grad_()
    teacher = normal(1, 2, 4, 4, seed=1)
    assert torch.autograd.gradcheck(lambda s: pooled_outputs_distillation([s], [teacher], 2), (student,))
