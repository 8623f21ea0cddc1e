"""Metrics: scores of one predicted label map against one true label map, per label."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from typing import Literal

from clbench.metrics.boxes import Labels, label_boxes
from clbench.metrics.surfaces import Mask, SurfaceDistances, diagonal_mm, surface_distances


@dataclass(frozen=True)
class MetricSpec:
    """A metric as the registry lists it.

    Attributes:
        summary: one line for ``clbench list``.
        function: ``module:function``, called as ``f(prediction, truth)`` with two boolean masks or as
            ``f(SurfaceDistances)``.
        of: what the function is called with.
        higher_is_better: False for distances.
        unit: ``""`` for a fraction, ``"mm"`` for a distance.
        since: the first ``numbers`` (a setting of every run) whose runs must have this metric's rows.
    """

    summary: str
    function: str
    of: Literal["masks", "surfaces"]
    higher_is_better: bool
    unit: Literal["", "mm"] = ""
    since: int = 1

    def compute(self, prediction: Mask, truth: Mask, spacing_mm: Sequence[float]) -> float:
        """The score of one label.

        Args:
            prediction: (X, Y, Z) bool.
            truth: (X, Y, Z) bool.
            spacing_mm: voxel size along x, y, z.

        Returns:
            The score; NaN where it is undefined.
        """
        return self.of_masks(Masks(prediction, truth, tuple(spacing_mm), diagonal_mm(truth.shape, spacing_mm)))

    def of_masks(self, masks: Masks) -> float:
        """As ``compute``, for several metrics that share the surface distances of one pair of masks."""
        module, _, name = self.function.partition(":")
        function = getattr(import_module(module), name)
        return float(function(masks.surfaces) if self.of == "surfaces" else function(masks.prediction, masks.truth))


@dataclass(frozen=True)
class Masks:
    """One label in prediction and truth, which may be cropped to a box around both.

    Attributes:
        prediction: (X, Y, Z) bool.
        truth: (X, Y, Z) bool.
        spacing_mm: voxel size along x, y, z.
        diagonal_mm: of the whole volume.
    """

    prediction: Mask
    truth: Mask
    spacing_mm: tuple[float, ...]
    diagonal_mm: float

    @cached_property
    def surfaces(self) -> SurfaceDistances:
        """The distances between the two borders; to the border of an empty mask, the volume's diagonal."""
        return surface_distances(self.prediction, self.truth, self.spacing_mm, self.diagonal_mm)


METRICS: dict[str, MetricSpec] = {
    "dice": MetricSpec("volume overlap, 0 to 1", "clbench.metrics.dice:dice", "masks", higher_is_better=True),
    "hd95_mm": MetricSpec(
        "largest distance between the borders but for 5 % of them, in mm",
        *("clbench.metrics.hd95_mm:hd95_mm", "surfaces"),
        higher_is_better=False,
        unit="mm",
        since=2,
    ),
    "assd_mm": MetricSpec(
        "mean distance between the borders, in mm",
        *("clbench.metrics.assd_mm:assd_mm", "surfaces"),
        higher_is_better=False,
        unit="mm",
        since=2,
    ),
    "nsd_2mm": MetricSpec(
        "part of the borders within 2 mm of each other, 0 to 1",
        *("clbench.metrics.nsd_2mm:nsd_2mm", "surfaces"),
        higher_is_better=True,
        since=2,
    ),
}


def required_metrics(numbers: int) -> set[str]:
    """The metrics whose rows a run of that ``numbers`` must have."""
    return {key for key, spec in METRICS.items() if spec.since <= numbers}


def score_case(
    prediction: Labels,
    truth: Labels,
    labels: Mapping[str, int],
    spacing_mm: Sequence[float],
    metrics: Sequence[str] = tuple(METRICS),
) -> list[tuple[str, str, float]]:
    """Every metric of every label of one case.

    Args:
        prediction: (X, Y, Z) label values on the native grid.
        truth: (X, Y, Z) label values on the same grid.
        labels: label name -> value, > 0, for the labels to score.
        spacing_mm: voxel size along x, y, z.
        metrics: keys of ``METRICS``.

    Returns:
        (label name, metric, score) in the order of ``labels`` and ``metrics``.

    Raises:
        ValueError: the two shapes differ.
    """
    if prediction.shape != truth.shape:
        raise ValueError(f"prediction {prediction.shape} and truth {truth.shape} are on different grids")
    boxes, diagonal = label_boxes(prediction, truth), diagonal_mm(truth.shape, spacing_mm)
    nowhere = (slice(0, 0),) * truth.ndim
    rows = []
    for name, value in labels.items():
        box = boxes.get(value, nowhere)
        masks = Masks(prediction[box] == value, truth[box] == value, tuple(spacing_mm), diagonal)
        rows += [(name, key, METRICS[key].of_masks(masks)) for key in metrics]
    return rows
