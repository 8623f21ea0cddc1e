"""DAN: the first task's filters, mixed anew for each later task."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from clbench.networks.adapted import AdaptedNetwork
from clbench.networks.unet import SegmentationNetwork
from clbench.seeding import torch_generator
from clbench.strategies.plugin import StrategyPlugin
from clbench.strategies.pnn import classes_after, require_levels


class DAN(StrategyPlugin):
    """Deep adaptation: later tasks use linear combinations of the filters that the first task learned.

    After the first task its weights are frozen. Each later task trains a controller for every convolution, which mixes
    its filters, and biases, norms and heads of its own. Controllers start as the identity, so that a task starts as the
    first one's network.

    **The task is known at test time**: cases of task j are predicted with the controllers of task j, and cases of a
    task not learned yet with the newest. Forgetting is impossible, which no strategy without that knowledge can
    promise.

    Args:
        seed: of rows that a class-incremental head has more than that of the first task.

    Equation: W_{k,l} = A_{k,l} W_{1,l} over the filters (rows) of layer l; only A_k, biases, norms and heads of task k
        are trained in task k.

    Source: Rosenfeld and Tsotsos 2018, arXiv 1705.04228, equation 2.
    Differs from the source in: the base network is that of the stream's first task; controllers start as the identity.
    Memory: parameters and their bytes are counted in ``cost.json``: (output channels)² per convolution, biases, norms
        and heads for each later task.
    Time: a matrix product per convolution and step, and a gradient for the controllers instead of the weights: about
        that of ``naive``.
    """

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        self.seed = seed

    def check(self, network: Any) -> None:
        """Refuse networks whose weights may be shared in other ways."""
        require_levels("dan", network)

    def grow(self, network: nn.Module, experience: Any, fresh: Callable[[int], nn.Module]) -> nn.Module:
        """Add the controllers that the task and those before it need."""
        if not isinstance(network, AdaptedNetwork):
            assert isinstance(network, SegmentationNetwork)
            network = AdaptedNetwork(network)
        while network.tasks < experience.index:
            task = network.tasks + 1
            network.add_task(classes_after(experience, task), torch_generator(self.seed, "dan", task))
        return network
