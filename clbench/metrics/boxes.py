"""The part of a volume that holds a label in either of two label maps."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.integer[Any]]
Box = tuple[slice, ...]


def label_boxes(first: Labels, second: Labels) -> dict[int, Box]:
    """Bounding box of every label that is in one map or both, around its voxels in both.

    Args:
        first: (X, Y, Z) label values, >= 0; 0 is background.
        second: (X, Y, Z) label values on the same grid.

    Returns:
        label value -> slices that cut the box out of either map.
    """
    from scipy.ndimage import find_objects

    boxes: dict[int, Box] = {}
    for found in (find_objects(first), find_objects(second)):
        for value, box in enumerate(found, start=1):
            if box is not None:
                boxes[value] = _around(boxes[value], box) if value in boxes else box
    return boxes


def _around(one: Box, other: Box) -> Box:
    return tuple(slice(min(a.start, b.start), max(a.stop, b.stop)) for a, b in zip(one, other, strict=True))
