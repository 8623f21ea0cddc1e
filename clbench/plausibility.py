"""Plausibility: whether any run at all could have such scores, of such cases and patients."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import compress

import numpy as np

from clbench.case_table import Scored
from clbench.difference import Difference
from clbench.metrics import METRICS
from clbench.runfolder import Run
from clbench.runfolder.tables import score_text
from clbench.terms import Floats

_Masks = tuple[int, int, str, str, str]


def implausible(run: Run) -> list[Difference]:
    """What no run comes to, whatever it was trained on."""
    return [*_out_of_range(run), *_undefined(run), *_patients(run), *_splits(run)]


def _out_of_range(run: Run) -> Iterator[Difference]:
    """Fractions lie in [0, 1], distances are not negative."""
    most, values = run.rows.layout.once(_most), run.rows.values
    odd = [run.rows[place] for place in np.flatnonzero((values < 0.0) | (values > most)).tolist()]
    if odd:
        example = f"a {odd[0].metric} of {score_text(odd[0].value)} for {odd[0].case}"
        yield Difference("cases.csv", f"{len(odd)} scores cannot be, such as {example} after task {odd[0].after_task}")


def _undefined(run: Run) -> Iterator[Difference]:
    """A score is NaN where both masks are empty: then every metric is, and any other Dice of that true mask is 0."""
    undefined = np.isnan(run.rows.values)
    if not undefined.any():
        return
    masks = run.rows.layout.once(_masks)
    blank = set(compress(masks, undefined.tolist()))
    partly = sorted(blank & set(compress(masks, (~undefined).tolist())))
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
    yield from run.rows.layout.once(_of_several)


def _most(scored: Sequence[Scored]) -> Floats:
    """(N,) the largest value that each row can have."""
    most = {key: math.inf if spec.unit else 1.0 for key, spec in METRICS.items()}
    return np.array([most[row.metric] for row in scored], dtype=np.float64)


def _masks(scored: Sequence[Scored]) -> list[_Masks]:
    """The pair of masks that each row scores."""
    return [(row.after_task, row.on_task, row.split, row.case, row.label) for row in scored]


def _of_several(scored: Sequence[Scored]) -> list[Difference]:
    """Cases of several patients, and patients in several splits."""
    patients, splits = defaultdict(set), defaultdict(set)
    for case, patient, split in {(row.case, row.patient, row.split) for row in scored}:
        patients[case].add(patient)
        splits[patient].add(split)
    return [
        *_several(patients, "cases.csv", "cases belong to several patients"),
        *_several(splits, "cases.csv", "patients are in several splits"),
    ]


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
