"""Frozen: the first task's network, kept as it is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from clbench.networks.head import LinearHead
from clbench.strategies.plugin import StrategyPlugin

NEVER = -100.0


class Frozen(StrategyPlugin):
    """Learns the first task and then no more: what is lost when nothing is forgotten and nothing learned.

    In a class-incremental stream the head grows as for all strategies, but with rows that never win, so that the first
    network's predictions stay what they were.

    Equation: θ_1 = argmin L_1(θ), started at θ_0; θ_t = θ_1.

    Source: a reference row: no plasticity at all.
    Memory: none but the number of classes, 8 bytes.
    Time: none after the first task.
    """

    def __init__(self) -> None:
        super().__init__()
        self.classes = 0

    def before_training_exp(self, strategy: Any, **_: Any) -> None:
        """From the second task on, take no step."""
        if not self.classes:
            return
        for head in _heads(strategy.model):
            with torch.no_grad():
                assert head.conv.bias is not None
                head.conv.weight[self.classes :] = 0.0
                head.conv.bias[self.classes :] = NEVER
        strategy.stop_training()

    def after_training_exp(self, strategy: Any, **_: Any) -> None:
        """Remember how many classes the first task has."""
        if not self.classes:
            self.classes = max((head.classes for head in _heads(strategy.model)), default=1)

    def state_tensors(self) -> dict[str, Tensor]:
        """The number of classes, from the end of the first task on."""
        return {"classes": torch.tensor(self.classes)} if self.classes else {}

    def load_state_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """Restore it."""
        self.classes = int(tensors["classes"]) if tensors else 0


def _heads(network: nn.Module) -> list[LinearHead]:
    return [module for module in network.modules() if isinstance(module, LinearHead)]
