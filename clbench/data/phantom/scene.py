"""A canvas with the textures that the tissues of a phantom share."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from clbench.data.phantom.shapes import Array, Grid, Number, paint
from clbench.data.phantom.texture import smooth_noise


class Canvas:
    """A picture to be painted over from what lies outside to what lies inside.

    Attributes:
        grid: voxels.
        signal: tissue name -> signal.
        fine, coarse: (X, Y, Z) textures of unit variance.
        canvas: (X, Y, Z) float64, the picture so far.
        width_mm: of the borders that are painted.
    """

    def __init__(
        self, grid: Grid, signal: Mapping[str, float], textures: tuple[Array, Array], canvas: Array, width_mm: float
    ) -> None:
        self.grid, self.signal, self.canvas, self.width_mm = grid, signal, canvas, width_mm
        self.fine, self.coarse = textures

    def textured(self, tissue: str, fine: float, coarse: float = 0.0) -> Array:
        """Signal of a tissue with so much of either texture."""
        return self.signal[tissue] * (1.0 + fine * self.fine + coarse * self.coarse)

    def paint(self, distance: Array, value: Number, opacity: Number = 1.0) -> None:
        """Lay a shape over the canvas."""
        paint(self.canvas, distance, value, self.width_mm, opacity)


class Scene(Canvas):
    """One tissue everywhere in thick slices, with borders a voxel wide.

    Attributes:
        rng: source of further textures.
        outline: smooth field of unit variance that makes borders irregular.
    """

    def __init__(self, rng: np.random.Generator, grid: Grid, signal: Mapping[str, float], background: str) -> None:
        self.rng = rng
        fine = smooth_noise(rng, grid, (1.3, 1.3, 3.0))
        coarse = smooth_noise(rng, grid, (4.5, 4.5, 6.0))
        self.outline = smooth_noise(rng, grid, 11.0)
        canvas = signal[background] * (1.0 + 0.07 * fine + 0.09 * coarse)
        super().__init__(grid, signal, (fine, coarse), canvas, grid.spacing_mm[0])
