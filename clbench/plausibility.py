"""Plausibility: whether any run at all could have such scores, of such cases and patients."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from operator import attrgetter

from clbench.difference import Difference
from clbench.metrics import METRICS
from clbench.runfolder import Run
from clbench.runfolder.tables import score_text

_of_masks = attrgetter("after_task", "on_task", "split", "case", "label")
_owner = attrgetter("case", "patient", "split")


def implausible(run: Run) -> list[Difference]:
    """What no run comes to, whatever it was trained on."""
    return [*_out_of_range(run), *_undefined(run), *_patients(run), *_splits(run)]


def _out_of_range(run: Run) -> Iterator[Difference]:
    """Fractions lie in [0, 1], distances are not negative."""
    most = {key: math.inf if spec.unit else 1.0 for key, spec in METRICS.items()}
    odd = [row for row in run.rows if not 0.0 <= row.value <= most[row.metric] and not math.isnan(row.value)]
    if odd:
        example = f"a {odd[0].metric} of {score_text(odd[0].value)} for {odd[0].case}"
        yield Difference("cases.csv", f"{len(odd)} scores cannot be, such as {example} after task {odd[0].after_task}")


def _undefined(run: Run) -> Iterator[Difference]:
    """A score is NaN where both masks are empty: then every metric is, and any other Dice of that true mask is 0."""
    blank = {_of_masks(row) for row in run.rows if math.isnan(row.value)}
    if not blank:
        return
    partly = sorted(blank & {_of_masks(row) for row in run.rows if not math.isnan(row.value)})
    if partly:
        example = ", ".join(map(str, partly[0]))
        yield Difference("cases.csv", f"{len(partly)} times some metrics are nan and others not, such as for {example}")
    empty = {(case, label) for *_, case, label in blank}
    hits = [row for row in run.rows if row.metric == "dice" and row.value > 0 and (row.case, row.label) in empty]
    if hits:
        example = f"{hits[0].label} of {hits[0].case} after task {hits[0].after_task}"
        yield Difference("cases.csv", f"{len(hits)} hits of masks that are empty where they are nan, such as {example}")


def _patients(run: Run) -> Iterator[Difference]:
    """A case belongs to one patient, and a patient to one split."""
    patients, splits = defaultdict(set), defaultdict(set)
    for case, patient, split in set(map(_owner, run.rows)):
        patients[case].add(patient)
        splits[patient].add(split)
    yield from _several(patients, "cases.csv", "cases belong to several patients")
    yield from _several(splits, "cases.csv", "patients are in several splits")


def _splits(run: Run) -> Iterator[Difference]:
    """A case is in one split, whatever the task."""
    splits = defaultdict(set)
    for task in run.stream.tasks:
        for split, cases in task.cases.items():
            for case in cases:
                splits[case].add(split)
    yield from _several(splits, "run.json", "cases are in several splits")


def _several(found: Mapping[str, set[str]], where: str, what: str) -> Iterator[Difference]:
    odd = sorted(name for name, values in found.items() if len(values) > 1)
    if odd:
        yield Difference(where, f"{len(odd)} {what}, such as {odd[0]}: {', '.join(sorted(found[odd[0]]))}")
