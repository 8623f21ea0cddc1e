"""Every continual-learning metric per patient, before anything is averaged over patients."""

from __future__ import annotations

import math
from collections import defaultdict

from clbench.continual import case_metric
from clbench.metrics import METRICS
from clbench.report.groups import Group, Row
from clbench.runfolder import Run


def patient_scores(group: Group, row: Row, key: str, metric: str = "dice", split: str = "test") -> dict[str, float]:
    """A row's metric for each patient: mean over the patient's cases and tasks, then over seeds.

    Args:
        group: that has the row; its other runs are the references.
        row: one strategy.
        key: a metric of ``METRIC_KEYS`` that is a mean of terms.
        metric: the score behind it.
        split: ``test`` or ``val``.

    Returns:
        patient -> value; only patients for whom it is defined with every seed.
    """
    seeds = [_of_run(group, run, key, metric, split) for run in row.runs]
    known = [patient for patient in seeds[0] if all(patient in other for other in seeds)]
    return {patient: _mean([scores[patient] for scores in seeds]) for patient in known}


def _of_run(group: Group, run: Run, key: str, metric: str, split: str) -> dict[str, float]:
    references = {name: other.case_curves(split, metric) for name, other in group.reference_runs(run).items()}
    cases = case_metric(
        key,
        run.case_curves(split, metric),
        single={cell: curve[cell[0]] for cell, curve in references.get("single", {}).items()},
        naive={cell: curve[cell[0]] for cell, curve in references.get("naive", {}).items()},
        joint={cell: curve[-1] for cell, curve in references.get("joint", {}).items()},
        higher_is_better=METRICS[metric].higher_is_better,
    )
    patients: dict[str, list[float]] = defaultdict(list)
    for (_, case), value in cases.items():
        patients[run.patients[case]].append(value)
    return {patient: _mean(values) for patient, values in patients.items()}


def _mean(values: list[float]) -> float:
    return math.fsum(values) / len(values)
