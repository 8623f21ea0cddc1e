"""Metrics: scores of one predicted label map against one true label map, per label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Labels = NDArray[np.integer[Any]]


@dataclass(frozen=True)
class MetricSpec:
    """A metric as the registry lists it.

    Attributes:
        summary: one line for ``clbench list``.
        function: ``module:function``, called as ``f(prediction, truth, spacing_mm)`` with two boolean masks.
        higher_is_better: False for distances.
        unit: ``""`` for a fraction, ``"mm"`` for a distance.
    """

    summary: str
    function: str
    higher_is_better: bool
    unit: Literal["", "mm"] = ""

    def compute(self, prediction: NDArray[np.bool_], truth: NDArray[np.bool_], spacing_mm: Sequence[float]) -> float:
        """The score of one label.

        Args:
            prediction: (X, Y, Z) bool.
            truth: (X, Y, Z) bool.
            spacing_mm: voxel size along x, y, z.

        Returns:
            The score; NaN where it is undefined.
        """
        module, _, name = self.function.partition(":")
        return float(getattr(import_module(module), name)(prediction, truth, spacing_mm))


METRICS: dict[str, MetricSpec] = {
    "dice": MetricSpec("volume overlap, 0 to 1", "clbench.metrics.dice:dice", higher_is_better=True),
}


def score_case(
    prediction: Labels,
    truth: Labels,
    labels: Mapping[str, int],
    spacing_mm: Sequence[float],
    metrics: Sequence[str] = ("dice",),
) -> list[tuple[str, str, float]]:
    """Every metric of every label of one case.

    Args:
        prediction: (X, Y, Z) label values on the native grid.
        truth: (X, Y, Z) label values on the same grid.
        labels: label name -> value, for the labels to score.
        spacing_mm: voxel size along x, y, z.
        metrics: keys of ``METRICS``.

    Returns:
        (label name, metric, score) in the order of ``labels`` and ``metrics``.

    Raises:
        ValueError: the two shapes differ.
    """
    if prediction.shape != truth.shape:
        raise ValueError(f"prediction {prediction.shape} and truth {truth.shape} are on different grids")
    rows = []
    for name, value in labels.items():
        predicted, true = prediction == value, truth == value
        rows += [(name, key, METRICS[key].compute(predicted, true, spacing_mm)) for key in metrics]
    return rows
