"""Partial labels: probabilities add up, and what is not annotated is no evidence."""

import pytest
import torch
import torch.nn.functional as F

from clbench.functional.losses import dice_ce
from clbench.functional.partial import marginal_logits, marginal_loss, marginal_target


def random_logits(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def masks(*shape, classes, seed=1):
    return torch.randint(classes, shape, generator=torch.Generator().manual_seed(seed))


def cross_entropy(output, target):
    return F.cross_entropy(output, target)


def test_probabilities_of_other_classes_join_the_background():
    logits = random_logits(2, 5, 3, 4)
    p, merged = logits.softmax(1), marginal_logits(logits, [2, 4]).softmax(1)
    torch.testing.assert_close(merged[:, 0], p[:, 0] + p[:, 1] + p[:, 3])
    torch.testing.assert_close(merged[:, 1:], p[:, [2, 4]])


def test_with_every_class_annotated_nothing_changes():
    logits = random_logits(1, 3, 2, 2)
    assert marginal_logits(logits, [1, 2]).equal(logits)


def test_gradient_is_right():
    logits = random_logits(1, 4, 2, 2).requires_grad_()
    assert torch.autograd.gradcheck(lambda z: marginal_logits(z, [2]), (logits,))


def test_huge_logits_stay_finite():
    logits = torch.tensor([1e4, -1e4, 1e4]).reshape(1, 3, 1).requires_grad_()
    value = F.cross_entropy(marginal_logits(logits, [1]), torch.tensor([[1]]))
    value.backward()
    assert torch.isfinite(value)
    assert torch.isfinite(logits.grad).all()


def test_half_precision_is_widened():
    assert marginal_logits(torch.zeros(1, 3, 2, dtype=torch.bfloat16), [1]).dtype == torch.float32


@pytest.mark.parametrize("annotated", [[0], [3], [1, 1], [-1]])
def test_classes_that_do_not_fit_are_refused(annotated):
    with pytest.raises(ValueError, match="do not fit logits of 3 channels"):
        marginal_logits(torch.zeros(1, 3, 2), annotated)


def test_the_target_names_the_channels_of_the_marginal_logits():
    target = torch.tensor([[0, 1, 2, 3, 4]])
    assert marginal_target(target, [2, 4]).tolist() == [[0, 0, 1, 0, 2]]


def test_the_loss_of_a_mixed_batch_is_the_mean_over_its_samples():
    logits, target = random_logits(3, 4, 2, 2), masks(3, 2, 2, classes=4)
    target[0][target[0] != 2] = 0
    target[1][target[1] == 3] = 0
    p = logits.softmax(1)
    by_hand = []
    for sample, annotated in enumerate([{2}, {1, 2}, {1, 2, 3}]):
        other = sum(p[sample, channel] for channel in range(4) if channel not in annotated)
        chance = torch.where(target[sample] == 0, other, p[sample].gather(0, target[sample][None])[0])
        by_hand.append(-chance.log().mean())
    found = marginal_loss(cross_entropy, logits, target, [0b100, 0b110, 0b1110])
    torch.testing.assert_close(found, torch.stack(by_hand).mean())


def test_an_old_class_is_not_pushed_down_by_masks_that_do_not_annotate_it():
    logits = torch.zeros(1, 3, 1, dtype=torch.float64, requires_grad=True)
    marginal_loss(cross_entropy, logits, torch.zeros(1, 1, dtype=torch.int64), [0b100]).backward()
    background, old, new = logits.grad.flatten().tolist()
    assert background == old < 0 < new


def test_complete_masks_are_scored_by_the_criterion_alone():
    logits, target = random_logits(2, 3, 4, 4).float(), masks(2, 4, 4, classes=3)
    found, plain = marginal_loss(dice_ce, logits, target, [0b110, 0b1110]), dice_ce(logits, target)
    assert all(found[name].equal(plain[name]) for name in plain)


def test_deep_supervision_is_reduced_at_every_level():
    levels = [random_logits(2, 3, 4, 4).float(), random_logits(2, 3, 2, 2, seed=2).float()]
    target = masks(2, 4, 4, classes=2)
    found = marginal_loss(dice_ce, levels, target, [0b010, 0b010])
    by_hand = dice_ce([marginal_logits(level, [1]) for level in levels], target)
    assert {name: value.item() for name, value in found.items()} == {
        name: pytest.approx(value.item()) for name, value in by_hand.items()
    }


def test_a_sample_without_annotated_labels_is_refused():
    with pytest.raises(ValueError, match="or an empty one"):
        marginal_loss(cross_entropy, torch.zeros(1, 3, 2), torch.zeros(1, 2, dtype=torch.int64), [0b1000])
