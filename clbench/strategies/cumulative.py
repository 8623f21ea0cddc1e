"""Cumulative: each stage trains on the cases of all tasks so far."""

from __future__ import annotations

from typing import Any

import torch

from clbench.strategies.memory import candidates, replayed_share
from clbench.strategies.plugin import StrategyPlugin


class Cumulative(StrategyPlugin):
    """Each stage goes on from the current weights and trains on all tasks so far. Upper reference that keeps the order.

    Equation: θ_t = argmin L_{1..t}(θ), started at θ_{t−1}.

    Source: the strategy of that name in Avalanche.
    Differs from the source in: every stage has the steps of one task, so that a stage costs what it costs ``naive``;
        Avalanche's makes as many steps as there are data.
    Memory: all images so far: ``replayed_fraction`` is 1 in ``cost.json``, and ``replayed_bytes`` are theirs.
    Time: that of ``naive``.
    """

    replayed_fraction = 1.0

    def after_train_dataset_adaptation(self, strategy: Any, **_: Any) -> None:
        """Swap the patches of the current task for patches of all tasks so far."""
        strategy.patches = strategy.experience.patches_so_far()

    def after_training_exp(self, strategy: Any, **_: Any) -> None:
        """Count what the next stage looks at again."""
        pools = strategy.experience.pools
        every = [candidates(pool, task, slices=False) for task, pool in enumerate(pools, start=1)]
        self.replayed_fraction, self.replayed_bytes = replayed_share(torch.cat(every), pools)
