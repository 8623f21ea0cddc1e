"""Windows: a box of voxels out of a volume or slice, straight or turned and zoomed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Scalar = TypeVar("Scalar", bound=np.generic)
Box = tuple[Any, ...]  # an index: an ellipsis for the leading axes, then slices


def read_window(volume: NDArray[Scalar], corner: Sequence[int], size: Sequence[int]) -> NDArray[Scalar]:
    """The box of ``size`` voxels at ``corner``, zero where it sticks out.

    Args:
        volume: (..., *S), as many spatial axes as ``corner`` has values.
        corner: lowest index per axis, may be negative.
        size: voxels per axis.

    Returns:
        (..., *size); a view of the volume when the box lies inside it.
    """
    spatial = volume.shape[-len(corner) :]
    lower = [max(start, 0) for start in corner]
    ends = [min(start + count, limit) for start, count, limit in zip(corner, size, spatial, strict=True)]
    upper = [max(low, end) for low, end in zip(lower, ends, strict=True)]
    inside: Box = (..., *(slice(low, high) for low, high in zip(lower, upper, strict=True)))
    found: NDArray[Scalar] = volume[inside]
    if found.shape[-len(corner) :] == tuple(size):
        return found
    padded = np.zeros((*volume.shape[: -len(corner)], *size), dtype=volume.dtype)
    place: Box = (
        ...,
        *(slice(low - start, high - start) for start, low, high in zip(corner, lower, upper, strict=True)),
    )
    padded[place] = found
    return padded


@dataclass(frozen=True, eq=False)
class Warp:
    """Where each voxel of a turned and zoomed window looks in a volume; made once for image and mask.

    Our own linear interpolation, since one pass over shared coordinates is several times faster than SciPy's
    ``affine_transform`` (mode ``grid-constant``), with which it agrees.

    Attributes:
        size: voxels of the window.
        region: the part of the volume that can be seen.
        index: (N,) of the lowest neighbor in the region, raveled after padding by one voxel of zeros on each side.
        fractions: per axis, (N,) float32: how far the point is from that neighbor towards the next.
        strides: per axis, distance of neighbors in the raveled region.
        padded_shape: of the padded region.
    """

    size: tuple[int, ...]
    region: Box
    index: NDArray[np.intp]
    fractions: tuple[NDArray[np.float32], ...]
    strides: tuple[int, ...]
    padded_shape: tuple[int, ...]

    def image(self, image: NDArray[Any]) -> NDArray[np.float32]:
        """Interpolate (C, *S) linearly, zero outside: (C, *size) float32."""
        channels = [self._interpolate(self._padded(channel, np.float32), self.index) for channel in image]
        return np.stack(channels).reshape(len(image), *self.size)

    def mask(self, mask: NDArray[np.uint8], labels: Iterable[int]) -> NDArray[np.uint8]:
        """Interpolate each label of (*S) linearly and take the most likely one, background on a tie.

        Args:
            mask: uint8.
            labels: all label values of the mask besides 0.

        Returns:
            (*size) uint8.
        """
        values = self._padded(mask, np.uint8)
        found = values.take(self.index)
        border = np.flatnonzero(self._neighbors_differ(values, found))
        found[border] = self._most_likely(values, labels, border)
        return found.reshape(self.size)

    def _padded(self, channel: NDArray[Any], dtype: type[Scalar]) -> NDArray[Scalar]:
        padded = np.zeros(self.padded_shape, dtype=dtype)
        padded[(slice(1, -1),) * len(self.size)] = channel[self.region]
        return padded.ravel()

    def _interpolate(
        self, values: NDArray[np.float32], index: NDArray[np.intp], at: NDArray[np.intp] | None = None, axis: int = 0
    ) -> NDArray[np.float32]:
        """Linear along ``axis`` and all later ones, at all points or at those of ``at``."""
        if axis == len(self.size):
            return values.take(index)
        low = self._interpolate(values, index, at, axis + 1)
        high = self._interpolate(values, index + self.strides[axis], at, axis + 1)
        fraction = self.fractions[axis] if at is None else self.fractions[axis][at]
        return low + fraction * (high - low)

    def _neighbors_differ(self, values: NDArray[np.uint8], lowest: NDArray[np.uint8]) -> NDArray[np.bool_]:
        """Whether the neighbors of a point have several labels; elsewhere nothing needs to be interpolated."""
        differ = np.zeros(lowest.shape, dtype=bool)
        for number in range(1, 2 ** len(self.size)):
            step = sum(stride for axis, stride in enumerate(self.strides) if number >> axis & 1)
            differ |= values.take(self.index + step) != lowest
        return differ

    def _most_likely(self, values: NDArray[np.uint8], labels: Iterable[int], at: NDArray[np.intp]) -> NDArray[np.uint8]:
        index = self.index[at]
        best = self._interpolate((values == 0).astype(np.float32), index, at)
        found = np.zeros(at.shape, dtype=np.uint8)
        for label in labels:
            weight = self._interpolate((values == label).astype(np.float32), index, at)
            found[weight > best] = label
            np.maximum(best, weight, out=best)
        return found


def make_warp(shape: Sequence[int], corner: Sequence[int], size: Sequence[int], matrix: NDArray[np.float64]) -> Warp:
    """The window around the center of a box, seen through a matrix.

    Args:
        shape: of the volume, d axes.
        corner: lowest index per axis of the box before warping.
        size: voxels per axis.
        matrix: (d, d); voxel o from the center of the window shows ``matrix @ o`` from the center of the box.
    """
    half = (np.array(size) - 1) / 2
    center, reach = np.array(corner) + half, (np.abs(matrix) * half).sum(1)
    lower = np.clip(np.floor(center - reach).astype(int), 0, np.array(shape) - 1)
    upper = np.clip(np.ceil(center + reach).astype(int) + 1, lower + 1, shape)
    padded_shape = tuple(int(count) + 2 for count in upper - lower)
    strides = tuple(int(np.prod(padded_shape[axis + 1 :], dtype=np.intp)) for axis in range(len(size)))
    offsets = np.meshgrid(
        *(np.arange(count) - middle for count, middle in zip(size, half, strict=True)), indexing="ij", sparse=True
    )
    index = np.zeros(tuple(size), dtype=np.intp)
    fractions = []
    for axis, row in enumerate(matrix):
        point = (
            center[axis] - lower[axis] + 1 + sum(factor * offset for factor, offset in zip(row, offsets, strict=True))
        )
        point = np.clip(point, 0, padded_shape[axis] - 1)
        lowest = np.minimum(point.astype(np.intp), padded_shape[axis] - 2)
        index += lowest * strides[axis]
        fractions.append((point - lowest).astype(np.float32).ravel())
    region: Box = tuple(slice(low, high) for low, high in zip(lower, upper, strict=True))
    return Warp(tuple(size), region, index.ravel(), tuple(fractions), strides, padded_shape)
