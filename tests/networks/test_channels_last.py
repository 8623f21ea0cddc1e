"""Channels last: the same numbers but for rounding, in another layout; weights keep theirs."""

import copy

import pytest
import torch
from torch import nn

from clbench.networks.channels_last import LAYOUTS, convolve_channels_last


def network(dims):
    conv, norm = (nn.Conv2d, nn.InstanceNorm2d) if dims == 2 else (nn.Conv3d, nn.InstanceNorm3d)
    torch.manual_seed(0)
    return nn.Sequential(conv(1, 4, 3, padding=1), norm(4), nn.LeakyReLU(), conv(4, 3, 3, padding=1)).double()


@pytest.mark.parametrize("dims", [2, 3])
def test_values_and_gradients_are_those_of_the_plain_network(dims):
    plain = network(dims)
    fast = copy.deepcopy(plain)
    convolve_channels_last(fast)
    x = torch.randn(2, 1, *[6] * dims, dtype=torch.float64)
    outputs = [model(x) for model in (plain, fast)]
    torch.testing.assert_close(*outputs)
    for output in outputs:
        output.square().sum().backward()
    for ours, theirs in zip(fast.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(ours.grad, theirs.grad)
        assert ours.is_contiguous()
        assert ours.grad.is_contiguous()


@pytest.mark.parametrize("dims", [2, 3])
def test_convolutions_of_several_channels_see_channels_last(dims):
    model, seen = network(dims), []
    convolve_channels_last(model)
    model[3].register_forward_hook(lambda module, inputs, output: seen.append(inputs[0]))
    model(torch.randn(2, 1, *[6] * dims, dtype=torch.float64))
    (x,) = seen
    assert x.is_contiguous(memory_format=LAYOUTS[dims + 2])
    assert not x.is_contiguous()


def test_a_copy_of_the_network_keeps_the_layout():
    model = network(2)
    convolve_channels_last(model)
    assert copy.deepcopy(model)[3]._forward_pre_hooks.keys() == model[3]._forward_pre_hooks.keys()
