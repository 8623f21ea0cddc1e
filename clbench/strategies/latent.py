"""Base of the latent regularizers: a statistic of voxel embeddings, drawn from feature maps at every step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from clbench.errors import InputError
from clbench.functional.sampling import draw_embeddings
from clbench.functional.sigreg import normalize_embeddings, sigreg, unit_directions
from clbench.functional.spectrum import effective_rank
from clbench.seeding import torch_generator
from clbench.strategies.plugin import add_loss, log_values, task_index
from clbench.strategies.tapping import TappingPlugin

LOGGED_SLICES = 64


class LatentRegularizer(TappingPlugin):
    """Adds ``weight`` times the mean over feature levels of a statistic of voxel embeddings.

    The embeddings are drawn inside the forward pass, so that no feature map is copied, by the seed of (run, task,
    step) alone, and the statistic is computed in float32 whatever the autocast state.

    Args:
        name: of the strategy.
        weight: factor of the statistic.
        taps: feature levels, comma-separated.
        voxels: embeddings drawn per step and level.
        seed: of the run.
    """

    warmup: float = 0.0
    log: bool = False

    def __init__(self, name: str, weight: float, taps: str, voxels: int, seed: int) -> None:
        super().__init__(name, seed)
        self.weight, self.voxels = weight, voxels
        self.taps = tuple(level.strip() for level in taps.split(","))
        if len(set(self.taps)) < len(self.taps):
            raise InputError(f"{name}.taps={taps} names a level twice; name each once")

    def statistic(self, embeddings: Tensor, generator: torch.Generator) -> Tensor:
        """What to make small, of (N, D) float32 embeddings: a scalar."""
        raise NotImplementedError

    def levels(self, network: Any) -> Sequence[str]:
        """As given."""
        return self.taps

    def read(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Embeddings of voxels drawn over batch and space."""
        through, embeddings = draw_embeddings(features, self.voxels, self._generator)
        return through, embeddings.float()

    def before_backward(self, strategy: Any, **_: Any) -> None:
        """Add the statistic of this step's embeddings."""
        values = [self.statistic(self.features[level], self._generator) for level in self.taps]
        add_loss(strategy, self.name, self.weight * self._warmth(strategy) * torch.stack(values).mean())
        if self.log:
            self._log(strategy)

    def _warmth(self, strategy: Any) -> float:
        """Share of the weight that counts at this step: grows linearly over the first part of each task."""
        if not self.warmup:
            return 1.0
        steps = getattr(strategy, "steps", None) or len(strategy.dataloader)
        return min(1.0, (int(strategy.clock.train_exp_iterations) + 1) / (self.warmup * int(steps)))

    @torch.no_grad()
    def _log(self, strategy: Any) -> None:
        """Statistics of the embeddings as they are, for ``train.csv``."""
        step = strategy.clock.train_exp_iterations
        for level in self.taps:
            found, generator = self.features[level], torch_generator(self.seed, "log", task_index(strategy), step)
            directions = unit_directions(found.shape[1], LOGGED_SLICES, generator).to(found.device)
            statistics = {
                "norm": found.norm(dim=1).mean(),
                "rank": effective_rank(found),
                "normality": sigreg(normalize_embeddings(found, "standardize"), directions),
            }
            log_values(strategy, {f"{self.name}.{level}.{key}": value for key, value in statistics.items()})
