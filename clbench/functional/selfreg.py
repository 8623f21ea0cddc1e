"""Self-regularization of feature maps: semantic consistency across levels, feature distillation within one."""

from __future__ import annotations

from math import prod

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clbench.functional.sampling import sent


def semantic_consistency(features: Tensor, last: Tensor, generator: torch.Generator) -> Tensor:
    """Mean squared difference between channels of a level and channels of the last one (SCR).

    Both maps are averaged to the coarser of their grids; ``m = min(C, C_last)`` channels are drawn without replacement
    on each side, independently. No gradient flows into ``last``.

    Args:
        features: (B, C, *S), floating point; computed in float32 or wider whatever the autocast state.
        last: (B, C_last, *S_last), output of the last decoder block.
        generator: on the CPU; alone decides which channels are drawn.

    Returns:
        Scalar, >= 0.

    Raises:
        ValueError: batch or number of axes differ.

    Source: Zhu et al. 2024, arXiv 2406.14896, section 3.1 and the authors' code.
    """
    if features.ndim != last.ndim or len(features) != len(last):
        raise ValueError(f"feature maps do not match: {tuple(features.shape)}, {tuple(last.shape)}")
    with torch.autocast(features.device.type, enabled=False):
        sides = [_wide(features), _wide(last.detach())]
        grid = [min(sizes) for sizes in zip(features.shape[2:], last.shape[2:], strict=True)]
        count = min(features.shape[1], last.shape[1])
        drawn = [torch.randperm(side.shape[1], generator=generator)[:count] for side in sides]
        chosen = [
            average_pooled(side[:, sent(channels, side.device)], grid)
            for side, channels in zip(sides, drawn, strict=True)
        ]
        return F.mse_loss(chosen[0], chosen[1])


def feature_distillation(features: Tensor, *, stop_gradient: bool = False) -> Tensor:
    """Mean squared difference between the strongest half of a level's channels and the others (IFD).

    A channel's score is the mean over batch and space of its values divided by their norm over space. Channels are
    sorted by it, highest first, and the c-th of the first half is compared with the c-th of the second.

    Args:
        features: (B, C, *S), C >= 2, floating point; computed in float32 or wider whatever the autocast state. With an
            odd C the channel in the middle is left out.
        stop_gradient: no gradient into the first half, as the paper's text has it; the authors' code lets it flow.

    Returns:
        Scalar, >= 0.

    Raises:
        ValueError: fewer than two channels.

    Source: Zhu et al. 2024, arXiv 2406.14896, section 3.2 and the authors' code.
    """
    half = features.shape[1] // 2
    if not half:
        raise ValueError(f"two channels needed, not features of shape {tuple(features.shape)}")
    with torch.autocast(features.device.type, enabled=False):
        wide = _wide(features)
        with torch.no_grad():
            order = F.normalize(wide.flatten(2), dim=2).mean((0, 2)).argsort(descending=True, stable=True)
        first, second = wide[:, order[:half]], wide[:, order[-half:]]
        return F.mse_loss(second, first.detach() if stop_gradient else first)


def average_pooled(features: Tensor, grid: list[int]) -> Tensor:
    """Adaptive average pooling of (B, C, *S) to a grid, by plain means where the grid divides S.

    So its gradient has one order of sums on a GPU too, where that of torch's pooling has none.
    """
    size = features.shape[2:]
    if any(voxels % wanted for voxels, wanted in zip(size, grid, strict=True)):
        pool = nn.AdaptiveAvgPool2d if len(grid) == 2 else nn.AdaptiveAvgPool3d
        pooled: Tensor = pool(tuple(grid))(features)
        return pooled
    factors = [voxels // wanted for voxels, wanted in zip(size, grid, strict=True)]
    if prod(factors) == 1:
        return features
    blocks = [part for pair in zip(grid, factors, strict=True) for part in pair]
    inside = tuple(range(3, 3 + 2 * len(grid), 2))
    return features.reshape(*features.shape[:2], *blocks).mean(inside)


def _wide(features: Tensor) -> Tensor:
    return features.to(torch.promote_types(features.dtype, torch.float32))
