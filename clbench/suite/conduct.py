"""Conducting a suite: runs are started as places become free, watched, counted and, when asked, stopped."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, Protocol

from clbench.errors import RunError
from clbench.stopping import StopRequest, stop_on_signals
from clbench.suite import process
from clbench.suite.plan import Planned
from clbench.suite.process import Job

Result = Literal["done", "failed", "stopped"]


class Engine(Protocol):
    """Where jobs are carried out."""

    def start(self, job: Job) -> None:
        """Begin a job."""

    def wait(self) -> list[tuple[Job, int]]:
        """The jobs that ended, with their exit codes, after a short wait for one."""

    def stop(self) -> None:
        """Ask every job to save and end; a second time: to end at once."""

    def close(self) -> None:
        """Free what the engine holds."""


@dataclass
class Progress:
    """Where a suite is.

    Attributes:
        skipped: runs that were complete before.
        waiting: not started yet.
        running: run -> the moment it was started (monotonic seconds).
        ended: run -> how, and the seconds it took.
        reasons: run that failed -> why.
        logs: run -> its log.
        places: how many run at the same time.
    """

    skipped: Sequence[Planned]
    waiting: deque[Planned]
    places: int
    running: dict[str, tuple[Planned, float]] = field(default_factory=dict)
    ended: dict[str, tuple[Result, float]] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    logs: dict[str, Path] = field(default_factory=dict)

    def count(self, result: Result) -> int:
        """How many runs ended so."""
        return sum(how == result for how, _ in self.ended.values())

    def seconds_left(self, now: float) -> tuple[float, int]:
        """About how long the rest takes, and for how many runs of it nothing is known."""
        rest = [(run.seconds, 0.0) for run in self.waiting]
        rest += [(run.seconds, now - begun) for run, begun in self.running.values()]
        known = [max(0.0, seconds - spent) for seconds, spent in rest if seconds is not None]
        return sum(known) / max(1, min(self.places, len(rest))), len(rest) - len(known)


class Screen(Protocol):
    """Who is told where a suite is."""

    def update(self, progress: Progress) -> None:
        """Some time passed."""

    def ended(self, run: Planned, result: Result, progress: Progress) -> None:
        """A run ended."""


def conduct(progress: Progress, engine: Engine, screen: Screen, *, logs: Path, gpu: bool = False) -> None:
    """Carry out what waits.

    Args:
        progress: brought up to date all the time.
        engine: closed at the end.
        screen: told at every step.
        logs: folder of the logs of runs that go on or failed.
        gpu: whether the runs may use a GPU.

    Raises:
        KeyboardInterrupt: stopped by a signal, after every run saved and ended.
    """
    try:
        with stop_on_signals() as stop:
            _conduct(progress, engine, screen, stop, logs, gpu)
    finally:
        engine.close()


def _conduct(progress: Progress, engine: Engine, screen: Screen, stop: StopRequest, logs: Path, gpu: bool) -> None:
    told = False
    while progress.running or (progress.waiting and not stop.asked):
        try:
            while progress.waiting and len(progress.running) < progress.places and not stop.asked:
                _start(progress, engine, logs, gpu)
            for job, code in engine.wait():
                _end(progress, screen, job, code, logs, stop)
            screen.update(progress)
            if stop.asked and not told:
                told = True
                engine.stop()
        except KeyboardInterrupt:  # the second signal
            engine.stop()
    if stop.asked:
        raise KeyboardInterrupt


def _start(progress: Progress, engine: Engine, logs: Path, gpu: bool) -> None:
    run = progress.waiting.popleft()
    log = logs / f"{run.name}.log"
    progress.logs[run.name] = log
    progress.running[run.name] = (run, time.monotonic())
    engine.start(Job(run.name, tuple(run.words()), log, run.config.threads, gpu))


def _end(progress: Progress, screen: Screen, job: Job, code: int, logs: Path, stop: StopRequest) -> None:
    run, begun = progress.running.pop(job.name)
    result: Result = "done" if code == 0 else "stopped" if stop.asked and code in (130, -15, -2) else "failed"
    progress.ended[job.name] = (result, time.monotonic() - begun)
    if result == "failed":
        progress.reasons[job.name] = process.reason(job.log, code)
    else:
        process.tidy(job.log, logs.parent)
    screen.ended(run, result, progress)


def require_success(progress: Progress) -> None:
    """Raise what a suite with failed runs ends with.

    Raises:
        RunError: a run failed; says which, why and where its log is.
    """
    failed = [f"{name}: {why} (log: {progress.logs[name]})" for name, why in progress.reasons.items()]
    if failed:
        total = len(progress.ended) + len(progress.skipped)
        told = "the only run" if total == 1 else f"{len(failed)} of {total} runs"
        again = "it" if len(failed) == 1 else "them"
        raise RunError(f"{told} failed; the same command tries {again} again. {'; '.join(failed)}")
