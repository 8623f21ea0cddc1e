"""The male pelvis around the prostate, in T2-weighted signal: one patient's shapes and how they are painted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from clbench.data.phantom.scene import Scene
from clbench.data.phantom.shapes import Array, Grid, ellipsoid, shell
from clbench.data.phantom.texture import smooth_noise

# proton density and effective T2 in ms; fat's is long because fast spin echoes keep it bright
TISSUES: Mapping[str, tuple[float, float]] = {
    "fat": (1.0, 150.0),
    "muscle": (0.85, 42.0),
    "marrow": (0.75, 110.0),
    "cortex": (0.12, 60.0),
    "urine": (1.0, 900.0),
    "wall": (0.85, 62.0),
    "stool": (0.5, 80.0),
    "air": (0.02, 100.0),
    "vein": (1.0, 220.0),
    "vesicle": (1.0, 240.0),
    "peripheral": (1.0, 165.0),
    "transition": (0.9, 92.0),
    "stroma": (0.85, 50.0),
    "lesion": (0.9, 78.0),
}

PERIPHERAL, TRANSITION = 1, 2


@dataclass(frozen=True)
class Patient:
    """One patient's anatomy; lengths in mm, x to the left, y posterior, z superior.

    Attributes:
        center: middle of the gland.
        radii: semi-axes of the gland.
        angle_deg: in-plane rotation of the gland.
        lean: sideways shift of the gland per mm of height.
        transition: size of the transition zone relative to its usual size; large with benign hyperplasia.
        rectum_radii: in-plane semi-axes of the rectum, its wall included.
        rectum_offset: sideways position of the rectum relative to the gland.
        gas: share of gas in the rectum, in [0, 1].
        bladder: filling of the bladder, about 1.
        build: size of the surrounding pelvis relative to the usual.
        lesion: position of a dark lesion in the gland's unit coordinates, or None.
    """

    center: tuple[float, float, float]
    radii: tuple[float, float, float]
    angle_deg: float
    lean: float
    transition: float
    rectum_radii: tuple[float, float]
    rectum_offset: float
    gas: float
    bladder: float
    build: float
    lesion: tuple[float, float, float] | None

    @property
    def rectum_center(self) -> tuple[float, float, float]:
        """Middle of the rectum beside the gland: its front wall touches the gland's back."""
        x, y, z = self.center
        return x + self.rectum_offset, y + 0.93 * self.radii[1] + self.rectum_radii[1], z


def draw_patient(rng: np.random.Generator, *, endorectal: bool) -> Patient:
    """Draw a patient; an endorectal coil widens the rectum and flattens the gland from behind."""
    size = rng.normal(1.0, 0.1)
    flat = 0.86 if endorectal else 1.0
    radii = (
        25.0 * size * rng.normal(1, 0.06),
        18.5 * size * flat * rng.normal(1, 0.07),
        20.5 * size * rng.normal(1, 0.06),
    )
    rectum = rng.uniform(19, 22) if endorectal else rng.uniform(10, 15)
    side = rng.choice([-1.0, 1.0])
    lesion = (side * rng.uniform(0.35, 0.7), rng.uniform(0.35, 0.7), rng.uniform(-0.4, 0.4))
    return Patient(
        center=(rng.normal(0, 3.5), rng.normal(-4, 4), rng.normal(-2, 2.5)),
        radii=radii,
        angle_deg=rng.normal(0, 5),
        lean=rng.normal(0, 0.05),
        transition=float(np.clip(rng.normal(1.0, 0.13), 0.72, 1.25)),
        rectum_radii=(rectum, rectum * rng.uniform(0.8, 0.95)),
        rectum_offset=rng.normal(0, 3),
        gas=1.0 if endorectal else rng.uniform(0, 1),
        bladder=rng.normal(1.0, 0.12),
        build=rng.normal(1.0, 0.05),
        lesion=lesion if rng.uniform() < 0.5 else None,
    )


def t2_weighted(echo_ms: float, fat: float) -> dict[str, float]:
    """Signal per tissue at an echo time: ``density * exp(-TE / T2)``; fat's is multiplied by ``fat``."""
    signal = {name: density * float(np.exp(-echo_ms / t2)) for name, (density, t2) in TISSUES.items()}
    return signal | {"fat": fat * signal["fat"]}


def paint_pelvis(
    rng: np.random.Generator, patient: Patient, grid: Grid, signal: Mapping[str, float]
) -> tuple[Array, NDArray[np.uint8]]:
    """Paint a patient, from what lies outside to what lies inside.

    Args:
        rng: source of textures and irregular outlines.
        patient: the anatomy.
        grid: voxels; x to the patient's left, y posterior, z superior.
        signal: tissue name -> signal.

    Returns:
        The signal (X, Y, Z) float64 and the gland's zones (X, Y, Z) uint8: 0, ``PERIPHERAL`` or ``TRANSITION``.
    """
    scene = _Scene(rng, patient, grid, signal)
    scene.paint_surroundings()
    rectum = scene.paint_rectum()
    zones = scene.paint_gland(rectum)
    return scene.canvas, zones


class _Scene(Scene):
    """A pelvis on canvas."""

    def __init__(self, rng: np.random.Generator, patient: Patient, grid: Grid, signal: Mapping[str, float]) -> None:
        super().__init__(rng, grid, signal, background="fat")
        self.patient = patient

    def _oval(self, x: float, y: float, radius_x: float, radius_y: float, angle_deg: float = 0.0) -> Array:
        """An irregular cylinder along z in the surroundings, which scale with the patient's build."""
        scale = self.patient.build
        center, radii = (x * scale, y * scale, 0.0), (radius_x * scale, radius_y * scale, np.inf)
        return ellipsoid(self.grid, center, radii, angle_deg) + 2.5 * self.outline

    def paint_surroundings(self) -> None:
        """Muscles, bones, bladder, seminal vesicles and the veins beside the gland."""
        streaks = np.clip(1.2 * self.fine - 1.1, 0.0, 1.0)  # fat between the bundles
        muscle = self.textured("muscle", 0.12, 0.1) + 0.35 * streaks * self.signal["fat"]
        for side in (-1.0, 1.0):
            self.paint(self._oval(side * 58, 76, 46, 24, side * -20), muscle)
            self.paint(self._oval(side * 53, 4, 12, 34, side * 10), muscle)
            self._paint_bone(self._oval(side * 76, -4, 15, 30, side * 8), 2.5)
        self.paint(self._oval(0, -70, 60, 7), muscle)
        self._paint_pubis()
        self._paint_bladder()
        self._paint_levator(muscle)

    def _paint_bone(self, distance: Array, cortex_mm: float, opacity: Array | float = 1.0) -> None:
        self.paint(distance, self.signal["cortex"], opacity)
        self.paint(distance + cortex_mm, self.textured("marrow", 0.08, 0.12), opacity)

    def _paint_pubis(self) -> None:
        """The pubic bones lie in front of the lower half and fade out above."""
        below = np.clip(0.5 - (self.grid.coordinates[2] - 6.0) / 8.0, 0.0, 1.0)
        for side in (-1.0, 1.0):
            self._paint_bone(self._oval(side * 22, -47, 21, 10, side * 28), 2.0, below)

    def _paint_bladder(self) -> None:
        x, y, z = self.patient.center
        top = z + self.patient.radii[2]
        radii = (32 * self.patient.bladder, 24 * self.patient.bladder, 17 * self.patient.bladder)
        bladder = ellipsoid(self.grid, (x, y - 12.0, top + 11.0), radii) + 1.0 * self.outline
        self.paint(bladder, self.textured("wall", 0.05))
        self.paint(bladder + 3.0, self.signal["urine"])
        for side in (-1.0, 1.0):
            center = (x + side * 13, y + 0.75 * self.patient.radii[1], top + 2.0)
            vesicle = ellipsoid(self.grid, center, (14.0, 5.5, 6.5), side * -12) + self.outline
            self.paint(vesicle, self.textured("vesicle", 0.28))

    def _paint_levator(self, muscle: Array) -> None:
        """A thin sling of muscle around gland and rectum, in the lower half only."""
        x, y, z = self.patient.center
        center = (x, y + 14.0, 0.0)
        radii = (self.patient.radii[0] + 7.0, 36.0 * self.patient.build, np.inf)
        sling = ellipsoid(self.grid, center, radii) + 3.0 * self.outline
        beside = np.clip((np.abs(self.grid.coordinates[0] - x) - 8.0) / 12.0, 0.0, 1.0)  # open in front and behind
        below = np.clip(0.5 - (self.grid.coordinates[2] - z - 2.0) / 14.0, 0.0, 1.0)
        self.paint(shell(sling, 3.0), muscle, 0.8 * below * beside)

    def paint_rectum(self) -> Array:
        """Wall and contents; returns the distance to the outer wall."""
        x, y, z = self.patient.rectum_center
        height = self.grid.coordinates[2] - z
        bend = y + 0.004 * height**2  # follows the sacrum: farther back above and below
        radius_x, radius_y = self.patient.rectum_radii
        wall = ellipsoid(self.grid, (x, bend, 0.0), (radius_x, radius_y, np.inf)) + 0.7 * self.outline
        self.paint(wall, self.textured("wall", 0.1))
        gas = np.clip(0.5 + 4.0 * (self.patient.gas - 0.5) + 0.8 * self.coarse, 0.0, 1.0)
        stool = self.textured("stool", 0.15, 0.1)
        self.paint(wall + 3.0, stool + gas * (self.signal["air"] - stool))
        return wall

    def _unit(self, center: tuple[float, float, float], radii: tuple[float, float, float]) -> Array:
        """Distance to an ellipsoid given in the gland's own coordinates, where the gland has radius 1."""
        patient = self.patient
        height = self.grid.coordinates[2] - patient.center[2]
        angle = np.deg2rad(patient.angle_deg)
        offset_x, offset_y, offset_z = (c * r for c, r in zip(center, patient.radii, strict=True))
        middle = (
            patient.center[0] + np.cos(angle) * offset_x - np.sin(angle) * offset_y + patient.lean * height,
            patient.center[1] + np.sin(angle) * offset_x + np.cos(angle) * offset_y,
            patient.center[2] + offset_z,
        )
        scaled = (radii[0] * patient.radii[0], radii[1] * patient.radii[1], radii[2] * patient.radii[2])
        return ellipsoid(self.grid, middle, scaled, patient.angle_deg)

    def paint_gland(self, rectum: Array) -> NDArray[np.uint8]:
        """Veins, zones, nodules, lesion, stroma and urethra; the gland gives way to the rectum behind it."""
        gland = np.maximum(self._unit((0, 0, 0), (1, 1, 1)) + 1.3 * self.outline, 1.0 - rectum)
        veins = np.clip(0.9 * self.coarse + 0.6 * self.fine - 0.3, 0.0, 1.0)
        beside = np.maximum(gland - 7.0, 1.0 - rectum)
        self.paint(beside, self.textured("vein", 0.1), 0.75 * veins)
        self.paint(gland, self.textured("stroma", 0.05))  # what stays visible of it is the capsule
        self.paint(gland + 1.5, self.textured("peripheral", 0.09, 0.08))
        if self.patient.lesion is not None:
            self.paint(self._unit(self.patient.lesion, (0.2, 0.24, 0.26)), self.signal["lesion"], 0.85)
        inner = self._paint_transition_zone(gland)
        zones = np.where(gland < 0, np.where(inner < 0, TRANSITION, PERIPHERAL), 0)
        return zones.astype(np.uint8)

    def _paint_transition_zone(self, gland: Array) -> Array:
        size = self.patient.transition
        inner = self._unit((0, -0.18, 0.12), (0.7 * size, 0.68 * size, 0.84 * size)) + 0.8 * self.outline
        inner = np.maximum(inner, gland + 2.0)
        nodules = smooth_noise(self.rng, self.grid, (3.2, 3.2, 4.5))
        self.paint(inner, self.signal["stroma"])
        self.paint(inner + 1.2, self.signal["transition"] * np.clip(1.0 + 0.3 * nodules + 0.08 * self.fine, 0.4, 2.0))
        self.paint(np.maximum(self._unit((0, -0.85, 0.1), (0.42, 0.3, 0.8)), gland + 0.5), self.signal["stroma"], 0.8)
        self.paint(self._unit((0, -0.05, -0.25), (0.08, 0.1, 0.5)), self.signal["vesicle"], 0.7)
        return inner
