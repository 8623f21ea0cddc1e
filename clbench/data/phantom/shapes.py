"""Shapes as signed distance maps on a voxel grid in millimetres, and painting with them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]
Number = float | Array
Point = tuple[Number, Number, Number]


@dataclass(frozen=True)
class Grid:
    """Voxel centres of a volume whose middle is the origin.

    Attributes:
        shape: voxels along x, y and z; which way they run is up to the anatomy.
        spacing_mm: voxel size along the same axes.
    """

    shape: tuple[int, int, int]
    spacing_mm: tuple[float, float, float]

    @property
    def axes(self) -> tuple[Array, Array, Array]:
        """Coordinates in mm along each axis: (X,), (Y,), (Z,)."""
        x, y, z = (_centers(size, step) for size, step in zip(self.shape, self.spacing_mm, strict=True))
        return x, y, z

    @property
    def coordinates(self) -> tuple[Array, Array, Array]:
        """The axes shaped (X, 1, 1), (1, Y, 1) and (1, 1, Z), ready to broadcast."""
        x, y, z = self.axes
        return x[:, None, None], y[None, :, None], z[None, None, :]


def _centers(size: int, step_mm: float) -> Array:
    return (np.arange(size, dtype=np.float64) - (size - 1) / 2) * step_mm


def ellipsoid(grid: Grid, center: Point, radii: Point, angle_deg: float = 0.0) -> Array:
    """Distance to an ellipsoid's surface, negative inside: exact on the surface and to first order near it.

    Args:
        grid: where to evaluate.
        center: in mm; an entry may be an array that broadcasts along z, which bends the shape.
        radii: semi-axes in mm, > 0; an infinite third one gives a cylinder along z; entries may be arrays as well.
        angle_deg: rotation in the x-y plane, from x towards y.

    Returns:
        (X, Y, Z) float64, in mm.
    """
    x, y, z = (axis - middle for axis, middle in zip(grid.coordinates, center, strict=True))
    cosine, sine = np.cos(np.deg2rad(angle_deg)), np.sin(np.deg2rad(angle_deg))
    u, v = (cosine * x + sine * y) / radii[0], (cosine * y - sine * x) / radii[1]
    w = z / radii[2]
    scaled = np.sqrt(u * u + v * v + w * w)
    gradient = np.sqrt((u / radii[0]) ** 2 + (v / radii[1]) ** 2 + (w / radii[2]) ** 2)
    # at the very center both are 0: the distance there is minus the smallest radius, any negative number serves
    distance: Array = scaled * (scaled - 1.0) / np.maximum(gradient, 1e-9)
    return np.where(gradient < 1e-9, -1.0, distance)


def coverage(distance: Array, width_mm: float) -> Array:
    """Share of a voxel that lies inside: a linear ramp of the given width across the surface, in [0, 1]."""
    return np.clip(0.5 - distance / width_mm, 0.0, 1.0)


def shell(distance: Array, thickness_mm: float) -> Array:
    """Distance to the wall of that thickness just inside a surface."""
    return np.abs(distance + thickness_mm / 2) - thickness_mm / 2


def paint(canvas: Array, distance: Array, value: Number, width_mm: float, opacity: Number = 1.0) -> None:
    """Lay a shape over the canvas in place, with partial volume at its border.

    Args:
        canvas: (X, Y, Z) signal, changed.
        distance: (X, Y, Z) signed distance in mm.
        value: signal of the shape, one number or a textured array.
        width_mm: width of the border, about a voxel.
        opacity: in [0, 1]; below 1 what lies under it shows through.
    """
    canvas += opacity * coverage(distance, width_mm) * (value - canvas)
