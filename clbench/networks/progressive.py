"""ProgressiveNetwork: one U-Net per task, each reading the features of those before it."""

from __future__ import annotations

from collections.abc import Mapping
from math import sqrt
from typing import Any

import torch
from torch import Tensor, nn

from clbench.networks.head import NEGATIVE_SLOPE, close_heads
from clbench.networks.taps import TapPoint
from clbench.networks.unet import SegmentationNetwork
from clbench.seeding import forked_rng, torch_generator


class Lateral(nn.Module):
    """What a level of a new column gets from the same level of all earlier ones: two 1x1 convolutions.

    Args:
        dims: 2 or 3.
        features: channels of the level in each column.
        columns: earlier columns.
        hidden: channels between the two convolutions.
        generator: draws the first convolution; the second starts at 0, so that a new column starts on its own.
    """

    def __init__(self, dims: int, features: int, columns: int, hidden: int, generator: torch.Generator) -> None:
        super().__init__()
        convolution = nn.Conv2d if dims == 2 else nn.Conv3d
        self.reduce = convolution(columns * features, hidden, 1)
        self.expand = convolution(hidden, features, 1, bias=False)
        deviation = sqrt(2 / (1 + NEGATIVE_SLOPE**2) / (columns * features))
        with torch.no_grad():
            self.reduce.weight.copy_(torch.randn(self.reduce.weight.shape, generator=generator) * deviation)
            nn.init.zeros_(self.expand.weight)
            assert self.reduce.bias is not None
            nn.init.zeros_(self.reduce.bias)

    def forward(self, earlier: list[Tensor]) -> Tensor:
        """(B, F, *S) of every earlier column -> (B, F, *S)."""
        added: Tensor = self.expand(nn.functional.leaky_relu(self.reduce(torch.cat(earlier, 1)), NEGATIVE_SLOPE))
        return added


class ProgressiveNetwork(nn.Module):
    """Columns that are frozen once their task is learned; a task is predicted by its own column.

    While it trains the newest column answers; otherwise the one of ``select_task``.

    Args:
        first: the network of the first task; it stays what it is.
        lateral: hidden channels of a lateral connection per channel of its level.
        seed: of the lateral connections.
    """

    def __init__(self, first: SegmentationNetwork, lateral: float, seed: int) -> None:
        super().__init__()
        self.columns, self.laterals = nn.ModuleList([first]), nn.ModuleList()
        self.lateral, self.seed, self.selected = lateral, seed, 1
        self._entering: list[dict[str, Tensor]] = []
        self._listen(first, 1)

    @property
    def tasks(self) -> int:
        """Columns so far."""
        return len(self.columns)

    @property
    def answering(self) -> int:
        """The column, from 1, that answers now."""
        return self.tasks if self.training else self.selected

    @property
    def tap_points(self) -> Mapping[str, TapPoint]:
        """Feature levels of the column that answers."""
        return self._column(self.answering).tap_points

    def select_task(self, index: int) -> None:
        """Answer for a task, from 1, in evaluation; for one not learned yet by the newest column."""
        self.selected = min(index, self.tasks)

    def add_column(self, network: SegmentationNetwork) -> None:
        """Freeze what there is and add a column for the next task."""
        self.requires_grad_(False)
        close_heads(self)
        number, dims = self.tasks + 1, len(network.topology.strides[0])
        with forked_rng(0):  # constructors draw weights that are drawn again
            laterals = {
                name: Lateral(
                    dims,
                    _channels(block),
                    self.tasks,
                    max(1, round(self.lateral * _channels(block))),
                    torch_generator(self.seed, "lateral", number, name),
                )
                for name, block in _levels(network).items()
            }
        self.laterals.append(nn.ModuleDict(laterals))
        self.columns.append(network)
        self._listen(network, number)
        self.selected = number

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        """Logits of the column that answers, see ``SegmentationNetwork``."""
        self._entering = [{} for _ in range(self.answering)]
        with torch.no_grad():
            for number in range(1, self.answering):
                self._column(number)(x)
        logits: Tensor | list[Tensor] = self._column(self.answering)(x)
        self._entering = []
        return logits

    def _listen(self, column: SegmentationNetwork, number: int) -> None:
        """Note what enters each level of a column, and join what the earlier columns have there."""

        def enter(name: str) -> Any:
            def join(_module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
                x, *others = inputs
                self._entering[number - 1][name] = x
                if number > 1:
                    laterals = self.laterals[number - 2]
                    assert isinstance(laterals, nn.ModuleDict)
                    x = x + laterals[name]([self._entering[earlier][name] for earlier in range(number - 1)])
                return (x, *others)

            return join

        for name, block in _levels(column).items():
            block.register_forward_pre_hook(enter(name))

    def _column(self, number: int) -> SegmentationNetwork:
        column = self.columns[number - 1]
        assert isinstance(column, SegmentationNetwork)
        return column


def _levels(network: SegmentationNetwork) -> dict[str, nn.Module]:
    """The blocks that lateral connections enter, by level: all but the one that sees the image."""
    encoder = {f"encoder_{level}": block for level, block in enumerate(network.encoder, start=1)}
    decoder = {f"decoder_{level}": block for level, block in enumerate(network.decoder, start=1)}
    down = encoder | {"bottleneck": network.bottleneck}
    return dict(list(down.items())[1:]) | decoder


def _channels(block: nn.Module) -> int:
    """Input channels of a block, those of a skip connection left out."""
    kinds = nn.Conv2d | nn.Conv3d | nn.ConvTranspose2d | nn.ConvTranspose3d
    return next(module.in_channels for module in block.modules() if isinstance(module, kinds))
