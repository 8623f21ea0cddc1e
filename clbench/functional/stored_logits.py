"""Stored logits: how far the network has moved from what it said of a patch before."""

from __future__ import annotations

import torch
from torch import Tensor


def stored_logits_error(logits: Tensor, stored: Tensor, channels: Tensor) -> Tensor:
    """Mean squared difference of logits to earlier ones, over the channels that there were then, voxels and samples.

    Args:
        logits: (B, K, *S), floating point; computed in float32 or wider whatever the autocast state.
        stored: (B, K', *S) with K' <= K; no gradient flows through it.
        channels: (B,) int64, in [1, K']: how many of a sample's stored channels are its own.

    Returns:
        Scalar, >= 0; every stored channel of every sample counts alike.

    Raises:
        ValueError: shapes that do not match.

    Source: Buzzega et al. 2020, arXiv 2004.07211, equation 5.
    Differs from the source in: mean over voxels and channels; channels that a head has grown since are free.
    """
    known = _known(logits, stored, channels)
    with torch.autocast(logits.device.type, enabled=False):
        wide = torch.promote_types(logits.dtype, torch.float32)
        square = (logits[:, : stored.shape[1]].to(wide) - stored.detach().to(wide)).square()
        means: Tensor = square.flatten(2).mean(2)[known].mean()
        return means


def stored_predictions_distance(logits: Tensor, stored: Tensor, channels: Tensor) -> Tensor:
    """Distance of predictions to earlier ones, over the channels that there were then.

    Mean over samples and voxels of ``||softmax(logits) - softmax(stored)||``.

    Args:
        logits: (B, K, *S), floating point; computed in float32 or wider whatever the autocast state.
        stored: (B, K', *S) with K' <= K; no gradient flows through it.
        channels: (B,) int64, in [1, K']: how many of a sample's stored channels are its own.

    Returns:
        Scalar in [0, sqrt(2)]; its gradient is finite, also where both agree.

    Raises:
        ValueError: shapes that do not match.

    Source: Benjamin et al. 2019, arXiv 1805.08289, equation 2 and section 3.2.
    Differs from the source in: mean over voxels; channels that a head has grown since are free.
    """
    hidden = ~_known(logits, stored, channels)
    hidden = hidden.reshape(*hidden.shape, *[1] * (logits.ndim - 2))
    with torch.autocast(logits.device.type, enabled=False):
        wide = torch.promote_types(logits.dtype, torch.float32)
        now = logits[:, : stored.shape[1]].to(wide).masked_fill(hidden, -torch.inf).softmax(1)
        then = stored.detach().to(wide).masked_fill(hidden, -torch.inf).softmax(1)
        distance: Tensor = torch.linalg.vector_norm(now - then, dim=1).mean()
        return distance


def _known(logits: Tensor, stored: Tensor, channels: Tensor) -> Tensor:
    """Which stored channels are a sample's own, (B, K')."""
    fits = logits.shape[0] == stored.shape[0] == len(channels) and logits.shape[2:] == stored.shape[2:]
    if not fits or stored.shape[1] > logits.shape[1]:
        raise ValueError(
            f"logits {tuple(logits.shape)}, stored {tuple(stored.shape)} and channels {tuple(channels.shape)} differ"
        )
    return torch.arange(stored.shape[1], device=channels.device) < channels[:, None]
