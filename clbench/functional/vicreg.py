"""VICReg: embeddings that vary in every channel and whose channels are not correlated."""

from __future__ import annotations

import torch
from torch import Tensor

SMALLEST_VARIANCE = 1e-4


def vicreg_terms(embeddings: Tensor) -> tuple[Tensor, Tensor]:
    """The variance and the covariance term.

    ``v = mean_j max(0, 1 - sqrt(Var_j + 1e-4))`` and ``c = 1/D sum_{i != j} C_ij^2``, both with the (N - 1) covariance.

    Args:
        embeddings: (N, D), N >= 2, floating point; computed in float32 or wider whatever the autocast state.

    Returns:
        Scalars (v, c): v in [0, 0.99], 0.99 for collapsed embeddings; c >= 0. Where all embeddings are exactly equal,
        the gradient is 0 by symmetry.

    Raises:
        ValueError: not a matrix of two embeddings or more.

    Source: Bardes et al. 2022, arXiv 2105.04906, equations 1 and 3.
    Differs from the source in: without the invariance term, which needs two views of an image.
    """
    if embeddings.ndim != 2 or len(embeddings) < 2:
        raise ValueError(f"embeddings (N >= 2, D) needed, not {tuple(embeddings.shape)}")
    wide = embeddings.to(torch.promote_types(embeddings.dtype, torch.float32))
    with torch.autocast(embeddings.device.type, enabled=False):
        centered = wide - wide.mean(0)
        covariance = centered.T @ centered / (len(wide) - 1)
        deviations = (covariance.diagonal() + SMALLEST_VARIANCE).sqrt()
        others = covariance - torch.diag(covariance.diagonal())
        return (1.0 - deviations).relu().mean(), others.square().sum() / wide.shape[1]
