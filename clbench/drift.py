"""Representation drift: how far the features of a task's images move after the task is over."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from clbench.continual import Floats

METRICS = ("cka_distance", "frechet", "frechet_relative")
SINCE = 2
"""The first ``numbers`` (a setting of every run) whose runs must have measured it."""
DECIMALS = 6


@dataclass(frozen=True, order=True)
class DriftRow:
    """One drift value.

    Attributes:
        task: whose validation images were looked at, from 1.
        tap: feature level.
        metric: of ``METRICS``.
        value: >= 0; NaN where the features were constant, so that there is nothing to compare.
    """

    task: int
    tap: str
    metric: str
    value: float


def drift_rows(task: int, tap: str, before: Floats, after: Floats) -> list[DriftRow]:
    """How far the features of a task moved at one tap, in every metric.

    Args:
        task: from 1.
        tap: feature level.
        before: (N, D), embeddings at fixed voxels when the task was over.
        after: (N, D), embeddings at the same voxels at the end of the stream.

    Returns:
        One row for each of ``METRICS``: ``1 - linear_cka``; ``frechet_distance``; and the latter divided by the root of
        the total variance of ``before``, so that a network with smaller features does not seem to drift less.
    """
    before, after = np.asarray(before, np.float64), np.asarray(after, np.float64)
    distance, spread = frechet_distance(before, after), math.sqrt(before.var(0, ddof=1).sum())
    relative = distance / spread if spread > 0 else math.nan
    values = (1.0 - linear_cka(before, after), distance, relative)
    return [DriftRow(task, tap, metric, value) for metric, value in zip(METRICS, values, strict=True)]


def linear_cka(x: Floats, y: Floats) -> float:
    """Linear centered kernel alignment: 1 for features equal up to rotation and isotropic scale, 0 for unrelated ones.

    ``||Y^T X||^2 / (||X^T X|| ||Y^T Y||)`` in Frobenius norms, X and Y centered per feature.

    Args:
        x: (N, D1), N >= 2.
        y: (N, D2), features of the same N samples.

    Returns:
        In [0, 1]; NaN when x or y is constant.

    Raises:
        ValueError: the shapes do not match.

    Source: Kornblith et al. 2019, arXiv 1905.00414, equation 5 (linear form).
    """
    x, y = _centered(x), _centered(y)
    _require_same_samples(x, y)
    scale = float(np.linalg.norm(x.T @ x) * np.linalg.norm(y.T @ y))
    return min(1.0, float(np.linalg.norm(y.T @ x)) ** 2 / scale) if scale > 0 else math.nan


def frechet_distance(x: Floats, y: Floats) -> float:
    """Frechet (2-Wasserstein) distance between Gaussians fitted to two sets of features, in their unit.

    ``d^2 = |m_x - m_y|^2 + tr(S_x + S_y - 2 (S_x S_y)^(1/2))``. With S = R^T R, R from a QR decomposition, the trace of
    the root is the nuclear norm of R_x R_y^T: no root of a near-singular product is taken.

    Args:
        x: (N, D), N >= 2.
        y: (M, D), M >= 2.

    Returns:
        >= 0.

    Raises:
        ValueError: the shapes do not match.

    Source: Dowson and Landau 1982, doi 10.1016/0047-259X(82)90077-X.
    Differs from the source in: the distance itself, not its square, which FID reports.
    """
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if x.ndim != 2 or y.ndim != 2 or x.shape[1] != y.shape[1] or min(len(x), len(y)) < 2:
        raise ValueError(f"features (N >= 2, D) and (M >= 2, D) do not match: {x.shape}, {y.shape}")
    first, second = _covariance_root(x), _covariance_root(y)
    variances = float(np.square(first).sum() + np.square(second).sum())
    common = float(np.linalg.svd(first @ second.T, compute_uv=False).sum())
    shift = float(np.square(x.mean(0) - y.mean(0)).sum())
    return math.sqrt(max(0.0, shift + variances - 2.0 * common))


def summarize_drift(rows: Iterable[DriftRow]) -> dict[str, Any]:
    """Means of drift rows.

    Returns:
        metric -> ``tasks``: tap -> the values of tasks 1, 2, ...; ``taps``: tap -> their mean; ``mean``: over all of
        them. Six decimals, as in the rows' file; None where a value is NaN or there is none.
    """
    values: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in sorted(rows):
        values[row.metric][row.tap].append(row.value)
    return {
        metric: {
            "tasks": {tap: [_rounded(value) for value in found] for tap, found in sorted(taps.items())},
            "taps": {tap: _mean(found) for tap, found in sorted(taps.items())},
            "mean": _mean([value for found in taps.values() for value in found]),
        }
        for metric, taps in sorted(values.items())
    }


def _mean(values: Sequence[float]) -> float | None:
    return _rounded(math.fsum(values) / len(values)) if values else None


def _rounded(value: float) -> float | None:
    return None if math.isnan(value) else round(value, DECIMALS) + 0.0


def _centered(features: Floats) -> Floats:
    wide: Floats = np.asarray(features, np.float64)
    centered: Floats = wide - wide.mean(0)
    return centered


def _covariance_root(features: Floats) -> Floats:
    """R with R^T R the (N - 1) covariance of (N, D) features."""
    root: Floats = np.asarray(np.linalg.qr(_centered(features) / math.sqrt(len(features) - 1), mode="r"))
    return root


def _require_same_samples(x: Floats, y: Floats) -> None:
    if x.ndim != 2 or y.ndim != 2 or len(x) != len(y) or len(x) < 2:
        raise ValueError(f"features (N >= 2, D) of the same samples do not match: {x.shape}, {y.shape}")
