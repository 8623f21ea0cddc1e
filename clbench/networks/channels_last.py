"""Channels last: the memory layout in which convolutions are fastest."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

LAYOUTS = {4: torch.channels_last, 5: torch.channels_last_3d}
"""Dimensions of a batch -> layout."""


def convolve_channels_last(network: nn.Module) -> None:
    """Let every convolution of a network read its input with the channels as fastest axis.

    Only the activations change their layout; weights, gradients and optimizer buffers stay contiguous, so that they can
    be flattened, stored and compared as usual. Numbers move by rounding, since the kernels sum in another order.

    Args:
        network: changed in place; convolutions added later are not reached.
    """
    for module in network.modules():
        # With one channel the two layouts are the same and the conversion would only cost.
        if isinstance(module, nn.modules.conv._ConvNd) and module.in_channels > 1:
            module.register_forward_pre_hook(_channels_last)


def convolves_channels_last(network: nn.Module) -> bool:
    """Whether any convolution of a network does."""
    return any(_channels_last in module._forward_pre_hooks.values() for module in network.modules())


def _channels_last(_: nn.Module, inputs: tuple[Any, ...]) -> tuple[Tensor]:
    (x,) = inputs
    return (x.contiguous(memory_format=LAYOUTS[x.ndim]) if x.ndim in LAYOUTS else x,)
