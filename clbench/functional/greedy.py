"""Greedy selection: a memory of samples whose gradients point in different directions."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor


def greedy_selection(
    members: Sequence[int],
    scores: Sequence[float],
    stream: Sequence[int],
    *,
    capacity: int,
    gradient: Callable[[int], Tensor],
    compare: int,
    rng: np.random.Generator,
) -> tuple[list[int], list[float]]:
    """Run a stream of samples past a memory that prefers those unlike what it holds.

    The score of a sample is one plus its largest cosine with the gradients of ``compare`` random members, in [0, 2]; 1
    for the first. While there is room, samples enter. Then one with a score below 1, whose gradient points away from
    all it is compared with, may take the place of a member drawn in proportion to the members' scores: with the chance
    s_member / (s_member + s_sample).

    Args:
        members: samples held, by number.
        scores: of the members, from when they entered.
        stream: samples that come, in order.
        capacity: most samples held; members beyond it are dropped from the end.
        gradient: number -> gradient (P,) of the sample's loss.
        compare: members drawn for each sample that comes, at least 1.
        rng: decides everything that is drawn.

    Returns:
        The new members and their scores.

    Raises:
        ValueError: scores that do not belong to the members, or no room or comparison at all.

    Source: Aljundi et al. 2019, arXiv 1903.08671, algorithm 2 (GSS-Greedy).
    """
    if len(members) != len(scores) or capacity < 1 or compare < 1:
        raise ValueError(
            f"{len(members)} members, {len(scores)} scores, capacity {capacity}, {compare} to compare with"
        )
    held, kept = list(members)[:capacity], list(scores)[:capacity]
    for sample in stream:
        drawn = rng.permutation(len(held))[:compare]
        score = 1.0 + largest_cosine(gradient(sample), [gradient(held[place]) for place in drawn])
        if len(held) < capacity:
            held.append(sample)
            kept.append(score)
        elif score < 1.0 and sum(kept) > 0:
            place = int(rng.choice(len(kept), p=np.array(kept) / sum(kept)))
            if rng.random() < kept[place] / (kept[place] + score):
                held[place], kept[place] = sample, score
    return held, kept


def largest_cosine(vector: Tensor, others: Sequence[Tensor]) -> float:
    """The largest cosine of a vector (P,) with others (P,), in [-1, 1]; 0 when there are none or a length is 0."""
    cosines = [float(torch.nn.functional.cosine_similarity(vector, other, dim=0)) for other in others]
    return min(1.0, max(cosines, default=0.0))
