"""SCR and IFD: what is pooled, drawn and sorted, and where gradients go."""

import pytest
import torch
import torch.nn.functional as F

from clbench.functional.selfreg import average_pooled, feature_distillation, semantic_consistency

SHAPES = pytest.mark.parametrize("space", [(8, 8), (4, 8, 6)], ids=["2-D", "3-D"])


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def maps(batch, channels, space, seed=1):
    return torch.randn(batch, channels, *space, generator=generator(seed), dtype=torch.float64)


@SHAPES
def test_the_larger_map_is_averaged_to_the_smaller_grid_whichever_side_it_is_on(space):
    small = tuple(size // 2 for size in space)
    fine, coarse = torch.ones(2, 3, *space), torch.zeros(2, 3, *small)
    checker = torch.stack(torch.meshgrid(*(torch.arange(size) for size in space), indexing="ij")).sum(0) % 2
    fine = fine * (2.0 * checker - 1.0)  # blocks of two average to 0
    assert semantic_consistency(coarse, fine, generator()).item() == 0.0
    assert semantic_consistency(fine, coarse, generator()).item() == 0.0


@SHAPES
def test_pooling_is_that_of_torch(space):
    x = maps(2, 3, space)
    for grid in ([size // 2 for size in space], list(space), [size // 2 + 1 for size in space]):
        pool = F.adaptive_avg_pool2d if len(space) == 2 else F.adaptive_avg_pool3d
        torch.testing.assert_close(average_pooled(x, grid), pool(x, grid))


@pytest.mark.parametrize(("ours", "last"), [(6, 4), (4, 6), (4, 4)])
def test_as_many_channels_as_the_narrower_side_has_are_drawn_each_at_most_once(ours, last):
    """Channel c of one side holds 10^c, the other side 0: the mean square tells which channels were drawn."""
    for seed in range(5):
        for widths, slot in (((ours, last), 0), ((last, ours), 1)):
            sides = [torch.zeros(1, width, 2, 2, dtype=torch.float64) for width in (ours, last)]
            sides[slot] += (10.0 ** torch.arange(widths[0])).view(-1, 1, 1)
            value = semantic_consistency(*sides, generator(seed)).item() * min(ours, last)
            digits = f"{round(value):0{2 * widths[0]}d}"  # sums of distinct 10^(2c)
            assert digits.count("1") == min(ours, last)
            assert set(digits) <= {"0", "1"}


def test_sides_are_drawn_independently_and_anew_with_each_generator_state():
    same = torch.arange(6.0).view(1, 6, 1, 1).expand(1, 6, 2, 2)
    values = {semantic_consistency(same, same, generator(seed)).item() for seed in range(4)}
    assert len(values) == 4
    assert 0.0 not in values  # equal draws on both sides would give 0


def test_no_gradient_flows_into_the_last_level():
    first, last = maps(2, 4, (4, 4)).requires_grad_(), maps(2, 3, (8, 8), seed=2).requires_grad_()
    semantic_consistency(first, last, generator()).backward()
    assert last.grad is None
    assert first.grad.abs().sum() > 0


def stopped(features):
    """The channels that IFD holds the others to: those to which no gradient flows when it is stopped."""
    leaf = features.clone().requires_grad_()
    feature_distillation(leaf, stop_gradient=True).backward()
    return [channel for channel, part in enumerate(leaf.grad.unbind(1)) if not part.any()]


def test_feature_distillation_by_hand():
    """Scores are means of F / |F|, here over 4 voxels: a channel whose large values are few is weak, however large."""
    channels = [[3.0, 3.0, 3.0, -1.0], [-1.0, -1.0, -1.0, -1.0], [9.0, 1.0, 1.0, 1.0], [3.0, 3.0, 3.0, 0.0]]
    x = torch.tensor(channels).view(1, 4, 2, 2)
    # sorted: 3 (9/4 / 27^.5 = .43), 0 (8/4 / 28^.5 = .38), 2 (12/4 / 84^.5 = .33), 1 (-.5): pairs (3, 2) and (0, 1)
    assert feature_distillation(x).item() == pytest.approx(((36 + 4 + 4 + 1) / 4 + (16 + 16 + 16) / 4) / 2)
    assert stopped(x) == [0, 3]


@SHAPES
def test_neither_the_scale_of_a_channel_nor_that_of_an_image_changes_which_half_is_the_stronger(space):
    ones = (1,) * len(space)
    x = maps(3, 6, space) + torch.linspace(2.0, 0.5, 6, dtype=torch.float64).view(6, *ones)
    scales = 10.0 ** maps(3, 6, ones, seed=3)
    assert stopped(scales * x) == stopped(x) == [0, 1, 2]


@SHAPES
def test_features_that_are_one_constant_cost_nothing(space):
    """Collapse is a minimum of both losses: nothing in them keeps features apart."""
    first, last = torch.full((2, 6, *space), 0.3), torch.full((2, 4, *space), 0.3)
    assert semantic_consistency(first, last, generator()).item() == 0.0
    assert feature_distillation(first).item() == 0.0


@SHAPES
def test_the_order_of_the_channels_does_not_matter(space):
    x = maps(2, 6, space)
    torch.testing.assert_close(feature_distillation(x), feature_distillation(x[:, torch.tensor([3, 1, 5, 0, 2, 4])]))


def test_an_odd_channel_in_the_middle_is_left_out():
    x = torch.stack([torch.full((4, 4), value) for value in (3.0, -1.0, 0.0)])[None]
    assert feature_distillation(x).item() == pytest.approx(16.0)


def test_the_gradient_reaches_both_halves_unless_it_is_stopped():
    x = torch.cat([torch.full((1, 2, 4, 4), 2.0), torch.full((1, 2, 4, 4), -1.0)], 1).requires_grad_()
    feature_distillation(x).backward()
    assert (x.grad.abs().sum((0, 2, 3)) > 0).all()
    assert stopped(x.detach()) == [0, 1]


def test_gradients_are_right():
    x, last = maps(1, 4, (4, 4)).requires_grad_(), maps(1, 3, (2, 2), seed=3)
    assert torch.autograd.gradcheck(lambda f: semantic_consistency(f, last, generator()), (x,))
    assert torch.autograd.gradcheck(feature_distillation, (x,))


def test_empty_channels_are_finite():
    x = torch.zeros(2, 4, 4, 4, requires_grad=True)
    feature_distillation(x).backward()
    assert x.grad.isfinite().all()


def test_autocast_does_not_lower_the_precision():
    x, last = maps(1, 4, (4, 4)).float(), maps(1, 4, (8, 8)).float()
    with torch.autocast("cpu", torch.bfloat16):
        inside = semantic_consistency(x, last, generator()), feature_distillation(x)
    assert inside == (semantic_consistency(x, last, generator()), feature_distillation(x))


def test_mistakes_are_named():
    with pytest.raises(ValueError, match="do not match"):
        semantic_consistency(torch.zeros(1, 2, 4, 4), torch.zeros(2, 2, 4, 4), generator())
    with pytest.raises(ValueError, match="two channels"):
        feature_distillation(torch.zeros(1, 1, 4, 4))
