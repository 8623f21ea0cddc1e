"""The medial temporal lobe around a hippocampus, in T1-weighted signal: one side's shapes and how they are painted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clbench.data.phantom.scene import Canvas
from clbench.data.phantom.shapes import Array, Grid, Number, ellipsoid
from clbench.data.phantom.texture import smooth_noise

# longitudinal relaxation time in ms
TISSUES: Mapping[str, float] = {
    "white": 850.0,
    "gray": 1350.0,
    "fluid": 4000.0,
    "deep": 1120.0,
    "hippocampus": 1270.0,
    "brainstem": 930.0,
    "vessel": 1700.0,
}
ANTERIOR, POSTERIOR = 1, 2
SUBICULUM, CORNU_AMMONIS, DENTATE = 1, 2, 3
Triple = tuple[float, float, float]


@dataclass(frozen=True)
class Hippocampus:
    """One side's anatomy; lengths in mm, x to the right, y anterior, z superior, the midline at x = 0.

    Attributes:
        side: -1 left, 1 right.
        center: middle of the long axis.
        half_length: from the middle to either end.
        head, tail: semi-axes across (to the side, up) of the two ends; the body lies between.
        bow: how far the middle bows out to the side.
        lift: how much higher the tail lies than the head.
        split: where the anterior part ends, from -1 (back) to 1 (front).
        horn: width of the fluid in the temporal horn beside it; large with atrophy.
    """

    side: float
    center: Triple
    half_length: float
    head: tuple[float, float]
    tail: tuple[float, float]
    bow: float
    lift: float
    split: float
    horn: float

    def along(self, y: Array) -> Array:
        """Position on the long axis, -1 at the back end and 1 at the front end."""
        return (y - self.center[1]) / self.half_length

    def axis(self, u: Array) -> tuple[Array, Array]:
        """Where the bent long axis lies, x and z, at a position."""
        x = self.center[0] + self.side * self.bow * (0.5 - u * u)
        return x, self.center[2] - 0.5 * self.lift * (u + 0.35 * (u * u - 0.5))

    def radii(self, u: Array) -> tuple[Array, Array]:
        """Semi-axes across the long axis: a thick head, a tapering body and tail, round ends."""
        front = 1.0 / (1.0 + np.exp(-(u - 0.3) / 0.13))
        taper = (1.0 - 0.14 * np.clip(-u, 0.0, 1.0)) * np.clip(1.0 - np.abs(u) ** 3, 1e-4, 1.0) ** 0.5
        side, up = (tail + front * (head - tail) for head, tail in zip(self.head, self.tail, strict=True))
        return side * taper, up * taper


def draw_hippocampus(rng: np.random.Generator, side: float, atrophy: float = 0.0) -> Hippocampus:
    """Draw one side; ``atrophy`` in [0, 1] thins it and widens the fluid beside it."""
    size = rng.normal(1.0, 0.07) * (1.0 - 0.2 * atrophy)
    return Hippocampus(
        side=side,
        center=(side * rng.normal(26.5, 1.2), rng.normal(0.0, 1.5), rng.normal(-7.0, 1.3)),
        half_length=rng.normal(20.0, 1.3),
        head=(8.3 * size * rng.normal(1, 0.06), 6.4 * size * rng.normal(1, 0.06)),
        tail=(5.6 * size * rng.normal(1, 0.07), 4.8 * size * rng.normal(1, 0.07)),
        bow=rng.normal(4.5, 1.0),
        lift=rng.normal(11.0, 1.8),
        split=rng.normal(0.25, 0.06),
        horn=float(np.clip(rng.normal(1.6, 0.4) + 1.8 * atrophy, 0.8, 4.0)),
    )


def t1_weighted(recovery_ms: float) -> dict[str, float]:
    """Signal per tissue after a recovery time, ``1 - exp(-TR / T1)``, relative to white matter."""
    signal = {name: 1.0 - float(np.exp(-recovery_ms / t1)) for name, t1 in TISSUES.items()}
    return {name: value / signal["white"] for name, value in signal.items()}


def paint_side(
    rng: np.random.Generator, anatomy: Hippocampus, grid: Grid, origin: Triple, signal: Mapping[str, float]
) -> tuple[Array, NDArray[np.uint8], NDArray[np.uint8]]:
    """Paint one side, from what lies outside to what lies inside.

    Args:
        rng: source of textures and irregular outlines.
        anatomy: of this side.
        grid: voxels; x to the right, y anterior, z superior.
        origin: where the middle of the grid lies in the anatomy, in mm.
        signal: tissue name -> signal.

    Returns:
        The signal (X, Y, Z) float64, the parts (X, Y, Z) uint8 (0, ``ANTERIOR``, ``POSTERIOR``) and the subfields
        (X, Y, Z) uint8 (0, ``SUBICULUM``, ``CORNU_AMMONIS``, ``DENTATE``).
    """
    scene = _Scene(rng, anatomy, grid, origin, signal)
    scene.paint_hemisphere()
    scene.paint_deep_nuclei()
    scene.paint_neighbors()
    parts, subfields = scene.paint_hippocampus()
    return scene.canvas, parts, subfields


class _Scene(Canvas):
    """One hemisphere on canvas."""

    def __init__(
        self,
        rng: np.random.Generator,
        anatomy: Hippocampus,
        grid: Grid,
        origin: Triple,
        signal: Mapping[str, float],
    ) -> None:
        self.anatomy, self.origin = anatomy, origin
        textures = smooth_noise(rng, grid, 1.2), smooth_noise(rng, grid, 4.0)
        self.folds = smooth_noise(rng, grid, 5.0)
        self.sulci = smooth_noise(rng, grid, 6.0)
        x, y, z = grid.coordinates
        self.x, self.y, self.z = x + origin[0], y + origin[1], z + origin[2]
        self.u = anatomy.along(self.y)
        fluid = np.full(grid.shape, signal["fluid"]) * (1.0 + 0.05 * textures[1])
        super().__init__(grid, signal, textures, fluid, 1.2)

    def _oval(self, center: Triple, radii: Triple) -> Array:
        """An ellipsoid; ``center`` is that of the right side and mirrored for the left."""
        x, y, z = center
        ox, oy, oz = self.origin
        return ellipsoid(self.grid, (self.anatomy.side * x - ox, y - oy, z - oz), radii)

    def _tube(self, outward: float, up: float, radii: tuple[Number, Number], reach: float = 1.0) -> Array:
        """A tube along the hippocampus, moved to the side and up; it ends at ``reach`` of the long axis."""
        x, z = self.anatomy.axis(self.u)
        center = (x + self.anatomy.side * outward - self.origin[0], 0.0, z + up - self.origin[2])
        tube = ellipsoid(self.grid, center, (radii[0], np.inf, radii[1]))
        return np.maximum(tube, (np.abs(self.u) - reach) * self.anatomy.half_length)

    def paint_hemisphere(self) -> None:
        """Folded cortex over white matter, above and to the side; the brain stem and cerebellum behind."""
        gray, white = self.textured("gray", 0.04, 0.03), self.textured("white", 0.03, 0.04)
        stem = self._oval((1.0, -3.0, -26.0), (15.0, 14.0, 26.0)) + 1.2 * self.folds
        self.paint(stem, self.textured("brainstem", 0.03, 0.03))
        cerebellum = self._oval((20.0, -33.0, -27.0), (26.0, 20.0, 19.0)) + self.folds
        leaves = np.clip(0.5 + np.sin(1.6 * (self.z + 0.4 * self.y) + 0.6 * self.folds), 0.0, 1.0)
        self.paint(cerebellum, gray + 0.45 * leaves * (white - gray))
        upper = self._oval((34.0, -8.0, 32.0), (36.0, 72.0, 30.0))
        temporal = self._oval((44.0, 8.0, -13.0), (29.0, 58.0, 21.0))
        lobe = np.minimum(upper, temporal) + 2.2 * self.folds
        self.paint(lobe, gray)
        self.paint(lobe + 3.2 + 1.2 * self.coarse, white)
        sheet = np.maximum(6.0 * np.abs(self.sulci), np.maximum(36.0 - self.anatomy.side * self.x, lobe))
        self.paint(sheet - 2.4, gray)
        self.paint(sheet - 0.5, self.signal["fluid"])

    def paint_deep_nuclei(self) -> None:
        """Thalamus, putamen and amygdala."""
        deep = self.textured("deep", 0.03, 0.04)
        self.paint(self._oval((11.0, 5.0, 11.0), (10.5, 16.0, 9.5)) + 1.5 * self.folds, deep)
        self.paint(self._oval((27.0, 24.0, 5.0), (7.0, 17.0, 9.0)) + 0.7 * self.folds, deep)
        x, y, z = self.anatomy.center
        front = self.anatomy.half_length + 5.0
        amygdala = (abs(x) - 2.0, y + front, z - 0.25 * self.anatomy.lift + 2.0)
        self.paint(self._oval(amygdala, (8.0, 8.5, 7.5)) + 0.7 * self.folds, self.textured("gray", 0.04, 0.03))

    def paint_neighbors(self) -> None:
        """Parahippocampal gyrus below, cistern and vessel towards the midline, temporal horn to the side."""
        gyrus = self._tube(-2.5, -10.5, (9.0, 6.0), 1.6) + 1.2 * self.folds
        self.paint(gyrus, self.textured("gray", 0.04, 0.03))
        self.paint(gyrus + 3.4, self.textured("white", 0.03, 0.03))
        cistern = self._tube(-11.5, 1.0, (3.0, 5.5), 1.3) + 0.8 * self.folds
        self.paint(cistern, self.signal["fluid"])
        self.paint(self._tube(-11.0, 0.0, (1.2, 1.2), 1.2), self.signal["vessel"])
        side, up = self.anatomy.radii(self.u)
        horn = self._tube(0.6 * self.anatomy.horn, 0.7, (side + self.anatomy.horn, up + 0.3 * self.anatomy.horn), 1.05)
        self.paint(horn + 0.4 * self.coarse, self.signal["fluid"])

    def paint_hippocampus(self) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """White rim on top, gray body with a dark core line; returns its parts and its subfields."""
        radii = self.anatomy.radii(self.u)
        body = self._tube(0.0, 0.0, radii) + 0.35 * self.folds + 0.25 * self.coarse
        x, z = self.anatomy.axis(self.u)
        outward, up = self.anatomy.side * (self.x - x) / radii[0], (self.z - z) / radii[1]
        rim = np.clip(0.5 + 2.0 * (up - 0.2), 0.0, 1.0)
        self.paint(body - 0.9, self.textured("white", 0.03), 0.8 * rim)
        self.paint(body, self.textured("hippocampus", 0.05, 0.03))
        inner = outward**2 + up**2
        self.paint(np.abs(np.sqrt(inner) - 0.55) * 4.0 - 0.5, self.signal["white"], np.where(body < -1.0, 0.3, 0.0))
        inside = body < 0
        parts = np.where(inside, np.where(self.u > self.anatomy.split, ANTERIOR, POSTERIOR), 0)
        below = (up < -0.25) & (outward < 0.35)
        field = np.where(inner < 0.3, DENTATE, np.where(below, SUBICULUM, CORNU_AMMONIS))
        return parts.astype(np.uint8), np.where(inside, field, 0).astype(np.uint8)
