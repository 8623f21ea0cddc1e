"""Dice + cross-entropy against values worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from clbench.functional.losses import dice_ce


def random_case(classes=3, batch=2, space=(6, 4), seed=0, dtype=torch.float64):
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(batch, classes, *space, generator=generator, dtype=dtype)
    return logits, torch.randint(classes, (batch, *space), generator=generator)


def hand_dice(logits, target, axes):
    probabilities = logits.softmax(1)
    truth = F.one_hot(target, logits.shape[1]).movedim(-1, 1).to(logits)
    overlap = (2 * (probabilities * truth).sum(axes) + 1e-5) / ((probabilities + truth).sum(axes) + 1e-5)
    return 1 - (overlap[1:] if len(axes) == 3 else overlap[:, 1:]).mean()


def test_terms_match_the_formulas():
    logits, target = random_case()
    terms = dice_ce(logits, target)
    torch.testing.assert_close(terms["dice"], hand_dice(logits, target, (0, 2, 3)))
    torch.testing.assert_close(terms["ce"], -logits.log_softmax(1).gather(1, target[:, None]).mean())
    per_sample = dice_ce(logits, target, batch_dice=False)["dice"]
    torch.testing.assert_close(per_sample, hand_dice(logits, target, (2, 3)))


def test_two_voxels_by_hand():
    terms = dice_ce(torch.zeros(1, 2, 1, 2), torch.tensor([[[0, 1]]]))
    assert terms["dice"].item() == pytest.approx(1 - 2 * 0.5 / (1 + 1), abs=1e-5)
    assert terms["ce"].item() == pytest.approx(math.log(2))


def test_a_perfect_prediction_costs_nothing_and_a_wrong_one_costs_one():
    _, target = random_case(classes=2)
    right = 50.0 * F.one_hot(target, 2).movedim(-1, 1).float()
    assert dice_ce(right, target)["dice"].item() == pytest.approx(0, abs=1e-5)
    assert dice_ce(right, target)["ce"].item() == pytest.approx(0, abs=1e-5)
    assert dice_ce(-right, target)["dice"].item() == pytest.approx(1, abs=1e-5)


def test_a_known_class_that_the_target_lacks_counts_as_one_more_miss():
    logits, target = random_case(classes=2)
    grown = torch.cat([logits, torch.full_like(logits[:, :1], -3.0)], dim=1)
    present = grown.softmax(1)[:, 1]
    overlap = 2 * present[target == 1].sum() / (present.sum() + (target == 1).sum())
    torch.testing.assert_close(dice_ce(grown, target)["dice"], 1 - overlap / 2, rtol=1e-4, atol=0)


def test_a_patch_of_pure_background_has_a_finite_gradient():
    logits = torch.zeros(1, 3, 4, 4, requires_grad=True)
    sum(dice_ce(logits, torch.zeros(1, 4, 4, dtype=torch.int64)).values()).backward()
    assert logits.grad.isfinite().all()
    assert logits.grad[:, 0].max() < 0  # more background everywhere


@pytest.mark.parametrize("scale", [1e4, 1e-30])
def test_extreme_logits_give_finite_terms(scale):
    logits, target = random_case(dtype=torch.float32)
    logits = (logits * scale).requires_grad_()
    loss = sum(dice_ce(logits, target).values())
    loss.backward()
    assert loss.isfinite()
    assert logits.grad.isfinite().all()


@pytest.mark.parametrize("batch_dice", [True, False])
def test_gradient_is_right(batch_dice):
    logits, target = random_case(space=(2, 3, 2))
    logits.requires_grad_()
    assert torch.autograd.gradcheck(lambda z: sum(dice_ce(z, target, batch_dice=batch_dice).values()), (logits,))


def test_coarser_levels_weigh_half_as_much_each_and_see_the_nearest_labels():
    logits, target = random_case(space=(8, 8))
    levels = [logits, logits[..., ::2, ::2], logits[..., ::4, ::4]]
    targets = [target, target[..., 1::2, 1::2], target[..., 2::4, 2::4]]
    terms = dice_ce(levels, target)
    for name in ("dice", "ce"):
        expected = sum(w / 7 * dice_ce(z, y)[name] for w, z, y in zip((4, 2, 1), levels, targets, strict=True))
        torch.testing.assert_close(terms[name], expected)


def test_a_list_of_one_is_the_plain_loss():
    logits, target = random_case()
    for name, value in dice_ce([logits], target).items():
        assert torch.equal(value, dice_ce(logits, target)[name])


def test_losses_are_float32_under_autocast():
    logits, target = random_case(dtype=torch.float32)
    with torch.autocast("cpu", torch.bfloat16):
        inside, low = dice_ce(logits, target), dice_ce(logits.bfloat16(), target)
    for name, value in dice_ce(logits, target).items():
        assert torch.equal(inside[name], value)
        assert low[name].dtype == torch.float32
        assert low[name].item() == pytest.approx(value.item(), rel=1e-2)


@pytest.mark.parametrize(("logits", "target"), [((2, 3, 4), (2, 4, 4)), ((2, 3, 4), (1, 4)), ((2, 1, 4), (2, 4))])
def test_shapes_that_do_not_match_are_named(logits, target):
    with pytest.raises(ValueError, match="do not match"):
        dice_ce(torch.zeros(logits), torch.zeros(target, dtype=torch.int64))
