"""Acquisition shifts: what another scanner or protocol would have made of an image, drawn once per case."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from clbench.errors import unknown
from clbench.seeding import numpy_generator

Array = NDArray[np.float64]
Image = NDArray[np.float32]
Shift = Callable[[Array, np.random.Generator], Array]


def apply_shift(name: str, image: Image, case_id: str) -> Image:
    """The image as the shifted scanner would have recorded it; the anatomy and the grid stay.

    Each shift works on the image mapped to [0, 1] between its 0.5 and 99.5 percentiles (values outside that range are
    kept outside) and is mapped back, so that it is equally strong whatever numbers the file uses:
    ``apply_shift(a * image + b) == a * apply_shift(image) + b`` for a > 0, up to rounding. Lengths are in voxels.

    Args:
        name: key of ``SHIFTS``.
        image: (X, Y, Z) of finite numbers, not changed.
        case_id: the strength and the noise are a pure function of ``name`` and ``case_id``, not of a run's seed.

    Returns:
        (X, Y, Z) float32; an image without contrast is returned as it is.

    Raises:
        InputError: unknown name.
        ValueError: not three axes.
    """
    if name not in SHIFTS:
        raise unknown("shift", name, SHIFTS)
    if image.ndim != 3:
        raise ValueError(f"a shift needs an image (X, Y, Z), not one of shape {image.shape}")
    wide = image.astype(np.float64)
    low, high = _range(wide)
    if high <= low:
        return image.astype(np.float32)
    shifted = SHIFTS[name]((wide - low) / (high - low), numpy_generator(0, "shift", name, case_id))
    return (low + (high - low) * shifted).astype(np.float32)


def _range(image: Array) -> tuple[float, float]:
    low, high = np.percentile(image, (0.5, 99.5))
    if high <= low:  # nearly all voxels are equal
        low, high = image.min(), image.max()
    return float(low), float(high)


def bias_field(image: Array, rng: np.random.Generator) -> Array:
    """Uneven receive sensitivity: multiplied by the exponential of a random cubic polynomial.

    Args:
        image: (X, Y, Z), about [0, 1].
        rng: draws the coefficients and how many times more sensitive the brightest twentieth of the voxels is than
            the darkest, 3 to 6.

    Source: Van Leemput et al. 1999, doi 10.1109/42.811268 (a polynomial for the logarithm of the field);
        Perez-Garcia et al. 2021, doi 10.1016/j.cmpb.2021.106236 (cubic, with random coefficients).
    Differs from the source in: coefficients shrink with the square of the degree, or the field would be flat but for
        its corners, and are scaled to the ratio that was drawn, for a crop sees little of a field over a whole head.
    """
    x, y, z = np.meshgrid(*(np.linspace(-1, 1, size) for size in image.shape), indexing="ij", sparse=True)
    powers = [(i, j, k) for i in range(4) for j in range(4 - i) for k in range(4 - i - j) if i + j + k > 0]
    field = np.zeros(image.shape)
    for (i, j, k), coefficient in zip(powers, rng.uniform(-1, 1, len(powers)), strict=True):
        field += coefficient / (i + j + k) ** 2 * x**i * y**j * z**k
    low, middle, high = np.percentile(field, (5, 50, 95))
    log_ratio = np.log(rng.uniform(3.0, 6.0))
    sensitivity: Array = np.exp((field - middle) * log_ratio / max(high - low, 1e-9))
    return image * sensitivity


def blur_low_resolution(image: Array, rng: np.random.Generator) -> Array:
    """Coarser sampling: averaged over thick voxels, then interpolated back to the grid.

    Args:
        image: (X, Y, Z).
        rng: draws the thick axis (2.5 to 3.5 voxels) and the width along the other two (1.5 to 2).

    Source: Greenspan 2009, doi 10.1093/comjnl/bxm075 (low resolution as point spread, then sampling).
    Differs from the source in: the slice profile is a Gaussian whose full width at half maximum is the coarse voxel.
    """
    width = np.full(3, rng.uniform(1.5, 2.0))
    width[rng.integers(3)] = rng.uniform(2.5, 3.5)
    blurred = ndimage.gaussian_filter(image, width / 2.3548, mode="nearest")
    coarse = _resize(blurred, [max(1, round(size / step)) for size, step in zip(image.shape, width, strict=True)])
    return _resize(coarse, image.shape)


def _resize(image: Array, shape: tuple[int, ...] | list[int]) -> Array:
    factors = np.array(shape) / np.array(image.shape)
    return np.asarray(ndimage.zoom(image, factors, order=1, mode="nearest", grid_mode=True))


def rician_noise(image: Array, rng: np.random.Generator) -> Array:
    """A short scan: the magnitude of the signal after complex Gaussian noise.

    Args:
        image: (X, Y, Z), about [0, 1]; 0 counts as no signal, so that dark voxels are lifted to the noise floor.
        rng: draws the noise and its standard deviation per channel, 0.12 to 0.2.

    Source: Gudbjartsson and Patz 1995, doi 10.1002/mrm.1910340618, eq. 1.
    """
    sigma = rng.uniform(0.12, 0.2)
    noise = sigma * rng.standard_normal((2, *image.shape))
    magnitude: Array = np.hypot(np.maximum(image, 0.0) + noise[0], noise[1])
    return magnitude


def gamma_inversion(image: Array, rng: np.random.Generator) -> Array:
    """Another weighting: bright becomes dark, as between T1 and T2, along a curve.

    Args:
        image: (X, Y, Z), clipped to [0, 1].
        rng: draws the exponent, 0.7 to 1.5.

    Source: the contrast curve of nnU-Net's gamma augmentation, Isensee et al. 2021, doi 10.1038/s41592-020-01008-z.
    Differs from the source in: ``(1 - x) ** gamma``; nnU-Net inverts back afterwards, so that order is kept and the
        augmentation already covers the result: that would be no shift.
    """
    curved: Array = (1.0 - np.clip(image, 0.0, 1.0)) ** rng.uniform(0.7, 1.5)
    return curved


SHIFTS: Mapping[str, Shift] = {
    "bias-field": bias_field,
    "blur-low-resolution": blur_low_resolution,
    "rician-noise": rician_noise,
    "gamma-inversion": gamma_inversion,
}
