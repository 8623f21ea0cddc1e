"""Vector quantization: embeddings replaced by the nearest of a few codes, with a gradient straight through."""

from __future__ import annotations

import torch
from torch import Tensor


def nearest_codes(embeddings: Tensor, codes: Tensor) -> Tensor:
    """Which code is nearest to each embedding.

    Args:
        embeddings: (N, D), float32 or wider.
        codes: (K, D), of the same dtype.

    Returns:
        (N,) int64 below K; the first of equally near ones.
    """
    center = codes.mean(0)  # squares of distances lose what is far from the origin
    points, around = embeddings - center, codes - center
    return (around.square().sum(1) - 2.0 * (points @ around.T)).argmin(1)


def straight_through(embeddings: Tensor, quantized: Tensor) -> Tensor:
    """The quantized values, with the gradient handed on to the embeddings as if nothing had been done to them.

    Source: van den Oord et al. 2017, arXiv 1711.00937, section 3.2.
    """
    return embeddings + (quantized - embeddings).detach()


def perplexity(counts: Tensor) -> Tensor:
    """How many codes are in use: the exponential of the entropy of their shares, from 1 to K.

    Args:
        counts: (K,), >= 0, not all of them 0.
    """
    shares = counts / counts.sum()
    entropy: Tensor = -torch.special.xlogy(shares, shares).sum()
    return entropy.exp()
