"""The score matrix R and every continual-learning metric, from case rows alone."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from clbench.case_table import CaseRow, CaseTable, Scored
from clbench.terms import OF_BWT_ALL, TERMS, Column
from clbench.terms import Floats as Floats

Kind = Literal["domain", "class"]
Regime = Literal["sequential", "joint", "single"]


@dataclass(frozen=True)
class ScoreMatrix:
    """Mean scores on every task after every task.

    Attributes:
        scores: (T + 1, T) float64; ``scores[i, j - 1]`` is R[i, j], NaN where nothing was scored.
        counts: (T + 1, T) int64; the cases behind each score, those with an undefined score left out.
    """

    scores: Floats
    counts: NDArray[np.int64]


METRIC_KEYS: tuple[str, ...] = (
    *("final", "average", "learned", "bwt", "bwt_all", "bwt_relative", "forgetting", "remembering", "bwt_plus"),
    *("fwt_init", "fwt_upper", "fwt_upper_init", "fwt_single", "plasticity_naive", "plasticity_naive_relative"),
    *("rma", "intransigence", "gap_joint"),
)
"""Every continual-learning metric, in the order of the documentation."""

NEEDS: dict[str, str] = {
    **{"fwt_single": "single", "rma": "single", "intransigence": "joint", "gap_joint": "joint"},
    **{"plasticity_naive": "naive", "plasticity_naive_relative": "naive"},
}
"""The strategy whose run a metric needs as its reference."""

_FORWARD = frozenset({"fwt_init", "fwt_upper", "fwt_upper_init", "fwt_single"})
_DEFINED: dict[Regime, frozenset[str]] = {
    "sequential": frozenset(METRIC_KEYS),
    "joint": frozenset({"final"}),
    "single": _FORWARD | {"learned", "plasticity_naive", "plasticity_naive_relative", "intransigence"},
}


def case_scores(rows: Iterable[CaseRow]) -> dict[tuple[int, int, str], float]:
    """Mean over the labels of every case, labels with an undefined score left out.

    Args:
        rows: rows of one split and one metric.

    Returns:
        (after_task, on_task, case) -> score, NaN when it is undefined for every label.

    Raises:
        ValueError: if a label of a case is scored twice; a mean would count it twice.
    """
    table = CaseTable.of(rows)
    cases = table.layout.once(_cases)
    return dict(zip(cases.names, cases.scores(table), strict=True))


def score_matrix(
    rows: Iterable[CaseRow], tasks: Sequence[Sequence[str]], kind: Kind, split: str = "test", metric: str = "dice"
) -> ScoreMatrix:
    """R from case rows: a case's score is the mean over its labels, a task's the mean over its cases.

    Args:
        rows: case rows of one run; other splits and metrics are ignored.
        tasks: the label names annotated in each task, in the stream's order; T = len(tasks).
        kind: in a ``class`` stream R[i, j] is the mean over the labels of task j, and only for i >= j.
        split: ``test`` or ``val``.
        metric: which metric's rows to take.

    Returns:
        The matrix with the number of cases behind each entry.
    """
    table = CaseTable.of(rows)
    cases = _cases_of(table, tasks, kind, split, metric)
    of_cases = cases.scores(table)
    scores = np.full((len(tasks) + 1, len(tasks)), np.nan)
    counts = np.zeros(scores.shape, dtype=np.int64)
    for (after_task, on_task), places in cases.cells.items():
        values = [of_cases[place] for place in places]
        scores[after_task, on_task - 1], counts[after_task, on_task - 1] = _mean_and_count(values)
    return ScoreMatrix(scores, counts)


def case_curves(
    rows: Iterable[CaseRow], tasks: Sequence[Sequence[str]], kind: Kind, split: str = "test", metric: str = "dice"
) -> dict[tuple[int, str], Floats]:
    """The column of R of every single case, for intervals and paired tests: arguments as ``score_matrix``.

    Returns:
        (on_task, case) -> (T + 1,) float64, the case's score after 0..T tasks, NaN where it was not scored.
    """
    table = CaseTable.of(rows)
    cases = _cases_of(table, tasks, kind, split, metric)
    curves: dict[tuple[int, str], Floats] = {}
    for (after_task, on_task, case), score in zip(cases.names, cases.scores(table), strict=True):
        if (on_task, case) not in curves:
            curves[on_task, case] = np.full(len(tasks) + 1, np.nan)
        curves[on_task, case][after_task] = score
    return curves


def continual_metrics(
    scores: Floats,
    kind: Kind = "domain",
    regime: Regime = "sequential",
    *,
    single: Floats | None = None,
    naive: Floats | None = None,
    joint: Floats | None = None,
    higher_is_better: bool = True,
) -> dict[str, float | None]:
    """Every continual-learning metric of one run.

    A metric is None (n/a, never 0) where it has no terms (backward metrics of a one-task stream), where a term is
    undefined, where its reference run is missing, in the forward metrics of a class-incremental stream, and where
    the regime gives it no meaning: a ``joint`` run has only ``final``; in a ``single`` run R[i, j] is the score on
    task j of a network that saw task i alone, so that it has learning and forward metrics but keeps nothing to forget.

    Args:
        scores: (T + 1, T) R, as in ``ScoreMatrix.scores``.
        kind: of the stream.
        regime: ``sequential``, ``joint`` (trained once on all tasks) or ``single`` (one fresh network per task).
        single: (T,) S, the scores of networks trained on each task alone.
        naive: (T + 1, T) Q, the R of strategy ``naive``.
        joint: (T,) J, the scores of strategy ``joint``.
        higher_is_better: False for distances: differences change sign, so that positive still means better (for
            ``forgetting``, ``intransigence`` and ``gap_joint``: worse), and ``rma`` is inverted. Levels keep theirs.

    Returns:
        All of ``METRIC_KEYS``.

    Source: METRICS.md names each definition's paper.
    Differs from the source in: means divide by the number of terms (GEM's code divides by T).
    """
    columns = _columns(np.asarray(scores, dtype=np.float64), single, naive, joint, 1 if higher_is_better else -1)
    missing = {name for name, of in (("single", single), ("naive", naive), ("joint", joint)) if of is None}
    (found,) = _metrics_of(columns, _defined(kind, regime), missing, higher_is_better=higher_is_better)
    return found


def own_metrics(
    matrices: Floats, kind: Kind, regime: Regime, *, higher_is_better: bool = True
) -> list[dict[str, float | None]]:
    """``continual_metrics`` without references of several matrices of one run, in one go.

    Args:
        matrices: (B, T + 1, T) R of B scores or splits.
        kind: of the stream.
        regime: of the strategy.
        higher_is_better: of all of the scores.

    Returns:
        B times what ``continual_metrics`` gives.
    """
    columns = _columns(np.asarray(matrices, dtype=np.float64), None, None, None, 1 if higher_is_better else -1)
    return _metrics_of(columns, _defined(kind, regime), set(NEEDS.values()), higher_is_better=higher_is_better)


def resampled_metric(
    key: str,
    scores: Floats,
    kind: Kind = "domain",
    regime: Regime = "sequential",
    *,
    single: Floats | None = None,
    naive: Floats | None = None,
    joint: Floats | None = None,
    higher_is_better: bool = True,
) -> Floats:
    """One metric of many score matrices at once, as the bootstrap needs it: arguments as ``continual_metrics``.

    Args:
        key: a metric of ``METRIC_KEYS``.
        scores: (*B, T + 1, T).
        kind: of the stream.
        regime: of the strategy.
        single: (*B, T).
        naive: (*B, T + 1, T).
        joint: (*B, T).
        higher_is_better: False for distances.

    Returns:
        (*B,) float64, NaN where ``continual_metrics`` gives None.
    """
    if key not in _defined(kind, regime) or (key == "remembering" and not higher_is_better):
        return np.full(scores.shape[:-2], np.nan)
    columns = _columns(scores, single, naive, joint, 1 if higher_is_better else -1)
    base = "bwt_all" if key in OF_BWT_ALL else key
    with np.errstate(divide="ignore", invalid="ignore"):
        terms = np.concatenate([TERMS[base](column) for column in columns])
        mean = terms.sum(axis=0) / len(terms)
    mean = np.where(np.isfinite(mean), mean, np.nan)
    return OF_BWT_ALL[key](mean) if key in OF_BWT_ALL else mean


def case_metric(
    key: str,
    curves: Mapping[tuple[int, str], Floats],
    *,
    single: Mapping[tuple[int, str], float] | None = None,
    naive: Mapping[tuple[int, str], float] | None = None,
    joint: Mapping[tuple[int, str], float] | None = None,
    higher_is_better: bool = True,
) -> dict[tuple[int, str], float]:
    """One metric computed per case before any averaging.

    Args:
        key: a metric of ``METRIC_KEYS`` that is a mean of terms (not ``remembering`` or ``bwt_plus``).
        curves: as ``case_curves`` gives them.
        single: S[j] of each case.
        naive: Q[j, j] of each case.
        joint: J[j] of each case.
        higher_is_better: as in ``continual_metrics``.

    Returns:
        (on_task, case) -> mean of the case's terms; cases without a defined term are left out.

    Raises:
        KeyError: if the metric is not a mean of terms.
    """
    sign = 1 if higher_is_better else -1
    found: dict[tuple[int, str], float] = {}
    for task in dict.fromkeys(task for task, _ in curves):
        names = [name for name in curves if name[0] == task]
        scores = np.stack([curves[name] for name in names], axis=1)
        alone, plain, bound = (
            np.array([(source or {}).get(name, np.nan) for name in names]) for source in (single, naive, joint)
        )
        with np.errstate(divide="ignore", invalid="ignore"):
            values = _means(key, [Column(task, scores, alone, plain, bound, sign)])
        found |= {name: value for name, value in zip(names, values, strict=True) if value is not None}
    return {name: found[name] for name in curves if name in found}


@dataclass(frozen=True)
class _Cases:
    """Which rows of a table make the score of which case.

    Attributes:
        names: (after_task, on_task, case) of each.
        rows: the rows of all of them, one case after the other.
        ends: where in ``rows`` each ends.
        labels: how many rows each case has; 0 where they differ.
        cells: (after_task, on_task) -> which of the cases are theirs.
    """

    names: tuple[tuple[int, int, str], ...]
    rows: NDArray[np.int64]
    ends: tuple[int, ...]
    labels: int
    cells: Mapping[tuple[int, int], Sequence[int]]

    def scores(self, table: CaseTable) -> list[float]:
        """Mean over the labels of each case, for a table of that layout."""
        chosen = table.values[self.rows]
        if self.labels and not np.isnan(chosen).any():
            return [math.fsum(of_case) / self.labels for of_case in chosen.reshape(-1, self.labels).tolist()]
        values = chosen.tolist()
        return [_mean(values[begin:end]) for begin, end in zip((0, *self.ends), self.ends, strict=False)]


def _cases_of(table: CaseTable, tasks: Sequence[Sequence[str]], kind: Kind, split: str, metric: str) -> _Cases:
    """The cases of a split and metric that R is made of."""
    return table.layout.once(_relevant_cases, tuple(map(tuple, tasks)), kind, split, metric)


def _relevant_cases(
    scored: Sequence[Scored], tasks: tuple[tuple[str, ...], ...], kind: Kind, split: str, metric: str
) -> _Cases:
    """The cases that R of a split and metric is made of, in a table that scores this."""

    def relevant(row: Scored) -> bool:
        if row.split != split or row.metric != metric:
            return False
        return kind == "domain" or (row.after_task >= row.on_task and row.label in tasks[row.on_task - 1])

    return _cases(scored, relevant)


def _cases(scored: Sequence[Scored], relevant: Callable[[Scored], bool] | None = None) -> _Cases:
    """The relevant rows of each case, or all of them.

    Raises:
        ValueError: if a label of a case is scored twice.
    """
    places: dict[tuple[int, int, str], dict[str, int]] = defaultdict(dict)
    for place, row in enumerate(scored):
        if relevant is not None and not relevant(row):
            continue
        labels = places[row.after_task, row.on_task, row.case]
        if row.label in labels:
            raise ValueError(f"two rows score label '{row.label}' of {row.case} after task {row.after_task}")
        labels[row.label] = place
    rows = [list(labels.values()) for labels in places.values()]
    flat = np.array([place for labels in rows for place in labels], dtype=np.int64)
    counts = [len(labels) for labels in rows]
    ends = tuple(np.cumsum(counts, dtype=np.int64).tolist())
    cells: dict[tuple[int, int], list[int]] = defaultdict(list)
    for number, (after_task, on_task, _) in enumerate(places):
        cells[after_task, on_task].append(number)
    return _Cases(tuple(places), flat, ends, counts[0] if len(set(counts)) == 1 else 0, cells)


def _defined(kind: Kind, regime: Regime) -> frozenset[str]:
    """The metrics that have a meaning for a kind of stream and a regime."""
    return _DEFINED[regime] - (_FORWARD if kind == "class" else frozenset())


def _columns(
    scores: Floats, single: Floats | None, naive: Floats | None, joint: Floats | None, sign: int
) -> list[Column]:
    """One column per task; a reference that is not given is NaN."""
    count = scores.shape[-1]
    if scores.shape[-2:] != (count + 1, count):
        raise ValueError(f"R must be (T + 1, T), not {scores.shape[-2:]}")
    missing = np.full(count, np.nan)
    alone = missing if single is None else np.asarray(single, dtype=np.float64)
    plain = missing if naive is None else np.diagonal(np.asarray(naive, np.float64)[..., 1:, :], axis1=-2, axis2=-1)
    bound = missing if joint is None else np.asarray(joint, dtype=np.float64)
    rows_first = np.moveaxis(scores, -2, 0)
    return [Column(j + 1, rows_first[..., j], alone[..., j], plain[..., j], bound[..., j], sign) for j in range(count)]


def _metrics_of(
    columns: Sequence[Column], defined: frozenset[str], missing: Collection[str], *, higher_is_better: bool
) -> list[dict[str, float | None]]:
    """Every metric of each matrix that the columns are of; of a single one without an axis B as well."""
    keys = [key for key in METRIC_KEYS if key in defined and NEEDS.get(key) not in missing and key in TERMS]
    with np.errstate(divide="ignore", invalid="ignore"):  # entered once, as that takes longer than a term
        values = {key: _means(key, columns) for key in keys}
    found = []
    for number in range(math.prod(columns[0].scores.shape[1:])):
        own = {key: means[number] for key, means in values.items()}
        backward = own.get("bwt_all")
        if backward is not None:
            own |= {key: float(of(np.asarray(backward))) for key, of in OF_BWT_ALL.items()}
            if not higher_is_better:
                own["remembering"] = None  # 1 - |BWT-| needs scores in [0, 1]: meaningless in millimetres
        found.append({key: own.get(key) for key in METRIC_KEYS})
    return found


def _means(key: str, columns: Sequence[Column]) -> list[float | None]:
    """Mean of the terms of all columns, for each matrix; None when there is no term or one is undefined."""
    terms = np.concatenate([TERMS[key](column) for column in columns])
    of_each = terms.reshape(len(terms), math.prod(terms.shape[1:])).T
    return [
        math.fsum(own) / len(own) if own and finite else None
        for own, finite in zip(of_each.tolist(), np.isfinite(of_each).all(axis=1), strict=True)
    ]


def _mean(values: Sequence[float]) -> float:
    """Mean of the defined values, NaN when none is; an exact sum, so that every machine gets the same bytes."""
    return _mean_and_count(values)[0]


def _mean_and_count(values: Sequence[float]) -> tuple[float, int]:
    """As ``_mean``, and how many values are defined."""
    total = math.fsum(values)
    if values and not math.isnan(total):
        return total / len(values), len(values)
    defined = [value for value in values if not math.isnan(value)]
    return (math.fsum(defined) / len(defined) if defined else float("nan")), len(defined)
