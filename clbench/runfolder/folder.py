"""RunFolder: how a run writes what it leaves behind."""

from __future__ import annotations

import gzip
import io
import os
import re
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray

from clbench.case_table import CaseRow, CaseTable
from clbench.continual import Regime
from clbench.drift import DriftRow
from clbench.errors import InputError, out_error, writing
from clbench.runfolder import checkpoint, files, lock, summary, tables
from clbench.runfolder.reading import SCHEMA_VERSION, prediction_path, read_run
from clbench.runfolder.records import StreamRecord

if TYPE_CHECKING:
    from torch import Tensor

Status = Literal["new", "incomplete", "complete"]

FAILURE = "failure"
"""Folder of what a step with a loss that is not finite left behind."""

_STRATEGY = re.compile(r"[A-Za-z0-9_-]+(\+[A-Za-z0-9_-]+)*")


class RunFolder:
    """A run folder that this process may write; use it in a ``with`` block, which frees the lock at its end.

    Attributes:
        path: the folder.
        status: ``new``, ``incomplete`` (go on from ``load_checkpoint``) or ``complete`` (nothing to do; not locked).
    """

    def __init__(self, path: Path, status: Status) -> None:
        self.path = path
        self.status = status
        self._terms: tuple[str, ...] | None = None

    @classmethod
    def create_or_resume(
        cls,
        out: Path,
        *,
        strategy: str,
        seed: int,
        regime: Regime,
        config_given: Mapping[str, Any],
        config_resolved: Mapping[str, Any],
        config_hash: str,
        stream: StreamRecord,
        provenance: Mapping[str, Any],
    ) -> RunFolder:
        """Open ``<out>/<stream>/<strategy>-s<seed>-<hash8>/``, making it if it is not there, and lock it.

        Args:
            out: folder of all runs.
            strategy: canonical name, such as ``ewc+segreg``.
            seed: of the run.
            regime: of the strategy.
            config_given: what the user asked for, as JSON, without machine paths.
            config_resolved: everything the result depends on, as JSON.
            config_hash: of ``config_resolved``, hex, at least 8 characters.
            stream: what it is trained on.
            provenance: as ``clbench.provenance.collect`` gives it; that of a resume is added to the first one's.

        Raises:
            InputError: the folder holds another run, or cannot be made.
            RunError: another process is writing it, or the disk is full or fails.
        """
        path, status = cls.look(
            out, strategy=strategy, seed=seed, config_resolved=config_resolved, config_hash=config_hash, stream=stream
        )
        if status == "complete":
            return cls(path, status)
        content = {
            **{"schema_version": SCHEMA_VERSION, "strategy": strategy, "seed": seed, "regime": regime},
            "config": {"given": dict(config_given), "resolved": dict(config_resolved), "hash": config_hash},
            **{"provenance": dict(provenance), "stream": stream.to_json()},
        }
        _make(path)
        with writing(path):
            lock.acquire(path)
        try:
            with writing(path):
                return cls(path, _open(path, content, stream))
        except BaseException:
            with suppress(OSError):  # of a disk that fails; the lock of a dead process does not bind
                lock.release(path)
            raise

    @staticmethod
    def look(
        out: Path,
        *,
        strategy: str,
        seed: int,
        config_resolved: Mapping[str, Any],
        config_hash: str,
        stream: StreamRecord,
    ) -> tuple[Path, Status]:
        """Where ``create_or_resume`` would open a folder, and its status there; changes nothing.

        Raises:
            InputError: the folder holds another run.
        """
        path = _path(out, strategy, seed, config_hash, stream)
        if not (path / "run.json").exists():
            return path, "new"
        _require_same(path, config_resolved, config_hash, stream)
        return path, "complete" if (path / summary.FILE_NAME).exists() else "incomplete"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """Free the lock; the run can be resumed or read."""
        with writing(self.path):
            lock.release(self.path)

    def write_cases(self, rows: Sequence[CaseRow]) -> None:
        """Add rows to ``cases.csv``; they replace all earlier rows of the same ``after_task``.

        So an evaluation that is done again after a resume leaves one set of rows.

        Raises:
            ValueError: an infinite value, or two rows for the same score.
        """
        again = {row.after_task for row in rows}
        kept = [row for row in self.cases() if row.after_task not in again]
        self._rewrite_cases([*kept, *rows])

    def truncate_cases(self, after_task: int) -> None:
        """Drop the rows of evaluations after more than ``after_task`` tasks: their network is trained again."""
        rows = self.cases()
        kept = [row for row in rows if row.after_task <= after_task]
        if len(kept) < len(rows):
            self._rewrite_cases(kept)

    def cases(self) -> CaseTable:
        """The rows written so far."""
        path = self.path / "cases.csv"
        return tables.read_cases(path) if path.exists() else CaseTable.of(())

    def append_train(self, rows: Sequence[tables.TrainRow]) -> None:
        """Add rows to ``train.csv``; a loss term that appears for the first time gets a column of its own."""
        path = self.path / "train.csv"
        terms = self._known_terms()
        new = sorted({term for row in rows for term in row.losses}.difference(terms))
        if new or not path.exists():
            earlier = tables.read_train(path) if path.exists() else []
            self._terms = (*terms, *new)
            self._rewrite_train([*earlier, *rows])
            return
        with writing(path), path.open("a", encoding="utf-8", newline="") as stream:
            stream.write(tables.train_text(rows, terms, header=False))

    def truncate_train(self, task: int, step: int) -> None:
        """Drop the rows after step ``step`` of task ``task``: what was logged beyond the checkpoint resumed from."""
        path = self.path / "train.csv"
        if path.exists():
            self._known_terms()
            rows = tables.read_train(path, drop_broken_end=True)
            self._rewrite_train([row for row in rows if (row.task, row.step) <= (task, step)])

    def write_drift(self, rows: Sequence[DriftRow]) -> None:
        """Write ``drift.csv``; no rows say that drift means nothing for this run."""
        with writing(self.path / "drift.csv"):
            files.write_bytes(self.path / "drift.csv", tables.drift_text(rows).encode())

    def write_cost(self, cost: Mapping[str, Any]) -> None:
        """Write ``cost.json``: seconds and peak memory per stage, parameters, stored bytes, replayed fraction."""
        with writing(self.path / "cost.json"):
            files.write_json(self.path / "cost.json", cost)

    def write_prediction(
        self, after_task: int, case_id: str, labels: NDArray[np.uint8], affine: NDArray[np.float64], on_task: int = 0
    ) -> None:
        """Keep a label map as compressed NIfTI; equal maps give equal bytes.

        Args:
            after_task: tasks trained before, 0 to T.
            case_id: of the case; ``/`` becomes ``__`` in the file name.
            labels: (X, Y, Z) uint8 on the native grid.
            affine: (4, 4) of the native grid.
            on_task: the task (from 1) that the map is for, where a network that is told the task has several.
        """
        import nibabel

        path = prediction_path(self.path, after_task, case_id, on_task)
        content = io.BytesIO()
        with gzip.GzipFile(filename="", mode="wb", compresslevel=6, fileobj=content, mtime=0) as stream:
            stream.write(nibabel.Nifti1Image(np.asarray(labels, dtype=np.uint8), affine).to_bytes())
        with writing(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            files.write_bytes(path, content.getvalue())

    def save_checkpoint(self, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> None:
        """Keep what a resume needs; ``checkpoint.save`` says how.

        The training log reaches the disk first, so that it covers every step the checkpoint has.
        """
        if (self.path / "train.csv").exists():
            with writing(self.path / "train.csv"):
                files.sync(self.path / "train.csv")
        checkpoint.save(self.path / "checkpoints", tensors, state)

    def load_checkpoint(self) -> checkpoint.Checkpoint | None:
        """The last whole checkpoint, or None; ``checkpoint.load`` says more."""
        return checkpoint.load(self.path / "checkpoints")

    def save_failure(self, tensors: Mapping[str, Tensor], state: Mapping[str, Any]) -> Path:
        """Keep what is needed to see a failed step again, as a checkpoint under ``failure/``; gives that folder."""
        checkpoint.save(self.path / FAILURE, tensors, state)
        return self.path / FAILURE

    def finish(self) -> Path:
        """Write ``summary.json`` from the other files, which makes the run complete, and free the lock.

        Returns:
            The summary's path.

        Raises:
            InputError: there are no case rows.
        """
        with writing(self.path):
            _remove_partial(self.path)
            checkpoint.keep_newest(self.path / "checkpoints")
            shutil.rmtree(self.path / FAILURE, ignore_errors=True)  # of a command before, with other software
        run = read_run(self.path)
        if not run.rows:
            raise InputError(f"{self.path} has no scores yet; a run is complete only after an evaluation")
        with writing(self.path / summary.FILE_NAME):
            content = summary.summarize(run.stream, run.regime, run.rows, summary.hash_files(self.path), run.drift)
            files.write_json(self.path / summary.FILE_NAME, content)
        self.status = "complete"
        self.close()
        return self.path / summary.FILE_NAME

    def _known_terms(self) -> tuple[str, ...]:
        """The loss terms that ``train.csv`` has columns for."""
        if self._terms is None:
            path = self.path / "train.csv"
            self._terms = tables.train_terms(path) if path.exists() else ()
        return self._terms

    def _rewrite_train(self, rows: Sequence[tables.TrainRow]) -> None:
        text = tables.train_text(rows, self._known_terms(), header=True)
        with writing(self.path / "train.csv"):
            files.write_bytes(self.path / "train.csv", text.encode())

    def _rewrite_cases(self, rows: Sequence[CaseRow]) -> None:
        with writing(self.path / "cases.csv"):
            files.write_bytes(self.path / "cases.csv", tables.case_text(rows).encode())


def run_path(out: Path, stream_key: str, strategy: str, seed: int, config_hash: str) -> Path:
    """Where the folder of a run is, whether or not it is there.

    Raises:
        InputError: the strategy's name is none.
    """
    if not _STRATEGY.fullmatch(strategy):
        raise InputError(f"'{strategy}' is no strategy name")
    return out / stream_key / run_name(strategy, seed, config_hash)


def run_name(strategy: str, seed: int, config_hash: str) -> str:
    """The name of a run's folder."""
    return f"{strategy}-s{seed}-{config_hash[:8]}"


def _path(out: Path, strategy: str, seed: int, config_hash: str, stream: StreamRecord) -> Path:
    """The folder of a run, all parts of its name checked."""
    stream.check()
    return run_path(out, stream.key, strategy, seed, config_hash)


def _make(path: Path) -> None:
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise out_error(path, error) from None
    if not os.access(path, os.W_OK | os.X_OK):
        raise InputError(f"cannot write to {path}; choose another --out")


def _open(path: Path, content: Mapping[str, Any], stream: StreamRecord) -> Status:
    """Bring a locked folder into a state to work on."""
    source = path / "run.json"
    _remove_partial(path)
    if not source.exists():
        if any(entry.name != lock.FILE_NAME for entry in path.iterdir()):
            raise InputError(f"{path} holds files but no run.json; remove it or choose another --out")
        files.write_json(source, content)
        return "new"
    _require_same(path, content["config"]["resolved"], content["config"]["hash"], stream)
    if (path / summary.FILE_NAME).exists():  # another process completed it while we waited for the lock
        lock.release(path)
        return "complete"
    there = files.read_json(source)
    known = [there["provenance"], *there.get("resumed_with", [])]
    if content["provenance"] not in known:
        files.write_json(source, {**there, "resumed_with": [*known[1:], content["provenance"]]})
    return "incomplete"


def _require_same(path: Path, resolved: Mapping[str, Any], config_hash: str, stream: StreamRecord) -> None:
    """Refuse to go on with a folder of the same name that belongs to another run."""
    there = read_run(path)
    settings = other_settings(there.config_resolved, there.config_hash, resolved, config_hash)
    differences = [settings] if settings else []
    if there.stream.fingerprint != stream.fingerprint:
        differences.append(f"data (fingerprint {there.stream.fingerprint[:8]} there, {stream.fingerprint[:8]} now)")
    elif there.stream != stream:
        differences.append("tasks, labels or splits")
    if differences:
        raise holds_another(path, " and other ".join(differences))


def other_settings(there: Mapping[str, Any], there_hash: str, resolved: Mapping[str, Any], config_hash: str) -> str:
    """Which settings of a folder's configuration are not those of another one, in words; empty when all are."""
    keys = sorted(key for key in {*there, *resolved} if there.get(key) != resolved.get(key))
    return f"settings ({', '.join(keys) or 'hash'})" if there_hash != config_hash or keys else ""


def holds_another(path: Path, what: str) -> InputError:
    """The refusal to use a folder of a run's name for it."""
    return InputError(f"{path} holds a run with other {what}; choose another --out or remove that folder")


def _remove_partial(path: Path) -> None:
    """Remove what a killed process had begun to write."""
    for entry in list(path.rglob(f"{files.TEMPORARY}*")):
        if entry.is_dir():
            shutil.rmtree(entry)
        else:
            entry.unlink(missing_ok=True)
