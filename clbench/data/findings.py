"""Findings: what a check of a case found, kept by the content of its files so that it is looked for once."""

from __future__ import annotations

import hashlib
import json
import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from clbench.data.case import Case
from clbench.data.fingerprint import file_sha256
from clbench.errors import InputError, cache_error

FORMAT = 1  # raise it whenever the same bytes would be found sound or faulty by other rules


@dataclass(frozen=True)
class Fault:
    """What is wrong with one file of a case.

    Attributes:
        file: its place among the images and then the mask.
        what: what is wrong and how to mend it.
        kind: the same in a word or two, which tell nothing of names and places.
    """

    file: int
    what: str
    kind: str


@dataclass(frozen=True)
class Oddity:
    """A trap that was met in one file of a case: its kind, the file's place, and what was done about it."""

    kind: str
    file: int
    action: str


@dataclass(frozen=True)
class Scale:
    """The largest value of an image and the type it is stored as."""

    top: float
    stored_as: str


@dataclass(frozen=True)
class CaseFindings:
    """What one case holds.

    Attributes:
        faults: why it cannot be used; empty for a sound case.
        oddities: known traps.
        voxels: hash of the image's voxels; empty when it cannot be read.
        scales: of the images that can be read.
    """

    faults: tuple[Fault, ...] = ()
    oddities: tuple[Oddity, ...] = ()
    voxels: str = ""
    scales: tuple[Scale, ...] = ()


def remembered(case: Case, cache: Path | None, look: Callable[[Case], CaseFindings]) -> CaseFindings:
    """The findings of a case, from the cache or by looking.

    Args:
        case: the case.
        cache: cache folder; None looks anew each time.
        look: reads the case.

    Raises:
        InputError: the cache cannot be written.
        RunError: its disk is full or fails.
    """
    try:
        path = None if cache is None else _place(case, cache)
    except InputError:
        path = None  # a file that cannot be read has no content to know it by
    known = None if path is None else _read(path, len(case.images) + 1)
    if known is not None:
        return known
    found = look(case)
    if path is not None:
        _write(path, found)
    return found


def _place(case: Case, cache: Path) -> Path:
    """A file named after everything that decides what is found; names of files stand in the texts."""
    files = (*case.images, case.mask)
    content = [
        *(FORMAT, [file_sha256(file) for file in files], [file.name for file in files], case.channel),
        *(sorted(case.label_values.items()), case.reading(), case.may_be_empty),
    ]
    key = hashlib.sha256(json.dumps(content).encode()).hexdigest()
    return cache / "checked" / key[:2] / f"{key}.json"


def _read(path: Path, files: int) -> CaseFindings | None:
    """What was found before; None when there is nothing, or nothing whole about that many files."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        found = CaseFindings(
            tuple(Fault(int(fault["file"]), str(fault["what"]), str(fault["kind"])) for fault in content["faults"]),
            tuple(Oddity(str(o["kind"]), int(o["file"]), str(o["action"])) for o in content["oddities"]),
            str(content["voxels"]),
            tuple(Scale(float(scale["top"]), str(scale["stored_as"])) for scale in content["scales"]),
        )
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return None
    places = [fault.file for fault in found.faults] + [odd.file for odd in found.oddities]
    return found if all(0 <= place < files for place in places) else None


def _write(path: Path, found: CaseFindings) -> None:
    """Write beside the final place, then rename, since other processes may read."""
    temporary = path.with_name(f".{path.name[:16]}-{os.getpid()}-{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(json.dumps(_plain(found)) + "\n", encoding="utf-8")
        temporary.replace(path)
    except OSError as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        raise cache_error(path.parent, error) from None


def _plain(found: CaseFindings) -> dict[str, Any]:
    return asdict(found)
