"""PNN: a network of its own for each task, with connections from those before it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any

from pydantic import Field
from torch import nn

from clbench.data.patches import PoolEntry
from clbench.errors import InputError
from clbench.networks.progressive import ProgressiveNetwork
from clbench.networks.unet import SegmentationNetwork
from clbench.strategies.plugin import StrategyPlugin


class PNN(StrategyPlugin):
    """Progressive network: each task gets a column of its own, and the columns before it are frozen.

    A new column is a whole U-Net from the initial weights, as in ``single``; each of its levels is given what enters
    the same level of all earlier columns, through two 1x1 convolutions with a leaky ReLU between them. These start at
    0, so that a column starts on its own.

    **The task is known at test time**: cases of task j are predicted by column j, and cases of a task not learned yet
    by the newest one. Forgetting is impossible, which no strategy without that knowledge can promise.

    Args:
        lateral: hidden channels of a connection per channel of its level.
        seed: of the connections.

    Equation: level i of column k sees h_{k,i} + U_{k,i} σ(V_{k,i} [h_{1,i}, …, h_{k−1,i}]), with h_{j,i} what enters
        level i of column j; only column k is trained in task k.

    Source: Rusu et al. 2016, arXiv 1606.04671, equations 1 and 2.
    Differs from the source in: connections join what enters a block of two convolutions instead of every layer, and
        none enters the head; they start at 0, without the learned scale of the source.
    Defaults: ``lateral`` is the middle of 0.25, 0.5 and 1 in the sweep below, which end within 0.01 of one another, the
        larger the higher.
    Note: it builds on the levels of ``unet`` and refuses every other network.
    Memory: parameters and their bytes are counted in ``cost.json``: a U-Net and its connections for each task.
    Time: a forward pass of every earlier column per step, about half of it each, in training and in prediction.
    """

    def __init__(self, lateral: Annotated[float, Field(gt=0)] = 0.5, seed: int = 0) -> None:
        super().__init__()
        self.lateral, self.seed = lateral, seed

    def check(self, network: Any) -> None:
        """Refuse networks that are not built of levels."""
        require_levels("pnn", network)

    def grow(self, network: nn.Module, experience: Any, fresh: Callable[[int], nn.Module]) -> nn.Module:
        """Add the columns that the task and those before it need."""
        if not isinstance(network, ProgressiveNetwork):
            assert isinstance(network, SegmentationNetwork)
            network = ProgressiveNetwork(network, self.lateral, self.seed)
        device = next(network.parameters()).device
        while network.tasks < experience.index:
            column = fresh(classes_after(experience, network.tasks + 1))
            assert isinstance(column, SegmentationNetwork)
            network.add_column(column.to(device))
        return network


def classes_after(experience: Any, tasks: int) -> int:
    """Output channels after some of the tasks up to an experience: background and the labels seen in them."""
    pools: Sequence[Sequence[PoolEntry]] = experience.pools[:tasks]
    return 1 + max(label for pool in pools for entry in pool for label in entry.labels)


def require_levels(name: str, network: Any) -> None:
    """Refuse networks that are not built as ``SegmentationNetwork`` is.

    Raises:
        InputError: another network.
    """
    if type(network) is not SegmentationNetwork:
        raise InputError(f"{name} builds on the network unet, not on {type(network).__name__}; leave --network at unet")
