"""CriterionSwap: another segmentation loss while a task is learned."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

Terms = Mapping[str, Tensor]


class CriterionSwap:
    """Puts a loss of named terms in the place of a strategy's, and the strategy's back afterwards.

    In clbench's strategy the terms are logged by name; a plain Avalanche strategy gets their sum.
    """

    def __init__(self) -> None:
        self._usual: Callable[[Any, Tensor], Any] | None = None

    def put(self, strategy: Any, loss: Callable[[Any, Tensor], Terms]) -> None:
        """Use ``loss(output, target)`` from now on."""
        if self._usual is None:
            self._usual = strategy._criterion
        named = hasattr(strategy, "loss_terms")
        strategy._criterion = loss if named else lambda output, target: sum(loss(output, target).values())

    def undo(self, strategy: Any) -> None:
        """Use the strategy's own loss again."""
        if self._usual is not None:
            strategy._criterion, self._usual = self._usual, None

    def usual(self, output: Any, target: Tensor) -> Terms:
        """The terms of the strategy's own loss; one of them, named ``loss``, where it is a plain number."""
        assert self._usual is not None
        value = self._usual(output, target)
        return {"loss": value} if isinstance(value, Tensor) else value
