"""Voxel embeddings drawn from a feature map."""

from __future__ import annotations

import torch
from torch import Tensor


def sample_embeddings(features: Tensor, count: int, generator: torch.Generator) -> Tensor:
    """Feature vectors at voxels drawn uniformly without replacement over batch and space.

    Args:
        features: (B, C, *S).
        count: how many; all voxels, in random order, when there are no more.
        generator: on the CPU; alone decides which voxels are drawn, so that every device draws the same.

    Returns:
        (N, C), N = min(count, B * voxels), dtype of ``features``; gradients flow to the drawn voxels only.

    Raises:
        ValueError: no axis of space, or ``count`` below 1.
    """
    if features.ndim < 3 or count < 1:
        raise ValueError(f"cannot draw {count} embeddings from features (B, C, *S) of shape {tuple(features.shape)}")
    flat = features.flatten(2)  # (B, C, V)
    batch, _, voxels = flat.shape
    drawn = sent(_distinct(batch * voxels, count, generator), features.device)
    embeddings: Tensor = flat[drawn // voxels, :, drawn % voxels]
    return embeddings


def sent(drawn: Tensor, device: torch.device) -> Tensor:
    """What was drawn on the processor, on a device; a GPU is not waited for."""
    return drawn.pin_memory().to(device, non_blocking=True) if device.type == "cuda" else drawn.to(device)


def _distinct(total: int, count: int, generator: torch.Generator) -> Tensor:
    """Distinct numbers below ``total`` in random order; a permutation of millions to use a thousand is too slow."""
    if total > 8 * count:
        found: Tensor = torch.unique(torch.randint(total, (2 * count,), generator=generator))
        if len(found) >= count:
            found = found[torch.randperm(len(found), generator=generator)]
            return found[:count]
    return torch.randperm(total, generator=generator)[:count]
