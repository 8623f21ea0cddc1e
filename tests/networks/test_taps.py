"""Taps: named feature levels, seen without a trace."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from clbench.errors import InputError
from clbench.networks.taps import tap
from clbench.networks.unet import build_unet

LEVELS = ("encoder_1", "encoder_2", "bottleneck", "decoder_1", "decoder_2", "last")


@pytest.fixture
def network():
    return build_unet(
        in_channels=1,
        classes=2,
        dims=2,
        patch_size=(16, 16),
        spacing_mm=(1, 1),
        base_features=2,
        max_features=8,
        deep_supervision=False,
        seed=0,
    )


@pytest.fixture
def image():
    return torch.randn(2, 1, 16, 16, generator=torch.Generator().manual_seed(0))


def hooks(network):
    return sum(len(module._forward_hooks) for module in network.modules())


def test_every_level_has_a_name(network):
    assert network.tap_names == (*LEVELS, *(f"{level}_linear" for level in LEVELS))


def test_levels_are_counted_from_the_finest(network, image):
    with tap(network, LEVELS) as found:
        network(image)
        shapes = {name: tuple(value.shape[1:]) for name, value in found.features.items()}
    assert shapes["encoder_1"] == shapes["decoder_1"] == (2, 16, 16)
    assert shapes["encoder_2"] == shapes["decoder_2"] == (4, 8, 8)
    assert shapes["bottleneck"] == (8, 4, 4)


def test_last_is_the_input_of_the_linear_head(network, image):
    with tap(network, ["last", "decoder_1"]) as found:
        logits = network(image)
        assert torch.equal(network.heads[0](found.features["last"]), logits)
        assert torch.equal(found.features["last"], found.features["decoder_1"])


@pytest.mark.parametrize("level", LEVELS)
def test_linear_levels_are_what_the_activation_receives(network, image, level):
    with tap(network, [level, f"{level}_linear"]) as found:
        network(image)
        before, after = found.features[f"{level}_linear"], found.features[level]
    torch.testing.assert_close(nn.functional.leaky_relu(before, 0.01), after)
    assert before.mean().abs() < 1e-5  # fresh instance norm: centered, which the activation undoes
    assert after.mean() > 0.1


@pytest.mark.parametrize("level", [f"{level}{kind}" for level in LEVELS for kind in ("", "_linear")])
def test_gradients_flow_through_a_tap(network, image, level):
    with tap(network, [level]) as found:
        network(image)
        found.features[level].square().sum().backward()
    assert network.encoder[0].conv1.conv.weight.grad is not None


def test_listening_changes_neither_logits_nor_gradients(network, image):
    def step():
        network.zero_grad()
        logits = network(image)
        logits.square().sum().backward()
        return [logits, *(value.grad.clone() for value in network.parameters())]

    alone = step()
    with tap(network, network.tap_names):
        watched = step()
    assert all(torch.equal(a, b) for a, b in zip(alone, watched, strict=True))


def test_features_are_those_of_the_last_pass(network, image):
    with tap(network, ["bottleneck"]) as found:
        assert found.features == {}
        network(image)
        first = found.features["bottleneck"]
        network(2 * image + torch.linspace(0, 1, 16))
        assert not torch.equal(found.features["bottleneck"], first)


def test_removing_leaves_no_trace(network, image):
    found = tap(network, ["last", "bottleneck_linear"])
    assert hooks(network) == 2
    network(image)
    found.remove()
    found.remove()
    assert hooks(network) == 0
    assert found.features == {}
    network(image)
    assert found.features == {}


def test_two_taps_do_not_disturb_each_other(network, image):
    outer = tap(network, ["last"])
    with tap(network, ["last"]) as inner:
        network(image)
        assert torch.equal(inner.features["last"], outer.features["last"])
    network(2 * image)
    assert outer.features["last"].shape == (2, 2, 16, 16)


def test_an_unknown_level_gets_near_matches_and_no_hook(network):
    with pytest.raises(InputError, match="unknown feature tap 'decoder_3'; did you mean decoder_"):
        tap(network, ["last", "decoder_3"])
    assert hooks(network) == 0


def test_any_other_network_is_tapped_by_the_names_of_its_modules():
    network = nn.Sequential(nn.Conv2d(1, 2, 1), nn.ReLU(inplace=True))
    with tap(network, ["0"]) as found:
        network(torch.randn(1, 1, 8, 8, generator=torch.Generator().manual_seed(0)))
    assert tap(network, ["0"]).features == {}
    assert found.features == {}
    with tap(network, ["0"]) as found:
        network(torch.ones(1, 1, 2, 2))
        torch.testing.assert_close(found.features["0"], network[0](torch.ones(1, 1, 2, 2)))
