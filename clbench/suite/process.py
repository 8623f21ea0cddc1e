"""Processes of a suite: one ``clbench run`` each, with its own log, which is kept only when it fails."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from clbench.errors import writing
from clbench.stopping import WITH_PARENT

_TAIL_BYTES = 8192


@dataclass(frozen=True)
class Job:
    """What an engine carries out.

    Attributes:
        name: of the run.
        words: of its command, behind ``clbench``.
        log: where its standard error goes.
        threads: processor threads it uses.
        gpu: whether it may use a GPU.
    """

    name: str
    words: tuple[str, ...]
    log: Path
    threads: int
    gpu: bool = False


def start(job: Job, environment: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
    """Start a job in a session of its own, so that Ctrl+C reaches it once: through whoever started it.

    Args:
        job: what to run.
        environment: variables on top of this process's own.

    Raises:
        DiskError: its log cannot be written.
    """
    with writing(job.log):
        job.log.parent.mkdir(parents=True, exist_ok=True)
        opened = job.log.open("wb")
    with opened as log:
        return subprocess.Popen(
            [sys.executable, "-m", "clbench", "--debug", *job.words],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=log,
            env={**os.environ, **(environment or {}), WITH_PARENT: str(os.getpid())},
            start_new_session=True,
        )


def ask_to_stop(process: subprocess.Popen[bytes]) -> None:
    """Ask a job to save a checkpoint and end; a second time: to end at once."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)


def last_line(log: Path) -> str:
    """What a job said last; empty before it said anything."""
    try:
        with log.open("rb") as stream:
            stream.seek(max(0, log.stat().st_size - _TAIL_BYTES))
            lines = stream.read().decode("utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.strip() for line in reversed(lines) if line.strip()), "")


def reason(log: Path, code: int) -> str:
    """Why a job failed, in one line."""
    said = last_line(log).removeprefix("clbench: ")
    return f"killed by signal {-code}" if code < 0 else said or f"exit code {code}"


def tidy(log: Path, root: Path) -> None:
    """Remove the log of a job that went well, and the folders that are empty without it."""
    log.unlink(missing_ok=True)
    for folder in log.parents:
        if folder == root or _has(folder):
            return
        folder.rmdir()


def _has(folder: Path) -> Sequence[Path]:
    return list(folder.iterdir()) if folder.is_dir() else [folder]
