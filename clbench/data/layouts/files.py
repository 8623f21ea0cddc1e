"""What all layouts ask of a folder: its NIfTI files by stem, safe case ids, paths that stay inside."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path, PurePosixPath, PureWindowsPath

from clbench.data.case import Trap
from clbench.data.layouts.gathering import IncompleteError
from clbench.errors import DEAD_LINK, InputError
from clbench.wording import counted

_NIFTI = re.compile(r"(?P<stem>.+?)\.nii(\.gz)?", re.IGNORECASE)
_CASE_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


def nifti_files(folder: Path) -> dict[str, Path]:
    """Stem -> path of the NIfTI files directly in a folder, sorted; hidden files such as macOS ``._*`` are left out.

    A link to nothing is there, too, and a fault of its case once that is read.

    Raises:
        InputError: no such folder, or files whose stems differ in case or suffix only.
    """
    found: dict[str, Path] = {}
    folded: dict[str, Path] = {}
    twins: list[str] = []
    for path in entries(folder):
        match = _NIFTI.fullmatch(path.name)
        if match is None or not is_there(path):
            continue
        stem = match["stem"]
        twin = folded.setdefault(stem.casefold(), path)
        if twin != path:
            twins.append(f"{path}: same case as {twin.name}; keep one of them")
        found[stem] = path
    if twins:
        raise IncompleteError(twins)
    return found


def is_there(path: Path) -> bool:
    """Whether there is a file, or a link that should lead to one."""
    return path.is_file() or (path.is_symlink() and not path.exists())


def entries(folder: Path) -> list[Path]:
    """Files and folders directly in a folder, sorted by name, without hidden ones.

    Raises:
        InputError: no such folder, or links to nothing in the place of folders, which would be taken for cases that are
            not there.
    """
    try:
        found = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
        dead = [path for path in found if path.is_symlink() and not path.exists()]
    except OSError as error:
        raise InputError(
            f"{folder}: folder cannot be listed ({error.strerror or error}); complete the download"
        ) from None
    if lost := [path for path in dead if not path.suffix]:
        raise IncompleteError(f"{path}: {DEAD_LINK}" for path in lost)
    return found


def require_inside(paths: Iterable[Path], *roots: Path) -> None:
    """Refuse files that links lead out of a data set.

    Args:
        paths: files of a data set.
        roots: folders that the user named; where they are links themselves, what they lead to counts.

    Raises:
        InputError: files lie outside all of them.
    """
    allowed = [root.resolve() for root in roots]
    outside = [path for path in paths if not any(_real(path).is_relative_to(root) for root in allowed)]
    if outside:
        mend = "copy the file there, or name a --data above both"
        raise IncompleteError(f"{path}: link that leads out of {roots[-1]}; {mend}" for path in outside)


def _real(path: Path) -> Path:
    """The path without links; of one that leads to itself, the link."""
    try:
        return path.resolve()
    except (OSError, RuntimeError):
        return path.parent.resolve() / path.name


def macos_trap(folder: Path, root: Path) -> tuple[Trap, ...]:
    """A trap when the folder holds macOS ``._*`` twins of its files; one that is not there, a problem, holds none."""
    try:
        count = sum(path.name.startswith("._") for path in folder.iterdir())
    except OSError:
        return ()
    if not count:
        return ()
    return (Trap("macos-files", folder.relative_to(root).as_posix(), f"{counted(count, 'file')} named ._* ignored"),)


def nifti_stem(name: str, where: Path) -> str:
    """The file name without ``.nii`` or ``.nii.gz``, fit to be part of a case id.

    Args:
        name: file name.
        where: file that names it, for messages.

    Raises:
        InputError: another suffix, or characters that a case id cannot have.
    """
    match = _NIFTI.fullmatch(name)
    if match is None:
        raise InputError(f"{where}: '{name}' is not a .nii or .nii.gz file")
    return safe_id(match["stem"], where)


def safe_id(stem: str, where: Path) -> str:
    """The stem itself when a case id may contain it.

    Raises:
        InputError: characters other than letters, digits, ``-``, ``_`` and ``.``, or a leading ``-`` or ``.``.
    """
    if not _CASE_ID.fullmatch(stem):
        raise InputError(f"{where}: '{stem}' cannot be a case id; use letters, digits, '-', '_' and '.'")
    return stem


def inside(root: Path, name: str, where: Path) -> Path:
    """The file that a path in a description names, relative to its root.

    Args:
        root: folder of the data set.
        name: path as written, such as ``./imagesTr/a.nii.gz``.
        where: the description, for messages.

    Raises:
        InputError: the path is absolute, has ``..`` or backslashes, or does not exist.
    """
    path = PurePosixPath(name)
    if path.is_absolute() or PureWindowsPath(name).drive or ".." in path.parts or "\\" in name or "\0" in name:
        raise InputError(f"{where}: path {name!r} leaves the data set; list files relative to it, without '..'")
    if not is_there(root / path):
        raise InputError(f"{where}: lists {name}, which is not there; complete the download")
    return root / path
