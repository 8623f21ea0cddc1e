"""PathAnchored: quadratic penalties whose importance is gathered step by step along the way."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn

from clbench.strategies.anchored import Anchored, Tensors, trained_gradients, trained_weights
from clbench.strategies.plugin import add_loss


class PathAnchored(Anchored):
    """An ``Anchored`` plugin that sees, at every step, how much moving each weight lowered the task's loss.

    The gradient looked at is that of the loss without this plugin's own penalty, which is added to the gradient
    afterwards: the penalty does not depend on the batch, so that nothing is computed twice.
    """

    def __init__(self, weight: float) -> None:
        super().__init__(weight)
        self._before: Tensors = {}
        self._gradients: Tensors = {}

    def before_training_exp(self, strategy: Any, **_: Any) -> None:
        """Begin to gather; a run that goes on inside the task loads its state afterwards."""
        self.begin(trained_weights(strategy.model))

    def before_backward(self, strategy: Any, **_: Any) -> None:
        """Leave the loss as it is until the task's own gradient is known."""

    def after_backward(self, strategy: Any, **_: Any) -> None:
        """Note gradient and weights, then add the penalty to loss and gradient."""
        self._before, self._gradients = trained_weights(strategy.model), trained_gradients(strategy.model)
        penalty = self.penalty(strategy.model)
        if penalty is not None:
            penalty.backward()  # type: ignore[no-untyped-call]
            add_loss(strategy, self.term, penalty.detach())

    @torch.no_grad()
    def after_training_iteration(self, strategy: Any, **_: Any) -> None:
        """Gather what this step did, after other parts may have changed it."""
        self.gather(strategy.model, self._gradients, _falls(strategy.model, self._before, self._gradients))
        self._before, self._gradients = {}, {}

    def begin(self, weights: Tensors) -> None:
        """Start a task at these weights."""
        raise NotImplementedError

    def gather(self, network: nn.Module, gradients: Tensors, falls: Tensors) -> None:
        """Take one step into account.

        Args:
            network: after the step.
            gradients: of the loss before the step, by name.
            falls: how much the loss fell by moving each weight, to first order.
        """
        raise NotImplementedError


def _falls(network: nn.Module, before: Tensors, gradients: Tensors) -> Tensors:
    """``-gradient * step`` by name; all weights in a few multi-tensor operations."""
    now = dict(network.named_parameters())
    steps = torch._foreach_sub([before[name] for name in before], [now[name].detach() for name in before])
    products = torch._foreach_mul(steps, list(gradients.values()))
    return dict(zip(before, products, strict=True))


def add_in_place(totals: Tensors, values: Tensors) -> None:
    """``totals += values`` for tensors of the same names, in one multi-tensor operation."""
    torch._foreach_add_(list(totals.values()), [values[name] for name in totals])
