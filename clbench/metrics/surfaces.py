"""Surface distances: how far the borders of two masks are from each other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray

Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class SurfaceDistances:
    """What every distance metric is made of.

    Attributes:
        from_prediction: (P,) float64, mm: from each border voxel of the prediction to the nearest one of the truth.
        from_truth: (T,) float64, mm: from each border voxel of the truth to the nearest one of the prediction.
    """

    from_prediction: NDArray[np.float64]
    from_truth: NDArray[np.float64]

    @property
    def both(self) -> NDArray[np.float64]:
        """(P + T,) the distances of both directions."""
        return np.concatenate([self.from_prediction, self.from_truth])


def surface_distances(
    prediction: Mask, truth: Mask, spacing_mm: Sequence[float], missing_mm: float | None = None
) -> SurfaceDistances:
    """Distances between the centers of border voxels, in three dimensions.

    A border voxel is a voxel of the mask with one of its 6 face neighbors outside the mask; beyond the edge of the
    array everything is outside, so that a mask may be cropped to its bounding box first. Slices are not treated one
    by one, whatever the network: distances go through the volume, each axis in its own spacing.

    Args:
        prediction: (X, Y, Z) bool.
        truth: (X, Y, Z) bool.
        spacing_mm: voxel size along x, y, z, > 0.
        missing_mm: distance to the border of an empty mask; by default the diagonal of the array.

    Returns:
        The distances of both directions; none from an empty mask.

    Raises:
        ValueError: the shapes differ or do not have one axis for each spacing.

    Differs from the source in: MONAI and medpy (nnU-Net before version 2) define borders and distances so, too.
        DeepMind's surface-distance lays surface elements between voxel centers and weighs each with its area, so that
        its numbers differ by fractions of a voxel.
    """
    if prediction.shape != truth.shape or prediction.ndim != len(spacing_mm):
        raise ValueError(f"masks {prediction.shape} and {truth.shape} do not fit each other or spacing {spacing_mm}")
    far = diagonal_mm(truth.shape, spacing_mm) if missing_mm is None else missing_mm
    borders = border(prediction), border(truth)
    return SurfaceDistances(_nearest(*borders, spacing_mm, far), _nearest(*borders[::-1], spacing_mm, far))


def border(mask: Mask) -> Mask:
    """The voxels of a mask that have a face neighbor outside it: bool, the mask's shape."""
    padded = np.pad(mask, 1)
    inside = mask.copy()
    for axis, step in product(range(mask.ndim), (0, 2)):
        place = [slice(1, -1)] * mask.ndim
        place[axis] = slice(step, step + mask.shape[axis])
        inside &= padded[tuple(place)]
    return mask & ~inside


def diagonal_mm(shape: Sequence[int], spacing_mm: Sequence[float]) -> float:
    """From one corner of a volume to the opposite one."""
    return math.hypot(*(size * step for size, step in zip(shape, spacing_mm, strict=True)))


def _nearest(start: Mask, end: Mask, spacing_mm: Sequence[float], missing_mm: float) -> NDArray[np.float64]:
    """Distance from every voxel of ``start`` to the nearest of ``end``."""
    if not start.any():
        return np.empty(0)
    if not end.any():
        return np.full(int(np.count_nonzero(start)), missing_mm)
    from scipy.spatial import cKDTree

    distances = np.zeros(int(np.count_nonzero(start)))
    apart = ~end[start]  # a voxel of both borders is at distance 0
    if apart.any():
        from_voxels, to_voxels, spacing = np.argwhere(start)[apart], np.argwhere(end), np.asarray(spacing_mm)
        # A distance transform of the whole box costs as much for good predictions and several times more for poor ones.
        tree = cKDTree(to_voxels * spacing, leafsize=32, balanced_tree=False)
        _, nearest = tree.query(from_voxels * spacing)
        # Not the tree's own distances: differences of whole voxels keep 2 mm at 2 mm, where nsd_2mm has its edge.
        distances[apart] = np.sqrt((((to_voxels[nearest] - from_voxels) * spacing) ** 2).sum(axis=1))
    return distances
