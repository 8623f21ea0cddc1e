"""Dice + cross-entropy: nnU-Net's segmentation loss, with deep supervision."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
import torch.nn.functional as F
from monai.losses import DiceLoss
from torch import Tensor


def dice_ce(logits: Tensor | Sequence[Tensor], target: Tensor, *, batch_dice: bool = True) -> dict[str, Tensor]:
    """Soft Dice loss over the foreground classes, and cross-entropy over all voxels, as separate terms.

    Dice of a class is ``(2 sum p g + s) / (sum p + sum g + s)`` with s = 1e-5; its term is one minus the mean over
    classes. A class that the head knows but the target lacks counts like any other. With several resolutions, each
    gets half the weight of the finer one; the weights sum to 1.

    Args:
        logits: (B, K, *S), K >= 2, channel 0 the background; or such tensors from full resolution to coarse. Computed
            in float32 or wider whatever the autocast state.
        target: (B, *S) int64, values in [0, K).
        batch_dice: sum over the batch before the ratio is taken; False takes it per sample.

    Returns:
        Scalars ``dice`` in [0, 1] and ``ce`` >= 0; the loss is their sum.

    Raises:
        ValueError: the shapes do not match, or there is no foreground class.

    Source: Isensee et al. 2021, doi 10.1038/s41592-020-01008-z; Dice: Drozdzal et al. 2016, arXiv 1608.04117.
    Differs from the source in: one is added to the Dice term, so that it is not negative; nnU-Net switches
        ``batch_dice`` off for its 3-D full-resolution network.
    """
    outputs = [logits] if isinstance(logits, Tensor) else list(logits)
    return averaged_over_levels([_terms(output, target, batch_dice) for output in outputs])


def averaged_over_levels(terms: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Terms of several resolutions as one: each resolution has half the weight of the finer one before it.

    Args:
        terms: name -> scalar per resolution, finest first.
    """
    factors = [0.5**level for level in range(len(terms))]
    total: dict[str, Tensor] = {}
    for factor, level in zip(factors, terms, strict=True):
        for name, value in level.items():
            share = value * (factor / sum(factors))
            total[name] = total[name] + share if name in total else share
    return total


def wide(values: Tensor) -> Tensor:
    """In float32, or wider where the values are."""
    return values.to(torch.promote_types(values.dtype, torch.float32))


def _terms(logits: Tensor, target: Tensor, batch_dice: bool) -> dict[str, Tensor]:
    fits = logits.ndim == target.ndim + 1 and logits.shape[0] == target.shape[0] and logits.shape[1] >= 2
    if not fits:
        raise ValueError(
            f"logits (B, K >= 2, *S) and target (B, *S) do not match: {tuple(logits.shape)}, {tuple(target.shape)}"
        )
    with torch.autocast(logits.device.type, enabled=False):
        scores = wide(logits)
        labels = resized(target, scores.shape[2:])
        dice = DiceLoss(include_background=False, to_onehot_y=True, softmax=True, batch=batch_dice)
        return {"dice": dice(scores, labels[:, None]), "ce": F.cross_entropy(scores, labels)}


def resized(target: Tensor, shape: torch.Size) -> Tensor:
    """A target (B, *S) on a coarser grid: the label nearest to each new voxel's center."""
    if target.shape[1:] == shape:
        return target
    coarse = F.interpolate(target[:, None].float(), size=tuple(shape), mode="nearest-exact")
    return coarse[:, 0].to(target.dtype)
