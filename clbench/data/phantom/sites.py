"""The sites of the prostate phantom: how each scans and how it writes its files."""

from __future__ import annotations

from dataclasses import dataclass

from clbench.data.phantom.shapes import Grid


@dataclass(frozen=True)
class Site:
    """How one site scans and how it writes its files.

    Attributes:
        name: folder name.
        numbers: case numbers, as in ``Case07``.
        grid: matrix and voxel size.
        echo_ms: echo time; a longer one raises the contrast between fluid and solid tissue.
        fat: brightness of fat relative to an unsuppressed one.
        gamma: exponent of the contrast curve; below 1 lifts the dark tissues.
        noise: standard deviation in each receive channel, relative to the peripheral zone at a full field of 1.
        bias: standard deviation of the logarithm of the smooth receive field.
        coil: extra sensitivity at an endorectal coil; 0 without one.
        blur_mm: in-plane point spread, full width at half maximum.
        scale: stored number for signal 1.
        dtype: type of the image file.
        two_zones: masks tell peripheral (1) from transition zone (2).
        capital: masks end in ``_Segmentation``.
        mask_decimals: mask headers are rounded to so many decimals; None leaves them as the image's.
        tilt_deg: slices are tilted about the x axis by this angle.
    """

    name: str
    numbers: tuple[int, ...]
    grid: Grid
    echo_ms: float
    fat: float
    gamma: float
    noise: float
    bias: float
    coil: float
    blur_mm: float
    scale: float
    dtype: str = "int16"
    two_zones: bool = False
    capital: bool = False
    mask_decimals: int | None = None
    tilt_deg: float = 0.0


SITES: tuple[Site, ...] = (
    Site(
        name="RUNMC",
        numbers=tuple(range(10)),
        grid=Grid((128, 128, 14), (1.25, 1.25, 3.6)),
        echo_ms=101,
        fat=0.8,
        gamma=1.0,
        noise=0.06,
        bias=0.12,
        coil=0.0,
        blur_mm=1.0,
        scale=900,
        two_zones=True,
    ),
    Site(
        name="BMC",
        numbers=tuple(range(10)),
        grid=Grid((120, 120, 16), (1.25, 1.25, 3.0)),
        echo_ms=105,
        fat=0.75,
        gamma=0.9,
        noise=0.2,
        bias=0.1,
        coil=9.0,
        blur_mm=1.4,
        scale=350,
        two_zones=True,
        capital=True,
    ),
    Site(
        name="I2CVB",
        numbers=tuple(range(8)),
        grid=Grid((112, 96, 16), (1.5625, 1.5625, 2.5)),
        echo_ms=140,
        fat=0.45,
        gamma=0.7,
        noise=0.05,
        bias=0.25,
        coil=0.0,
        blur_mm=2.6,
        scale=400,
        dtype="float32",
        mask_decimals=3,
    ),
    Site(
        name="UCL",
        numbers=tuple(range(8)),
        grid=Grid((128, 128, 13), (1.3671875, 1.3671875, 3.3)),
        echo_ms=85,
        fat=1.35,
        gamma=1.35,
        noise=0.16,
        bias=0.3,
        coil=0.0,
        blur_mm=1.2,
        scale=1600,
        mask_decimals=4,
        tilt_deg=8.0,
    ),
    Site(
        name="BIDMC",
        numbers=(0, *range(2, 9)),
        grid=Grid((112, 112, 15), (1.3392857, 1.3392857, 3.0)),
        echo_ms=110,
        fat=0.6,
        gamma=1.2,
        noise=0.35,
        bias=0.15,
        coil=16.0,
        blur_mm=1.5,
        scale=500,
        dtype="uint16",
        mask_decimals=3,
    ),
    Site(
        name="HK",
        numbers=tuple(range(8)),
        grid=Grid((104, 104, 12), (1.5384615, 1.5384615, 3.6)),
        echo_ms=92,
        fat=1.5,
        gamma=1.3,
        noise=0.22,
        bias=0.35,
        coil=5.0,
        blur_mm=1.9,
        scale=120,
    ),
)

DECATHLON = Site(
    name="Decathlon",
    numbers=(0, 1, 2, 4, 6, 7, 10, 13, 14, 16),  # as published, with gaps
    grid=Grid((112, 112, 13), (1.4, 1.4, 3.6)),
    echo_ms=118,
    fat=1.6,
    gamma=1.4,
    noise=0.09,
    bias=0.4,
    coil=0.0,
    blur_mm=2.0,
    scale=300,
    dtype="float32",
    two_zones=True,
)
"""The seventh site, not one of the six: Decathlon task 5."""
