"""Crop: the box of a volume that a case is made of, in RAS+ voxels whatever the order of the file's axes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clbench.data.geometry import ras_axes, reorder
from clbench.errors import InputError

Box = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
Boxed = tuple[NDArray[Any], NDArray[np.float64], tuple[float, float, float]]


def crop_ras(array: NDArray[Any], affine: NDArray[np.float64], spacing_mm: Sequence[float], box: Box) -> Boxed:
    """Bring a volume to RAS+ axis order and direction, then cut out a box.

    Args:
        array: (X, Y, Z) in the order of its file.
        affine: (4, 4), voxel indices to mm in RAS+.
        spacing_mm: voxel size along the array's axes.
        box: ``(start, stop)`` along x (to the right), y (anterior) and z (superior).

    Returns:
        The box as a new array, its affine, and the voxel size along its axes.

    Raises:
        InputError: the box reaches beyond the volume, or the affine is unusable.
    """
    axes, flipped = ras_axes(affine)
    turned = reorder(array, axes, flipped)
    if any(not 0 <= start < stop <= size for (start, stop), size in zip(box, turned.shape, strict=True)):
        needed = " x ".join(f"{start}:{stop}" for start, stop in box)
        raise InputError(
            f"has {turned.shape} voxels in RAS order, too few for the crop {needed}; take the file of the standard grid"
        )
    to_native = np.zeros((4, 4))  # voxel of the box -> voxel of the file
    to_native[3, 3] = 1.0
    for axis, (native, reverse) in enumerate(zip(axes, flipped, strict=True)):
        start = box[axis][0]
        to_native[native, axis] = -1.0 if reverse else 1.0
        to_native[native, 3] = array.shape[native] - 1 - start if reverse else start
    kept = np.ascontiguousarray(turned[tuple(slice(start, stop) for start, stop in box)])
    x, y, z = (float(spacing_mm[axis]) for axis in axes)
    return kept, affine @ to_native, (x, y, z)
