"""Cumulative: each stage trains on the cases of all tasks so far."""

from __future__ import annotations

from typing import Any

from clbench.strategies.plugin import StrategyPlugin


class Cumulative(StrategyPlugin):
    """Train each stage on the union of all tasks seen so far, continuing from the current weights.

    Every stage has the budget of one task, so that the cost per stage is that of ``naive``. Old images are kept in
    full; ``cost.json`` says so as a replayed fraction of 1.
    """

    replayed_fraction = 1.0

    def after_train_dataset_adaptation(self, strategy: Any, **_: Any) -> None:
        """Swap the patches of the current task for patches of all tasks so far."""
        strategy.patches = strategy.experience.patches_so_far()
