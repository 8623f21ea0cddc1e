"""A canvas with the textures that the tissues of a phantom share."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from clbench.data.phantom.shapes import Array, Grid, Number, paint
from clbench.data.phantom.texture import smooth_noise


class Scene:
    """Signal of one tissue everywhere, to be painted over from what lies outside to what lies inside.

    Attributes:
        rng: source of further textures.
        grid: voxels.
        signal: tissue name -> signal.
        fine, coarse: textures of unit variance.
        outline: smooth field of unit variance that makes borders irregular.
        canvas: (X, Y, Z) float64, the picture so far.
    """

    def __init__(self, rng: np.random.Generator, grid: Grid, signal: Mapping[str, float], background: str) -> None:
        self.rng, self.grid, self.signal = rng, grid, signal
        self.width = grid.spacing_mm[0]
        self.fine = smooth_noise(rng, grid, (1.3, 1.3, 3.0))
        self.coarse = smooth_noise(rng, grid, (4.5, 4.5, 6.0))
        self.outline = smooth_noise(rng, grid, 11.0)
        self.canvas = signal[background] * (1.0 + 0.07 * self.fine + 0.09 * self.coarse)

    def textured(self, tissue: str, fine: float, coarse: float = 0.0) -> Array:
        """Signal of a tissue with so much of either texture."""
        return self.signal[tissue] * (1.0 + fine * self.fine + coarse * self.coarse)

    def paint(self, distance: Array, value: Number, opacity: Number = 1.0) -> None:
        """Lay a shape over the canvas; its border is a voxel wide."""
        paint(self.canvas, distance, value, self.width, opacity)
