"""The table of the M&Ms data set: vendor, centre and annotated frames of every patient."""

from __future__ import annotations

import csv
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from clbench.data.case import Trap
from clbench.data.layouts.files import entries, safe_id
from clbench.data.layouts.gathering import IncompleteError, gathering
from clbench.errors import InputError
from clbench.wording import counted

VENDORS = ("A", "B", "C", "D")
COLUMNS = ("External code", "Vendor", "Centre", "ED", "ES")
_NAME = re.compile(r"(?:(?P<date>\d+)_)?M.{0,3}Ms_Dataset_Information.*\.csv", re.IGNORECASE)
_WHOLE = re.compile(r"(?P<number>\d+)(?:\.0*)?")
_NOTHING = {"", "nan", "na", "n/a", "none"}


@dataclass(frozen=True)
class Row:
    """One patient of the table.

    Attributes:
        code: name of the patient's folder.
        vendor: ``A`` Siemens, ``B`` Philips, ``C`` GE or ``D`` Canon.
        centre: number of the centre, such as ``3``.
        frames: ``ED`` and ``ES`` -> index on the time axis from 0, or None where the table has none.
    """

    code: str
    vendor: str
    centre: str
    frames: Mapping[str, int | None]


def find_table(root: Path) -> tuple[Path, tuple[Trap, ...]]:
    """The table under whatever date it was published; the latest when there are several.

    Raises:
        InputError: no table.
    """
    dates = {path: match["date"] or "" for path in entries(root) if (match := _NAME.fullmatch(path.name))}
    if not dates:
        raise InputError(f"{root}: no YYMMDD_M&Ms_Dataset_information_*.csv; complete the download")
    table = max(dates, key=lambda path: (dates[path], path.name))
    traps = [Trap("dated-table", table.name, "read as the table of patients, whatever its date")]
    if others := sorted(path.name for path in dates if path != table):
        traps.append(Trap("several-tables", table.name, f"latest one taken instead of {', '.join(others)}"))
    return table, tuple(traps)


def read_table(path: Path) -> tuple[dict[str, Row], tuple[Trap, ...]]:
    """Code -> row, in the order of the table; further columns are ignored.

    Raises:
        InputError: the file is no such table, a code is there twice, or a value is not one the data set has.
    """
    lines = _lines(path)
    rows: dict[str, Row] = {}
    problems: list[str] = []
    for line in lines:
        with gathering(problems):
            row = _row(line, path)
            if row.code in rows:
                raise InputError(f"{path}: patient {row.code} is there twice; delete one row")
            rows[row.code] = row
    if problems:
        raise IncompleteError(problems)
    decimal = sum(any("." in line[key] for key in ("ED", "ES")) for line in lines)
    rows_write = counted(decimal, "row writes", "rows write")
    action = f"{rows_write} frame numbers as decimals; read as whole numbers"
    return rows, (Trap("decimal-frames", path.name, action),) if decimal else ()


def _lines(path: Path) -> list[dict[str, str]]:
    """Column -> text of every row that is not blank, for the columns that are needed."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            content = [line for line in csv.reader(file) if any(cell.strip() for cell in line)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read ({getattr(error, 'strerror', None) or error})") from None
    header = [cell.strip().casefold() for cell in content[0]] if content else []
    missing = [name for name in COLUMNS if name.casefold() not in header]
    if missing:
        raise InputError(f"{path}: has no column {', '.join(missing)}; take the table as it was published")
    places = {name: header.index(name.casefold()) for name in COLUMNS}
    return [{name: line[at].strip() if at < len(line) else "" for name, at in places.items()} for line in content[1:]]


def _row(line: Mapping[str, str], path: Path) -> Row:
    code = safe_id(line["External code"], path)
    vendor, centre = line["Vendor"].upper(), _whole(line["Centre"])
    if vendor not in VENDORS:
        raise InputError(f"{path}: patient {code} has the vendor '{line['Vendor']}', expected one of A, B, C, D")
    if centre is None:
        raise InputError(f"{path}: patient {code} has the centre '{line['Centre']}', expected a number from 1 to 5")
    frames = {key: _frame(line[key], key, code, path) for key in ("ED", "ES")}
    return Row(code, vendor, str(centre), frames)


def _frame(text: str, key: str, code: str, path: Path) -> int | None:
    frame = _whole(text)
    if frame is None and text.casefold() not in _NOTHING:
        raise InputError(f"{path}: patient {code} has {key} '{text}', expected a frame number from 0")
    return frame


def _whole(text: str) -> int | None:
    match = _WHOLE.fullmatch(text) if text.isascii() else None
    return int(match["number"]) if match else None
