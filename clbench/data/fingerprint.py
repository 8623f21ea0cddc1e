"""Fingerprint: one hash over everything that decides which voxels a stream is made of."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

from clbench.data.case import Case
from clbench.errors import unreadable


def file_sha256(path: Path) -> str:
    """SHA-256 of a file's bytes as 64 hex digits; read again only when its size or modification time changed.

    Raises:
        InputError: the file cannot be read.
    """
    try:
        status = path.stat()
        return _digest(path, status.st_size, status.st_mtime_ns, status.st_ino)
    except OSError as error:
        raise unreadable(path, error) from None


@lru_cache(maxsize=65_536)
def _digest(path: Path, size: int, changed_ns: int, inode: int) -> str:
    """``size``, ``changed_ns`` and ``inode`` make a changed file a new cache entry."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def fingerprint(cases: Iterable[Case], excluded: Iterable[str] = ()) -> str:
    """SHA-256 (64 hex digits) of the cases' ids, file bytes, label map and whatever else decides how they are read.

    Independent of the order of the cases and of where their files lie. Cases with the same id and content count
    once, so that a stream that shows the same cases in several tasks has the fingerprint of its cases.

    Args:
        cases: those that are used.
        excluded: ids of those that were left out; without any, fingerprints are as they always were.

    Raises:
        InputError: a file cannot be read.
    """
    entries = {_entry(case) for case in cases} | {json.dumps(["excluded", case_id]) for case_id in excluded}
    return hashlib.sha256("\n".join(sorted(entries)).encode()).hexdigest()


def _entry(case: Case) -> str:
    reading = case.reading()
    return json.dumps(
        [
            case.case_id,
            [file_sha256(path) for path in case.images],
            file_sha256(case.mask),
            case.channel,
            case.shift,
            sorted(case.label_values.items()),
            *([reading] if reading else []),  # absent where it is the default: older fingerprints stay valid
        ]
    )
