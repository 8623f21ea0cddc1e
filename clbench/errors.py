"""The two ways clbench ends early: the user's mistake (exit 2) and a failure (exit 1)."""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path

DISK_FAULTS = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EFBIG})
"""Errors of a disk that is full or fails, which no other path or option would mend."""


DEAD_LINK = "link to itself or to nothing; fetch the file it should lead to"


class InputError(ValueError):
    """A mistake in what the user gave: the message says what, where and how to mend it. Exit code 2."""


class DataError(InputError):
    """Cases that cannot be used, all of them at once: one line for each problem, then what to do."""


class RunError(RuntimeError):
    """A failure that is not the user's mistake, such as a loss that became NaN. Exit code 1."""


class CacheError(InputError):
    """The cache folder cannot be written, so that no case can be prepared."""


class DiskError(RunError):
    """A disk that is full or fails. What was there before is still there, and the same command goes on from it."""


@contextmanager
def writing(path: Path | str) -> Iterator[None]:
    """Tell in one line what could not be written in the block, and how to go on.

    Args:
        path: the file or folder that the block writes.

    Raises:
        DiskError: in place of any OSError.
    """
    try:
        yield
    except OSError as error:
        raise disk_error(path, error) from None


def disk_error(path: Path | str, error: Exception) -> DiskError:
    """The error for something that could not be written.

    Args:
        path: what was being written.
        error: an OSError, or another one whose text ends in ``(os error 28)``, as libraries in Rust say it.
    """
    found = re.search(r"\(os error (\d+)\)", str(error))
    number = error.errno if isinstance(error, OSError) else int(found[1]) if found else None
    reason = os.strerror(number) if number else str(error)
    mend = "make room" if number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG) else "mend that"
    return DiskError(f"cannot write {path}: {reason}; {mend}, then give the same command again: it goes on from there")


def cache_error(folder: Path, error: OSError) -> CacheError | DiskError:
    """The error for a cache folder that cannot be written: a wrong folder, or a disk that is full or fails."""
    if error.errno in DISK_FAULTS:
        return disk_error(f"the cache {folder}", error)
    reason = error.strerror or error
    return CacheError(f"cannot write the cache {folder}: {reason}; set CLBENCH_CACHE to another folder")


def out_error(path: Path, error: OSError) -> InputError | DiskError:
    """The error for a place under ``--out`` that cannot be written: a wrong one, or a disk that is full or fails."""
    if error.errno in DISK_FAULTS:
        return disk_error(path, error)
    return InputError(f"cannot write {path}: {_in_the_way(path) or error.strerror or error}; choose another --out")


def check_out(path: Path, *, folder: bool = True) -> None:
    """Refuse a place that cannot be written before anything is worked out for it.

    Args:
        path: that is to be written, there or not.
        folder: whether it is to be a folder, or a file.

    Raises:
        InputError: something else is in its place, or in that of a folder above.
    """
    way = _in_the_way(path / "file" if folder else path)
    if way:
        raise InputError(f"cannot write {path}: {way}; choose another --out")


def _in_the_way(file: Path) -> str:
    """What stands where a file or a folder above it should; empty when nothing does."""
    try:
        parent = next((parent for parent in file.parents if parent.exists() and not parent.is_dir()), None)
        return f"{parent} is no folder" if parent else "a folder of that name is there" if file.is_dir() else ""
    except OSError:  # no name that anything can have
        return ""


def unreadable(path: Path, error: OSError) -> InputError:
    """The error for a file of the user's that cannot be opened or read."""
    missing = isinstance(error, FileNotFoundError)  # not by its number, which nibabel leaves out
    if (missing or error.errno == errno.ELOOP) and path.is_symlink():
        return InputError(f"{path}: {DEAD_LINK}")
    if missing:
        return InputError(f"{path}: no such file; copy or download it again")
    return InputError(f"{path}: cannot be read ({error.strerror or error}); make it readable")


def one_line(text: str) -> str:
    """The text without line breaks and control characters, which could steer a terminal."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def unknown(kind: str, name: str, known: Iterable[str]) -> InputError:
    """The error for a name that is not in a registry, with near matches.

    Args:
        kind: what the name should have been, such as ``"strategy"``.
        name: what was given.
        known: the names that exist.

    Returns:
        An InputError to raise; it lists up to three near matches, or all known names when none is near.
    """
    names = sorted(known)
    near = get_close_matches(name, names, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(names)}"
    return InputError(f"unknown {kind} '{name}'; {hint}")
