"""Anchored: what quadratic penalties share: weights of the past, their importances, and what leaving them costs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor, nn

from clbench.functional.quadratic import quadratic_penalty
from clbench.strategies.plugin import StrategyPlugin, add_loss

Tensors = dict[str, Tensor]


class Anchored(StrategyPlugin):
    """A plugin whose loss is ``weight / 2 * sum importance * (theta - anchor)^2``.

    What it remembers are tensors by kind and parameter name: ``anchor``, ``importance`` and others of its own.

    Attributes:
        term: column of ``train.csv``.
        weight: factor of the penalty.
        kept: kind -> parameter name -> tensor; names sorted, as checkpoints give them back, so that sums over them
            have one order.
    """

    term: str

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = weight
        self.kept: dict[str, Tensors] = {}

    def penalty(self, network: nn.Module) -> Tensor | None:
        """The weighted penalty at the network's weights; None while there is nothing to protect."""
        anchors = self.kept.get("anchor")
        if not anchors:
            return None
        return self.weight * quadratic_penalty(dict(network.named_parameters()), anchors, self.kept.get("importance"))

    def before_backward(self, strategy: Any, **_: Any) -> None:
        """Add the penalty to the loss."""
        penalty = self.penalty(strategy.model)
        if penalty is not None:
            add_loss(strategy, self.term, penalty)

    def state_tensors(self) -> Tensors:
        """``KIND/NAME`` for every tensor kept."""
        return {f"{kind}/{name}": value for kind, values in self.kept.items() for name, value in values.items()}

    def load_state_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """Restore what ``state_tensors`` gave."""
        self.kept = {}
        for key, value in sorted(tensors.items()):
            kind, _, name = key.partition("/")
            self.kept.setdefault(kind, {})[name] = value


def trained_weights(network: nn.Module) -> Tensors:
    """A copy of the weights that need a gradient, by name, sorted."""
    return {name: value.detach().clone() for name, value in sorted(network.named_parameters()) if value.requires_grad}


def trained_gradients(network: nn.Module) -> Tensors:
    """A copy of their gradients, by name, sorted; 0 where the loss did not depend on a weight."""
    weights = {name: value for name, value in sorted(network.named_parameters()) if value.requires_grad}
    return {
        name: value.new_zeros(value.shape) if value.grad is None else value.grad.detach().clone()
        for name, value in weights.items()
    }
