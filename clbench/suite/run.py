"""run_suite: a suite file becomes finished run folders."""

from __future__ import annotations

import os
from collections import deque
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from clbench.errors import InputError, check_out, unknown
from clbench.suite.conduct import Engine, Progress, Screen, conduct, require_success
from clbench.suite.fit import fit_data
from clbench.suite.plan import Planned, plan_suite

ENGINES = ("local", "ray")
LOGS = "logs"


@dataclass(frozen=True)
class Suite:
    """A suite that is ready to run.

    Attributes:
        runs: with their threads.
        places: how many run at the same time.
        engine: where.
        out: folder of all runs.
    """

    runs: tuple[Planned, ...]
    places: int
    engine: str
    out: Path


class SilentScreen:
    """A Screen that shows nothing."""

    def update(self, progress: Progress) -> None:
        """Show nothing."""

    def ended(self, run: Planned, result: Any, progress: Progress) -> None:
        """Show nothing."""


def prepare_suite(
    file: Path | str,
    *,
    jobs: int | None = None,
    threads: int = 0,
    only: str = "",
    out: Path | str = "runs",
    data: Path | str | None = None,
    device: str = "auto",
    engine: str = "local",
) -> Suite:
    """Plan a suite and share the processor out; changes nothing.

    Args:
        file: the suite's TOML.
        jobs: runs at the same time; None means one, or with Ray as many as the cluster takes.
        threads: processor threads of each run; 0 divides those of this machine by ``jobs`` (with Ray: 1). A run that
            was begun goes on with the threads it was begun with, unless they are given here.
        only: keep the runs whose name matches this pattern, or contains it.
        out: folder of all runs.
        data: data root; None uses CLBENCH_DATA.
        device: of all runs.
        engine: ``local`` or ``ray``.

    Raises:
        InputError: something in the file or in these values does not fit.
    """
    if engine not in ENGINES:
        raise unknown("engine", engine, ENGINES)
    if threads < 0 or (jobs is not None and jobs < 1):
        raise InputError(f"--jobs {jobs} and --threads {threads} cannot be; jobs begin at 1, threads at 0 (divide)")
    out = Path(out)
    check_out(out)
    runs = plan_suite(Path(file), out=out, data=None if data is None else Path(data), only=only, device=device)
    places = jobs or (len(runs) if engine == "ray" else 1)
    share = threads or (1 if engine == "ray" else max(1, cores() // places))
    return Suite(tuple(_with_threads(run, threads, share) for run in runs), places, engine, out)


def cores() -> int:
    """The processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _with_threads(run: Planned, forced: int, share: int) -> Planned:
    count = forced or run.threads or share
    return replace(run, config=run.config.model_copy(update={"threads": count}))


def run_suite(file: Path | str, *, screen: Screen | None = None, **choices: Any) -> list[Path]:
    """Carry out a suite: skip what is complete, go on with what is begun, run what is missing.

    A run that fails does not stop the others. Every run is a process of its own; Ctrl+C and SIGTERM are passed on to
    all of them, so that each saves a checkpoint.

    Args:
        file: the suite's TOML.
        screen: told where the suite is; silent by default.
        choices: as ``prepare_suite`` takes them: ``jobs``, ``threads``, ``only``, ``out``, ``data``, ...

    Returns:
        The run folders, all complete.

    Raises:
        InputError: something in the file or in the choices does not fit; found before anything is run.
        RunError: runs failed; raised after all others ended.
        KeyboardInterrupt: stopped by a signal, after every run saved and ended.
    """
    suite = prepare_suite(file, **choices)
    carry_out_suite(suite, screen or SilentScreen())
    return [run.path for run in suite.runs]


def carry_out_suite(suite: Suite, screen: Screen, engine: Engine | None = None) -> Progress:
    """Run what a prepared suite lacks.

    Args:
        suite: from ``prepare_suite``.
        screen: told where the suite is.
        engine: None makes the one that the suite names.

    Returns:
        How every run ended.

    Raises:
        RunError: runs failed.
        KeyboardInterrupt: stopped by a signal.
    """
    complete = [run for run in suite.runs if run.state == "complete"]
    skipped = [run for run, fits in zip(complete, fit_data(complete), strict=True) if fits]
    waiting = deque(run for run in suite.runs if run not in skipped)
    progress = Progress(skipped, waiting, suite.places)
    if waiting:
        conduct(progress, engine or _engine(suite), screen, logs=suite.out / LOGS, gpu=_may_use_gpu(suite))
    require_success(progress)
    return progress


def _engine(suite: Suite) -> Engine:
    from clbench.suite.local import LocalEngine, visible_gpus
    from clbench.suite.on_ray import RayEngine

    if suite.engine == "ray":
        return RayEngine()
    return LocalEngine(visible_gpus() if _may_use_gpu(suite) else ())


def _may_use_gpu(suite: Suite) -> bool:
    return any(run.config.device != "cpu" for run in suite.runs)
