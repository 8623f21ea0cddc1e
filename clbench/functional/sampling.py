"""Voxel embeddings drawn from a feature map."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


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
    return draw_embeddings(features, count, generator)[1]


def draw_embeddings(features: Tensor, count: int, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """``sample_embeddings`` in the middle of a network, whose next layer goes on with the first tensor returned.

    The gradient of the embeddings is added to the few voxels that were drawn. Plain indexing would make a map of zeros
    for it and add that to the gradient of the whole map, which costs more than the statistic of the embeddings does.

    Returns:
        The features, values and memory unchanged, and the embeddings (N, C).

    Raises:
        ValueError: no axis of space, or ``count`` below 1.
    """
    if features.ndim < 3 or count < 1:
        raise ValueError(f"cannot draw {count} embeddings from features (B, C, *S) of shape {tuple(features.shape)}")
    batch, space = len(features), features.shape[2:]
    drawn = _distinct(batch * space.numel(), count, generator)
    item, *coordinates = torch.unravel_index(drawn, (batch, *space))
    places = [sent(index, features.device) for index in (item, *coordinates)]
    through, embeddings = _Draw.apply(features, *places)
    # For a view that is overwritten in place, as an activation does, autograd brings the gradient to the layout of the
    # map. Else that of a 1 x 1 convolution, channels-last on a processor, meets a contiguous map in slow strided loops.
    # The output of an instance norm, untapped, is such a view too.
    return through.view_as(through) if through.requires_grad else through, embeddings


class _Draw(torch.autograd.Function):
    """(B, C, *S) features, and those at N places (sample, coordinates ...), which are distinct: (N, C)."""

    @staticmethod
    def forward(ctx: Any, features: Tensor, item: Tensor, *coordinates: Tensor) -> tuple[Tensor, Tensor]:
        ctx.save_for_backward(item, *coordinates)
        # Not a view for autograd, which would not let the network overwrite it in place.
        place: Any = (item, slice(None), *coordinates)
        return features.data, features[place]

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *outputs: Tensor) -> tuple[Tensor | None, ...]:
        item, *coordinates = ctx.saved_tensors
        gradient = outputs[0].clone()
        place: Any = (item, slice(None), *coordinates)
        gradient[place] += outputs[1]
        return gradient, None, *(None for _ in coordinates)


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
