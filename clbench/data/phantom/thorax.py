"""The heart in its short axis and the chest around it, in cine MRI signal: shapes, motion and painting."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clbench.data.phantom.scene import Scene
from clbench.data.phantom.shapes import Array, Grid, ellipsoid, shell

# proton density, T1 and T2 in ms
TISSUES: Mapping[str, tuple[float, float, float]] = {
    "blood": (0.95, 1500.0, 230.0),
    "myocardium": (0.8, 1000.0, 48.0),
    "fat": (0.95, 300.0, 80.0),
    "muscle": (0.8, 950.0, 40.0),
    "lung": (0.12, 1200.0, 60.0),
    "liver": (0.75, 600.0, 45.0),
    "stomach": (0.8, 900.0, 75.0),
    "marrow": (0.6, 400.0, 60.0),
    "air": (0.02, 1000.0, 100.0),
}
CAVITY, MYOCARDIUM, RIGHT_CAVITY = 1, 2, 3
REPETITION_MS = 8.0  # of the spoiled sequence


@dataclass(frozen=True)
class Heart:
    """One patient's heart at end diastole; lengths in mm, x to the free wall of the LV, y inferior, z to the base.

    Attributes:
        center: middle of the LV in plane, half way between base and apex.
        lean: shift of the LV in plane per mm of height.
        base: height of the valve plane.
        radius: of the LV cavity at the base.
        wall: thickness of the LV's wall.
        length: from the valve plane to the apex, wall included.
        shortening: share of the radius that is lost at end systole; small in a failing heart.
        right: size of the RV relative to its usual size.
        angle_deg: rotation of the RV about the LV.
        papillary_deg: directions of the two papillary muscles seen from the middle of the LV.
        build: size of the chest relative to the usual.
    """

    center: tuple[float, float]
    lean: tuple[float, float]
    base: float
    radius: float
    wall: float
    length: float
    shortening: float
    right: float
    angle_deg: float
    papillary_deg: tuple[float, float]
    build: float


def draw_heart(rng: np.random.Generator) -> Heart:
    """Draw a patient: healthy, or with a thick wall, or with a wide LV that hardly contracts."""
    kind = rng.choice(["healthy", "thick", "wide"], p=[0.5, 0.25, 0.25])
    radius = {"healthy": 23.5, "thick": 21.0, "wide": 28.0}[kind] * rng.normal(1, 0.06)
    wall = {"healthy": 8.5, "thick": 12.5, "wide": 8.0}[kind] * rng.normal(1, 0.08)
    shortening = {"healthy": 0.3, "thick": 0.36, "wide": 0.14}[kind] * rng.normal(1, 0.1)
    return Heart(
        center=(rng.normal(14, 4), rng.normal(-3, 4)),
        lean=(rng.normal(-0.06, 0.05), rng.normal(-0.04, 0.05)),
        base=rng.normal(27, 2.5),
        radius=radius,
        wall=wall,
        length=rng.normal(75, 4),
        shortening=shortening,
        right=rng.normal(1.0, 0.09),
        angle_deg=rng.normal(12, 9),
        papillary_deg=(rng.normal(-38, 9), rng.normal(70, 9)),
        build=rng.normal(1.0, 0.05),
    )


def steady_state(flip_deg: float, fat: float) -> dict[str, float]:
    """Signal per tissue of a balanced steady-state sequence with short repetition time.

    Args:
        flip_deg: flip angle; a small one lowers the contrast between blood and muscle.
        fat: brightness of fat relative to an unsuppressed one.

    Source: Scheffler and Lehnhardt 2003, doi 10.1007/s00330-003-1957-x:
    ``density * sin(a) / (1 + cos(a) + (1 - cos(a)) * T1 / T2)``.
    """
    cosine, sine = np.cos(np.deg2rad(flip_deg)), np.sin(np.deg2rad(flip_deg))
    signal = {
        name: float(density * sine / (1 + cosine + (1 - cosine) * t1 / t2))
        for name, (density, t1, t2) in TISSUES.items()
    }
    return signal | {"fat": fat * signal["fat"]}


def spoiled(flip_deg: float, fat: float) -> dict[str, float]:
    """Signal per tissue of a spoiled gradient-echo sequence whose blood does not move on between two pulses.

    Saturated blood is darker than muscle, the other way round than in a balanced sequence.

    Args:
        flip_deg: flip angle.
        fat: brightness of fat relative to an unsuppressed one.

    Source: Ernst and Anderson 1966, doi 10.1063/1.1719961, without the decay to the echo:
    ``density * sin(a) * (1 - E) / (1 - cos(a) * E)`` with ``E = exp(-TR / T1)``.
    """
    cosine, sine = np.cos(np.deg2rad(flip_deg)), np.sin(np.deg2rad(flip_deg))
    recovered = {name: 1.0 - np.exp(-REPETITION_MS / t1) for name, (_, t1, _) in TISSUES.items()}
    signal = {
        name: float(density * sine * recovered[name] / (1 - cosine * (1 - recovered[name])))
        for name, (density, _, _) in TISSUES.items()
    }
    return signal | {"fat": fat * signal["fat"]}


class Thorax(Scene):
    """One patient's chest: everything but the heart is painted once, the heart anew for every frame."""

    def __init__(self, rng: np.random.Generator, heart: Heart, grid: Grid, signal: Mapping[str, float]) -> None:
        super().__init__(rng, grid, signal, background="lung")
        self.heart = heart
        self._paint_surroundings()
        self.still = self.canvas

    def frame(self, contraction: float) -> tuple[Array, NDArray[np.uint8]]:
        """One frame of the cine series.

        Args:
            contraction: 0 at end diastole, 1 at end systole.

        Returns:
            The signal (X, Y, Z) float64 and the labels (X, Y, Z) uint8: 0, ``CAVITY`` and ``MYOCARDIUM`` of the LV, or
            ``RIGHT_CAVITY``.
        """
        self.canvas = self.still.copy()
        shape = _Shape(self.heart, self.grid, contraction)
        outer, inner = shape.left_outer + 0.8 * self.outline, shape.left_inner + 0.8 * self.outline
        right = np.maximum(np.maximum(shape.right + 1.5 * self.outline, -outer), shape.above_base)
        self._paint_right(right)
        self.paint(np.maximum(outer, shape.above_base), self.textured("myocardium", 0.05, 0.04))
        self._paint_left(shape, inner)
        self._paint_atrium(shape)
        labels = np.select([inner < 0, outer < 0, right < 0], [CAVITY, MYOCARDIUM, RIGHT_CAVITY], 0)
        labels[np.broadcast_to(shape.above_base > 0, labels.shape)] = 0
        return self.canvas, labels.astype(np.uint8)

    def _oval(self, x: float, y: float, radius_x: float, radius_y: float, angle_deg: float = 0.0) -> Array:
        """An irregular cylinder along z in the surroundings, which scale with the patient's build."""
        scale = self.heart.build
        center, radii = (x * scale, y * scale, 0.0), (radius_x * scale, radius_y * scale, np.inf)
        return ellipsoid(self.grid, center, radii, angle_deg) + 2.5 * self.outline

    def _paint_surroundings(self) -> None:
        """Lung vessels, organs below the diaphragm, descending aorta, chest wall, fat around the heart."""
        vessels = np.clip(0.9 * self.fine + 0.5 * self.coarse - 1.6, 0.0, 0.8)
        self.canvas += vessels * (0.6 * self.signal["blood"] - self.canvas)
        below = np.clip(self.grid.coordinates[2] / 40.0, -1.0, 1.0)  # the diaphragm rises towards the apex
        self.paint(self._oval(-52, 84, 70, 36, -12) + 10.0 * below, self.textured("liver", 0.06, 0.05))
        self.paint(self._oval(58, 88, 36, 25, 15) + 14.0 * below, self.textured("stomach", 0.2, 0.2))
        self.paint(self._oval(70, 44, 11, 11), self.textured("blood", 0.04))
        self._paint_chest_wall()
        heart = _Shape(self.heart, self.grid, 0.0)
        sac = np.minimum(heart.left_outer, np.maximum(heart.right, heart.above_base)) - 5.0 + 2.0 * self.coarse
        self.paint(sac, self.textured("fat", 0.1, 0.15), np.clip(0.55 + 0.5 * self.coarse, 0.0, 1.0))

    def _paint_chest_wall(self) -> None:
        inside = self._oval(12, 26, 96, 94)
        angle = np.arctan2(self.grid.coordinates[1] - 26.0, self.grid.coordinates[0] - 12.0)
        ribs = np.clip(3.0 * np.sin(11.0 * angle + 0.02 * self.grid.coordinates[2]) - 1.0, 0.0, 1.0)
        self.paint(-inside, self.textured("muscle", 0.12, 0.1))
        self.paint(shell(-inside + 3.0, 7.0), self.textured("marrow", 0.1), ribs)
        self.paint(-inside + 13.0, self.textured("fat", 0.07, 0.08))

    def _paint_right(self, right: Array) -> None:
        """A thin wall, blood, and the bundles that cross it."""
        self.paint(right - 3.0, self.textured("myocardium", 0.06))
        self.paint(right, 0.96 * self.textured("blood", 0.03, 0.05))
        bundles = np.clip(1.2 * self.coarse + 0.4 * self.fine - 0.3, 0.0, 1.0) * np.clip(1.0 + right / 9.0, 0.0, 1.0)
        self.paint(right, self.signal["myocardium"], 0.9 * bundles)

    def _paint_left(self, shape: _Shape, inner: Array) -> None:
        """Blood with trabeculae along the wall and two papillary muscles, which the labels count as cavity."""
        cavity = np.maximum(inner, shape.above_base)
        self.paint(cavity, self.textured("blood", 0.03, 0.04))
        beside = np.clip(1.0 + inner / 6.0, 0.0, 1.0)
        trabeculae = np.clip(0.3 + 0.5 * self.fine + 0.9 * self.coarse, 0.0, 1.0) * beside
        self.paint(cavity, self.signal["myocardium"], 0.9 * trabeculae)
        for papillary in shape.papillary:
            self.paint(np.maximum(papillary + 0.5 * self.outline, cavity), self.textured("myocardium", 0.05), 0.9)

    def _paint_atrium(self, shape: _Shape) -> None:
        """Blood above the valve plane, with the wall of the outflow tract around it; it has no label."""
        atrium = np.maximum(shape.atrium + 1.5 * self.outline, -shape.above_base)
        self.paint(atrium - 2.5, self.textured("myocardium", 0.06))
        self.paint(atrium, self.textured("blood", 0.05, 0.08))


class _Shape:
    """Distances in mm to the surfaces of a heart at one moment; (X, Y, Z), negative inside."""

    def __init__(self, heart: Heart, grid: Grid, contraction: float) -> None:
        self.heart, self.grid = heart, grid
        height = grid.coordinates[2]
        drop = 0.14 * heart.length * (heart.shortening / 0.3) * contraction  # the apex stays, the base comes down
        self.base, self.length = heart.base - drop, heart.length - drop
        self.radius = heart.radius * (1.0 - heart.shortening * contraction)
        self.wall = heart.wall * (1.0 + 1.3 * heart.shortening * contraction)
        middle = heart.base - heart.length / 2
        self.x = heart.center[0] + heart.lean[0] * (height - middle)
        self.y = heart.center[1] + heart.lean[1] * (height - middle)
        self.above_base = height - self.base
        self.left_outer = self._bullet(self.radius + self.wall, self.length)
        self.left_inner = self._bullet(self.radius, self.length - 1.1 * self.wall)
        self.right = self._right(contraction)

    def _bullet(self, radius: float, length: float) -> Array:
        """Half an ellipsoid below the valve plane, a cylinder above it."""
        below = ellipsoid(self.grid, (self.x, self.y, self.base), (radius, radius, length))
        beside = ellipsoid(self.grid, (self.x, self.y, 0.0), (radius, radius, np.inf))
        return np.where(self.above_base > 0, beside, below)

    def _right(self, contraction: float) -> Array:
        """The ellipse whose part outside the LV is the crescent."""
        size = 32.0 * self.heart.right * (1.0 - 0.6 * self.heart.shortening * contraction)
        angle = np.deg2rad(self.heart.angle_deg)
        offset = 0.72 * (self.heart.radius + self.heart.wall) + 6.0
        center = (self.x - offset * np.cos(angle), self.y - offset * np.sin(angle), self.base)
        return ellipsoid(self.grid, center, (1.05 * size, 1.2 * size, 0.86 * self.length), self.heart.angle_deg)

    @property
    def papillary(self) -> list[Array]:
        """Two columns between the middle of the wall and the valves."""
        thickness = 0.19 * self.heart.radius + 0.2 * (self.wall - self.heart.wall)
        columns = []
        for direction in np.deg2rad(self.heart.papillary_deg):
            x = self.x + 0.6 * self.radius * np.cos(direction)
            y = self.y + 0.6 * self.radius * np.sin(direction)
            middle = self.base - 0.45 * self.length
            columns.append(ellipsoid(self.grid, (x, y, middle), (thickness, thickness, 0.27 * self.length)))
        return columns

    @property
    def atrium(self) -> Array:
        """Left atrium and outflow tract above the valve plane."""
        radii = (1.15 * self.heart.radius, 1.05 * self.heart.radius, 30.0)
        return ellipsoid(self.grid, (self.x - 4.0, self.y + 5.0, self.heart.base + 6.0), radii, 20.0)
