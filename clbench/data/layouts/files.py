"""What all layouts ask of a folder: its NIfTI files by stem, safe case ids, paths that stay inside."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path, PurePosixPath, PureWindowsPath

from clbench.data.case import Trap
from clbench.errors import InputError

_NIFTI = re.compile(r"(?P<stem>.+?)\.nii(\.gz)?", re.IGNORECASE)
_CASE_ID = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


def nifti_files(folder: Path) -> dict[str, Path]:
    """Stem -> path of the NIfTI files directly in a folder, sorted; hidden files such as macOS ``._*`` are left out.

    Raises:
        InputError: no such folder, or two files whose stems differ in case or suffix only.
    """
    found: dict[str, Path] = {}
    folded: dict[str, Path] = {}
    for path in entries(folder):
        match = _NIFTI.fullmatch(path.name)
        if match is None or not path.is_file():
            continue
        stem = match["stem"]
        twin = folded.setdefault(stem.casefold(), path)
        if twin != path:
            raise InputError(f"{path}: same case as {twin.name}; keep one of them")
        found[stem] = path
    return found


def entries(folder: Path) -> list[Path]:
    """Files and folders directly in a folder, sorted by name, without hidden ones.

    Raises:
        InputError: no such folder, or a link to nothing in the place of a folder or NIfTI file, which would be taken
            for a case that is not there.
    """
    try:
        found = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
        dead = [path for path in found if path.is_symlink() and not path.exists()]
    except OSError as error:
        raise InputError(
            f"{folder}: folder cannot be listed ({error.strerror or error}); complete the download"
        ) from None
    lost = [path for path in dead if not path.suffix or _NIFTI.fullmatch(path.name)]
    if lost:
        more = f" and {len(lost) - 1} more" if len(lost) > 1 else ""
        raise InputError(f"{lost[0]}{more}: link to itself or to nothing; fetch the file it should lead to")
    return found


def require_inside(paths: Iterable[Path], *roots: Path) -> None:
    """Refuse files that links lead out of a data set.

    Args:
        paths: files of a data set.
        roots: folders that the user named; where they are links themselves, what they lead to counts.

    Raises:
        InputError: a file lies outside all of them.
    """
    allowed = [root.resolve() for root in roots]
    for path in paths:
        real = path.resolve()
        if not any(real.is_relative_to(root) for root in allowed):
            raise InputError(
                f"{path}: link that leads out of {roots[-1]}; copy the file there, or name a --data above both"
            )


def macos_trap(folder: Path, root: Path) -> tuple[Trap, ...]:
    """A trap when the folder holds macOS ``._*`` twins of its files."""
    count = sum(path.name.startswith("._") for path in folder.iterdir())
    if not count:
        return ()
    return (Trap("macos-files", folder.relative_to(root).as_posix(), f"{count} files named ._* ignored"),)


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
    if not (root / path).is_file():
        raise InputError(f"{where}: lists {name}, which is not there; complete the download")
    return root / path
