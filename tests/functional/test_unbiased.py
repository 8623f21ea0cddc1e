"""Losses for masks in which old classes are background, against hand-computed small cases."""

import math

import pytest
import torch
import torch.nn.functional as F

from clbench.functional.losses import dice_ce
from clbench.functional.partial import marginal_logits, marginal_target
from clbench.functional.unbiased import (
    IGNORED,
    class_medians,
    dice_ce_where_labelled,
    prediction_entropy,
    pseudo_labels,
    unbiased_dice_ce,
)


def logits_of(*chances):
    return torch.tensor(chances, dtype=torch.float64).log().reshape(1, -1, 1, 1)


def batch(classes=4, seed=0):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(2, classes, 6, 6, generator=generator, dtype=torch.float64)
    return logits, torch.randint(classes, (2, 6, 6), generator=generator)


def only_new(target, known):
    return torch.where(target >= known, target, 0)


def test_background_may_be_any_old_class():
    terms = unbiased_dice_ce(logits_of(0.2, 0.5, 0.3), torch.zeros(1, 1, 1, dtype=torch.int64), known=2)
    assert terms["ce"].item() == pytest.approx(-math.log(0.7))


def test_a_new_class_costs_what_it_always_costs_and_so_does_an_old_label():
    for label in (1, 2):
        terms = unbiased_dice_ce(logits_of(0.2, 0.5, 0.3), torch.full((1, 1, 1), label), known=2)
        assert terms["ce"].item() == pytest.approx(-math.log((0.2, 0.5, 0.3)[label]))


def test_with_the_background_alone_known_it_is_the_usual_loss():
    logits, target = batch()
    ours, usual = unbiased_dice_ce(logits, target, known=1), dice_ce(logits, target)
    assert {name: value.item() for name, value in ours.items()} == pytest.approx(
        {name: value.item() for name, value in usual.items()}
    )


def test_it_is_the_usual_loss_of_the_question_that_the_mask_answers():
    logits, target = batch()
    target = only_new(target, 2)
    marginal = dice_ce(marginal_logits(logits, [2, 3]), marginal_target(target, [2, 3]))
    ours = unbiased_dice_ce(logits, target, known=2)
    assert {name: value.item() for name, value in ours.items()} == pytest.approx(
        {name: value.item() for name, value in marginal.items()}
    )


def test_the_dice_term_does_not_move_old_classes_against_the_background():
    logits, target = batch()
    logits.requires_grad_()
    unbiased_dice_ce(logits, only_new(target, 3), known=3)["dice"].backward()
    merged = logits.detach()[:, :3].softmax(1)
    gradient = logits.grad[:, :3]
    torch.testing.assert_close(gradient, gradient.sum(1, keepdim=True) * merged)


@pytest.mark.parametrize("term", ["dice", "ce"])
def test_gradients_are_right(term):
    logits, target = batch(classes=3)
    target[0, 0, 0] = IGNORED
    labelled = torch.where(target == IGNORED, 0, target)
    factor = torch.tensor([0.5, 2.0], dtype=torch.float64)
    logits.requires_grad_()
    assert torch.autograd.gradcheck(lambda z: unbiased_dice_ce(z, only_new(labelled, 2), 2)[term], (logits,))
    assert torch.autograd.gradcheck(lambda z: dice_ce_where_labelled(z, target, factor)[term], (logits,))


def test_with_every_voxel_labelled_it_is_the_usual_loss():
    logits, target = batch()
    ours = dice_ce_where_labelled(logits, target, torch.ones(2, dtype=torch.float64))
    usual = dice_ce(logits, target)
    assert {name: value.item() for name, value in ours.items()} == pytest.approx(
        {name: value.item() for name, value in usual.items()}
    )


def test_voxels_without_a_label_get_no_gradient():
    logits, target = batch()
    target[:, :3] = IGNORED
    logits.requires_grad_()
    terms = dice_ce_where_labelled(logits, target, torch.ones(2, dtype=torch.float64))
    (terms["dice"] + terms["ce"]).backward()
    assert (logits.grad[:, :, :3] == 0).all()
    assert (logits.grad[:, :, 3:] != 0).any()


def test_the_cross_entropy_counts_unlabelled_voxels_as_zero_and_is_scaled_per_sample():
    logits, target = batch()
    target[0] = IGNORED
    terms = dice_ce_where_labelled(logits, target, torch.tensor([1.0, 0.25], dtype=torch.float64))
    assert terms["ce"].item() == pytest.approx(0.25 * F.cross_entropy(logits[1:], target[1:]).item() / 2)


def test_pseudo_labels_fill_the_background_where_the_teacher_is_sure():
    sure_of_old, sure_of_none, unsure = [0.02, 0.98], [0.98, 0.02], [0.5, 0.5]
    teacher = torch.tensor([[sure_of_old, sure_of_none, unsure, sure_of_old]]).log().permute(0, 2, 1)
    target = torch.tensor([[0, 0, 0, 2]])
    labels, kept = pseudo_labels(target, teacher, torch.tensor([0.5, 0.5]))
    assert labels.tolist() == [[1, 0, IGNORED, 2]]
    assert kept.tolist() == pytest.approx([2 / 3])


def test_a_sample_without_background_counts_in_full():
    labels, kept = pseudo_labels(torch.ones(1, 3, dtype=torch.int64), torch.zeros(1, 2, 3), torch.zeros(2))
    assert labels.tolist() == [[1, 1, 1]]
    assert kept.tolist() == [1.0]


def test_entropy_is_one_for_an_even_guess_and_zero_for_a_sure_one():
    entropy, chosen = prediction_entropy(torch.tensor([[0.0, 0.0, 0.0], [50.0, 0.0, 0.0]])[:, :, None])
    assert entropy.flatten().tolist() == pytest.approx([1.0, 0.0], abs=1e-6)
    assert chosen.flatten().tolist() == [0, 0]


def test_medians_are_taken_class_by_class():
    found = class_medians(torch.tensor([3.0, 1.0, 2.0, 9.0]), torch.tensor([0, 0, 0, 2]), 3)
    assert found.tolist() == [2.0, 0.0, 9.0]


def test_deep_supervision_is_averaged_as_always():
    logits, target = batch()
    coarse = logits[:, :, ::2, ::2]
    both = unbiased_dice_ce([logits, coarse], only_new(target, 2), 2)
    from clbench.functional.losses import resized

    parts = [
        unbiased_dice_ce(level, resized(only_new(target, 2), level.shape[2:]), 2)["ce"].item()
        for level in (logits, coarse)
    ]
    assert both["ce"].item() == pytest.approx(parts[0] * 2 / 3 + parts[1] / 3)
