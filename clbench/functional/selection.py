"""Selection: which candidates stay in a memory of fixed size, decided by one random key per candidate."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def smallest(keys: Tensor, count: int) -> Tensor:
    """Positions of the ``count`` smallest keys, in increasing order of position.

    With keys drawn uniformly this is a reservoir: keeping the smallest of those kept and those that came since gives
    the smallest of all, so that every candidate seen so far is kept with the same chance.

    Args:
        keys: (N,); among equal keys the earlier position wins.
        count: at least 0; everything when there are no more.

    Returns:
        (min(N, count),) int64.

    Raises:
        ValueError: keys with several axes, or a negative count.

    Source: Vitter 1985, doi 10.1145/3147.3165 (reservoir sampling); in this form Efraimidis and Spirakis 2006,
        doi 10.1016/j.ipl.2005.11.003, with equal weights.
    """
    if keys.ndim != 1 or count < 0:
        raise ValueError(f"keys (N,) of shape {tuple(keys.shape)}, of which {count}")
    return torch.argsort(keys, stable=True)[:count].sort().values


def quotas(count: int, sizes: Sequence[int]) -> list[int]:
    """How many each group gets of ``count`` places, as equal as its size allows; the earlier groups get the rest.

    Args:
        count: places, at least 0.
        sizes: candidates in each group.

    Returns:
        A number in [0, size] for each group; their sum is min(count, sum of the sizes).
    """
    shares = [0] * len(sizes)
    while (left := count - sum(shares)) > 0:
        open_groups = [group for group, size in enumerate(sizes) if shares[group] < size]
        if not open_groups:
            break
        each, rest = divmod(left, len(open_groups))
        for place, group in enumerate(open_groups):
            shares[group] = min(sizes[group], shares[group] + each + (place < rest))
    return shares
