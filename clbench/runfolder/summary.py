"""``summary.json``: what a complete run comes to, derived from its other files and nothing else."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from clbench.case_table import CaseRow, CaseTable, Scored
from clbench.continual import Regime, ScoreMatrix, own_metrics, score_matrix
from clbench.drift import SINCE as DRIFT_SINCE
from clbench.drift import DriftRow, summarize_drift
from clbench.errors import InputError
from clbench.metrics import METRICS
from clbench.runfolder import files, lock
from clbench.runfolder.records import StreamRecord

FILE_NAME = "summary.json"
SCHEMA_VERSION = 1
LARGE = ("predictions", "checkpoints")
"""Folders that a published run may leave out."""
LINK = "is a link; a run folder holds only files of its own"
_ALWAYS = ("run.json", "cases.csv", "train.csv", "cost.json")


def summarize(
    stream: StreamRecord,
    regime: Regime,
    rows: Iterable[CaseRow],
    hashes: Mapping[str, str],
    drift: Sequence[DriftRow] | None = None,
) -> dict[str, Any]:
    """The content of ``summary.json``.

    Args:
        stream: of the run.
        regime: of the strategy.
        rows: of ``cases.csv``, read back from it, so that both files tell the same.
        hashes: as ``hash_files`` gives them.
        drift: of ``drift.csv``; None when there is no such file.

    Returns:
        ``schema_version``; ``scores``: split -> metric -> ``R`` (T + 1 lists of T numbers, None where undefined),
        ``n`` and ``metrics`` (those that need no reference run); ``drift`` as ``summarize_drift`` gives it, where it
        was measured; and ``hashes``. Numbers have six decimals.
    """
    table = CaseTable.of(rows)
    matrices = {
        (split, metric): score_matrix(table, stream.task_labels, stream.kind, split, metric)
        for split, metric in table.layout.once(_kinds)
    }
    derived = _derived(matrices, stream, regime)
    scores: dict[str, dict[str, Any]] = {}
    for (split, metric), matrix in matrices.items():
        scores.setdefault(split, {})[metric] = {
            "R": [[_rounded(value) for value in row] for row in matrix.scores.tolist()],
            "n": matrix.counts.tolist(),
            "metrics": {key: _rounded(value) for key, value in derived[split, metric].items()},
        }
    measured = {} if drift is None else {"drift": summarize_drift(drift)}
    return {"schema_version": SCHEMA_VERSION, "scores": scores, **measured, "hashes": dict(hashes)}


def _kinds(scored: Sequence[Scored]) -> list[tuple[str, str]]:
    """Splits and metrics that there are scores of."""
    return sorted({(row.split, row.metric) for row in scored})


def _derived(
    matrices: Mapping[tuple[str, str], ScoreMatrix], stream: StreamRecord, regime: Regime
) -> dict[tuple[str, str], dict[str, float | None]]:
    """The metrics that need no reference run, of all scores with the same direction at once."""
    found: dict[tuple[str, str], dict[str, float | None]] = {}
    for higher in (True, False):
        keys = [key for key in matrices if METRICS[key[1]].higher_is_better is higher]
        if keys:
            stacked = np.stack([matrices[key].scores for key in keys])
            own = own_metrics(stacked, stream.kind, regime, higher_is_better=higher)
            found.update(zip(keys, own, strict=True))
    return found


def hash_files(folder: Path) -> dict[str, str]:
    """SHA-256 of every file of a run folder but its lock and summary: relative path -> hex, sorted by path.

    Raises:
        InputError: a link, which could point anywhere.
    """
    there = _files(folder)
    for path in there.values():
        if path.is_symlink():
            raise InputError(f"{path} {LINK}")
    return {name: files.file_hash(path) for name, path in there.items()}


def required_files(numbers: int) -> tuple[str, ...]:
    """The files that every complete run of that ``numbers`` has, besides its summary."""
    return (*_ALWAYS, *(("drift.csv",) if numbers >= DRIFT_SINCE else ()))


def changed_files(folder: Path, hashes: Mapping[str, str], required: Sequence[str] = _ALWAYS) -> dict[str, str]:
    """The files that are not as ``summary.json`` says; only ``LARGE`` folders may be missing, and only as a whole.

    Args:
        folder: of the run.
        hashes: from its summary.
        required: files that must be there and in the summary.

    Returns:
        relative path -> how it differs, such as ``"missing"``; empty when all is well.
    """
    left_out = tuple(f"{name}/" for name in LARGE if not (folder / name).exists())
    known = {name: _change(folder, name, digest) for name, digest in hashes.items() if not name.startswith(left_out)}
    found = {name: how for name, how in known.items() if how}
    for name, path in _files(folder).items():
        if name not in hashes or path.is_symlink():
            found[name] = LINK if path.is_symlink() else "not in the summary"
    return {name: "missing" for name in required if name not in hashes} | found


def _files(folder: Path) -> dict[str, Path]:
    """Relative path -> path of every file and link of a run folder but its lock and summary, sorted."""
    return dict(sorted(_walk(folder, ""), key=lambda found: found[0].split("/")))


def _walk(folder: Path, prefix: str) -> Iterator[tuple[str, Path]]:
    """As ``_files``, with a prefix to the names; links are told and not followed; what cannot be read is empty."""
    try:
        entries = list(os.scandir(folder))
    except OSError:
        return
    for entry in entries:
        name = f"{prefix}{entry.name}"
        if entry.is_dir(follow_symlinks=False):
            yield from _walk(folder / entry.name, f"{name}/")
        elif entry.is_symlink() or (
            entry.is_file() and name not in (FILE_NAME, lock.FILE_NAME) and files.TEMPORARY not in name
        ):
            yield name, folder / entry.name


def _change(folder: Path, name: str, digest: str) -> str:
    """How a file differs from its hash; empty when it does not."""
    path = folder / name
    if Path(name).is_absolute() or ".." in Path(name).parts or not _is_file(path):
        return "missing"
    if path.is_symlink():
        return LINK
    return "" if files.file_hash(path) == digest else "changed"


def _is_file(path: Path) -> bool:
    """Whether a file is there; a name that no file can have, such as one too long, is none."""
    try:
        return path.is_file()
    except OSError:
        return False


def _rounded(value: float | None) -> float | None:
    return None if value is None or math.isnan(value) else round(value, 6) + 0.0
