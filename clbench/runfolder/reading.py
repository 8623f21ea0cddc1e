"""Reading a run folder back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, get_args

import numpy as np

from clbench.case_table import CaseTable, Scored
from clbench.continual import Floats, Regime, ScoreMatrix, case_curves, continual_metrics, score_matrix
from clbench.drift import DriftRow, summarize_drift
from clbench.errors import InputError
from clbench.metrics import METRICS
from clbench.runfolder import files, summary
from clbench.runfolder.records import StreamRecord, file_name
from clbench.runfolder.tables import read_cases, read_drift

SCHEMA_VERSION = 1
REVISION = "revision"
"""Stands among the options of a strategy whose arithmetic was changed after runs of it were published."""


@dataclass(frozen=True)
class Run:
    """One run folder, complete or not.

    Attributes:
        path: the folder.
        strategy: canonical name.
        seed: of every random draw.
        regime: of the strategy.
        stream: tasks, labels, cases and data fingerprint.
        config_given: what the user asked for.
        config_resolved: everything the result depends on.
        config_hash: of ``config_resolved``.
        provenance: packages, machine, command line.
        rows: of ``cases.csv``; empty when there is none yet.
        drift: of ``drift.csv``; None when there is no such file (yet).
        cost: of ``cost.json``; empty when there is none yet.
        summary: of ``summary.json``; None until the run is complete.
    """

    path: Path
    strategy: str
    seed: int
    regime: Regime
    stream: StreamRecord
    config_given: Mapping[str, Any]
    config_resolved: Mapping[str, Any]
    config_hash: str
    provenance: Mapping[str, Any]
    rows: CaseTable
    drift: tuple[DriftRow, ...] | None
    cost: Mapping[str, Any]
    summary: Mapping[str, Any] | None

    @property
    def complete(self) -> bool:
        """Whether the run came to its end."""
        return self.summary is not None

    @cached_property
    def patients(self) -> dict[str, str]:
        """Case -> patient, of every case that was scored."""
        return dict(self.rows.layout.once(_patients))

    @cached_property
    def subjects(self) -> dict[str, str]:
        """What was scored, besides the stream's key and fingerprint: parts of its record, and whose the cases are."""
        return {**self.stream.parts, "patients": files.content_hash(self.patients)}

    def scores(self, split: str = "test", metric: str = "dice") -> ScoreMatrix:
        """R with the number of cases behind each entry, computed from the rows."""
        return score_matrix(self.rows, self.stream.task_labels, self.stream.kind, split, metric)

    def case_curves(self, split: str = "test", metric: str = "dice") -> dict[tuple[int, str], Floats]:
        """(on_task, case) -> (T + 1,) the case's column of R; see ``clbench.continual.case_curves``."""
        return case_curves(self.rows, self.stream.task_labels, self.stream.kind, split, metric)

    def metrics(
        self,
        split: str = "test",
        metric: str = "dice",
        *,
        single: Floats | None = None,
        naive: Floats | None = None,
        joint: Floats | None = None,
    ) -> dict[str, float | None]:
        """Every continual-learning metric, computed from the rows; arguments as in ``continual_metrics``."""
        return continual_metrics(
            self.scores(split, metric).scores,
            self.stream.kind,
            self.regime,
            single=single,
            naive=naive,
            joint=joint,
            higher_is_better=METRICS[metric].higher_is_better,
        )

    def mean_drift(self, metric: str = "cka_distance", tap: str = "") -> float | None:
        """Mean drift over the tasks, at one tap or over all of them; None where it was not measured or means nothing.

        Args:
            metric: of ``clbench.drift.METRICS``.
            tap: feature level; empty for all.
        """
        found = summarize_drift(self.drift or ()).get(metric)
        if found is None:
            return None
        mean: float | None = found["taps"].get(tap) if tap else found["mean"]
        return mean

    @property
    def numbers(self) -> int:
        """The ``numbers`` of the configuration, which say what files and rows the run must have."""
        return int(self.config_resolved.get("numbers", 1))

    @property
    def revisions(self) -> dict[str, int]:
        """Part of the strategy -> the revision of its arithmetic, 1 where none is recorded."""
        options = self.config_resolved.get("options", {})
        return {part: int(values.get(REVISION, 1)) for part, values in options.items()}

    def changed_files(self) -> dict[str, str]:
        """Files of a complete run that are not as its summary says; see ``summary.changed_files``."""
        hashes = {} if self.summary is None else self.summary["hashes"]
        return summary.changed_files(self.path, hashes, summary.required_files(self.numbers))

    def summary_fault(self) -> str:
        """How the summary of a complete run differs, byte for byte, from what the rows come to; empty when it does not.

        Raises:
            ValueError: the rows come to no scores, such as rows that are there twice.
        """
        there = {} if self.summary is None else self.summary
        expected = summary.summarize(self.stream, self.regime, self.rows, there.get("hashes", {}), self.drift)
        if there.get("scores") != expected["scores"]:
            return "R, n or metrics are not what cases.csv comes to"
        if there.get("drift") != expected.get("drift"):
            return "drift is not what drift.csv comes to"
        same = (self.path / summary.FILE_NAME).read_bytes() == files.json_bytes(expected)
        return "" if same else "not written as clbench writes it"


def read_run(path: Path) -> Run:
    """Read a run folder without trusting it.

    Args:
        path: the folder that holds ``run.json``.

    Returns:
        The run, complete or not. Hashes are not checked here.

    Raises:
        InputError: not a run folder, damaged, or written by a newer clbench.
    """
    source = path / "run.json"
    if not source.exists():
        raise InputError(f"{source} is missing, and nothing else says what run this is; restore it, or remove the rest")
    content = _checked(files.read_json(source), source, SCHEMA_VERSION)
    try:
        stream = StreamRecord.from_json(content["stream"], source)
        regime, config = content["regime"], content["config"]
        given, resolved, digest = dict(config["given"]), dict(config["resolved"]), str(config["hash"])
        _checked_settings(resolved)
        strategy, seed, provenance = str(content["strategy"]), int(content["seed"]), dict(content["provenance"])
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{source} is damaged: it lacks or misuses {error}") from None
    if regime not in get_args(Regime):
        raise InputError(f"{source} is damaged: no such regime as {regime!r}")
    return Run(
        path=path,
        strategy=strategy,
        seed=seed,
        regime=regime,
        stream=stream,
        config_given=given,
        config_resolved=resolved,
        config_hash=digest,
        provenance=provenance,
        rows=_rows(path / "cases.csv", stream),
        drift=_drift(path / "drift.csv", stream),
        cost=_cost(path / "cost.json"),
        summary=_summary(path / summary.FILE_NAME),
    )


def prediction_path(run: Path, after_task: int, case_id: str, on_task: int = 0) -> Path:
    """Where the label map of a case after ``after_task`` tasks is kept.

    A case of several tasks has a map for each (``on_task``, from 1) if the network is told the task, else one (0).

    Raises:
        InputError: the case id is no safe file name.
    """
    return (
        run
        / "predictions"
        / f"after_{after_task}"
        / f"{file_name(case_id)}{f'.task_{on_task}' if on_task else ''}.nii.gz"
    )


def read_prediction(path: Path) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """The label map of a prediction file: (X, Y, Z) uint8.

    Raises:
        InputError: missing or damaged.
    """
    from clbench.data.nifti_file import decode

    if path.is_symlink():
        raise InputError(f"{path} is damaged: a link, and a run folder holds only files of its own")
    try:
        array = decode(path).array
    except InputError as error:
        raise InputError(f"{path} is damaged: {str(error).removeprefix(f'{path}: ')}") from None
    if array.dtype != np.uint8 or array.ndim != 3:
        raise InputError(f"{path} is damaged: {array.dtype} voxels of the shape {array.shape} are no label map")
    return np.asarray(array)


def _checked(content: Any, source: Path, newest: int) -> dict[str, Any]:
    """The content if it is a JSON object of a schema version that this clbench can read."""
    version = content.get("schema_version") if isinstance(content, dict) else None
    if not isinstance(content, dict) or not isinstance(version, int):
        raise InputError(f"{source} is damaged: it has no schema_version")
    if version > newest:
        raise InputError(f"{source} was written by a newer clbench (schema {version}, this one reads up to {newest})")
    return content


def _checked_settings(resolved: Mapping[str, Any]) -> None:
    """Refuse settings that tables compare and that are not of their kind."""
    options, numbers = resolved.get("options", {}), resolved.get("numbers", 1)
    if not isinstance(options, dict) or not all(isinstance(part, dict) for part in options.values()):
        raise TypeError("options")
    if not isinstance(numbers, int) or not all(isinstance(part.get(REVISION, 1), int) for part in options.values()):
        raise TypeError("numbers or revisions")


def _patients(scored: Sequence[Scored]) -> dict[str, str]:
    """Case -> patient."""
    return {row.case: row.patient for row in scored}


def _rows(path: Path, stream: StreamRecord) -> CaseTable:
    """The rows of ``cases.csv``, all of them of tasks, labels and metrics that exist."""
    rows = read_cases(path) if path.exists() else CaseTable.of(())
    labels, tasks = frozenset(stream.labels), len(stream.tasks)
    if (odd := rows.layout.once(_of_nothing, labels, tasks)) is not None:
        raise InputError(f"{path} is damaged: a row of case {odd} has a task, label or metric the run lacks")
    return rows


def _of_nothing(scored: Sequence[Scored], labels: frozenset[str], tasks: int) -> str | None:
    """The first case with a row of a task, label or metric that a run does not have; None when all exist."""
    for row in scored:
        in_tasks = 0 <= row.after_task <= tasks and 1 <= row.on_task <= tasks
        if not in_tasks or row.label not in labels or row.metric not in METRICS:
            return row.case
    return None


def _drift(path: Path, stream: StreamRecord) -> tuple[DriftRow, ...] | None:
    """The rows of ``drift.csv``, all of them of tasks that others follow."""
    if not path.exists():
        return None
    rows = tuple(read_drift(path))
    for row in rows:
        if not 1 <= row.task < len(stream.tasks):
            raise InputError(f"{path} is damaged: task {row.task} is not one that other tasks follow")
    return rows


def _cost(path: Path) -> dict[str, Any]:
    """What a run cost; what is of another kind than clbench writes says nothing, as no score depends on it."""
    content = files.read_json(path) if path.exists() else {}
    if not isinstance(content, dict):
        return {}
    stages = content.get("stages")
    known = [stage for stage in stages if isinstance(stage, dict)] if isinstance(stages, list) else []
    return {**content, "stages": known}


def _summary(path: Path) -> dict[str, Any] | None:
    if not path.exists():
        return None
    content = _checked(files.read_json(path), path, summary.SCHEMA_VERSION)
    hashes = content.get("hashes")
    if not isinstance(hashes, dict) or not all(isinstance(value, str) for value in hashes.values()):
        raise InputError(f"{path} is damaged: it has no hashes")
    return content
