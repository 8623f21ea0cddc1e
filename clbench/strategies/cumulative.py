"""Cumulative: each stage trains on the cases of all tasks so far."""

from __future__ import annotations

from typing import Any

from clbench.strategies.plugin import StrategyPlugin


class Cumulative(StrategyPlugin):
    """Each stage goes on from the current weights and trains on all tasks so far. Upper reference that keeps the order.

    Equation: θ_t = argmin L_{1..t}(θ), started at θ_{t−1}.

    Source: the strategy of that name in Avalanche.
    Differs from the source in: every stage has the steps of one task, so that a stage costs what it costs ``naive``;
        Avalanche's makes as many steps as there are data.
    Memory: all images so far (``replayed_fraction`` 1 in ``cost.json``).
    Time: that of ``naive``.
    """

    replayed_fraction = 1.0

    def after_train_dataset_adaptation(self, strategy: Any, **_: Any) -> None:
        """Swap the patches of the current task for patches of all tasks so far."""
        strategy.patches = strategy.experience.patches_so_far()
