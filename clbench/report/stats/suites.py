"""The statistics of one table: an estimate with its interval for every row and metric, and ranks of the rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from clbench.continual import Floats
from clbench.metrics import METRICS
from clbench.report.groups import Group, Row
from clbench.report.stats.group_draws import draw_group
from clbench.report.stats.intervals import Estimate, interval
from clbench.report.stats.paired import Comparison, compare_all
from clbench.report.stats.patients import patient_scores
from clbench.report.stats.ranks import rank_intervals
from clbench.report.stats.resampling import RESAMPLES


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
    drawn = draw_group(group, keys, metric, resamples=resamples, seed=seed)
    found = {key: [drawn.row(row.label, key) for row in group.rows] for key in keys}
    estimates = {key: tuple(interval(of) for of in rows) for key, rows in found.items()}
    ranked = np.stack([of.draws for of in found[keys[0]]], axis=1)
    learners = [at for at, row in enumerate(group.rows) if row.learns]
    intervals = np.full((len(group.rows), 2), np.nan)
    intervals[learners] = rank_intervals(ranked[:, learners], higher_is_better=METRICS[metric].higher_is_better)
    return TableStatistics(estimates, intervals)


def compare_with(
    group: Group, row: Row, key: str = "final", metric: str = "dice", *, picked: bool = False
) -> dict[str, Comparison]:
    """Every other continual learner of a table against one: paired over patients.

    Args:
        group: the table.
        row: the one that the others are compared with.
        key: a metric that is a mean of terms.
        metric: the score behind it.
        picked: ``row`` was picked by its scores, such as the best. Any other could have been: p are then
            Holm-corrected over all pairs of rows, and not only over those that are told.

    Returns:
        label -> comparison, whose difference is that row less ``row``.
    """
    scores = {row.label: patient_scores(group, row, key, metric)}
    scores |= {other.label: patient_scores(group, other, key, metric) for other in group.rows if other.learns}
    return compare_all(scores, row.label, picked=picked)
