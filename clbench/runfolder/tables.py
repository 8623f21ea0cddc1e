"""The two tables of a run folder as text: ``cases.csv`` and ``train.csv``."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, fields
from itertools import pairwise
from pathlib import Path
from sys import intern

from clbench.continual import CaseRow
from clbench.drift import DECIMALS, DriftRow
from clbench.drift import METRICS as DRIFT_METRICS
from clbench.errors import InputError

CASE_COLUMNS = tuple(field.name for field in fields(CaseRow))
DRIFT_COLUMNS = tuple(field.name for field in fields(DriftRow))
_TRAIN_FIRST, _TRAIN_LAST = ("task", "step"), ("learning_rate", "seconds")


@dataclass(frozen=True)
class TrainRow:
    """One optimizer step as it was logged.

    Attributes:
        task: from 1.
        step: within the task.
        losses: loss term -> value.
        learning_rate: of the step.
        seconds: since the run (or its last resume) began; never part of a result.
    """

    task: int
    step: int
    losses: Mapping[str, float]
    learning_rate: float
    seconds: float


def case_text(rows: Iterable[CaseRow]) -> str:
    """``cases.csv``: sorted, six decimals, NaN as ``nan``; the same rows in any order give the same text.

    Raises:
        ValueError: an infinite value, or two rows for the same score.
    """
    ordered = sorted(((*_key(row), row.value) for row in rows), key=lambda line: line[:-1])
    for line, following in pairwise(ordered):
        if line[:-1] == following[:-1]:
            raise ValueError(f"two rows for the same score: {CaseRow(*following)}")
    return _text([CASE_COLUMNS, *((*line[:-1], score_text(line[-1])) for line in ordered)])


def _key(row: CaseRow) -> tuple[int, int, str, str, str, str, str]:
    """What a row scores: all but its value, in the order of the columns."""
    return row.after_task, row.on_task, row.split, row.case, row.patient, row.label, row.metric


def score_text(value: float) -> str:
    """A score as ``cases.csv`` has it: six decimals, ``nan``, and one spelling of zero.

    Raises:
        ValueError: it is infinite.
    """
    if math.isinf(value):
        raise ValueError("a score must not be infinite")
    text = f"{value:.6f}"
    return "0.000000" if text == "-0.000000" else text


def read_cases(path: Path) -> list[CaseRow]:
    """The rows of a ``cases.csv``.

    Raises:
        InputError: missing, or not a table that ``case_text`` writes; names the line.
    """
    header, *lines = _read(path)
    if tuple(header) != CASE_COLUMNS:
        raise InputError(f"{path} is damaged: its first line is not {','.join(CASE_COLUMNS)}")
    rows = []
    for number, line in enumerate(lines, start=2):
        try:
            after, on, split, case, patient, label, metric, value = line
            score_text(float(value))  # refuses infinity
            # each text is there in thousands of rows: kept once
            split, case, patient, label, metric = map(intern, (split, case, patient, label, metric))
            rows.append(CaseRow(int(after), int(on), split, case, patient, label, metric, float(value)))
        except ValueError:
            raise InputError(f"{path} is damaged in line {number}: {','.join(line)[:80]!r}") from None
    return rows


def drift_text(rows: Iterable[DriftRow]) -> str:
    """``drift.csv``: sorted, six decimals, NaN as ``nan``."""
    lines = ([row.task, row.tap, row.metric, f"{row.value:.{DECIMALS}f}"] for row in sorted(rows))
    return _text([DRIFT_COLUMNS, *lines])


def read_drift(path: Path) -> list[DriftRow]:
    """The rows of a ``drift.csv``.

    Raises:
        InputError: not a table that ``drift_text`` writes; names the line.
    """
    header, *lines = _read(path)
    if tuple(header) != DRIFT_COLUMNS:
        raise InputError(f"{path} is damaged: its first line is not {','.join(DRIFT_COLUMNS)}")
    rows = []
    for number, line in enumerate(lines, start=2):
        try:
            task, tap, metric, value = line
            score_text(float(value))  # refuses infinity
            rows.append(DriftRow(int(task), tap, DRIFT_METRICS[DRIFT_METRICS.index(metric)], float(value)))
        except ValueError:
            raise InputError(f"{path} is damaged in line {number}: {','.join(line)[:80]!r}") from None
    return rows


def train_text(rows: Sequence[TrainRow], terms: Sequence[str], header: bool) -> str:
    """Lines of ``train.csv``, with one column for each loss term; a term that a row lacks is left empty."""
    lines: list[Sequence[object]] = [(*_TRAIN_FIRST, *terms, *_TRAIN_LAST)] if header else []
    for row in rows:
        losses = [f"{row.losses[term]:.7g}" if term in row.losses else "" for term in terms]
        lines.append((row.task, row.step, *losses, f"{row.learning_rate:.7g}", f"{row.seconds:.3f}"))
    return _text(lines)


def train_terms(path: Path) -> tuple[str, ...]:
    """The loss terms that a ``train.csv`` has columns for, in their order."""
    header = _read(path)[0]
    return tuple(header[len(_TRAIN_FIRST) : -len(_TRAIN_LAST)])


def read_train(path: Path, *, drop_broken_end: bool = False) -> list[TrainRow]:
    """The rows of a ``train.csv``.

    Args:
        path: the file.
        drop_broken_end: forgive a last line that a crash cut short.

    Raises:
        InputError: missing or damaged; names the line.
    """
    lines = _read(path)
    terms = lines[0][2:-2]
    if lines[0] != [*_TRAIN_FIRST, *terms, *_TRAIN_LAST]:
        raise InputError(f"{path} is damaged: its first line does not name the columns")
    if drop_broken_end and not path.read_bytes().endswith(b"\n"):
        lines.pop()
    rows = []
    for number, line in enumerate(lines[1:], start=2):
        try:
            task, step, *values, rate, seconds = line
            losses = {term: float(value) for term, value in zip(terms, values, strict=True) if value}
            rows.append(TrainRow(int(task), int(step), losses, float(rate), float(seconds)))
        except ValueError:
            raise InputError(f"{path} is damaged in line {number}: {','.join(line)[:80]!r}") from None
    return rows


def _text(lines: Iterable[Sequence[object]]) -> str:
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows(lines)
    return buffer.getvalue()


def _read(path: Path) -> list[list[str]]:
    try:
        with path.open(encoding="utf-8", newline="") as stream:
            lines = list(csv.reader(stream, strict=True))
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}; is this a whole run folder?") from None
    except (csv.Error, UnicodeDecodeError):
        raise InputError(f"{path} is damaged: not a table in UTF-8") from None
    if not lines:
        raise InputError(f"{path} is damaged: it is empty")
    return lines
