"""The five centres of the cardiac phantom: whose scanner each has and how it scans."""

from __future__ import annotations

from dataclasses import dataclass

from clbench.data.phantom.shapes import Grid


@dataclass(frozen=True)
class Scanner:
    """How one centre scans the heart.

    Attributes:
        centre: number of the centre.
        vendor, vendor_name: letter and name in the table.
        folders: folder under ``OpenDataset`` -> number of patients.
        grid: matrix and voxel size; z runs from apex to base.
        flip_deg: flip angle.
        fat: brightness of fat relative to an unsuppressed one.
        gamma: exponent of the contrast curve; below 1 lifts the dark tissues.
        noise: standard deviation in each receive channel, relative to blood.
        bias: standard deviation of the logarithm of the smooth receive field.
        banding: how much of the signal is lost in off-resonance bands, in [0, 1].
        blur_mm: in-plane point spread, full width at half maximum.
        scale: stored number for signal 1.
        spoiled: a spoiled sequence, whose blood is darker than muscle, in place of a balanced one.
        dtype: type of the image file.
        tilt_deg: slices are tilted about the x axis by this angle.
    """

    centre: int
    vendor: str
    vendor_name: str
    folders: dict[str, int]
    grid: Grid
    flip_deg: float
    fat: float
    gamma: float
    noise: float
    bias: float
    banding: float
    blur_mm: float
    scale: float
    spoiled: bool = False
    dtype: str = "int16"
    tilt_deg: float = 0.0


SCANNERS: tuple[Scanner, ...] = (
    Scanner(
        centre=1,
        vendor="A",
        vendor_name="Siemens",
        folders={"Training/Labeled": 8, "Validation": 1, "Testing": 1},
        grid=Grid((112, 120, 8), (1.5625, 1.5625, 10.0)),
        flip_deg=55,
        fat=1.0,
        gamma=1.0,
        noise=0.05,
        bias=0.15,
        banding=0.0,
        blur_mm=1.6,
        scale=220,
        tilt_deg=25.0,
    ),
    Scanner(
        centre=2,
        vendor="B",
        vendor_name="Philips",
        folders={"Training/Labeled": 6, "Validation": 1, "Testing": 1},
        grid=Grid((120, 120, 7), (1.5, 1.5, 10.0)),
        flip_deg=60,
        fat=0.45,
        gamma=0.55,
        noise=0.1,
        bias=0.35,
        banding=0.5,
        blur_mm=1.8,
        scale=1500,
        tilt_deg=20.0,
    ),
    Scanner(
        centre=3,
        vendor="B",
        vendor_name="Philips",
        folders={"Training/Labeled": 6, "Validation": 1, "Testing": 1},
        grid=Grid((108, 108, 8), (1.7, 1.7, 9.6)),
        flip_deg=50,
        fat=0.6,
        gamma=0.6,
        noise=0.13,
        bias=0.45,
        banding=0.6,
        blur_mm=2.2,
        scale=900,
        dtype="uint16",
        tilt_deg=30.0,
    ),
    Scanner(
        centre=4,
        vendor="C",
        vendor_name="GE",
        folders={"Validation": 4, "Testing": 4, "Training/Unlabeled": 2},
        grid=Grid((128, 128, 7), (1.40625, 1.40625, 10.0)),
        flip_deg=30,
        fat=0.8,
        gamma=0.85,
        noise=0.19,
        bias=0.4,
        banding=0.15,
        blur_mm=2.4,
        scale=700,
        tilt_deg=22.0,
    ),
    Scanner(
        centre=5,
        vendor="D",
        vendor_name="Canon",
        folders={"Validation": 2, "Testing": 6},
        grid=Grid((104, 104, 9), (1.75, 1.75, 8.8)),
        flip_deg=25,
        fat=0.8,
        gamma=1.4,
        noise=0.05,
        bias=0.3,
        banding=0.0,
        blur_mm=3.2,
        scale=4000,
        spoiled=True,
        dtype="float32",
        tilt_deg=28.0,
    ),
)
