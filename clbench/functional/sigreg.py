"""SIGReg: how far embeddings are from an isotropic standard normal distribution."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

Normalization = Literal["none", "standardize", "squash"]
LARGEST_RMS = 2.0
SMALLEST_VARIANCE = 1e-5


def sigreg(embeddings: Tensor, directions: Tensor, *, knots: int = 17, t_max: float = 3.0) -> Tensor:
    """Mean Epps-Pulley statistic of the embeddings along random directions, per sample.

    Each direction gives a one-dimensional sample whose empirical characteristic function is compared
    with that of N(0, 1); the squared difference is integrated over [-t_max, t_max] under a Gaussian window.

    Args:
        embeddings: (N, D), floating point; computed in float32 or wider whatever the autocast state.
        directions: (D, M), columns of unit length; no gradient flows through them.
        knots: quadrature nodes on [0, t_max], at least 2.
        t_max: upper end of the half line, > 0.

    Returns:
        Scalar, >= 0. Divided by N, so that its scale does not depend on the number of voxels sampled:
        about 1.05 / N for standard normal embeddings, 0.402 for those collapsed at 0, more for those collapsed
        elsewhere. Where all embeddings are exactly equal, all get the same gradient by symmetry.

    Raises:
        ValueError: if the shapes do not match.

    Source: Balestriero and LeCun 2025, arXiv 2511.08544.
    Differs from the source in: divided by N.
    """
    if embeddings.ndim != 2 or directions.ndim != 2 or embeddings.shape[1] != directions.shape[0]:
        shapes = f"{tuple(embeddings.shape)}, {tuple(directions.shape)}"
        raise ValueError(f"embeddings (N, D) and directions (D, M) do not match: {shapes}")
    wide = torch.promote_types(embeddings.dtype, torch.float32)
    with torch.autocast(embeddings.device.type, enabled=False):
        projected = embeddings.to(wide) @ directions.to(wide).detach()  # (N, M)
        statistic: Tensor = _EppsPulley.apply(projected, knots, t_max)
        return statistic


class _EppsPulley(torch.autograd.Function):
    """The integrated squared error of the characteristic functions of (N, M) samples, mean over M; once differentiable.

    The nodes are equally spaced, so that ``exp(i t_k u)`` is the k-th power of ``exp(i dt u)``: one sine and cosine per
    projection instead of one per node. A tenth of the time of the plain formula, and nothing of size (N, M, knots) is
    ever held.
    """

    @staticmethod
    def forward(ctx: Any, projected: Tensor, knots: int, t_max: float) -> Tensor:
        samples, slices = projected.shape
        step = t_max / (knots - 1)
        t = step * torch.arange(1, knots, dtype=projected.dtype, device=projected.device)[:, None]
        gaussian = torch.exp(-0.5 * t**2)  # at t = 0 both functions are 1
        weight = (2.0 * step / slices) * gaussian
        weight[-1] *= 0.5
        angles = step * projected
        turn = torch.complex(angles.cos(), angles.sin_())  # torch.polar is not vectorized on processors
        error = _power_means(turn, knots - 1) - gaussian  # (K, M)
        if ctx.needs_input_grad[0]:
            ctx.save_for_backward(-_power_series((2.0 / samples) * weight * t * error.conj(), turn).imag)
        return (weight * (error.real.square() + error.imag.square())).sum()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *outputs: Tensor) -> tuple[Tensor, None, None]:
        (gradient,) = ctx.saved_tensors
        return outputs[0] * gradient, None, None


def _power_means(turn: Tensor, powers: int) -> Tensor:
    """Means over the samples of ``turn^k``, k = 1 .. powers, for (N, M) turns: (powers, M)."""
    power = turn.clone()
    means = [power.mean(0)]
    for _ in range(1, powers):
        means.append(power.mul_(turn).mean(0))
    return torch.stack(means)


def _power_series(factors: Tensor, turn: Tensor) -> Tensor:
    """``sum_k factors_k * turn^k`` from k = 1 on, for (K, M) factors and (N, M) turns, by Horner's rule."""
    total = factors[-1] * turn
    for factor in factors[:-1].flip(0):
        total.add_(factor).mul_(turn)
    return total


def unit_directions(dim: int, count: int, generator: torch.Generator) -> Tensor:
    """Random directions, uniform on the sphere: (dim, count), columns of unit length."""
    return torch.nn.functional.normalize(torch.randn(dim, count, generator=generator), dim=0)


def normalize_embeddings(embeddings: Tensor, how: Normalization) -> Tensor:
    """Embeddings as the statistic should see them.

    - ``none``: as they are. The statistic only looks at frequencies up to ``t_max``, where embeddings far out look
      random: at ten times the unit scale hardly any of the gradient points back.
    - ``standardize``: each channel to mean 0 and variance 1 over the batch. Shape and correlations are regularized;
      scale and position are not, since the gradient is orthogonal to them.
    - ``squash``: each channel whose root mean square exceeds 2 is seen scaled down to 2, and gets the gradient it
      would have there (the factor is passed straight through, as in gradient clipping). Below 2, and so at the
      optimum, it is the plain statistic; above, the pull keeps the strength and direction it has at scale 2.

    Args:
        embeddings: (N, D), floating point.
        how: one of the above.

    Returns:
        (N, D), float32 or wider.

    Raises:
        ValueError: unknown ``how``.
    """
    wide = embeddings.to(torch.promote_types(embeddings.dtype, torch.float32))
    if how == "none":
        return wide
    if how == "standardize":
        variance, mean = torch.var_mean(wide, dim=0, correction=0)
        return (wide - mean) * torch.rsqrt(variance + SMALLEST_VARIANCE)
    if how == "squash":
        values = wide.detach()
        rms = values.square().mean(0).sqrt()
        shrunk = values * (LARGEST_RMS / rms.clamp(min=LARGEST_RMS))
        return wide + (shrunk - values)
    raise ValueError(f"unknown normalization {how!r}")
