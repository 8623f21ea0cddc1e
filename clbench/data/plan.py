"""Plan: the grid that cases are prepared on and the patch a network sees."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Plan:
    """The grid a stream is trained on and the patch its network sees.

    Attributes:
        dims: 2 for slices, 3 for volumes.
        spacing_mm: target voxel spacing along x, y, z of the prepared volume; 0 keeps a case's own spacing there.
        patch_size: voxels per axis, ``dims`` values, order as ``spacing_mm``.
        mirror_axes: patch axes along which mirroring is an allowed augmentation.
        rotation_deg: largest rotation of the augmentation, in the slice plane for 2-D, around every axis for 3-D.
    """

    dims: Literal[2, 3]
    spacing_mm: tuple[float, float, float]
    patch_size: tuple[int, ...]
    mirror_axes: tuple[int, ...] = (0, 1)
    rotation_deg: float = 180.0
