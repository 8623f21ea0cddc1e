"""Augmentation: nnU-Net's default recipe; what is done to a patch is drawn first and applied afterwards."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from clbench.data.geometry import resize

Image = NDArray[np.float32]

ROTATION, SCALING, MIRROR = 0.2, 0.2, 0.5
NOISE, BLUR, BRIGHTNESS, CONTRAST, LOW_RESOLUTION, INVERTED_GAMMA, GAMMA = 0.1, 0.2, 0.15, 0.15, 0.25, 0.1, 0.3
PER_CHANNEL = 0.5  # of blur and low resolution, once they are drawn for the patch
SCALE_RANGE, NOISE_STD, BLUR_SIGMA = (0.7, 1.4), (0.0, 0.1), (0.5, 1.0)
FACTOR_RANGE, ZOOM_RANGE, GAMMA_RANGE = (0.75, 1.25), (0.5, 1.0), (0.7, 1.5)
SMALLEST = 1e-7  # least range or standard deviation to divide by


class AugmentPlan(Protocol):
    """What augmentation reads of a plan; ``clbench.streams.stream.Plan`` has it."""

    @property
    def dims(self) -> int:
        """2 or 3."""

    @property
    def mirror_axes(self) -> tuple[int, ...]:
        """Patch axes that may be mirrored."""

    @property
    def rotation_deg(self) -> float:
        """Largest rotation; in the plane for 2-D, around every axis for 3-D."""


@dataclass(frozen=True)
class ChannelParams:
    """What happens to one channel, in this order; the defaults do nothing.

    Attributes:
        blur_sigma: standard deviation of the Gaussian in voxels per axis; empty for none.
        brightness: factor.
        contrast: factor around the mean; the range of values is kept by clipping.
        zoom: fraction of the resolution that is left.
        inverted_gamma: exponent on the negative image.
        gamma: exponent on the image scaled to [0, 1]; mean and standard deviation are kept.
    """

    blur_sigma: tuple[float, ...] = ()
    brightness: float = 1.0
    contrast: float = 1.0
    zoom: float = 1.0
    inverted_gamma: float = 1.0
    gamma: float = 1.0


@dataclass(frozen=True)
class AugmentParams:
    """What happens to one patch; the defaults do nothing.

    Attributes:
        angles_deg: rotation: one angle in 2-D, one around each axis in 3-D; empty for none.
        scale: voxels of the source per voxel of the patch; above 1 things look smaller.
        noise_std: standard deviation of Gaussian noise, the same for all channels.
        noise_seed: of the noise's own generator.
        channels: one entry per channel.
        mirror: patch axes to mirror, last of all.
    """

    angles_deg: tuple[float, ...] = ()
    scale: float = 1.0
    noise_std: float = 0.0
    noise_seed: int = 0
    channels: tuple[ChannelParams, ...] = (ChannelParams(),)
    mirror: tuple[int, ...] = ()

    @property
    def matrix(self) -> NDArray[np.float64] | None:
        """(d, d) for ``make_warp``: rotation times scale; None when neither was drawn."""
        if self.scale == 1.0 and not self.angles_deg:
            return None
        return self.scale * rotation_matrix(self.angles_deg)


def draw(rng: np.random.Generator, plan: AugmentPlan, channels: int = 1) -> AugmentParams:
    """Draw what happens to one patch.

    Args:
        rng: advanced by a number of draws that depends on what is drawn.
        plan: mirror axes and largest rotation.
        channels: of the image.

    Source: Isensee et al. 2021, doi 10.1038/s41592-020-01008-z, with the probabilities and ranges of nnU-Net v2's
        default trainer. Its noise "variance" of 0 to 0.1 is used there, and here, as the standard deviation.
    Differs from the source in: Gaussian kernels are cut at four standard deviations with edges extended.
    """
    rotated, scaled = rng.random() < ROTATION, rng.random() < SCALING
    angles = rng.uniform(-plan.rotation_deg, plan.rotation_deg, 1 if plan.dims == 2 else 3) if rotated else ()
    unrotated = (0.0,) * (1 if plan.dims == 2 else 3) if scaled else ()
    return AugmentParams(
        angles_deg=tuple(float(angle) for angle in angles) or unrotated,
        scale=float(rng.uniform(*SCALE_RANGE)) if scaled else 1.0,
        noise_std=float(rng.uniform(*NOISE_STD)) if rng.random() < NOISE else 0.0,
        noise_seed=int(rng.integers(2**63)),
        channels=_draw_channels(rng, plan.dims, channels),
        mirror=tuple(axis for axis in plan.mirror_axes if rng.random() < MIRROR),
    )


def _draw_channels(rng: np.random.Generator, dims: int, channels: int) -> tuple[ChannelParams, ...]:
    """Each kind is drawn once for the patch, its strength for each channel."""
    chances = (BLUR, BRIGHTNESS, CONTRAST, LOW_RESOLUTION, INVERTED_GAMMA, GAMMA)
    blur, brightness, contrast, low, inverted, gamma = (rng.random() < chance for chance in chances)
    return tuple(
        ChannelParams(
            blur_sigma=_sigmas(rng, dims) if blur and rng.random() < PER_CHANNEL else (),
            brightness=_around_one(rng, FACTOR_RANGE) if brightness else 1.0,
            contrast=_around_one(rng, FACTOR_RANGE) if contrast else 1.0,
            zoom=float(rng.uniform(*ZOOM_RANGE)) if low and rng.random() < PER_CHANNEL else 1.0,
            inverted_gamma=_around_one(rng, GAMMA_RANGE) if inverted else 1.0,
            gamma=_around_one(rng, GAMMA_RANGE) if gamma else 1.0,
        )
        for _ in range(channels)
    )


def _sigmas(rng: np.random.Generator, dims: int) -> tuple[float, ...]:
    return tuple(float(sigma) for sigma in rng.uniform(*BLUR_SIGMA, dims))


def _around_one(rng: np.random.Generator, limits: tuple[float, float]) -> float:
    """Below and above 1 are equally likely, however far the limits are from it."""
    low, high = limits
    return float(rng.uniform(low, 1.0) if rng.random() < 0.5 else rng.uniform(1.0, high))


def rotation_matrix(angles_deg: tuple[float, ...]) -> NDArray[np.float64]:
    """(2, 2) for one angle; (3, 3) for three: around the first axis, then the second, then the third."""
    turns = [(np.cos(angle), np.sin(angle)) for angle in np.deg2rad(angles_deg)]
    if len(turns) == 1:
        ((cos, sin),) = turns
        return np.array([[cos, -sin], [sin, cos]])
    (cx, sx), (cy, sy), (cz, sz) = turns
    around_x = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    around_y = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    around_z = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    turned: NDArray[np.float64] = around_z @ around_y @ around_x
    return turned


def apply(image: Image, mask: NDArray[np.uint8], params: AugmentParams) -> tuple[Image, NDArray[np.uint8]]:
    """Change intensities and mirror. Rotation and scaling happen earlier, where the patch is read (``params.matrix``).

    Args:
        image: (C, *patch) float32, not changed.
        mask: (*patch) uint8, not changed.
        params: from ``draw``, with one entry of ``channels`` per channel.

    Returns:
        Image and mask, shapes as given, contiguous.
    """
    noisy = add_noise(image, params.noise_std, params.noise_seed) if params.noise_std else image
    changed = np.stack([_channel(channel, what) for channel, what in zip(noisy, params.channels, strict=True)])
    if not params.mirror:
        return changed, np.ascontiguousarray(mask)
    mirrored = np.flip(changed, tuple(axis + 1 for axis in params.mirror))
    return np.ascontiguousarray(mirrored), np.ascontiguousarray(np.flip(mask, params.mirror))


def _channel(channel: Image, params: ChannelParams) -> Image:
    if params.blur_sigma:
        channel = ndimage.gaussian_filter(channel, params.blur_sigma, mode="nearest")
    if params.brightness != 1.0:
        channel = channel * params.brightness
    if params.contrast != 1.0:
        channel = change_contrast(channel, params.contrast)
    if params.zoom != 1.0:
        channel = lower_resolution(channel, params.zoom)
    if params.inverted_gamma != 1.0:
        channel = -change_gamma(-channel, params.inverted_gamma)
    if params.gamma != 1.0:
        channel = change_gamma(channel, params.gamma)
    return channel


def add_noise(image: Image, std: float, seed: int) -> Image:
    """Add independent Gaussian noise to every voxel of (C, *S)."""
    rng = np.random.Generator(np.random.PCG64(seed))
    return image + std * rng.standard_normal(image.shape, dtype=np.float32)


def change_contrast(channel: Image, factor: float) -> Image:
    """Stretch (*S) around its mean; values stay within the old minimum and maximum."""
    mean = float(channel.mean(dtype=np.float64))
    return np.asarray(np.clip((channel - mean) * factor + mean, channel.min(), channel.max()))


def lower_resolution(channel: Image, zoom: float) -> Image:
    """Keep ``zoom`` of the voxels along each axis of (*S) by nearest neighbor, then interpolate linearly back."""
    coarse = channel
    for axis, size in enumerate(channel.shape):
        count = max(1, round(size * zoom))
        nearest = ((np.arange(count) + 0.5) * size / count).astype(np.intp)
        coarse = coarse.take(nearest, axis)
    return resize(coarse, channel.shape, order=1)


def change_gamma(channel: Image, gamma: float) -> Image:
    """Raise (*S), scaled to [0, 1], to a power; mean and standard deviation are kept."""
    low, mean, std = float(channel.min()), float(channel.mean(dtype=np.float64)), float(channel.std(dtype=np.float64))
    spread = float(channel.max()) - low
    curved = ((channel - low) / max(spread, SMALLEST)) ** gamma
    now, now_std = float(curved.mean(dtype=np.float64)), float(curved.std(dtype=np.float64))
    return (curved - now) * (std / max(now_std, SMALLEST)) + mean
