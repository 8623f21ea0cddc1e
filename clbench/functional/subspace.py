"""Subspace: the directions that a layer's inputs take, and changes of its weights that do not meet them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor


def input_windows(
    x: Tensor, kernel: Sequence[int], stride: Sequence[int], padding: Sequence[int], places: Tensor
) -> Tensor:
    """What a convolution sees at some places: columns that its weights, flattened, are multiplied with.

    Args:
        x: (C, *S), the input of one sample.
        kernel: voxels per axis.
        stride: per axis.
        padding: zeros on either side, per axis.
        places: (N,) int64, output voxels counted in the order of memory (the last axis fastest).

    Returns:
        (C * prod(kernel), N), in the order in which ``weight.flatten(1)`` has them.
    """
    padded = F.pad(x, [amount for axis in reversed(padding) for amount in (axis, axis)])
    sizes = [(size - width) // step + 1 for size, width, step in zip(padded.shape[1:], kernel, stride, strict=True)]
    corners = torch.unravel_index(places.to(x.device), tuple(sizes))
    axes: list[Tensor] = []
    for axis, (corner, step, width) in enumerate(zip(corners, stride, kernel, strict=True)):
        shape = [1] * len(kernel)
        shape[axis] = width
        offsets = torch.arange(width, device=x.device).view(1, *shape)
        axes.append(corner.view(-1, *[1] * len(kernel)) * step + offsets)
    windows = torch.stack([channel[tuple(axes)] for channel in padded])  # (C, N, *kernel)
    return windows.movedim(1, -1).flatten(0, -2)


def output_voxels(size: Sequence[int], kernel: Sequence[int], stride: Sequence[int], padding: Sequence[int]) -> int:
    """Voxels that a convolution makes of an input (*size)."""
    count = 1
    for voxels, width, step, edge in zip(size, kernel, stride, padding, strict=True):
        count *= (voxels + 2 * edge - width) // step + 1
    return count


def extend_basis(basis: Tensor, columns: Tensor, threshold: float) -> Tensor:
    """Add directions to an orthonormal basis until it holds a share of the energy of some columns.

    Args:
        basis: (D, R), orthonormal columns; R may be 0.
        columns: (D, N), floating point.
        threshold: share of ``sum(columns ** 2)`` that must lie within the basis, in [0, 1].

    Returns:
        (D, R'), orthonormal, float32, R <= R' <= D; its first R columns are those of ``basis``.

    Raises:
        ValueError: shapes that do not match, or a threshold out of range.

    Source: Saha et al. 2021, arXiv 2103.09762, equations 5, 8 and 9.
    """
    if basis.ndim != 2 or columns.ndim != 2 or basis.shape[0] != columns.shape[0] or not 0 <= threshold <= 1:
        raise ValueError(f"basis {tuple(basis.shape)}, columns {tuple(columns.shape)} and threshold {threshold:g}")
    old, wide = basis.double(), columns.double()
    rest = wide - old @ (old.T @ wide)
    total = wide.square().sum()
    directions, singular, _ = torch.linalg.svd(rest, full_matrices=False)
    energy = singular.square().cumsum(0) + total - rest.square().sum()
    # Rounding must not ask for directions that hold nothing.
    needed = int((energy < threshold * total * (1 - 1e-9)).sum()) + 1
    if total == 0 or total - rest.square().sum() >= threshold * total * (1 - 1e-9):
        needed = 0
    room = basis.shape[0] - basis.shape[1]
    return torch.cat([basis.float(), directions[:, : min(needed, room)].float()], dim=1)


def project_out(rows: Tensor, basis: Tensor) -> Tensor:
    """Rows without their part in a subspace: ``W - W M M'``.

    Args:
        rows: (N, D).
        basis: (D, R), orthonormal columns.

    Returns:
        (N, D), dtype of ``rows``; its products with all vectors in the span of the basis are 0.

    Source: Saha et al. 2021, arXiv 2103.09762, equation 7.
    """
    return rows - (rows @ basis) @ basis.T
