"""Quadratic penalty: what it costs to leave earlier weights."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor


def quadratic_penalty(
    parameters: Mapping[str, Tensor], anchors: Mapping[str, Tensor], importances: Mapping[str, Tensor] | None = None
) -> Tensor:
    """Half the importance-weighted squared distance of weights to their anchors.

    ``1/2 * sum_k importance_k * (theta_k - anchor_k)^2``, in float32 or wider whatever the autocast state.

    Args:
        parameters: weights by name; may hold more names than the anchors, and more rows (first axis) where a head has
            grown: new rows are free.
        anchors: earlier weights by name; no gradient flows through them.
        importances: >= 0, by the anchors' names and shapes; None for 1 everywhere.

    Returns:
        Scalar, >= 0.

    Raises:
        ValueError: a name without its counterpart, shapes that differ in more than added rows, or no anchor at all.

    Source: Kirkpatrick et al. 2017, arXiv 1612.00796, equation 3 with lambda = 1.
    """
    if not anchors:
        raise ValueError("there are no anchors")
    terms = [
        _term(name, _entry(parameters, name), anchor, None if importances is None else _entry(importances, name))
        for name, anchor in anchors.items()
    ]
    return 0.5 * torch.stack(terms).sum()


def _entry(tensors: Mapping[str, Tensor], name: str) -> Tensor:
    if name not in tensors:
        raise ValueError(f"'{name}' has an anchor, but no weight or importance")
    return tensors[name]


def _term(name: str, parameter: Tensor, anchor: Tensor, importance: Tensor | None) -> Tensor:
    old = parameter if parameter.shape == anchor.shape else parameter[: len(anchor)]
    shapes = [tuple(tensor.shape) for tensor in (parameter, anchor, anchor if importance is None else importance)]
    if old.shape != anchor.shape or shapes[1] != shapes[2]:
        raise ValueError(f"'{name}': weight, anchor and importance do not match: {shapes}")
    wide = torch.promote_types(parameter.dtype, torch.float32)
    with torch.autocast(parameter.device.type, enabled=False):
        square = (old.to(wide) - anchor.detach().to(wide)).square()
        return (square if importance is None else square * importance.detach().to(wide)).sum()
