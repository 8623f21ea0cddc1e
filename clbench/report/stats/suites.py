"""The statistics of one table: an estimate with its interval for every row and metric, and ranks of the rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np

from clbench.continual import NEEDS, Floats, Regime, resampled_metric
from clbench.metrics import METRICS
from clbench.report.groups import Group, Row, references_of
from clbench.report.stats.intervals import Estimate, interval
from clbench.report.stats.paired import Comparison, compare, holm
from clbench.report.stats.panel import Ints, panel_of
from clbench.report.stats.patients import patient_scores
from clbench.report.stats.ranks import rank_intervals
from clbench.report.stats.resampling import RESAMPLES, over_seeds, patient_draws, seed_draws


@dataclass(frozen=True)
class TableStatistics:
    """What the bootstrap says of a group's rows, in their order.

    Attributes:
        estimates: metric -> one estimate for each row.
        rank_intervals: (rows, 2) lowest and highest rank by the first metric asked for, among the continual learners;
            NaN for ``joint`` and ``single``, which are bounds.
    """

    estimates: Mapping[str, tuple[Estimate, ...]]
    rank_intervals: Floats


def table_statistics(
    group: Group,
    keys: Sequence[str],
    metric: str = "dice",
    *,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> TableStatistics:
    """Intervals and rank intervals of every row of a table, from one bootstrap over seeds and patients.

    Args:
        group: the table's runs.
        keys: metrics of ``METRIC_KEYS``; the first one ranks.
        metric: the score behind them.
        resamples: of the bootstrap.
        seed: of its draws.
    """
    runs = [run for row in group.rows for run in row.runs]
    panel = panel_of(runs, metric)
    statistics = _statistics(group, keys, metric)
    draws = patient_draws(panel, statistics, resamples=resamples, seed=seed)
    points = statistics(panel.matrices(np.ones((1, panel.patients))))
    freedom = panel.patients - len(np.unique(panel.stratum))
    estimates: dict[str, list[Estimate]] = {key: [] for key in keys}
    ranked = np.empty((resamples, len(group.rows)))
    for at, (row, places) in enumerate(zip(group.rows, _places(group.rows), strict=True)):
        counts = seed_draws([run.seed for run in row.runs], resamples, seed)
        for key in reversed(keys):
            ranked[:, at] = over_seeds(draws[key][:, places], counts)
            estimates[key].append(interval(points[key][0, places], draws[key][:, places], ranked[:, at], freedom))
    learners = [at for at, row in enumerate(group.rows) if row.learns]
    intervals = np.full((len(group.rows), 2), np.nan)
    intervals[learners] = rank_intervals(ranked[:, learners], higher_is_better=METRICS[metric].higher_is_better)
    return TableStatistics({key: tuple(found) for key, found in estimates.items()}, intervals)


def compare_with(group: Group, row: Row, key: str = "final", metric: str = "dice") -> dict[str, Comparison]:
    """Every other continual learner of a table against one: paired over patients, Holm-corrected over the table.

    Args:
        group: the table.
        row: the one that the others are compared with.
        key: a metric that is a mean of terms.
        metric: the score behind it.

    Returns:
        label -> comparison, whose difference is that row less ``row``.
    """
    base = patient_scores(group, row, key, metric)
    found: dict[str, Comparison] = {}
    for other in group.rows:
        if other is not row and other.learns:
            scores = patient_scores(group, other, key, metric)
            both = sorted(scores.keys() & base.keys())
            pair = [np.array([values[patient] for patient in both]) for values in (scores, base)]
            found[other.label] = compare(*pair)
    corrected = holm([comparison.p for comparison in found.values()])
    return {
        label: Comparison(c.patients, c.difference, c.rank_biserial, c.p, p)
        for (label, c), p in zip(found.items(), corrected, strict=True)
    }


def _statistics(group: Group, keys: Sequence[str], metric: str) -> Callable[[Floats], dict[str, Floats]]:
    """Maps matrices (B, M, T + 1, T) of all runs of a group to the metrics (B, M) of each."""
    runs = [run for row in group.rows for run in row.runs]
    place = {run.path: at for at, run in enumerate(runs)}
    found_for = [group.reference_runs(run) for run in runs]
    references = {
        name: np.array([place[found[name].path] if name in found else -1 for found in found_for])
        for name in {NEEDS[key] for key in keys if key in NEEDS}
    }
    members = {regime: [at for at, run in enumerate(runs) if run.regime == regime] for regime in get_args(Regime)}
    kind, higher = group.rows[0].runs[0].stream.kind, METRICS[metric].higher_is_better

    def of(matrices: Floats) -> dict[str, Floats]:
        found = {key: np.full(matrices.shape[:2], np.nan) for key in keys}
        for regime, places in members.items():
            if not places:
                continue
            known = references_of({name: _chosen(matrices, at[places]) for name, at in references.items()})
            chosen = _of_runs(matrices, places)
            for key in keys:
                values = resampled_metric(key, chosen, kind, regime, **known, higher_is_better=higher)
                found[key][:, places] = values
        return found

    return of


def _of_runs(matrices: Floats, places: Sequence[int] | Ints) -> Floats:
    """``matrices[:, places]`` in the memory order of ``Panel.matrices``; a view where these are all runs."""
    if list(places) == list(range(matrices.shape[1])):
        return matrices
    return np.moveaxis(np.moveaxis(matrices, (2, 3), (0, 1))[..., places], (0, 1), (2, 3))


def _chosen(matrices: Floats, places: Ints) -> Floats:
    """The matrices of some runs, NaN for those at -1."""
    return np.where((places >= 0)[:, None, None], _of_runs(matrices, places), np.nan)


def _places(rows: Sequence[Row]) -> list[list[int]]:
    """Where the runs of each row stand among all runs."""
    places, start = [], 0
    for row in rows:
        places.append(list(range(start, start + len(row.runs))))
        start += len(row.runs)
    return places
