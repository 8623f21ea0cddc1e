"""Sinkhorn: the entropic optimal-transport plan between equal masses, in the log domain."""

from __future__ import annotations

from math import log

import torch
from torch import Tensor

CHECKED_EVERY = 10


def sinkhorn(scores: Tensor, *, eps: float = 0.1, iterations: int = 100, tolerance: float = 1e-6) -> Tensor:
    """The plan T that maximizes ``<T, scores> + eps H(T)`` with all rows, and all columns, of equal mass.

    Rows and columns of ``exp(scores / eps)`` are scaled in turn until the rows' masses are right; the columns' are by
    construction. The gradient is that of the iterations made.

    Args:
        scores: (*, n, p), floating point; computed in float32 or wider whatever the autocast state.
        eps: entropic regularization, > 0.
        iterations: most of them, at least 1.
        tolerance: largest error of a row's mass at which to stop early, looked at every tenth iteration.

    Returns:
        (*, n, p), >= 0, each row of mass p / n, each column of mass 1.

    Raises:
        ValueError: not a matrix.

    Source: Cuturi 2013, arXiv 1306.0895; log domain: Peyre and Cuturi 2019, arXiv 1803.00567, section 4.4.
    """
    if scores.ndim < 2:
        raise ValueError(f"scores (*, n, p) needed, not {tuple(scores.shape)}")
    with torch.autocast(scores.device.type, enabled=False):
        kernel = scores.to(torch.promote_types(scores.dtype, torch.float32)) / eps
        mass = kernel.shape[-1] / kernel.shape[-2]
        columns = torch.zeros_like(kernel[..., :1, :])
        for done in range(1, iterations + 1):
            rows = log(mass) - torch.logsumexp(kernel + columns, -1, keepdim=True)
            columns = -torch.logsumexp(kernel + rows, -2, keepdim=True)
            if done % CHECKED_EVERY == 0 and _largest_error(kernel + rows + columns, mass) <= tolerance:
                break
        return (kernel + rows + columns).exp()


@torch.no_grad()
def _largest_error(log_plan: Tensor, mass: float) -> float:
    return float((log_plan.exp().sum(-1) - mass).abs().max())
