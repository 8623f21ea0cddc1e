"""What a leaderboard says, before it is written in any format."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from statistics import fmean

from clbench.errors import unknown
from clbench.metrics import METRICS
from clbench.report.costs import costs
from clbench.report.groups import Group, Row, groups
from clbench.report.load import LeftOut
from clbench.report.marks import NO_MARKS, Marked, marks
from clbench.report.results import title
from clbench.report.stats.intervals import Estimate
from clbench.report.stats.paired import Comparison
from clbench.report.stats.suites import TableStatistics, compare_with, table_statistics
from clbench.report.usable import usable
from clbench.runfolder import Run

KEYS = ("final", "bwt", "learned", "fwt_upper")


@dataclass(frozen=True)
class Entry:
    """One row of a leaderboard.

    Attributes:
        row: strategy, options, network and runs.
        rank: 1 the best; None for ``joint`` and ``single``, which bound the others, and without a ``final``.
        rank_interval: lowest and highest rank in 95 % of the resamples; None where there is no rank.
        estimates: metric of ``KEYS`` -> value with interval, NaN where it is n/a.
        drift: mean over seeds; None where it was not measured.
        costs: cost column -> mean over seeds.
        marks: what a reader must know before comparing the row.
        against_best: paired comparison of ``final`` with the best row; None for that row and those without a rank.
    """

    row: Row
    rank: int | None
    rank_interval: tuple[int, int] | None
    estimates: Mapping[str, Estimate]
    drift: float | None
    costs: Mapping[str, float | None]
    marks: tuple[str, ...]
    against_best: Comparison | None


@dataclass(frozen=True)
class Board:
    """One ranked table.

    Attributes:
        group: what its runs share.
        score: the metric behind ``final`` and the others.
        entries: by rank, then those without one.
    """

    group: Group
    score: str
    entries: tuple[Entry, ...]

    @property
    def title(self) -> str:
        """Everything a number of this table depends on besides its row."""
        return title(self.group, self.score)


@dataclass(frozen=True)
class Leaderboard:
    """All tables, and the folders that are in none of them."""

    boards: tuple[Board, ...]
    left_out: tuple[LeftOut, ...]


def leaderboard(
    runs: Iterable[Run],
    left_out: Iterable[LeftOut] = (),
    *,
    metric: str = "dice",
    marked: Marked = NO_MARKS,
    check: Callable[[Run], str] = lambda run: "",
) -> Leaderboard:
    """Rank everything that can be ranked.

    Args:
        runs: complete or not; only complete ones whose files are as they were when the run ended count.
        left_out: folders that could not even be read.
        metric: the score behind all metrics, a key of ``METRICS``.
        marked: mark -> strategies whose rows have it, whatever their runs say.
        check: one more reason to leave out a run; empty when there is none.

    Raises:
        InputError: an unknown metric.
    """
    if metric not in METRICS:
        raise unknown("metric", metric, METRICS)
    used, unused = usable(runs, check)
    boards = tuple(_board(group, metric, marked) for group in groups(used))
    return Leaderboard(boards, (*left_out, *unused))


def _board(group: Group, metric: str, marked: Marked) -> Board:
    statistics = table_statistics(group, KEYS, metric)
    sign = -1 if METRICS[metric].higher_is_better else 1
    finals = [estimate.value for estimate in statistics.estimates["final"]]
    order = sorted(
        range(len(finals)),
        key=lambda at: (
            (_unranked(group.rows[at], finals[at]), sign * finals[at], group.rows[at].label)
            if math.isfinite(finals[at])
            else (True, math.inf, group.rows[at].label)
        ),
    )
    ranked = [at for at in order if not _unranked(group.rows[at], finals[at])]
    compared = compare_with(group, group.rows[ranked[0]], "final", metric, picked=True) if ranked else {}
    entries = [_entry(group, at, statistics, marked, ranked, compared) for at in order]
    return Board(group, metric, tuple(entries))


def _unranked(row: Row, final: float) -> bool:
    return not row.learns or not math.isfinite(final)


def _entry(
    group: Group,
    at: int,
    statistics: TableStatistics,
    marked: Marked,
    ranked: list[int],
    compared: Mapping[str, Comparison],
) -> Entry:
    row = group.rows[at]
    rank = ranked.index(at) + 1 if at in ranked else None
    low, high = statistics.rank_intervals[at].tolist()
    spent = costs(row.runs)
    drifts = [run.mean_drift() for run in row.runs]
    known = [drift for drift in drifts if drift is not None]
    return Entry(
        row=row,
        rank=rank,
        rank_interval=(math.floor(low), math.ceil(high)) if rank else None,
        estimates={key: found[at] for key, found in statistics.estimates.items()},
        drift=fmean(known) if len(known) == len(drifts) else None,
        costs=spent,
        marks=marks(group, row, spent, marked),
        against_best=compared.get(row.label) if rank else None,
    )
