"""Expected numbers: what published runs come to, held against runs two-sided, so that better is as odd as worse."""

from __future__ import annotations

import csv
import io
import math
from collections import defaultdict
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import astuple, dataclass, fields
from pathlib import Path
from statistics import fmean

from clbench.errors import InputError
from clbench.report.groups import Group, Row, groups
from clbench.report.usable import usable
from clbench.runfolder import Run
from clbench.wording import counted

METRICS = ("final", "bwt", "learned", "forgetting")
"""What is expected of every row that has it."""


@dataclass(frozen=True, order=True)
class Expected:
    """One number that is stood for.

    Attributes:
        stream, preset, precision: of the runs.
        numbers: version of the arithmetic they were made with.
        data: first digits of the data's fingerprint.
        strategy: label of the table's row.
        seeds: of the runs, separated by blanks.
        metric: of the test Dice, mean over these seeds.
        value: the number.
        tolerance: largest distance to either side.
    """

    stream: str
    preset: str
    precision: str
    numbers: str
    data: str
    strategy: str
    seeds: str
    metric: str
    value: float
    tolerance: float


COLUMNS = tuple(field.name for field in fields(Expected))


def read_expected(path: Path) -> list[Expected]:
    """The lines of an ``expected.csv``.

    Raises:
        InputError: missing, or not such a table; names the line.
    """
    try:
        lines = list(csv.reader(io.StringIO(path.read_text(encoding="utf-8")), strict=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        why = error.strerror if isinstance(error, OSError) else error
        raise InputError(f"cannot read expected numbers {path}: {why}") from None
    if not lines or tuple(lines[0]) != COLUMNS:
        raise InputError(f"{path}: the first line should be {','.join(COLUMNS)}")
    return [_line(path, number, line) for number, line in enumerate(lines[1:], start=2)]


def _line(path: Path, number: int, line: Sequence[str]) -> Expected:
    try:
        texts = dict(zip(COLUMNS[:-2], line[:-2], strict=True))
        found = Expected(**texts, value=float(line[-2]), tolerance=float(line[-1]))
    except (ValueError, IndexError):
        raise InputError(f"{path} line {number}: not {len(COLUMNS)} fields ending in two numbers") from None
    if not (math.isfinite(found.value) and math.isfinite(found.tolerance) and found.tolerance >= 0):
        raise InputError(f"{path} line {number}: value and tolerance should be finite, the tolerance at least 0")
    return found


def expected_text(runs: Iterable[Run], tolerance: float) -> str:
    """An ``expected.csv`` with what runs come to now, all with one tolerance."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(COLUMNS)
    for item in sorted(_found(runs, tolerance)):
        *texts, value, width = astuple(item)
        writer.writerow([*texts, f"{value:.6f}", f"{width:g}"])
    return buffer.getvalue()


def _found(runs: Iterable[Run], tolerance: float) -> Iterator[Expected]:
    for group in groups(usable(runs)[0]):
        for row in group.rows:
            seeds = [run.seed for run in row.runs]
            for metric in METRICS:
                if (value := _mean(row, seeds, metric)) is not None:
                    text = " ".join(map(str, seeds))
                    yield Expected(*_identity(group), row.label, text, metric, value, tolerance)


@dataclass(frozen=True)
class Outcome:
    """What holding runs against expected numbers came to.

    Attributes:
        faults: what is not as expected, one line each: numbers outside their tolerance, rows of other data.
        compared: numbers of rows that the runs have, with all their seeds.
        absent: numbers of rows that they do not have.
    """

    faults: tuple[str, ...]
    compared: int
    absent: int


def compare(runs: Iterable[Run], expected: Sequence[Expected]) -> Outcome:
    """Hold runs against those expected numbers that are theirs; a file may have many more rows than were run.

    Tables that differ in what a file does not say, such as the names of cases, have rows of one name: each of them must
    come to one of the numbers expected of that name.

    Args:
        runs: complete or not; those that a table would leave out count as not there.
        expected: from ``read_expected``.
    """
    rows, wanted = _by_name(runs), _alike(expected)
    there = {
        key: [row for row in rows.get(key[:6], []) if _seeds(items[0]) <= _run(row)] for key, items in wanted.items()
    }
    faults = [fault for key, found in there.items() for row in found if (fault := _fault(wanted[key], row))]
    compared = sum(len(wanted[key]) for key, found in there.items() if found)
    others = _other_data(rows, expected)
    elsewhere = sum(_but_data(*astuple(item)[:6]) in others for item in expected)
    return Outcome((*faults, *others.values()), compared, len(expected) - compared - elsewhere)


def _by_name(runs: Iterable[Run]) -> dict[tuple[str, ...], list[Row]]:
    """What a file says of a row -> the rows of which it says that."""
    rows: dict[tuple[str, ...], list[Row]] = defaultdict(list)
    for group in groups(usable(runs)[0]):
        for row in group.rows:
            rows[*_identity(group), row.label].append(row)
    return rows


def _alike(expected: Iterable[Expected]) -> dict[tuple[str, ...], list[Expected]]:
    """What a file says of a number besides its value -> the lines that say so."""
    wanted: dict[tuple[str, ...], list[Expected]] = defaultdict(list)
    for item in expected:
        wanted[astuple(item)[:8]].append(item)
    return wanted


def told(outcome: Outcome, file: Path) -> tuple[list[str], bool]:
    """What to say of an outcome, and whether it is a failure; where nothing could be compared, nothing is shown."""
    if not outcome.compared and not outcome.faults:
        none = "the only number" if outcome.absent == 1 else f"none of the {outcome.absent} numbers"
        what = f"{none} of {file} is {'not ' if outcome.absent == 1 else ''}of these runs"
        why = "their streams, strategies, seeds, presets, precisions or versions of the arithmetic are others"
        return [f"not as expected: {what}; {why}"], True
    lines = [f"not as expected: {fault}" for fault in outcome.faults]
    lines += [] if outcome.faults else [f"as expected: {counted(outcome.compared, 'number')} of {file}"]
    if outcome.absent:
        absent = counted(outcome.absent, f"number of {file} is", f"numbers of {file} are")
        lines.append(f"not compared: {absent} of rows or seeds that are not among these")
    return lines, bool(outcome.faults)


def _but_data(stream: str, preset: str, precision: str, numbers: str, data: str, strategy: str) -> tuple[str, ...]:
    return stream, preset, precision, numbers, strategy


def _other_data(rows: Iterable[tuple[str, ...]], expected: Sequence[Expected]) -> dict[tuple[str, ...], str]:
    """What a row is but for its data -> a line that says so, where none of its data is expected."""
    found, wanted = _data_of(rows), _data_of(astuple(item)[:6] for item in expected)
    return {
        key: f"{key[-1]} on {key[0]} ({key[1]}, {key[2]}): other data: "
        f"fingerprint {' and '.join(found[key])}, expected {' or '.join(data)}"
        for key, data in wanted.items()
        if key in found and not set(found[key]) & set(data)
    }


def _data_of(identities: Iterable[tuple[str, ...]]) -> dict[tuple[str, ...], list[str]]:
    """What a row is but for its data -> first digits of the fingerprints, each once."""
    found: dict[tuple[str, ...], dict[str, None]] = {}
    for identity in identities:
        found.setdefault(_but_data(*identity), {})[identity[4]] = None
    return {key: list(data) for key, data in found.items()}


def _run(row: Row) -> set[int]:
    """The seeds of a row's runs."""
    return {run.seed for run in row.runs}


def _seeds(item: Expected) -> set[int]:
    return {int(seed) for seed in item.seeds.split() if seed.isdecimal()}


def _fault(items: Sequence[Expected], row: Row) -> str:
    """How a row comes to none of the numbers expected of it; empty when it comes to one."""
    item = items[0]
    name = f"{item.strategy} on {item.stream} ({item.preset}, {item.precision}), {item.metric}"
    value = _mean(row, _seeds(item), item.metric)
    if value is None:
        return f"{name}: n/a, but {item.value:.6f} is expected"
    # half of the last decimal that the file has, so that a tolerance of 0 asks for the same number
    if all(abs(value - item.value) > item.tolerance + 5e-7 for item in items):
        numbers = " or ".join(f"{item.value:.6f} ± {item.tolerance:g}" for item in items)
        return f"{name}: {value:.6f}, but {numbers} is expected"
    return ""


def _mean(row: Row, seeds: Collection[int], metric: str) -> float | None:
    values = [run.metrics().get(metric) for run in row.runs if run.seed in seeds]
    known = [value for value in values if value is not None]
    return fmean(known) if known and len(known) == len(values) else None


def _identity(group: Group) -> tuple[str, str, str, str, str]:
    settings = group.settings
    named = (str(settings.get(key, "")) for key in ("preset", "precision", "numbers"))
    preset, precision, numbers = named
    return group.stream, preset, precision, numbers, group.fingerprint[:8]
