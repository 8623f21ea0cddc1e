"""VectorQuantizer: a codebook that follows the features it replaces."""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clbench.functional.quantize import nearest_codes, perplexity, straight_through

DECAY = 0.95
DEAD_BELOW = 0.05
"""Use of a code, as a share of the mean use, below which it is given a new place."""


class Quantized(NamedTuple):
    """What the quantizer made of a feature map.

    Attributes:
        values: (B, D, *S), a code at every voxel; the gradient goes straight through to the features.
        commitment: mean squared distance of the features to their codes; its gradient pulls the features.
        perplexity: how many codes were in use, 1 to K.
    """

    values: Tensor
    commitment: Tensor
    perplexity: Tensor


class VectorQuantizer(nn.Module):
    """Each voxel's features replaced by the nearest code.

    Codes are running means of the features assigned to them, not weights that an optimizer moves. In training, a code
    whose running use falls below 5 % of the mean is moved to features of the current batch, at evenly spaced voxels;
    so is, at the first batch, every code used less than the mean, and the others become means of its features.
    Evaluation changes nothing. Computed in float32.

    Args:
        codes: K, at least 1.
        dim: D, channels.

    Source: van den Oord et al. 2017, arXiv 1711.00937, section 3 and appendix A.1 (running means).
    Differs from the source in: dead codes are revived.
    """

    codes: Tensor
    uses: Tensor
    sums: Tensor

    def __init__(self, codes: int, dim: int) -> None:
        super().__init__()
        self.register_buffer("codes", torch.zeros(codes, dim))
        self.register_buffer("uses", torch.zeros(codes))
        self.register_buffer("sums", torch.zeros(codes, dim))

    def forward(self, features: Tensor) -> Quantized:
        """(B, D, *S) -> Quantized; ``values`` in the dtype of the features."""
        with torch.autocast(features.device.type, enabled=False):
            flat = features.float().movedim(1, -1)
            points = flat.reshape(-1, flat.shape[-1])
            chosen = nearest_codes(points.detach(), self.codes)
            quantized = self.codes[chosen]
            one_hot = (chosen[:, None] == torch.arange(len(self.codes), device=chosen.device)).float()
            if self.training and torch.is_grad_enabled():
                self._follow(points.detach(), one_hot)
            values = straight_through(points, quantized).reshape(flat.shape).movedim(-1, 1)
            commitment = F.mse_loss(points, quantized)
        return Quantized(values.to(features.dtype), commitment, perplexity(one_hot.sum(0)))

    @torch.no_grad()
    def _follow(self, points: Tensor, one_hot: Tensor) -> None:
        """Move the codes to the running means of their features, and dead ones into the batch."""
        count, mean_use = len(points), len(points) / len(self.codes)
        self.uses.mul_(DECAY).add_(one_hot.sum(0), alpha=1 - DECAY)
        self.sums.mul_(DECAY).add_(one_hot.T @ points, alpha=1 - DECAY)
        dead = self.uses < DEAD_BELOW * mean_use
        places = torch.arange(len(self.codes), device=points.device) * count // len(self.codes)
        self.uses.copy_(torch.where(dead, mean_use, self.uses))
        self.sums.copy_(torch.where(dead[:, None], points[places] * mean_use, self.sums))
        self.codes.copy_(self.sums / self.uses[:, None])
