"""Verify: recompute everything a run folder lets one recompute, and name what differs."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from clbench.case_table import CaseRow
from clbench.consistency import consistency
from clbench.difference import Difference
from clbench.errors import InputError
from clbench.metrics import score_case
from clbench.rawdata import RawData, raw_data
from clbench.runfolder import Run, StreamRecord, read_run
from clbench.runfolder.reading import prediction_path, read_prediction
from clbench.runfolder.summary import FILE_NAME, LINK
from clbench.runfolder.tables import score_text

if TYPE_CHECKING:
    from clbench.data.nifti import RawCase


@dataclass(frozen=True)
class Verification:
    """What checking a run folder came to.

    Attributes:
        differences: what is not as it should be; empty when all that could be checked is well.
        unchecked: what could not be checked, and why.
    """

    differences: tuple[Difference, ...]
    unchecked: tuple[str, ...] = ()


def verify(path: Path, data_root: Path | None = None, card: str = "") -> list[Difference]:
    """What differs in a run folder: the differences that ``check`` finds, whose arguments these are."""
    return list(check(path, data_root, card).differences)


def check(path: Path, data_root: Path | None = None, card: str = "") -> Verification:
    """Check a run folder against itself and, where they are at hand, against the raw data.

    Checked are: the hash of every file; the hash of the configuration; that each score that should be there is there
    once, and is one that a run can have; R and the metrics, recomputed from the rows; that no prediction is missing;
    and against the data the tasks, splits and patients, and every score of a predicted case.

    Args:
        path: of the run folder.
        data_root: of the stream's data. Without it CLBENCH_DATA is tried, or the phantom built for a phantom run, if
            the folder has predictions; what needs the data is left unchecked where neither has the stream.
        card: file or name of the stream; needed for a stream of one's own, and ignored for runs on other streams.

    Raises:
        InputError: ``data_root`` or the run's ``card`` is given, there are predictions, and the data are not there.
    """
    try:
        run = read_run(path)
    except InputError as error:
        return Verification((Difference(path.name, str(error)),))
    if not run.complete:
        return Verification((Difference(FILE_NAME, "missing: the run is not complete"),))
    found = [Difference(name, how) for name, how in run.changed_files().items()]
    if any(difference.what == LINK for difference in found):  # what they lead to is not looked at
        return Verification(tuple(found))
    found += [*consistency(run), *_summary(run), *_predictions(run)]
    data, why = _at_hand(run, data_root, card)
    found += [] if data is None else _data(run, data)
    return Verification(tuple(found), tuple(_unchecked(run, why)))


def _unchecked(run: Run, why: str) -> Iterator[str]:
    """What no difference can be found in, since it is not here."""
    kept = [name for name in (run.summary or {})["hashes"] if name.startswith("predictions/")]
    here = (run.path / "predictions").is_dir()
    if not kept:
        yield "scores against the raw masks: the run kept no predictions"
    elif not here:
        yield f"scores against the raw masks: the run's {len(kept)} predictions are not in this copy of its folder"
    if why:
        scores = f"the scores of {len(kept)} predictions, " if kept and here else ""
        yield f"{scores}splits and patients against the data: {why}"
    if kept and here and not why and run.config_given.get("predictions") == "final":
        yield "scores before the last task against the raw masks: the run kept its final predictions only"
    saved = any(name.startswith("checkpoints/") for name in (run.summary or {})["hashes"])
    if saved and not (run.path / "checkpoints").is_dir():
        yield "checkpoints: they are not in this copy of the folder"


def _predictions(run: Run) -> Iterator[Difference]:
    """Whether every test case, in each of its tasks, has the predictions that the run was to keep, where it has any."""
    if not (run.path / "predictions").is_dir():
        return
    kept, last = run.config_given.get("predictions"), len(run.stream.tasks)
    scored = {(row.after_task, row.case, row.on_task) for row in run.rows if row.split == "test"}
    wanted = {key for key in scored if kept == "all" or (kept == "final" and key[0] == last)}
    missing = sorted({key[:2] for key in wanted if _prediction(run, *key) is None})
    if missing:
        after, case = missing[0]
        yield Difference("predictions", f"{len(missing)} are missing, such as that of {case} after task {after}")


def _prediction(run: Run, after_task: int, case_id: str, on_task: int) -> Path | None:
    """The label map that a case was scored by in a task: its only one, or that of the task."""
    paths = (prediction_path(run.path, after_task, case_id, task) for task in (0, on_task))
    return next((path for path in paths if path.exists()), None)


def _summary(run: Run) -> Iterator[Difference]:
    """Whether ``summary.json`` is, byte for byte, what the rows come to."""
    try:
        fault = run.summary_fault()
    except ValueError as error:
        yield Difference("cases.csv", str(error))
        return
    if fault:
        yield Difference(FILE_NAME, fault)


def _at_hand(run: Run, data_root: Path | None, card: str) -> tuple[RawData | None, str]:
    """The raw data, or why there are none. For a run without predictions they are looked for only if asked for."""
    asked, predicted = data_root is not None or bool(card), (run.path / "predictions").is_dir()
    if not (asked or predicted):
        return None, "give --data DIR"
    try:
        return raw_data(run, data_root, card), ""
    except InputError as error:
        if asked and predicted:
            raise
        return None, f"no raw data at hand; give --data DIR ({error})"


def _data(run: Run, data: RawData) -> Iterator[Difference]:
    """Whether stream, splits and patients are those of the data, and the predictions, scored on them, give the rows."""
    if data.record.fingerprint != run.stream.fingerprint:
        yield Difference("data", "not the data that the run was trained on; nothing can be recomputed from it")
        return
    odd = [*_stream(run.stream, data.record), *_owners(run, data.patients)]
    yield from odd or _rescored(run, data)


def _stream(own: StreamRecord, there: StreamRecord) -> Iterator[Difference]:
    """Whether tasks, labels and splits are those that the stream has on these data."""
    names, others = ([task.name for task in record.tasks] for record in (own, there))
    if names != others:
        yield Difference("run.json", f"tasks {', '.join(names)}, but {own.key} has {', '.join(others)}")
        return
    if (own.kind, own.labels, own.task_labels) != (there.kind, there.labels, there.task_labels):
        yield Difference("run.json", f"kind or labels are not those of {own.key}")
    for task, other in zip(own.tasks, there.tasks, strict=True):
        for split in sorted({*task.cases, *other.cases}):
            if odd := set(task.cases.get(split, ())) ^ set(other.cases.get(split, ())):
                what = f"split {split} of task {task.name} is not that of {own.key}"
                yield Difference("run.json", f"{what}: {len(odd)} cases differ, such as {min(odd)}")


def _owners(run: Run, patients: Mapping[str, str]) -> Iterator[Difference]:
    """Whether the cases belong to those patients to whom they belong in the data."""
    odd = sorted(case for case, patient in run.patients.items() if patients.get(case, patient) != patient)
    if odd:
        example = f"{odd[0]}, which is of {patients[odd[0]]} and not of {run.patients[odd[0]]}"
        yield Difference("cases.csv", f"{len(odd)} cases are of other patients in the data, such as {example}")


def _rescored(run: Run, data: RawData) -> Iterator[Difference]:
    """Whether the predictions, scored on the raw masks, give the rows."""
    rows: dict[tuple[Path, str], list[CaseRow]] = defaultdict(list)
    known = {case for task in run.stream.tasks for case in task.cases.get("test", ())}
    for row in run.rows:
        path = _prediction(run, row.after_task, row.case, row.on_task) if row.case in known else None
        if path is not None:
            rows[path, row.case].append(row)
    for (path, case_id), scored in sorted(rows.items()):
        yield from _scores(run, path, data.read(case_id), scored)


def _scores(run: Run, path: Path, raw: RawCase, rows: list[CaseRow]) -> Iterator[Difference]:
    """Whether one prediction gives its rows."""
    name = path.relative_to(run.path).as_posix()
    metrics = sorted({row.metric for row in rows})
    try:
        prediction = read_prediction(path)
        scores = score_case(prediction, raw.mask, run.stream.labels, raw.spacing_mm, metrics)
    except ValueError as error:
        yield Difference(name, str(error))
        return
    values = {(label, metric): score_text(value) for label, metric, value in scores}
    for row in rows:
        value = values[row.label, row.metric]
        if value != score_text(row.value):
            yield Difference(name, f"{row.metric} of {row.label} is {value}, but {score_text(row.value)} in cases.csv")
