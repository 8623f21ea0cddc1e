"""Phantoms: procedural twins of data sets, written as real files in the public layout, traps included."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from clbench.errors import DISK_FAULTS, InputError, disk_error, unknown

MANIFEST = "phantom.json"


@dataclass(frozen=True)
class PhantomSpec:
    """A registered phantom.

    Attributes:
        version: part of the cache folder's name; raised whenever a byte of the written files changes.
        write: writes the data set into an existing, empty folder.
    """

    version: int
    write: Callable[[Path], None]


def _prostate(root: Path) -> None:
    from clbench.data.phantom.prostate import write

    write(root)


def _prostate_7sites(root: Path) -> None:
    from clbench.data.phantom.prostate_decathlon import write

    write(root)


def _hippocampus(root: Path) -> None:
    from clbench.data.phantom.hippocampus import write

    write(root)


def _cardiac(root: Path) -> None:
    from clbench.data.phantom.cardiac import write

    write(root)


PHANTOMS: dict[str, PhantomSpec] = {
    "prostate-saml": PhantomSpec(version=2, write=_prostate),
    "prostate-7sites": PhantomSpec(version=2, write=_prostate_7sites),
    "mnms": PhantomSpec(version=2, write=_cardiac),
    "hippocampus": PhantomSpec(version=1, write=_hippocampus),
}


def ensure(layout: str, cache: Path) -> Path:
    """The data root of a layout's phantom, which is written first when the cache does not hold it whole.

    The folder appears under its name in one step, so that a killed or a simultaneous build never shows as a half one.

    Args:
        layout: key of ``PHANTOMS``.
        cache: the cache folder; made when missing.

    Returns:
        ``<cache>/phantom/<layout>-v<version>``.

    Raises:
        InputError: unknown layout, or a cache folder that cannot be written.
    """
    if layout not in PHANTOMS:
        raise unknown("phantom", layout, PHANTOMS)
    spec = PHANTOMS[layout]
    root = cache / "phantom" / f"{layout}-v{spec.version}"
    if not is_whole(root):
        try:
            _build(spec, root)
        except OSError as error:
            if error.errno in DISK_FAULTS:
                raise disk_error(f"the phantom {root}", error) from None
            why = error.strerror or error
            raise InputError(
                f"cannot write the phantom to {root}: {why}; set CLBENCH_CACHE to another folder"
            ) from error
    return root


def is_whole(root: Path) -> bool:
    """Whether every file that the manifest names is there with its size."""
    try:
        manifest = json.loads((root / MANIFEST).read_text())
        return all((root / name).stat().st_size == size for name, size in manifest.items())
    except (OSError, ValueError, AttributeError, RecursionError):
        return False


def _build(spec: PhantomSpec, root: Path) -> None:
    root.parent.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(prefix=f".{root.name}-", dir=root.parent))
    try:
        spec.write(building)
        sizes = {path.relative_to(building).as_posix(): path.stat().st_size for path in _files(building)}
        (building / MANIFEST).write_text(json.dumps(sizes, indent=1))
        building.chmod(0o755)  # mkdtemp makes it private; a cache may be shared by a group
        _move_into_place(building, root)
    finally:
        shutil.rmtree(building, ignore_errors=True)


def _files(root: Path) -> list[Path]:
    return sorted(path for path in root.rglob("*") if path.is_file())


def _move_into_place(building: Path, root: Path) -> None:
    """Rename onto ``root``; another process that was faster wins, a damaged folder in the way is replaced."""
    if root.exists() and not is_whole(root):
        aside = Path(tempfile.mkdtemp(prefix=f".{root.name}-damaged-", dir=root.parent))
        os.replace(root, aside / "old")  # noqa: PTH105 (a rename that replaces, as os names it)
        shutil.rmtree(aside, ignore_errors=True)
    try:
        building.rename(root)
    except OSError:
        if not is_whole(root):
            raise
