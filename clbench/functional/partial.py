"""Partial labels: losses on masks in which only some classes are annotated and all others look like background."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

Criterion = Callable[[Any, Tensor], Tensor | Mapping[str, Tensor]]


def marginal_logits(logits: Tensor, annotated: Sequence[int]) -> Tensor:
    """Logits of the question that a partly annotated mask answers: background or other, or one of ``annotated``.

    The softmax of the result is the softmax of ``logits`` with the probabilities of the background and of all classes
    that are not annotated added up.

    Args:
        logits: (B, K, *S), channel 0 the background; computed in float32 or wider whatever the autocast state.
        annotated: classes in [1, K), each once.

    Returns:
        (B, 1 + A, *S): background or other, then the annotated classes in the order given.

    Raises:
        ValueError: a class that the logits do not have, or one named twice.

    Source: Cermelli et al. 2020, arXiv 2002.00718, equation 5; Shi et al. 2021, arXiv 2007.03868 (marginal loss).
    """
    classes = logits.shape[1]
    if len(set(annotated)) < len(annotated) or not all(1 <= label < classes for label in annotated):
        raise ValueError(f"annotated classes {tuple(annotated)} do not fit logits of {classes} channels")
    others = [channel for channel in range(classes) if channel not in annotated]
    with torch.autocast(logits.device.type, enabled=False):
        wide = logits.to(torch.promote_types(logits.dtype, torch.float32))
        return torch.cat([wide[:, others].logsumexp(1, keepdim=True), wide[:, list(annotated)]], dim=1)


def marginal_target(target: Tensor, annotated: Sequence[int]) -> Tensor:
    """Channels of ``marginal_logits`` that a mask names: (B, *S) integer labels -> the same shape, 0 for all others."""
    result = torch.zeros_like(target)
    for channel, label in enumerate(annotated, start=1):
        result[target == label] = channel
    return result


def marginal_loss(criterion: Criterion, output: Any, target: Tensor, annotated: Sequence[int]) -> Any:
    """A segmentation loss on a batch whose masks have different labels annotated.

    Samples with the same annotated labels are scored together on their marginal logits; the groups are averaged by
    their size. Where every mask has every label annotated this is the criterion itself.

    Args:
        criterion: ``(output, target)`` -> a scalar, or scalars by name.
        output: logits (B, K, *S), or a list of them from full to coarse resolution.
        target: (B, *S) int64.
        annotated: for each sample a number whose bit k says that label k is annotated; bits from K on are ignored.

    Returns:
        What the criterion returns.

    Raises:
        ValueError: not one number per sample, or a sample with nothing annotated.
    """
    levels = [output] if isinstance(output, Tensor) else list(output)
    complete = 2 ** levels[0].shape[1] - 2
    kinds = [bits & complete for bits in annotated]
    if len(kinds) != len(target) or not all(kinds):
        raise ValueError(f"{len(kinds)} sets of annotated labels for {len(target)} samples, or an empty one")
    if set(kinds) == {complete}:
        return criterion(output, target)
    total: Any = None
    for kind in sorted(set(kinds)):
        chosen = torch.tensor([place for place, own in enumerate(kinds) if own == kind], device=target.device)
        labels = [label for label in range(1, kind.bit_length()) if kind >> label & 1]
        reduced = [marginal_logits(level[chosen], labels) for level in levels]
        value = criterion(
            reduced[0] if isinstance(output, Tensor) else reduced, marginal_target(target[chosen], labels)
        )
        total = _added(total, value, len(chosen) / len(target))
    return total


def _added(total: Any, value: Any, share: float) -> Any:
    """``total + share * value``, for scalars or scalars by name; None is an empty total."""
    if isinstance(value, Mapping):
        return {name: _added(None if total is None else total[name], term, share) for name, term in value.items()}
    return share * value if total is None else total + share * value
