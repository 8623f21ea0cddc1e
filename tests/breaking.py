"""A disk that is full or fails: every call that writes below a folder can be made to fail, one after the other."""

from __future__ import annotations

import errno
import io
import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

ON_PATHS = ("mkdir", "rename", "replace", "unlink")
ON_HANDLES = ("write", "pwrite", "ftruncate", "fsync")
NEEDS_ROOM = {"open", "write", "pwrite", "mkdir", "fsync", "rename", "replace", "save_file"}


class Disk:
    """Counts the writing calls below a folder and lets some fail.

    Args:
        root: only what lies below it is counted.
        number: error of the calls that fail.
        first: the first call that fails: its number, from 1, or how its description begins, as "mkdir cache"; 0 lets
            none fail.
        lasting: all later calls fail, too: a disk that stays full. Removing files works on a full disk.
    """

    def __init__(self, root: Path, number: int = errno.EIO, first: int | str = 0, *, lasting: bool = False) -> None:
        self.root, self.number, self.first, self.lasting = root.resolve(), number, first, lasting
        self.calls: list[str] = []
        self.failed: list[str] = []

    def touch(self, call: str, path: str | os.PathLike[str]) -> None:
        """Count a call and fail if it is its turn."""
        place = Path(path).absolute()
        if not place.is_relative_to(self.root):
            return
        self.calls.append(f"{call} {self._kind(place)}")
        if self.failed:
            fails = self.lasting and call in NEEDS_ROOM
        elif isinstance(self.first, str):
            fails = self.calls[-1].startswith(self.first)
        else:
            fails = len(self.calls) == self.first
        if fails:
            self.failed.append(self.calls[-1])
            raise OSError(self.number, os.strerror(self.number), str(path))

    def _kind(self, place: Path) -> str:
        """The path with everything cut out that changes from run to run."""
        return re.sub(r"[0-9a-f]{6,}|\d+", "#", place.relative_to(self.root).as_posix().partition("/")[2])


class _File:
    """A file whose writing is counted."""

    def __init__(self, file: Any, disk: Disk, path: str) -> None:
        self._file, self._disk, self._path = file, disk, path

    def write(self, data: Any) -> Any:
        self._disk.touch("write", self._path)
        return self._file.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._file, name)

    def __enter__(self) -> _File:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()


@contextmanager
def breaking(disk: Disk) -> Iterator[None]:
    """Put a disk under everything that Python and safetensors write inside the block."""
    with pytest.MonkeyPatch.context() as patch:
        for name in ON_PATHS:
            patch.setattr(os, name, _on_path(name, getattr(os, name), disk))
        for name in ON_HANDLES:
            patch.setattr(os, name, _on_handle(name, getattr(os, name), disk))
        patch.setattr(os, "open", _os_open(os.open, disk))
        patch.setattr(io, "open", _io_open(io.open, disk))
        patch.setattr("safetensors.torch.save_file", _save_file(disk))
        yield


def _on_path(name: str, call: Callable[..., Any], disk: Disk) -> Callable[..., Any]:
    def counted(path: Any, *args: Any, **kwargs: Any) -> Any:
        if kwargs.get("dir_fd") is None and isinstance(path, (str, os.PathLike)):
            disk.touch(name, path)
        return call(path, *args, **kwargs)

    return counted


def _on_handle(name: str, call: Callable[..., Any], disk: Disk) -> Callable[..., Any]:
    def counted(handle: int, *args: Any) -> Any:
        disk.touch(name, Path(f"/proc/self/fd/{handle}").readlink())
        return call(handle, *args)

    return counted


def _os_open(call: Callable[..., int], disk: Disk) -> Callable[..., int]:
    def counted(path: Any, flags: int, *args: Any, **kwargs: Any) -> int:
        if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) and isinstance(path, (str, os.PathLike)):
            disk.touch("reopen" if Path(path).exists() else "open", path)
        return call(path, flags, *args, **kwargs)

    return counted


def _io_open(call: Callable[..., Any], disk: Disk) -> Callable[..., Any]:
    def counted(path: Any, mode: str = "r", *args: Any, **kwargs: Any) -> Any:
        writes = set(mode) & set("wax+") and isinstance(path, (str, os.PathLike))
        if not writes or not Path(path).absolute().is_relative_to(disk.root):
            return call(path, mode, *args, **kwargs)
        disk.touch("open", path)
        return _File(call(path, mode, *args, **kwargs), disk, str(path))

    return counted


def _save_file(disk: Disk) -> Callable[..., None]:
    from safetensors import SafetensorError
    from safetensors.torch import save_file

    def counted(tensors: Any, path: Any, *args: Any) -> None:
        try:
            disk.touch("save_file", path)
        except OSError as error:  # as the library says it on a disk that is really full
            raise SafetensorError(
                f"Error while serializing: I/O error: {error.strerror} (os error {error.errno})"
            ) from None
        save_file(tensors, path, *args)

    return counted
