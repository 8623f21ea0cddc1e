"""Dice: the overlap of two masks."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def dice(prediction: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    """Twice the common volume over the sum of both volumes.

    Args:
        prediction: bool, any shape.
        truth: bool, the same shape.

    Returns:
        In [0, 1]; NaN when both masks are empty, 0 when only one is: a false alarm on a case without the structure
        counts in full.

    Raises:
        ValueError: the shapes differ.

    Source: Dice 1945, doi 10.2307/1932409.
    """
    if prediction.shape != truth.shape:
        raise ValueError(f"masks of different shapes: {prediction.shape} and {truth.shape}")
    total = int(np.count_nonzero(prediction)) + int(np.count_nonzero(truth))
    return 2.0 * int(np.count_nonzero(prediction & truth)) / total if total else float("nan")
