"""Single: a fresh network for each task."""

from __future__ import annotations

from typing import Any

from clbench.strategies.plugin import StrategyPlugin


class Single(StrategyPlugin):
    """Train each task alone, from the initial weights: the S[j] of the metrics.

    The initial weights are those every strategy of the same seed starts from.
    """

    def before_training_exp(self, strategy: Any, **_: Any) -> None:
        """Put the initial weights back."""
        strategy.reset_network()
