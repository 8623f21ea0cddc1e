"""Losses for masks in which old classes look like background: unbiased, and from a teacher's pseudo-labels."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from monai.losses import DiceLoss
from torch import Tensor

from clbench.functional.losses import averaged_over_levels, resized, wide

IGNORED = 255
"""Label of a voxel that no loss looks at."""


def unbiased_dice_ce(logits: Tensor | Sequence[Tensor], target: Tensor, known: int) -> dict[str, Tensor]:
    """Soft Dice and cross-entropy for masks in which the first ``known`` classes are background.

    A background voxel costs ``-log`` of what is given to the background or any old class; a voxel of a new class costs
    ``-log`` of what is given to that class. The Dice term has the new classes alone: an old class has no masks that it
    could overlap with. A voxel that does carry an old label, such as one of a replayed case, costs what it always
    costs in the cross-entropy, and counts as background of the new classes in the Dice term.

    Args:
        logits: (B, K, *S), K > known; or such tensors from full resolution to coarse. Computed in float32 or wider
            whatever the autocast state.
        target: (B, *S) int64, values in [0, K).
        known: background and old classes, at least 1; with 1 the loss is that of ``dice_ce``.

    Returns:
        Scalars ``dice`` in [0, 1] and ``ce`` >= 0.

    Source: Cermelli et al. 2020, arXiv 2002.00718, equations 5 and 6.
    Differs from the source in: the Dice term, which the source does not have.
    """
    outputs = [logits] if isinstance(logits, Tensor) else list(logits)
    return averaged_over_levels([_unbiased_terms(output, target, known) for output in outputs])


def _unbiased_terms(logits: Tensor, target: Tensor, known: int) -> dict[str, Tensor]:
    with torch.autocast(logits.device.type, enabled=False):
        chances = wide(logits).log_softmax(1)
        labels = resized(target, chances.shape[2:])
        hidden = chances[:, :known].logsumexp(1, keepdim=True)
        merged = torch.cat([hidden, chances[:, known:]], 1)  # logits and log-probabilities at once
        new = torch.where(labels >= known, labels - known + 1, 0)
        dice = DiceLoss(include_background=False, to_onehot_y=True, softmax=True, batch=True)
        ce = F.nll_loss(torch.cat([hidden, chances[:, 1:]], 1), labels)
        return {"dice": dice(merged, new[:, None]), "ce": ce}


def dice_ce_where_labelled(logits: Tensor | Sequence[Tensor], target: Tensor, factor: Tensor) -> dict[str, Tensor]:
    """Soft Dice and cross-entropy over the voxels that have a label.

    The cross-entropy is the mean over all voxels, with 0 for those without a label, times a factor per sample; Dice
    sums over the labelled voxels of the batch.

    Args:
        logits: (B, K, *S), K >= 2; or such tensors from full resolution to coarse. Computed in float32 or wider
            whatever the autocast state.
        target: (B, *S) int64, values in [0, K), or ``IGNORED``.
        factor: (B,), >= 0.

    Returns:
        Scalars ``dice`` in [0, 1] and ``ce`` >= 0; those of ``dice_ce`` with all voxels labelled and factors 1.
    """
    outputs = [logits] if isinstance(logits, Tensor) else list(logits)
    return averaged_over_levels([_labelled_terms(output, target, factor) for output in outputs])


def _labelled_terms(logits: Tensor, target: Tensor, factor: Tensor) -> dict[str, Tensor]:
    with torch.autocast(logits.device.type, enabled=False):
        scores = wide(logits)
        labels = resized(target, scores.shape[2:])
        seen = labels != IGNORED
        costs = F.cross_entropy(scores, labels, ignore_index=IGNORED, reduction="none").flatten(1).mean(1)
        masks = F.one_hot(torch.where(seen, labels, 0), scores.shape[1]).movedim(-1, 1).to(scores.dtype)
        mask = seen[:, None].to(scores.dtype)
        dice = DiceLoss(include_background=False, batch=True)
        return {"dice": dice(scores.softmax(1) * mask, masks * mask), "ce": (factor * costs).mean()}


def pseudo_labels(target: Tensor, teacher: Tensor, thresholds: Tensor) -> tuple[Tensor, Tensor]:
    """The mask with its background filled in by a teacher where the teacher is sure.

    A background voxel gets the teacher's class (background included) where the entropy of the teacher's prediction is
    below that class's threshold, and no label otherwise.

    Args:
        target: (B, *S) int64, with new classes annotated and all else background (0).
        teacher: logits (B, K_old, *S) of the old network.
        thresholds: (K_old,), of the entropy divided by log K_old.

    Returns:
        Labels (B, *S) with ``IGNORED`` where the teacher is not sure, and the share of each sample's background voxels
        that have a label, (B,); 1 for a sample without background.

    Source: Douillard et al. 2021, arXiv 2011.11390, equations 6 to 8.
    """
    entropy, chosen = prediction_entropy(teacher)
    background = target == 0
    sure = entropy < thresholds[chosen]
    labels = torch.where(background, torch.where(sure, chosen, IGNORED), target)
    total, kept = background.flatten(1).sum(1), (background & sure).flatten(1).sum(1)
    return labels, torch.where(total > 0, kept / total.clamp(min=1), 1.0)


def class_medians(values: Tensor, classes: Tensor, count: int) -> Tensor:
    """Median (the lower one of two) of the values of each class; 0 for a class without any.

    Args:
        values: (N,).
        classes: (N,) int64, in [0, count).
        count: number of classes.

    Returns:
        (count,), dtype of ``values``.
    """
    groups = [values[classes == number] for number in range(count)]
    return torch.stack([group.median() if len(group) else values.new_zeros(()) for group in groups])


def prediction_entropy(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Entropy of each voxel's prediction divided by log K, in [0, 1], and the class predicted; (B, *S) each.

    Args:
        logits: (B, K, *S), K >= 2; computed in float32 or wider.
    """
    with torch.autocast(logits.device.type, enabled=False):
        chances = wide(logits).log_softmax(1)
        entropy = -(chances.exp() * chances).sum(1) / torch.log(torch.tensor(float(logits.shape[1])))
    return entropy, chances.argmax(1)
