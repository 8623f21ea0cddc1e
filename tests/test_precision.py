"""bfloat16 without hardware for it rounds where PyTorch's own autocast rounds, forwards and backwards."""

from __future__ import annotations

from unittest.mock import patch

import pytest
import torch
from torch import nn

from clbench import precision
from clbench.precision import ConvolutionsInFloat32, forward_precision

CPU = torch.device("cpu")
LAYERS = {
    "conv2d": (nn.Conv2d(3, 5, 3, stride=2, padding=1), (2, 3, 8, 6)),
    "conv3d": (nn.Conv3d(2, 4, 3, padding=1, bias=False), (2, 2, 4, 6, 5)),
    "conv_transpose2d": (nn.ConvTranspose2d(4, 3, 2, stride=2), (2, 4, 5, 3)),
    "conv_transpose3d": (nn.ConvTranspose3d(4, 3, 2, stride=2), (1, 4, 3, 2, 3)),
}


def passed(layer, x, context):
    """Output, and the gradients of input and weights, of one pass."""
    x = x.clone().requires_grad_()
    layer.zero_grad()
    with torch.autocast("cpu", torch.bfloat16), context:
        y = layer(x)
    y.float().pow(2).sum().backward()
    return [y, x.grad, *(parameter.grad for parameter in layer.parameters())]


@pytest.mark.parametrize("name", LAYERS)
def test_it_differs_from_native_bfloat16_by_the_order_of_sums(name):
    """Both round exact products' sums to bfloat16, whose numbers lie up to 2^-8 apart."""
    layer, shape = LAYERS[name]
    x = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    own = passed(layer, x, ConvolutionsInFloat32())
    native = passed(layer, x, torch.autocast("cpu", torch.bfloat16))
    for ours, theirs in zip(own, native, strict=True):
        assert ours.dtype == theirs.dtype
        assert torch.equal(ours, ours.bfloat16().to(ours.dtype))
        scale = theirs.abs().max().item()
        torch.testing.assert_close(ours.float(), theirs.float(), rtol=2**-7, atol=2**-7 * scale)


def sum_of(*values):
    """Of some numbers by a convolution, as it is done in place of bfloat16."""
    x, weight = torch.tensor(values).reshape(1, -1, 1, 1), torch.ones(1, len(values), 1, 1)
    with torch.autocast("cpu", torch.bfloat16), ConvolutionsInFloat32():
        y = nn.functional.conv2d(x, weight)
    assert y.dtype == torch.bfloat16
    return y.item()


def test_operands_are_rounded():
    """1 + 2^-9 is 1 in bfloat16."""
    assert sum_of(1 + 2**-9, -1.0) == 0


def test_sums_are_not_rounded_on_the_way():
    """In bfloat16 1 + 2^-8 is 1, and so a sum would end in 0."""
    assert sum_of(1.0, 2**-8, -1.0) == 2**-8


def test_results_are_rounded():
    assert sum_of(1.0, 2**-9) == 1


def test_operands_wider_than_float32_are_left_as_they_are():
    x, weight = torch.full((1, 1, 1, 1), 1 + 2**-40, dtype=torch.float64), torch.ones(1, 1, 1, 1, dtype=torch.float64)
    with torch.autocast("cpu", torch.bfloat16), ConvolutionsInFloat32():
        assert nn.functional.conv2d(x, weight).item() == 1 + 2**-40


def test_gradients_reach_float32_weights():
    layer = nn.Conv2d(1, 1, 1)
    passed(layer, torch.ones(1, 1, 2, 2), ConvolutionsInFloat32())
    assert layer.weight.grad.dtype == torch.float32
    assert layer.weight.grad.item() != 0


@pytest.mark.parametrize("native", [True, False])
def test_convolutions_are_replaced_only_where_the_processor_lacks_them(native):
    x, layer = torch.ones(1, 1, 2, 2), nn.Conv2d(1, 1, 1)
    with (
        patch.object(precision, "has_bfloat16_convolutions", return_value=native),
        patch.object(precision, "_rounded", side_effect=precision._rounded) as rounded,
        forward_precision(CPU, "bfloat16"),
    ):
        assert layer(x).dtype == torch.bfloat16
    assert rounded.called is not native


def test_float32_stays_float32():
    with patch.object(precision, "_rounded") as rounded, forward_precision(CPU, "float32"):
        assert nn.Conv2d(1, 1, 1)(torch.ones(1, 1, 2, 2)).dtype == torch.float32
    assert not rounded.called


def test_a_part_with_autocast_off_convolves_as_it_is():
    """Losses and importances ask for float32 in the middle of a forward pass."""
    layer, x = nn.Conv2d(1, 1, 1), torch.full((1, 1, 1, 1), 1 + 2**-9)
    expected = layer(x)
    with torch.autocast("cpu", torch.bfloat16), ConvolutionsInFloat32(), torch.autocast("cpu", enabled=False):
        assert torch.equal(layer(x), expected)


def test_arguments_by_name_are_rounded_too():
    x, weight = torch.tensor([1 + 2**-9, 1.0]).reshape(1, 2, 1, 1), torch.tensor([1.0, -1.0]).reshape(1, 2, 1, 1)
    with torch.autocast("cpu", torch.bfloat16), ConvolutionsInFloat32():
        assert nn.functional.conv2d(input=x, weight=weight, bias=torch.zeros(1)).item() == 0


@pytest.mark.slow
def test_a_compiled_network_rounds_as_well():
    """Inductor leaves roundings out that it is not told to keep."""
    layer = nn.Conv2d(2, 1, 1, bias=False)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([1.0, -1.0]).reshape(1, 2, 1, 1))
    x = torch.tensor([1 + 2**-9, 1.0]).reshape(1, 2, 1, 1).requires_grad_()
    with patch.object(precision, "has_bfloat16_convolutions", return_value=False), forward_precision(CPU, "bfloat16"):
        y = torch.compile(layer, options=precision.compile_options(CPU, "bfloat16"))(x)
    assert y.item() == 0
    y.backward(torch.full_like(y, 1.0))
    assert x.grad.flatten().tolist() == [1.0, -1.0]


@pytest.mark.parametrize("native", [True, False])
def test_only_what_is_rounded_by_hand_is_compiled_with_its_roundings(native):
    with patch.object(precision, "has_bfloat16_convolutions", return_value=native):
        assert bool(precision.compile_options(CPU, "bfloat16")) is not native
        assert precision.compile_options(CPU, "float32") is None
