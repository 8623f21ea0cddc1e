"""Single: a fresh network for each task."""

from __future__ import annotations

from typing import Any

from clbench.strategies.plugin import StrategyPlugin


class Single(StrategyPlugin):
    """A fresh network for each task, from the initial weights that every strategy of this seed starts from.

    Gives the S[j] of the metrics: what a task alone can give.

    Equation: θ_t = argmin L_t(θ), started at θ_0.

    Source: the reference of forward transfer and of intransigence, see the protocol.
    Memory: none.
    Time: that of ``naive``.
    """

    def before_training_exp(self, strategy: Any, **_: Any) -> None:
        """Put the initial weights back."""
        strategy.reset_network()
