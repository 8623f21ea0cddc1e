"""Geometry: from a case's native grid to the grid it is trained on, and back."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, Protocol, TypeVar

import nibabel
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from clbench.errors import InputError

Triple = tuple[int, int, int]
Scalar = TypeVar("Scalar", bound=np.generic)

THICK = 1.5  # spacing over the next largest from which an axis counts as the slice axis
MOST_VOXELS = 2**30  # of a prepared volume; more means a header that cannot be right


class Grid(Protocol):
    """What preparation reads of a plan; ``clbench.streams.stream.Plan`` has it."""

    @property
    def dims(self) -> int:
        """2 for slices, 3 for volumes."""

    @property
    def spacing_mm(self) -> tuple[float, float, float]:
        """Target spacing along the prepared axes; 0 keeps the case's own."""


@dataclass(frozen=True)
class Geometry:
    """How a case's native grid maps to its prepared grid; invertible and storable as JSON.

    Attributes:
        native_shape: voxels along the axes of the file.
        axes: the native axis that each prepared axis runs along.
        flipped: whether each prepared axis runs against its native axis.
        shape: voxels along the prepared axes.
        spacing_mm: voxel size along the prepared axes; field of view over voxels, so within rounding of the plan's.
    """

    native_shape: Triple
    axes: Triple
    flipped: tuple[bool, bool, bool]
    shape: Triple
    spacing_mm: tuple[float, float, float]

    def prepare_image(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        """Resample an image with cubic splines, each channel by itself.

        Args:
            image: (C, X, Y, Z) on the native grid.

        Returns:
            (C, *shape) float32, a new array in Fortran order.
        """
        channels = [resize(channel, self.shape, order=3) for channel in self._forth(image)]
        return np.asfortranarray(np.stack(channels))

    def prepare_mask(self, mask: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Resample a mask: each label linearly, then the most likely one.

        Args:
            mask: (X, Y, Z) uint8 on the native grid.

        Returns:
            (*shape) uint8, a new array in Fortran order.
        """
        ordered = self._forth(mask)
        if ordered.shape == self.shape:
            return np.asfortranarray(ordered.copy())
        values = sorted({0, *np.unique(ordered).tolist()})
        weights = (resize((ordered == value).astype(np.float32), self.shape, order=1) for value in values)
        return np.asfortranarray(np.array(values, dtype=np.uint8)[_largest(weights)])

    def to_native(self, scores: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Label map on the native grid from class scores on the prepared grid.

        Args:
            scores: (K, *shape) float32, logits or probabilities, K at most 256; channel index = label value.

        Returns:
            (X, Y, Z) uint8 on the native grid: scores are resampled linearly, then the largest wins (the lower label
            on a tie). Without resampling it is the plain argmax.

        Raises:
            ValueError: the scores have another shape.
        """
        if scores.ndim != 4 or scores.shape[1:] != self.shape or not 1 <= len(scores) <= 256:
            raise ValueError(f"scores must have the shape (classes, {self.shape}), not {scores.shape}")
        ordered = _pick(self.native_shape, self.axes)
        return self._back(_largest(resize(channel, ordered, order=1) for channel in scores))

    def as_json(self) -> dict[str, Any]:
        """A dict of lists and numbers, for ``from_json``."""
        return asdict(self)

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Geometry:
        """Inverse of ``as_json``; KeyError or TypeError for anything else."""
        names = ("native_shape", "axes", "flipped", "shape", "spacing_mm")
        return cls(**{name: tuple(values[name]) for name in names})

    def _forth(self, array: NDArray[Scalar]) -> NDArray[Scalar]:
        """Prepared axis order and directions; the last three axes are spatial."""
        return reorder(array, self.axes, self.flipped)

    def _back(self, array: NDArray[Scalar]) -> NDArray[Scalar]:
        return restore(array, self.axes, self.flipped)


def make_geometry(shape: Triple, affine: NDArray[np.float64], spacing_mm: Sequence[float], grid: Grid) -> Geometry:
    """The geometry of a case on a plan's grid.

    Axes are brought to RAS+ order and direction. For 2-D plans the slice axis is then moved to the end: the axis with
    the largest spacing when that is at least 1.5 times the others, else the file's third axis.

    Args:
        shape: native voxels.
        affine: (4, 4), voxel indices to mm in RAS+.
        spacing_mm: native voxel size, all > 0.
        grid: dimensions and target spacing.

    Raises:
        InputError: the affine or the spacing is unusable, or the prepared volume would be absurdly large.
    """
    if not (np.isfinite(spacing_mm).all() and min(spacing_mm) > 0):
        raise InputError(f"voxel spacing {tuple(spacing_mm)} must be positive; repair the header")
    axes, flipped = ras_axes(affine)
    if grid.dims == 2:
        order = _slices_last(axes, spacing_mm)
        axes, flipped = _pick(axes, order), _pick(flipped, order)
    own = _pick(spacing_mm, axes)
    field_mm = [count * size for count, size in zip(_pick(shape, axes), own, strict=True)]
    wanted = [target or size for target, size in zip(grid.spacing_mm, own, strict=True)]
    counts = [max(1, round(extent / size)) for extent, size in zip(field_mm, wanted, strict=True)]
    if int(np.prod(counts, dtype=object)) > MOST_VOXELS:
        raise InputError(f"spacing {tuple(spacing_mm)} mm makes a grid of {tuple(counts)} voxels; check the header")
    x, y, z = (extent / count for extent, count in zip(field_mm, counts, strict=True))
    return Geometry(_triple(shape), axes, flipped, _triple(counts), (x, y, z))


def ras_axes(affine: NDArray[np.float64]) -> tuple[Triple, tuple[bool, bool, bool]]:
    """Native axis of each of right, anterior and superior, and whether it runs the other way.

    Raises:
        InputError: the affine is singular or not finite.
    """
    if not np.isfinite(affine).all() or np.linalg.matrix_rank(affine[:3, :3]) < 3:
        raise InputError("the affine is singular or not finite; repair the header")
    orientation = nibabel.io_orientation(affine)  # row per native axis: RAS axis, direction
    axes = _triple(int(axis) for axis in np.argsort(orientation[:, 0]))
    x, y, z = (bool(orientation[axis, 1] < 0) for axis in axes)
    return axes, (x, y, z)


def reorder(array: NDArray[Scalar], axes: Triple, flipped: Sequence[bool]) -> NDArray[Scalar]:
    """A view whose k-th of the last three axes is native axis ``axes[k]``, reversed where ``flipped[k]``."""
    lead = array.ndim - 3
    moved = array.transpose(*range(lead), *(lead + axis for axis in axes))
    turned: NDArray[Scalar] = np.flip(moved, tuple(lead + axis for axis in range(3) if flipped[axis]))
    return turned


def restore(array: NDArray[Scalar], axes: Triple, flipped: Sequence[bool]) -> NDArray[Scalar]:
    """Inverse of ``reorder``."""
    lead = array.ndim - 3
    turned: NDArray[Scalar] = np.flip(array, tuple(lead + axis for axis in range(3) if flipped[axis]))
    return turned.transpose(*range(lead), *(lead + int(axis) for axis in np.argsort(axes)))


def resize(array: NDArray[np.float32], shape: tuple[int, ...], *, order: Literal[1, 3]) -> NDArray[np.float32]:
    """Interpolate to another number of voxels over the same field of view, edges extended.

    Args:
        array: 1 to 3 axes.
        shape: voxels wanted.
        order: 1 linear, 3 cubic spline.

    Returns:
        ``shape`` float32; ``array`` itself when it has that shape already.
    """
    if array.shape == shape:
        return array
    if array.ndim == 3:  # splines are separable: leave out an axis that does not change
        for axis in (2, 1, 0):
            if array.shape[axis] == shape[axis]:
                rest = shape[:axis] + shape[axis + 1 :]
                return np.stack([resize(part, rest, order=order) for part in np.moveaxis(array, axis, 0)], axis)
    factors = np.array(shape) / np.array(array.shape)
    return np.asarray(ndimage.zoom(array, factors, order=order, mode="nearest", grid_mode=True))


def _largest(channels: Iterable[NDArray[np.float32]]) -> NDArray[np.uint8]:
    """Index of the largest channel, the first on a tie, holding two channels at a time."""
    remaining: Iterator[NDArray[np.float32]] = iter(channels)
    best = np.array(next(remaining))
    index = np.zeros(best.shape, dtype=np.uint8)
    for number, channel in enumerate(remaining, start=1):
        index[channel > best] = number
        np.maximum(best, channel, out=best)
    return index


def _slices_last(axes: Triple, spacing_mm: Sequence[float]) -> Triple:
    """Order of the RAS axes that ends with the slice axis."""
    by_size = sorted(range(3), key=lambda axis: spacing_mm[axis])
    thick = spacing_mm[by_size[2]] >= THICK * spacing_mm[by_size[1]] * (1 - 1e-6)
    last = axes.index(by_size[2] if thick else 2)
    return _triple([*(axis for axis in range(3) if axis != last), last])


def _triple(values: Iterable[int]) -> Triple:
    x, y, z = values
    return int(x), int(y), int(z)


Item = TypeVar("Item")


def _pick(values: Sequence[Item], order: Triple) -> tuple[Item, Item, Item]:
    return values[order[0]], values[order[1]], values[order[2]]
