"""Heads that grow: old classes keep their weights bit for bit."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from clbench.errors import InputError
from clbench.networks.head import LinearHead, grow_head
from clbench.networks.unet import build_unet, weights


def network(classes=2, dims=2, deep_supervision=True):
    return build_unet(
        in_channels=1,
        classes=classes,
        dims=dims,
        patch_size=(16,) * dims,
        spacing_mm=(1.0,) * dims,
        base_features=2,
        max_features=4,
        deep_supervision=deep_supervision,
        seed=0,
    )


@pytest.mark.parametrize("dims", [2, 3])
def test_old_logits_and_weights_stay_bit_for_bit(dims):
    grown = network(dims=dims).eval()
    image = torch.randn(1, 1, *(16,) * dims)
    before = {name: value.clone() for name, value in weights(grown).items()}
    logits = grown(image)
    grow_head(grown, 4, seed=3)
    torch.testing.assert_close(grown(image)[:, :2], logits)
    assert grown(image).shape[1] == grown.classes == 4
    for name, value in weights(grown).items():
        assert torch.equal(value[: len(before[name])], before[name])


def test_heads_of_deep_supervision_grow_too():
    grown = build_unet(
        in_channels=1,
        classes=2,
        dims=2,
        patch_size=(32, 32),
        spacing_mm=(1, 1),
        base_features=2,
        max_features=4,
        deep_supervision=True,
        seed=0,
    )
    grow_head(grown, 5, seed=0)
    assert [level.shape[1] for level in grown(torch.zeros(1, 1, 32, 32))] == [5, 5]


def test_new_rows_follow_the_seed_and_leave_the_global_stream_alone():
    state = torch.get_rng_state()
    first, second, third = network(), network(), network()
    for grown, seed in ((first, 1), (second, 1), (third, 2)):
        grow_head(grown, 3, seed)
    assert torch.equal(torch.get_rng_state(), state)
    rows = [grown.heads[0].conv.weight for grown in (first, second, third)]
    assert torch.equal(rows[0], rows[1])
    assert not torch.equal(rows[0], rows[2])
    assert (first.heads[0].conv.bias[2:] == 0).all()


def test_new_rows_are_drawn_as_wide_as_the_first_ones():
    head = LinearHead(2, 64, 2)
    grow_head(head, 300, seed=0)
    assert head.conv.weight[2:].std().item() == pytest.approx((2 / 64) ** 0.5, rel=0.05)


def test_a_head_of_the_right_size_keeps_its_parameters():
    grown = network(classes=3)
    held = list(grown.parameters())
    grow_head(grown, 3, seed=0)
    assert all(old is new for old, new in zip(held, grown.parameters(), strict=True))


def test_grown_heads_can_be_trained_or_stay_frozen():
    grown = network()
    grown.heads[0].requires_grad_(False)
    grow_head(grown, 3, seed=0)
    assert not grown.heads[0].conv.weight.requires_grad
    other = network()
    grow_head(other, 3, seed=0)
    other(torch.randn(1, 1, 16, 16))[0].sum().backward()
    assert other.heads[0].conv.weight.grad.shape[0] == 3


def test_a_head_cannot_shrink():
    with pytest.raises(InputError, match="has 3 classes and cannot shrink to 2"):
        grow_head(network(classes=3), 2, seed=0)


def test_a_network_without_a_head_is_refused():
    with pytest.raises(InputError, match="Conv2d has no LinearHead"):
        grow_head(nn.Conv2d(1, 2, 1), 3, seed=0)
