"""The lock of a run folder: at most one process writes it, and a killed one does not block the next."""

from __future__ import annotations

import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from clbench.errors import RunError

FILE_NAME = "lock"


def acquire(folder: Path) -> None:
    """Write this process's name into ``folder/lock``, taking over the lock of a process that is gone.

    A process on another host cannot be asked whether it lives; its lock stands until somebody removes the file.

    Raises:
        RunError: a living process, or one on another host, holds the lock.
    """
    with _opened(folder / FILE_NAME) as handle:
        holder = _holder(handle)
        if holder is not None and _may_live(holder):
            raise RunError(
                f"{folder} is being written by process {holder.get('pid')} on {holder.get('host')}; wait for it, or, "
                f"if that process is gone, remove {folder / FILE_NAME}"
            )
        os.ftruncate(handle, 0)
        os.pwrite(handle, json.dumps(_identity(os.getpid())).encode(), 0)


def release(folder: Path) -> None:
    """Remove the lock if this process holds it."""
    path = folder / FILE_NAME
    if not path.exists():
        return
    with _opened(path) as handle:
        if _holder(handle) == _identity(os.getpid()):
            path.unlink()


@contextmanager
def _opened(path: Path) -> Iterator[int]:
    """The lock file, open, with every other process kept out of this block."""
    while True:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            with suppress(OSError):  # some network file systems refuse; the host and pid inside still protect
                fcntl.flock(handle, fcntl.LOCK_EX)
            if _still_named(path, handle):  # else its holder removed it while we waited: open the new one
                yield handle
                return
        finally:
            os.close(handle)


def _still_named(path: Path, handle: int) -> bool:
    try:
        return os.path.samestat(path.stat(), os.fstat(handle))
    except FileNotFoundError:
        return False


def _holder(handle: int) -> dict[str, Any] | None:
    """Who the lock file names; None when it is empty or was cut off by a crash while it was written."""
    try:
        content = json.loads(os.pread(handle, 4096, 0))
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None


def _may_live(holder: dict[str, Any]) -> bool:
    pid = holder.get("pid")
    if holder.get("host") != socket.gethostname() or not isinstance(pid, int) or pid <= 0:
        return True
    return _identity(pid) == holder and _exists(pid)


def _exists(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _identity(pid: int) -> dict[str, Any]:
    """Host, pid and start time: process ids are soon given again, above all in containers."""
    try:
        # the second field, the program's name, is in parentheses and may contain blanks
        started = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        started = ""
    return {"host": socket.gethostname(), "pid": pid, "started": started}
