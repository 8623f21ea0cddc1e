"""Quadratic penalty: what it costs to leave earlier weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

Tensors = Mapping[str, Tensor]


def quadratic_penalty(parameters: Tensors, anchors: Tensors, importances: Tensors | None = None) -> Tensor:
    """Half the importance-weighted squared distance of weights to their anchors.

    ``1/2 * sum_k importance_k * (theta_k - anchor_k)^2``, in float32 or wider whatever the autocast state. All weights
    go through a handful of multi-tensor operations, since one of these per weight would cost more than the arithmetic.

    Args:
        parameters: weights by name; may hold more names than the anchors, and more rows (first axis) where a head has
            grown: new rows are free.
        anchors: earlier weights by name; no gradient flows through them.
        importances: >= 0, by the anchors' names and shapes; None for 1 everywhere.

    Returns:
        Scalar, >= 0; differentiable once.

    Raises:
        ValueError: a name without its counterpart, shapes that differ in more than added rows, or no anchor at all.

    Source: Kirkpatrick et al. 2017, arXiv 1612.00796, equation 3 with lambda = 1.
    """
    if not anchors:
        raise ValueError("there are no anchors")
    names = list(anchors)
    weights = [_rows(name, _entry(parameters, name), anchors[name]) for name in names]
    factors = None if importances is None else [_entry(importances, name) for name in names]
    for name, anchor, factor in zip(names, anchors.values(), factors or (), strict=False):
        if anchor.shape != factor.shape:
            raise ValueError(f"'{name}': anchor and importance do not match: {_shapes(anchor, factor)}")
    with torch.autocast(weights[0].device.type, enabled=False):
        wide = [weight.to(torch.promote_types(weight.dtype, torch.float32)) for weight in weights]
        fixed = [anchor.detach().to(weight.dtype) for anchor, weight in zip(anchors.values(), wide, strict=True)]
        scale = [value.detach().to(like.dtype) for value, like in zip(factors or (), wide, strict=False)]
        value: Tensor = _HalfSquares.apply(fixed, scale, *wide)
    return value


@dataclass(frozen=True)
class Quadratic:
    """A quadratic of the weights, ``1/2 * sum_k importance_k * (theta_k - anchor_k)^2 + floor``.

    Attributes:
        anchors: where it is least, by name.
        importances: >= 0, by the same names and shapes.
        floor: its least value, scalar, >= 0; float64.
    """

    anchors: dict[str, Tensor]
    importances: dict[str, Tensor]
    floor: Tensor

    def __call__(self, parameters: Tensors) -> Tensor:
        """The value at some weights; see ``quadratic_penalty``."""
        value = quadratic_penalty(parameters, self.anchors, self.importances)
        return value + self.floor.to(value.dtype)


def quadratic(anchors: Tensors, importances: Tensors) -> Quadratic:
    """The quadratic that is 0 at the anchors; names sorted, as checkpoints give them back: sums have one order."""
    some = next(iter(anchors.values()))
    floor = torch.zeros((), dtype=torch.float64, device=some.device)
    return Quadratic(dict(sorted(anchors.items())), dict(sorted(importances.items())), floor)


def merge_quadratics(old: Quadratic, new: Quadratic) -> Quadratic:
    """The sum of two quadratics, which is one again: any number of them costs what one costs.

    With importances F and G and anchors a and b, ``F (x - a)^2 + G (x - b)^2 = (F + G) (x - m)^2 + F G / (F + G)
    (a - b)^2``, where m is the mean of a and b with weights F and G.

    Args:
        old: may lack rows (first axis) that a head has grown since.
        new: has every name of ``old``.

    Returns:
        Their sum, with the shapes of ``new``.
    """
    anchors, importances, floor = dict(new.anchors), dict(new.importances), old.floor + new.floor
    for name, anchor in old.anchors.items():
        rows = len(anchor)
        total = new.importances[name].clone()
        total[:rows] += old.importances[name]
        share = torch.where(total[:rows] > 0, old.importances[name] / total[:rows], 0)
        step = anchor - new.anchors[name][:rows]
        merged = new.anchors[name].clone()
        merged[:rows] += share * step
        anchors[name], importances[name] = merged, total
        floor = floor + 0.5 * (share * new.importances[name][:rows] * step.square()).double().sum()
    return Quadratic(anchors, importances, floor)


class _HalfSquares(torch.autograd.Function):
    """``1/2 * sum importance * (weight - anchor)^2`` over lists of tensors; gradient ``importance * distance``."""

    @staticmethod
    def forward(ctx: Any, anchors: list[Tensor], importances: list[Tensor], *weights: Tensor) -> Tensor:
        """Scalar of the weights' dtype; no importances mean 1 everywhere."""
        distances = torch._foreach_sub(weights, anchors)
        slopes = torch._foreach_mul(distances, importances) if importances else distances
        ctx.slopes = slopes
        terms = torch._foreach_norm(torch._foreach_mul(slopes, distances), ord=1)  # no term is negative
        return 0.5 * torch.stack([*terms]).sum()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """One gradient per weight."""
        return (None, None, *torch._foreach_mul(ctx.slopes, gradient))


def _entry(tensors: Tensors, name: str) -> Tensor:
    if name not in tensors:
        raise ValueError(f"'{name}' has an anchor, but no weight or importance")
    return tensors[name]


def _rows(name: str, parameter: Tensor, anchor: Tensor) -> Tensor:
    """The rows of a weight that have an anchor."""
    old = parameter if parameter.shape == anchor.shape else parameter[: len(anchor)]
    if old.shape != anchor.shape:
        raise ValueError(f"'{name}': weight and anchor do not match: {_shapes(parameter, anchor)}")
    return old


def _shapes(*tensors: Tensor) -> Sequence[tuple[int, ...]]:
    return [tuple(tensor.shape) for tensor in tensors]
