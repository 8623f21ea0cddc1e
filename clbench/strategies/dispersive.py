"""Dispersive: voxel embeddings of a feature map pushed apart while the network learns to segment."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from clbench.functional.dispersive import dispersive
from clbench.strategies.latent import LatentRegularizer


class Dispersive(LatentRegularizer):
    """Dispersive loss on voxel embeddings of feature maps: a contrastive loss without positive pairs.

    A batch of a few images gives almost no pairs, so the embeddings of drawn voxels are what is pushed apart.

    Args:
        weight: factor of the loss.
        taps: feature levels: ``last``, ``encoder_k``, ``bottleneck``, ``decoder_k``, counted from the finest; with
            ``_linear`` behind the name before the activation.
        voxels: embeddings drawn per step and tap.
        tau: temperature.
        variant: ``original`` with squared distances divided by the number of channels; ``med-disseg`` with plain
            distances, as in that paper's code, where the gradient halves once pairs are 18.4 tau apart and is gone by
            about 25 tau.
        seed: of the sampled voxels.

    Equation: L_t(θ) + weight · mean over taps of D(Z), with D(Z) = log mean_{i,j} exp(−|z_i − z_j|² / (D · tau)) over
        the ``voxels`` embeddings (N, D) drawn from the batch, in [−log N, 0]; for ``med-disseg``
        D(Z) = log(mean_{i≠j} exp(−|z_i − z_j| / tau) + 10⁻⁸).

    Source: Wang and He 2025, arXiv 2506.09027 (original); Med-DisSeg 2026, arXiv 2605.14579 (variant).
    Differs from the source in: voxels instead of whole images; on a U-Net instead of a diffusion transformer.
    Defaults: tau and weight are those of the papers (0.5 and 0.25); the bottleneck is the level nearest to theirs.
    Note: nothing but the saturation of the exponential keeps the features from growing.
    Memory: none, no extra weights.
    Time: a few percent of a step.
    """

    def __init__(
        self,
        weight: Annotated[float, Field(ge=0)] = 0.25,
        taps: str = "bottleneck",
        voxels: Annotated[int, Field(ge=2)] = 1024,
        tau: Annotated[float, Field(gt=0)] = 0.5,
        variant: Literal["original", "med-disseg"] = "original",
        seed: int = 0,
    ) -> None:
        super().__init__("dispersive", weight, taps, voxels, seed)
        self.tau, self.variant = tau, variant

    def statistic(self, embeddings: Tensor, generator: torch.Generator) -> Tensor:
        """The dispersive loss."""
        return dispersive(embeddings, tau=self.tau, variant=self.variant)
