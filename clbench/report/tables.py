"""Tables of results: strategies as rows, continual-learning metrics as columns, means over seeds."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from statistics import fmean, stdev

from clbench.continual import METRIC_KEYS
from clbench.errors import unknown
from clbench.metrics import METRICS
from clbench.report.costs import costs
from clbench.report.groups import Group, Row, groups
from clbench.report.load import LeftOut
from clbench.report.marks import NO_MARKS, Marked, marks
from clbench.report.markup import render
from clbench.report.results import COST, Line, ResultTable, Value
from clbench.report.usable import usable
from clbench.runfolder import Run

ALWAYS = ("final", "bwt", "learned", "fwt_upper", "forgetting")
WITH_REFERENCE = ("fwt_single", "plasticity_naive", "rma", "intransigence", "gap_joint")
"""Metrics that need a run of ``single``, ``naive`` or ``joint``: columns only where there is one."""


def table(
    runs: Iterable[Run],
    format: str = "md",
    left_out: Iterable[LeftOut] = (),
    metric: str = "dice",
    *,
    marked: Marked = NO_MARKS,
    check: Callable[[Run], str] = lambda run: "",
) -> str:
    """Compare runs: one table for each stream, data fingerprint, training budget and precision.

    Scores are computed from case rows. Only complete runs count whose small files are as they were when the run ended;
    metrics that need a run of ``single``, ``naive`` or ``joint`` use the one with the same seed in the same table.
    ``md`` and ``tex`` show the metrics that a page has room for, ``csv`` all.

    Args:
        runs: complete or not.
        format: ``md``, ``csv`` or ``tex``.
        left_out: folders that could not even be read, to be listed with the other runs that are not used.
        metric: the score, a key of ``METRICS``. For distances, differences are turned so that positive is better.
        marked: mark -> strategies whose rows have it, whatever their runs say.
        check: one more reason to leave out a run; empty when there is none.

    Returns:
        The tables, with the runs left out and why under them.

    Raises:
        InputError: an unknown format or metric.
    """
    if metric not in METRICS:
        raise unknown("metric", metric, METRICS)
    used, unused = usable(runs, check)
    tables = [result_table(group, metric, marked) for group in groups(used)]
    return render(tables, [*left_out, *unused], format)


def result_table(group: Group, metric: str = "dice", marked: Marked = NO_MARKS) -> ResultTable:
    """The table of a group: one line for each row, best ``final`` first."""
    sign = -1 if METRICS[metric].higher_is_better else 1
    lines = sorted((_line(group, row, metric, marked) for row in group.rows), key=lambda line: _rank(line, sign))
    referenced = [key for key in WITH_REFERENCE if any(line.values[key].mean is not None for line in lines)]
    drift = ["drift"] if any(line.values["drift"].mean is not None for line in lines) else []
    return ResultTable(group, metric, (*ALWAYS, *referenced, *drift, *COST), tuple(lines))


def _rank(line: Line, sign: int) -> tuple[bool, float, str]:
    final = line.values["final"].mean
    return (final is None, sign * (final or 0.0), line.strategy)


def _line(group: Group, row: Row, metric: str, marked: Marked) -> Line:
    metrics = [run.metrics("test", metric, **group.references(run, metric)) for run in row.runs]
    values = {key: _value([found[key] for found in metrics]) for key in METRIC_KEYS}
    values["drift"] = _value([run.mean_drift() for run in row.runs])
    values["seconds"] = _value([_seconds(run) for run in row.runs])
    spent = costs(row.runs)
    stored, parameters = spent["stored_bytes"], spent["parameters"]
    values["stored_mb"] = Value(None if stored is None else stored / 1e6)
    values["parameters"] = Value(parameters)
    return Line(row.label, row.network, len(row.runs), values, marks(group, row, spent, marked))


def _value(found: Sequence[float | None]) -> Value:
    known = [value for value in found if value is not None]
    if len(known) < len(found):
        return Value(None)
    return Value(fmean(known), stdev(known) if len(known) > 1 else None)


def _seconds(run: Run) -> float | None:
    """Training and evaluation time of a run, None when its cost file does not say."""
    stages = run.cost.get("stages", [])
    known = [stage.get("seconds") for stage in stages]
    numbers = [float(value) for value in known if isinstance(value, (int, float))]
    return sum(numbers) if numbers else None
