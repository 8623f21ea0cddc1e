"""What makes a scan look acquired: tissue texture, receive fields, contrast, blur and noise."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from clbench.data.phantom.shapes import Array, Grid


def smooth_noise(rng: np.random.Generator, grid: Grid, length_mm: float | tuple[float, float, float]) -> Array:
    """A random field with Gaussian correlation and unit variance.

    White noise on a coarse lattice is spread by Gaussians, one axis after the other: the cost hardly depends on the
    length, and equal lengths in mm look equal on every voxel size.

    Args:
        rng: source of the lattice.
        grid: where to evaluate.
        length_mm: standard deviation of the Gaussians, > 0; three numbers for a field that is longer along some axis.

    Returns:
        (X, Y, Z) float64, mean about 0, standard deviation about 1.
    """
    lengths = length_mm if isinstance(length_mm, tuple) else (length_mm,) * 3
    kernels = [_kernel(axis, length) for axis, length in zip(grid.axes, lengths, strict=True)]
    field = rng.standard_normal([kernel.shape[0] for kernel in kernels])
    for kernel in kernels:  # contracts the first axis and appends the fine one: after three turns the order is x, y, z
        field = np.tensordot(field, kernel, axes=(0, 0))
    return field


def _kernel(axis: Array, length_mm: float) -> Array:
    """(lattice, voxels): Gaussian weights, scaled so that independent unit noise gives unit variance."""
    reach = 3 * length_mm
    lattice = np.arange(axis[0] - reach, axis[-1] + reach + length_mm, length_mm)
    weights = np.exp(-0.5 * ((lattice[:, None] - axis[None, :]) / length_mm) ** 2)
    return np.asarray(weights / np.sqrt((weights**2).sum(0)))


def bias_field(rng: np.random.Generator, grid: Grid, strength: float) -> Array:
    """A smooth positive field around 1, as surface coils leave it: exp of a tilt and a wave longer than the organ.

    Args:
        rng: source of the field.
        grid: where to evaluate.
        strength: standard deviation of the field's logarithm, >= 0.
    """
    log_field = smooth_noise(rng, grid, 60.0)
    field: Array = np.exp(strength * (log_field - log_field.mean()) / max(float(log_field.std()), 1e-9))
    return field


def endorectal_field(grid: Grid, center: tuple[float, float, float], gain: float, reach_mm: float) -> Array:
    """Sensitivity of a coil in the rectum: 1 far away, ``1 + gain`` at the coil, falling off as a loop's does.

    Args:
        grid: where to evaluate.
        center: of the coil in mm.
        gain: how much brighter it is at the coil.
        reach_mm: radius of the loop; the coil is twice as long along z.

    Source: Biot-Savart field on the axis of a current loop, which falls with ``(1 + (d / radius)**2) ** -1.5``.
    """
    x, y, z = (axis - middle for axis, middle in zip(grid.coordinates, center, strict=True))
    squared = (x * x + y * y + (z / 2) ** 2) / reach_mm**2
    return np.asarray(1.0 + gain * (1.0 + squared) ** -1.5)


def blur(signal: Array, grid: Grid, fwhm_mm: float, axes: tuple[int, ...] = (0, 1)) -> Array:
    """Point spread of the given full width at half maximum; by default slices, excited one by one, stay apart."""
    sigmas = [fwhm_mm / 2.3548 / step if axis in axes else 0.0 for axis, step in enumerate(grid.spacing_mm)]
    blurred: Array = ndimage.gaussian_filter(signal, sigmas, mode="nearest", truncate=3.0)
    return blurred


def rician(rng: np.random.Generator, signal: Array, sigma: float) -> Array:
    """Magnitude of the signal after complex Gaussian noise of standard deviation ``sigma`` in each channel.

    Source: Gudbjartsson and Patz 1995, doi 10.1002/mrm.1910340618, eq. 1.
    """
    real = signal + sigma * rng.standard_normal(signal.shape)
    return np.hypot(real, sigma * rng.standard_normal(signal.shape))
