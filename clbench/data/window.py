"""Windows: a box of voxels out of a volume or slice, straight or turned and zoomed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Scalar = TypeVar("Scalar", bound=np.generic)
Box = tuple[Any, ...]  # an index: an ellipsis for the leading axes, then slices


def read_window(volume: NDArray[Scalar], corner: Sequence[int], size: Sequence[int]) -> NDArray[Scalar]:
    """The box of ``size`` voxels at ``corner``, zero where it sticks out.

    Args:
        volume: (..., *S), as many spatial axes as ``corner`` has values.
        corner: lowest index per axis, may be negative.
        size: voxels per axis.

    Returns:
        (..., *size); a view of the volume when the box lies inside it.
    """
    spatial = volume.shape[-len(corner) :]
    lower = [max(start, 0) for start in corner]
    ends = [min(start + count, limit) for start, count, limit in zip(corner, size, spatial, strict=True)]
    upper = [max(low, end) for low, end in zip(lower, ends, strict=True)]
    inside: Box = (..., *(slice(low, high) for low, high in zip(lower, upper, strict=True)))
    found: NDArray[Scalar] = volume[inside]
    if found.shape[-len(corner) :] == tuple(size):
        return found
    padded = np.zeros((*volume.shape[: -len(corner)], *size), dtype=volume.dtype)
    place: Box = (
        ...,
        *(slice(low - start, high - start) for start, low, high in zip(corner, lower, upper, strict=True)),
    )
    padded[place] = found
    return padded


def warp_image(
    image: NDArray[Any], corner: Sequence[int], size: Sequence[int], matrix: NDArray[np.float64]
) -> NDArray[np.float32]:
    """The box around the same center, seen through a matrix, interpolated linearly.

    Args:
        image: (C, *S), zero outside.
        corner: lowest index per axis of the box before warping.
        size: voxels per axis.
        matrix: (d, d); voxel o from the center of the result shows ``matrix @ o`` from the center of the box.

    Returns:
        (C, *size) float32.
    """
    region, offset = _region(image.shape[1:], corner, size, matrix)
    return np.stack([_warp(channel[region].astype(np.float32), matrix, offset, size) for channel in image])


def warp_mask(
    mask: NDArray[np.uint8],
    corner: Sequence[int],
    size: Sequence[int],
    matrix: NDArray[np.float64],
    labels: Iterable[int],
) -> NDArray[np.uint8]:
    """As ``warp_image`` for a mask (*S): each label linearly, then the most likely one, background on a tie.

    Args:
        mask: uint8.
        corner: as for the image.
        size: as for the image.
        matrix: as for the image.
        labels: the label values to keep; others count as background.

    Returns:
        (*size) uint8.
    """
    region, offset = _region(mask.shape, corner, size, matrix)
    values = np.ascontiguousarray(mask[region])
    found = np.zeros(tuple(size), dtype=np.uint8)
    present = [(label, member) for label in labels if (member := values == label).any()]
    weights = [(label, _warp(member.astype(np.float32), matrix, offset, size)) for label, member in present]
    if not weights:
        return found
    best = 1.0 - np.sum([weight for _, weight in weights], axis=0)
    for label, weight in weights:
        found[weight > best] = label
        np.maximum(best, weight, out=best)
    return found


def _region(
    shape: Sequence[int], corner: Sequence[int], size: Sequence[int], matrix: NDArray[np.float64]
) -> tuple[tuple[slice, ...], NDArray[np.float64]]:
    """The part of the volume that can show up in the result, and where the result's first voxel lies in it."""
    half = (np.array(size) - 1) / 2
    center, reach = np.array(corner) + half, np.abs(matrix) @ half
    lower = np.clip(np.floor(center - reach).astype(int), 0, np.array(shape) - 1)
    upper = np.clip(np.ceil(center + reach).astype(int) + 1, lower + 1, shape)
    return tuple(slice(low, high) for low, high in zip(lower, upper, strict=True)), center - lower - matrix @ half


def _warp(
    values: NDArray[np.float32], matrix: NDArray[np.float64], offset: NDArray[np.float64], size: Sequence[int]
) -> NDArray[np.float32]:
    result: NDArray[np.float32] = ndimage.affine_transform(
        values, matrix, offset, tuple(size), order=1, mode="grid-constant", cval=0.0, prefilter=False
    )
    return result
