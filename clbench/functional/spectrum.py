"""Effective rank: how many directions the embeddings really use."""

from __future__ import annotations

import torch
from torch import Tensor


def effective_rank(embeddings: Tensor) -> Tensor:
    """Exponential of the entropy of the covariance's normalized eigenvalues.

    Args:
        embeddings: (N, D), N >= 2, floating point; computed in float32 or wider.

    Returns:
        Scalar: D when the variance is the same along all directions, 1 when all lie on a line, 0 when all are equal.

    Source: Roy and Vetterli 2007, "The effective rank: a measure of effective dimensionality".
    Differs from the source in: eigenvalues of the covariance instead of singular values of the matrix.
    """
    wide = embeddings.to(torch.promote_types(embeddings.dtype, torch.float32))
    with torch.autocast(embeddings.device.type, enabled=False):
        centered = wide - wide.mean(0)
        spread = torch.linalg.eigvalsh(centered.T @ centered).clamp(min=0.0)
    total = spread.sum()
    share = spread / total.clamp(min=torch.finfo(wide.dtype).tiny)
    entropy = -torch.special.xlogy(share, share).sum()
    return torch.where(total > 0, entropy.exp(), total)
