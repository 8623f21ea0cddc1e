"""Base of the strategies that look at feature maps of the network while it trains."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from clbench.networks.taps import FeatureTap, tap
from clbench.seeding import torch_generator
from clbench.strategies.plugin import StrategyPlugin, task_index


class TappingPlugin(StrategyPlugin):
    """Keeps feature maps, or what is read of them, from the forward pass of each training step.

    Only that pass counts: those that other plugins make, and those of copies of the network, are not listened to.
    Between tasks nothing is kept.

    Args:
        name: of the strategy, in the seeds of its random numbers and in ``train.csv``.
        seed: of the run.
    """

    def __init__(self, name: str, seed: int) -> None:
        super().__init__()
        self.name, self.seed = name, seed
        self._tap: FeatureTap | None = None
        self._generator = torch.Generator()
        self._listening = False

    def levels(self, network: Any) -> Sequence[str]:
        """The feature levels to listen to in a network.

        Raises:
            InputError: the network does not have what the strategy needs.
        """
        raise NotImplementedError

    def read(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """What the network goes on with, and what to keep of (B, C, *S) features; may draw from ``self._generator``."""
        return features, features

    @property
    def features(self) -> dict[str, Tensor]:
        """Level -> what ``read`` kept of it in this step's forward pass."""
        assert self._tap is not None
        return self._tap.features

    def check(self, network: Any) -> None:
        """Refuse feature levels that the network does not have."""
        tap(network, self.levels(network)).remove()

    def before_training_exp(self, strategy: Any, **_: Any) -> None:
        """Listen to the feature levels during this task."""
        self._tap = tap(strategy.model, self.levels(strategy.model), self._read)

    def before_forward(self, strategy: Any, **_: Any) -> None:
        """Random numbers of this step, and ears open."""
        self._generator = torch_generator(
            self.seed, self.name, task_index(strategy), strategy.clock.train_exp_iterations
        )
        self._listening = True

    def after_forward(self, strategy: Any, **_: Any) -> None:
        """Ears shut: what follows is not the training step's own pass."""
        self._listening = False

    def after_training_exp(self, strategy: Any, **_: Any) -> None:
        """Stop listening."""
        assert self._tap is not None
        self._tap.remove()
        self._tap = None

    @torch.compiler.disable  # type: ignore[untyped-decorator]
    def _read(self, features: Tensor) -> tuple[Tensor, Tensor] | None:
        return self.read(features) if self._listening else None
