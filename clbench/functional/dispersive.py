"""Dispersive loss: a contrastive loss without positive pairs, that pushes embeddings apart."""

from __future__ import annotations

from math import log
from typing import Literal

import torch
from torch import Tensor

Variant = Literal["original", "med-disseg"]
FLOOR = 1e-8


def dispersive(embeddings: Tensor, *, tau: float = 0.5, variant: Variant = "original") -> Tensor:
    """How close the embeddings are to each other.

    - ``original``: ``log mean_{i,j} exp(-|z_i - z_j|^2 / (D tau))`` over all ordered pairs, the diagonal included; in
      [-log N, 0].
    - ``med-disseg``: ``log(mean_{i != j} exp(-|z_i - z_j| / tau) + 1e-8)``, as that paper's code computes it; in
      [log 1e-8, 0]. The gradient halves once pairs are -tau log 1e-8 = 18.4 tau apart and is gone by about 25 tau.

    Args:
        embeddings: (N, D), N >= 2, floating point; computed in float32 or wider whatever the autocast state.
        tau: temperature, > 0.
        variant: as above.

    Returns:
        Scalar; 0 for collapsed embeddings, where the gradient is 0 by symmetry.

    Raises:
        ValueError: not a matrix of two embeddings or more, or an unknown variant.

    Source: Wang and He 2025, arXiv 2506.09027 (original); Med-DisSeg 2026, arXiv 2605.14579 (variant).
    """
    if embeddings.ndim != 2 or len(embeddings) < 2:
        raise ValueError(f"embeddings (N >= 2, D) needed, not {tuple(embeddings.shape)}")
    count, dim = embeddings.shape
    with torch.autocast(embeddings.device.type, enabled=False):
        squares = _squared_distances(embeddings.to(torch.promote_types(embeddings.dtype, torch.float32)))
        if variant == "original":
            return torch.logsumexp(squares.flatten() / (-dim * tau), 0) - 2.0 * log(count)
        if variant == "med-disseg":
            tiny = torch.finfo(squares.dtype).eps ** 2  # the root has no gradient at 0
            close = (squares.clamp(min=tiny).sqrt() / -tau).exp()
            return (_without_diagonal(close).sum() / (count * (count - 1)) + FLOOR).log()
    raise ValueError(f"unknown variant {variant!r}")


def _squared_distances(points: Tensor) -> Tensor:
    """(N, N), of (N, D) points; centered first, since the sums of squares below lose what is far from the origin."""
    centered = points - points.mean(0)
    squares = centered.square().sum(1)
    found = squares[:, None] + squares - 2.0 * (centered @ centered.T)
    return _without_diagonal(found).clamp(min=0.0)


def _without_diagonal(matrix: Tensor) -> Tensor:
    return matrix.masked_fill(torch.eye(len(matrix), dtype=torch.bool, device=matrix.device), 0.0)
