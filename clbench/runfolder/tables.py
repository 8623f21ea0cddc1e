"""The two tables of a run folder as text: ``cases.csv`` and ``train.csv``."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from itertools import pairwise
from operator import attrgetter
from pathlib import Path
from sys import intern
from types import SimpleNamespace
from weakref import WeakValueDictionary

import numpy as np
from numpy.typing import NDArray

from clbench.case_table import CaseRow, CaseTable, Layout, Scored
from clbench.drift import DECIMALS, DriftRow
from clbench.drift import METRICS as DRIFT_METRICS
from clbench.errors import InputError

CASE_COLUMNS = CaseRow._fields
_known: WeakValueDictionary[str, Layout] = WeakValueDictionary()  # each as long as a table has it
DRIFT_COLUMNS = tuple(field.name for field in fields(DriftRow))
LARGEST_ZERO = 5e-7  # whose six decimals are 0: as a float it is a little less than that
LARGEST = 1e12  # of a score that is read; distances in mm stay far below
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
    table = CaseTable.of(rows)
    if not table.layout.ordered:
        table = CaseTable.of(sorted(table, key=attrgetter("scored")))
    if not table.layout.ordered:
        key = next(key for key, following in pairwise(table.layout.scored) if key == following)
        raise ValueError(f"two rows for the same score: {', '.join(map(str, key))}")
    return table.layout.once(_template) % tuple(_written(table.values).tolist())


def _template(scored: Sequence[Scored]) -> str:
    """The text of a table with places for its values: formatting all of them at once is much the fastest."""
    begun = [line[:-1].replace("%", "%%") for line in _lines(scored)]
    return "".join([f"{','.join(CASE_COLUMNS)}\n", *(f"{line},%.6f\n" for line in begun)])


def score_text(value: float) -> str:
    """A score as ``cases.csv`` has it: six decimals, ``nan``, and one spelling of zero.

    Raises:
        ValueError: it is infinite.
    """
    return f"{_written(np.array([value])).item():.6f}"


def _written(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Values with the same six decimals, none of which is minus zero.

    Raises:
        ValueError: one is infinite.
    """
    if np.isinf(values).any():
        raise ValueError("a score must not be infinite")
    return np.where(np.abs(values) <= LARGEST_ZERO, 0.0, values)


def read_cases(path: Path) -> CaseTable:
    """The rows of a ``cases.csv``.

    Raises:
        InputError: missing, or not a table that ``case_text`` writes; names the line.
    """
    if plain := _plain_columns(path):
        with suppress(ValueError):
            return CaseTable(_plain_layout(plain[0]), _values(plain[1]))
    header, *lines = _read(path)
    if tuple(header) != CASE_COLUMNS:
        raise InputError(f"{path} is damaged: its first line is not {','.join(CASE_COLUMNS)}")
    try:
        return CaseTable(_layout([line[:-1] for line in lines]), _values([line[-1] for line in lines]))
    except ValueError:
        number, line = next((number, line) for number, line in enumerate(lines, start=2) if _is_no_case(line))
        raise InputError(f"{path} is damaged in line {number}: {','.join(line)[:80]!r}") from None


def is_written_so(path: Path, rows: CaseTable) -> bool:
    """Whether a ``cases.csv`` is byte for byte ``case_text`` of the rows that were read from it.

    Raises:
        ValueError: two rows for the same score.
    """
    return path.read_bytes() == case_text(rows).encode()


def _plain_columns(path: Path) -> tuple[list[str], list[str]] | None:
    """The lines of a ``cases.csv`` in which nothing is quoted, before the last comma and after it.

    Returns:
        None for any other file, of which ``_read`` says what it is.
    """
    try:
        header, newline, rest = path.read_bytes().decode().partition("\n")
    except (OSError, UnicodeDecodeError):
        return None
    odd = any(map(rest.__contains__, '"\r\0'))
    if header != ",".join(CASE_COLUMNS) or odd or not rest.endswith(newline) or not rest:
        return None
    lines = rest[:-1].split("\n")
    if max(map(len, lines)) > csv.field_size_limit():
        return None
    parts = [line.rpartition(",") for line in lines]
    return [begun for begun, _, _ in parts], [value for _, _, value in parts]


def _plain_layout(begun: Sequence[str]) -> Layout:
    """The layout of lines in which nothing is quoted, one for all tables there are that score the same.

    Raises:
        ValueError: something is no case row.
    """
    text = "\n".join(begun)  # one long text is compared much faster than thousands of short ones
    layout = _known.get(text)
    if layout is None:
        layout = _known[text] = _layout([line.split(",") for line in begun])
    return layout


def _layout(lines: Sequence[Sequence[str]]) -> Layout:
    """The layout of a table's fields but the last.

    Raises:
        ValueError: something is no case row.
    """
    if any(len(line) != len(Scored._fields) for line in lines):
        raise ValueError("too few or too many columns")
    return Layout(Scored(int(after), int(on), *map(intern, texts)) for after, on, *texts in lines)


def _values(texts: Sequence[str]) -> NDArray[np.float64]:
    """The scores of a table.

    Raises:
        ValueError: a text that is no score.
    """
    values = np.array(list(map(float, texts)), dtype=np.float64)
    if (np.abs(values) > LARGEST).any():  # which lets NaN pass
        raise ValueError("infinite, or so large that a mean of such would be")
    return values


def _is_no_case(line: Sequence[str]) -> bool:
    try:
        _layout([line[:-1]])
        _values(line[-1:])
    except ValueError:
        return True
    return False


def _finite_or_nan(text: str) -> float:
    """The value of a score's text.

    Raises:
        ValueError: no number, infinite, or so large that a mean of such would be.
    """
    value = float(text)
    if abs(value) > LARGEST:
        raise ValueError(f"{text} is no score")
    return value


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
            rows.append(DriftRow(int(task), tap, DRIFT_METRICS[DRIFT_METRICS.index(metric)], _finite_or_nan(value)))
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
    return "".join(_lines(lines))


def _lines(rows: Iterable[Sequence[object]]) -> list[str]:
    """The line of each row, with its line feed."""
    lines: list[str] = []
    csv.writer(SimpleNamespace(write=lines.append), lineterminator="\n").writerows(rows)
    return lines


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
