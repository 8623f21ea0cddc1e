"""SegReg: feature maps of the U-Net pulled towards an isotropic Gaussian while it learns to segment."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor

from clbench.errors import InputError
from clbench.functional.sampling import sample_embeddings
from clbench.functional.sigreg import normalize_embeddings, sigreg, unit_directions
from clbench.networks.taps import FeatureTap, tap
from clbench.seeding import torch_generator
from clbench.strategies.plugin import StrategyPlugin, add_loss, task_index


class SegReg(StrategyPlugin):
    """SIGReg on feature maps: voxel embeddings are pulled to an isotropic Gaussian while the network learns to segment.

    **This is a reading of the paper.** It names a regularizer on U-Net feature maps; which one, on which level and with
    which weight is not public. clbench reads it as SIGReg, the statistic its authors' figure and argument point to, on
    the last decoder level, the input of the linear segmentation head. A result of ``segreg`` is a result of this
    reading.

    Args:
        weight: factor of the statistic.
        taps: feature levels: ``last``, ``encoder_k``, ``bottleneck``, ``decoder_k``, counted from the finest; with
            ``_linear`` behind the name before the activation, where a Gaussian is possible at all.
        slices: random directions per step.
        voxels: embeddings drawn per step and tap.
        normalization: what is done to the embeddings before the statistic: nothing; each channel to mean 0 and variance
            1; channels whose root mean square exceeds 2 are seen at 2.
        seed: of the sampled voxels and directions.

    Equation: L_t(θ) + weight · mean over taps of S(Z), where Z (N, D) are the embeddings of ``voxels`` voxels drawn
        from the batch, a_m random unit directions drawn anew at every step, and S(Z) = mean over m of
        ∫ |φ_m(t) − exp(−t²/2)|² exp(−t²/2) dt over t from −3 to 3, with φ_m the empirical characteristic function of
        Z a_m (17 nodes on [0, 3], trapezoid).

    Source: Vaish et al. 2026, arXiv 2602.23509 (SegReg); Balestriero and LeCun 2025, arXiv 2511.08544 (SIGReg).
    Differs from the source in: the reading above; the statistic is divided by N, so that the weight does not depend on
        the number of voxels; ``squash``, since the plain statistic does not pull back embeddings that are far out (see
        the design decisions).
    Note: known values of S are 0.402 for collapsed embeddings, about 1.05 / N for standard normal ones, 0.151 at half
        and 0.236 at twice that scale. It acts from the first task on.
    Memory: none between tasks, no extra weights; during a step a copy of each map tapped with ``_linear``.
    Time: about 8 % of a step.
    """

    def __init__(
        self,
        weight: Annotated[float, Field(ge=0)] = 0.1,
        taps: str = "last_linear",
        slices: Annotated[int, Field(ge=1)] = 256,
        voxels: Annotated[int, Field(ge=2)] = 1024,
        normalization: Literal["none", "standardize", "squash"] = "squash",
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.weight, self.slices, self.voxels = weight, slices, voxels
        self.taps = tuple(name.strip() for name in taps.split(","))
        if len(set(self.taps)) < len(self.taps):
            raise InputError(f"segreg.taps={taps} names a level twice; name each once")
        self.normalization, self.seed = normalization, seed
        self._tap: FeatureTap | None = None

    def check(self, network: Any) -> None:
        """Refuse feature levels that the network does not have."""
        tap(network, self.taps).remove()

    def before_training_exp(self, strategy: Any, **_: Any) -> None:
        """Listen to the feature levels during this task."""
        self._tap = tap(strategy.model, self.taps)

    def before_backward(self, strategy: Any, **_: Any) -> None:
        """Add the statistic of this step's features."""
        assert self._tap is not None
        generator = torch_generator(self.seed, "segreg", task_index(strategy), strategy.clock.train_exp_iterations)
        values = [self._statistic(self._tap.features[name], generator) for name in self.taps]
        add_loss(strategy, "segreg", self.weight * torch.stack(values).mean())

    def after_training_exp(self, strategy: Any, **_: Any) -> None:
        """Stop listening."""
        assert self._tap is not None
        self._tap.remove()
        self._tap = None

    def _statistic(self, features: Tensor, generator: torch.Generator) -> Tensor:
        embeddings = sample_embeddings(features, self.voxels, generator).float()
        directions = unit_directions(embeddings.shape[1], self.slices, generator).to(embeddings.device)
        return sigreg(normalize_embeddings(embeddings, self.normalization), directions)
