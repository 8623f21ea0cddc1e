"""Topology: how often a U-Net pools each axis and with which kernels, by nnU-Net's rules."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import ceil, prod

from clbench.errors import InputError

SMALLEST_FEATURE_MAP = 4
SAME_SPACING_FACTOR = 2.0


@dataclass(frozen=True)
class Topology:
    """Kernels and strides per stage, finest first; the last stage is the bottleneck.

    Attributes:
        kernels: convolution kernel per stage and axis, 1 or 3.
        strides: stride of each stage's first convolution per axis, 1 or 2; the first stage has 1.
    """

    kernels: tuple[tuple[int, ...], ...]
    strides: tuple[tuple[int, ...], ...]

    @property
    def pools(self) -> int:
        """Number of poolings, that is encoder levels above the bottleneck."""
        return len(self.strides) - 1

    @property
    def divisor(self) -> tuple[int, ...]:
        """What an input's size along each axis must be a multiple of."""
        return tuple(prod(strides) for strides in zip(*self.strides, strict=True))


def unet_topology(patch_size: Sequence[int], spacing_mm: Sequence[float], max_pools: int | None = None) -> Topology:
    """The poolings and kernels of a U-Net for a patch.

    In each stage the axes whose spacing is within a factor of 2 of the finest poolable one are halved together, as
    long as feature maps keep 4 voxels. An axis has kernel 1 until its spacing is within a factor of 2 of the finest.

    Args:
        patch_size: voxels per axis, at least 8 along one of them.
        spacing_mm: spacing per axis; 0 for unknown, taken as 1.
        max_pools: most poolings of any axis, at least 1; None for no limit.

    Raises:
        InputError: the patch is too small to pool, or no multiple of what its poolings need.

    Source: Isensee et al. 2021, doi 10.1038/s41592-020-01008-z, supplement ("network topology"); nnU-Net v2.
    Differs from the source in: a patch size that its poolings do not divide is refused, not enlarged.
    """
    if len(patch_size) != len(spacing_mm):
        raise InputError(f"patch_size {tuple(patch_size)} and spacing_mm {tuple(spacing_mm)} differ in length")
    size, spacing = list(patch_size), [value or 1.0 for value in spacing_mm]
    pooled, kernel = [0] * len(size), [1] * len(size)
    kernels: list[tuple[int, ...]] = []
    strides = [(1,) * len(size)]
    while axes := _axes_to_pool(size, spacing, pooled, max_pools):
        kernel = _widened(kernel, spacing)
        kernels.append(tuple(kernel))
        strides.append(tuple(2 if axis in axes else 1 for axis in range(len(size))))
        for axis in axes:
            size[axis], spacing[axis], pooled[axis] = ceil(size[axis] / 2), spacing[axis] * 2, pooled[axis] + 1
    topology = Topology((*kernels, (3,) * len(size)), tuple(strides))
    _check(patch_size, topology)
    return topology


def _axes_to_pool(
    size: Sequence[int], spacing: Sequence[float], pooled: Sequence[int], max_pools: int | None
) -> list[int]:
    large = [axis for axis, voxels in enumerate(size) if voxels >= 2 * SMALLEST_FEATURE_MAP]
    finest = min((spacing[axis] for axis in large), default=1.0)
    axes = [axis for axis in large if spacing[axis] / finest < SAME_SPACING_FACTOR]
    axes = [axis for axis in axes if max_pools is None or pooled[axis] < max_pools]
    if len(axes) == 1 and size[axes[0]] < 3 * SMALLEST_FEATURE_MAP:
        return []  # not worth a stage of its own
    return axes


def _widened(kernel: Sequence[int], spacing: Sequence[float]) -> list[int]:
    """Kernel 3 along axes that are, or once were, within the factor of the finest spacing."""
    finest = min(spacing)
    return [3 if old == 3 or mm / finest < SAME_SPACING_FACTOR else 1 for old, mm in zip(kernel, spacing, strict=True)]


def _check(patch_size: Sequence[int], topology: Topology) -> None:
    if not topology.pools:
        raise InputError(f"patch_size {tuple(patch_size)} is too small for a U-Net; give at least 8 voxels per axis")
    pairs = list(zip(patch_size, topology.divisor, strict=True))
    if any(voxels % divisor for voxels, divisor in pairs):
        better = tuple(ceil(voxels / divisor) * divisor for voxels, divisor in pairs)
        raise InputError(f"patch_size {tuple(patch_size)} must be a multiple of {topology.divisor}; use {better}")
