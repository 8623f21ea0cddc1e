"""The segmentation loss written out as its formulas say, to hold strategies against."""

import torch


def soft_dice(chances, masks):
    """One minus the mean over classes of the soft Dice of (B, C, *S) and (B, C, *S), summed over batch and space."""
    axes = (0, *range(2, chances.ndim))
    overlap, sizes = (chances * masks).sum(axes), (chances + masks).sum(axes)
    return 1 - ((2 * overlap + 1e-5) / (sizes + 1e-5)).mean()


def one_hot(labels, values):
    """(B, *S) -> (B, C, *S): where each of the values is."""
    return torch.stack([labels == value for value in values], dim=1).double()


def dice_plus_ce(chances, labels):
    """The loss of voxel-wise probabilities (B, K, *S) whose channels are the labels (B, *S)."""
    masks = one_hot(labels, range(chances.shape[1]))
    return soft_dice(chances[:, 1:], masks[:, 1:]) - (masks * chances.log()).sum(1).mean()
