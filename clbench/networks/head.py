"""LinearHead: the 1x1 convolution that turns features into class scores, and can grow new classes."""

from __future__ import annotations

from math import log, sqrt

import torch
from torch import Tensor, nn

from clbench.errors import InputError
from clbench.seeding import torch_generator

NEGATIVE_SLOPE = 0.01


class LinearHead(nn.Module):
    """Class scores as a linear function of each voxel's features.

    Args:
        dims: 2 or 3.
        features: input channels.
        classes: output channels, background included.

    Attributes:
        closed: True for the head of an earlier task, which ``grow_head`` leaves as it is.
    """

    def __init__(self, dims: int, features: int, classes: int) -> None:
        super().__init__()
        self.closed = False
        self.conv = (nn.Conv2d if dims == 2 else nn.Conv3d)(features, classes, kernel_size=1)

    @property
    def classes(self) -> int:
        """Output channels."""
        return int(self.conv.weight.shape[0])

    def forward(self, features: Tensor) -> Tensor:
        """(B, C, *S) -> (B, K, *S)."""
        scores: Tensor = self.conv(features)
        return scores

    @torch.no_grad()
    def grow(self, classes: int, generator: torch.Generator) -> None:
        """Add output channels up to ``classes``; the old ones keep their weights bit for bit."""
        weight, bias = self.conv.weight, self.conv.bias
        assert bias is not None
        grown = self.grown(classes, generator)
        self.conv.weight = nn.Parameter(grown["weight"], weight.requires_grad)
        self.conv.bias = nn.Parameter(grown["bias"], bias.requires_grad)
        self.conv.out_channels = classes

    @torch.no_grad()
    def grown(self, classes: int, generator: torch.Generator) -> dict[str, Tensor]:
        """Weight and bias with output channels added up to ``classes``; the head itself stays as it is."""
        weight, bias = self.conv.weight, self.conv.bias
        assert bias is not None
        added = (classes - self.classes, *weight.shape[1:])
        deviation = sqrt(2 / (1 + NEGATIVE_SLOPE**2) / weight[0].numel())
        rows = (torch.randn(added, generator=generator) * deviation).to(weight)
        return {"weight": torch.cat([weight, rows]), "bias": torch.cat([bias, bias.new_zeros(added[0])])}

    @torch.no_grad()
    def share_background(self, known: int) -> None:
        """Make all classes from ``known`` on score as the background, with its probability shared out equally.

        Every class below ``known`` but the background keeps its probability, and the others sum to what the background
        had.

        Source: Cermelli et al. 2020, arXiv 2002.00718, equations 9 and 10.
        """
        weight, bias = self.conv.weight, self.conv.bias
        assert bias is not None
        weight[known:] = weight[:1]
        bias[0] -= log(self.classes - known + 1)
        bias[known:] = bias[0]


def close_heads(network: nn.Module) -> None:
    """Let no head of a network grow any more."""
    for module in network.modules():
        if isinstance(module, LinearHead):
            module.closed = True


def grow_head(network: nn.Module, classes: int, seed: int) -> None:
    """Let every ``LinearHead`` of a network, those of deep supervision included, score ``classes`` classes.

    New rows are drawn as all weights are (He et al. 2015, leaky slope 0.01; bias 0), from a generator of their own.
    The parameters of a head that grows are new objects: make the optimizer afterwards. Does nothing when the head
    already has that size.

    Args:
        network: any module that holds at least one ``LinearHead``.
        classes: output channels wanted, background included.
        seed: of the new rows, any integer.

    Raises:
        InputError: the network has no such head, or has more classes already.
    """
    heads = {name: module for name, module in network.named_modules() if isinstance(module, LinearHead)}
    if not heads:
        raise InputError(f"{type(network).__name__} has no LinearHead that could grow to {classes} classes")
    for name, head in heads.items():
        if head.closed:
            continue
        if head.classes > classes:
            raise InputError(f"the head has {head.classes} classes and cannot shrink to {classes}")
        if head.classes < classes:
            head.grow(classes, torch_generator(seed, "head", name))
