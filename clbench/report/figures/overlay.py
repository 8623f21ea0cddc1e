"""Overlay: image, truth and predictions of one case, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from clbench.report.figures.canvas import canvas, style
from clbench.report.figures.legend import wrapped

_COLORS = ("#E69F00", "#56B4E9", "#009E73", "#F0E442", "#CC79A7", "#D55E00")


@dataclass(frozen=True)
class Example:
    """One case as a figure shows it.

    Attributes:
        title: strategy, task, case and score.
        image: (X, Y, Z), any intensity.
        truth: (X, Y, Z) label values.
        predictions: what it is -> (X, Y, Z) label values, such as ``{"after learning": ..., "at the end": ...}``.
        labels: label name -> value.
        spacing_mm: of the voxels.
    """

    title: str
    image: NDArray[np.float32]
    truth: NDArray[np.uint8]
    predictions: dict[str, NDArray[np.uint8]]
    labels: dict[str, int]
    spacing_mm: tuple[float, ...]


def overlay(example: Example) -> Figure:
    """The slice with the largest truth (or prediction, where there is no truth): image, truth, predictions."""
    masks = {"truth": example.truth, **example.predictions}
    at = best_slice(list(masks.values()))
    low, high = np.percentile(example.image[:, :, at], [1, 99])
    aspect = example.spacing_mm[1] / example.spacing_mm[0]
    with style():
        figure, axes = canvas(38, 1, 1 + len(masks))
        for ax, (name, mask) in zip(axes, {"image": None, **masks}.items(), strict=True):
            ax.imshow(
                np.rot90(example.image[:, :, at]), cmap="gray", vmin=low, vmax=max(high, low + 1e-6), aspect=aspect
            )
            if mask is not None:
                _paint(ax, mask[:, :, at], example.labels, aspect)
            ax.set_title(name, size=6)
            ax.set_axis_off()
        figure.suptitle(wrapped(example.title, 72), size=6)
        handles = [
            axes[0].plot([], [], "s", color=_color(value), label=name)[0] for name, value in example.labels.items()
        ]
        figure.legend(handles=handles, loc="outside lower center", ncols=min(4, len(handles)))
    return figure


def best_slice(masks: Sequence[NDArray[np.uint8]]) -> int:
    """The slice with the most foreground in the first mask that has any; the middle one when none has."""
    for mask in masks:
        areas = (mask > 0).sum(axis=(0, 1))
        if areas.any():
            return int(areas.argmax())
    return int(masks[0].shape[2] // 2)


def _paint(ax: Axes, mask: NDArray[np.uint8], labels: dict[str, int], aspect: float) -> None:
    for value in labels.values():
        inside = np.rot90(mask == value)
        if inside.any():
            layer = np.zeros((*inside.shape, 4))
            layer[inside] = (*_rgb(_color(value)), 0.45)
            ax.imshow(layer, aspect=aspect, interpolation="nearest")
            ax.contour(inside, [0.5], colors=[_color(value)], linewidths=0.8)


def _color(value: int) -> str:
    return _COLORS[(value - 1) % len(_COLORS)]


def _rgb(color: str) -> tuple[float, float, float]:
    red, green, blue = (int(color[at : at + 2], 16) / 255 for at in (1, 3, 5))
    return red, green, blue
