"""Conducting a suite: places are filled, failures survived, signals passed on; by an engine that only pretends."""

from __future__ import annotations

import os
import signal
from collections import deque
from pathlib import Path

import pytest

from clbench.config import make_config
from clbench.errors import RunError
from clbench.suite.conduct import Progress, conduct, require_success
from clbench.suite.plan import Planned
from clbench.suite.run import SilentScreen
from clbench.suite.screen import status_text


class Pretender:
    """Ends jobs in the order they were started, one with each look; ``codes`` by strategy, 0 for the others."""

    def __init__(self, codes=None, on_start=None) -> None:
        self.codes, self.on_start = codes or {}, on_start
        self.running: deque = deque()
        self.started: list[str] = []
        self.most = self.stops = 0
        self.closed = False

    def start(self, job) -> None:
        self.running.append(job)
        self.started.append(job.name)
        self.most = max(self.most, len(self.running))
        job.log.parent.mkdir(parents=True, exist_ok=True)
        job.log.write_text(f"working\nclbench: {job.name} went wrong\n")
        if self.on_start:
            self.on_start(job)

    def wait(self):
        if not self.running:
            return []
        job = self.running.popleft()
        code = 130 if self.stops else next((c for name, c in self.codes.items() if f"/{name}-" in job.name), 0)
        return [(job, code)]

    def stop(self) -> None:
        self.stops += 1

    def close(self) -> None:
        self.closed = True


def runs(folder: Path, *strategies: str) -> list[Planned]:
    return [
        Planned(make_config(stream="s", strategy=name, threads=1), (), folder / "s@1" / f"{name}-s0-0", "new")
        for name in strategies
    ]


def carry_out(folder: Path, engine: Pretender, *strategies: str, places: int = 2) -> Progress:
    progress = Progress([], deque(runs(folder, *strategies)), places)
    conduct(progress, engine, SilentScreen(), logs=folder / "logs")
    return progress


def test_every_run_is_carried_out_and_no_more_at_a_time_than_there_are_places(tmp_path):
    engine = Pretender()
    progress = carry_out(tmp_path, engine, "naive", "ewc", "segreg", "joint")
    assert engine.started == ["s@1/naive-s0-0", "s@1/ewc-s0-0", "s@1/segreg-s0-0", "s@1/joint-s0-0"]
    assert (engine.most, engine.closed, progress.count("done")) == (2, True, 4)
    assert not (tmp_path / "logs").exists()
    require_success(progress)


def test_a_failing_run_stops_no_other_and_is_reported_with_its_log(tmp_path):
    progress = carry_out(tmp_path, Pretender({"ewc": 1, "joint": -9}), "naive", "ewc", "joint", "segreg")
    assert (progress.count("done"), progress.count("failed")) == (2, 2)
    with pytest.raises(RunError) as error:
        require_success(progress)
    text = str(error.value)
    log = tmp_path / "logs" / "s@1" / "ewc-s0-0.log"
    assert text.startswith("2 of 4 runs failed; the same command tries them again. ")
    assert f"s@1/ewc-s0-0: s@1/ewc-s0-0 went wrong (log: {log})" in text
    assert "s@1/joint-s0-0: killed by signal 9" in text
    assert log.exists()
    assert len(list((tmp_path / "logs").rglob("*.log"))) == 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_is_passed_on_once_and_nothing_new_is_started(number, tmp_path):
    engine = Pretender(on_start=lambda job: os.kill(os.getpid(), number) if "ewc" in job.name else None)
    progress = Progress([], deque(runs(tmp_path, "naive", "ewc", "segreg", "joint")), 2)
    with pytest.raises(KeyboardInterrupt):
        conduct(progress, engine, SilentScreen(), logs=tmp_path / "logs")
    assert (engine.stops, engine.closed, engine.started) == (1, True, ["s@1/naive-s0-0", "s@1/ewc-s0-0"])
    assert {run.config.strategy for run in progress.waiting} == {"segreg", "joint"}
    assert progress.count("stopped") == 1  # the first had ended well before it was asked
    require_success(progress)


def test_a_second_signal_stops_at_once_but_waits_for_the_runs(tmp_path):
    def twice(job) -> None:
        os.kill(os.getpid(), signal.SIGINT)

    engine = Pretender(on_start=twice)
    waited = engine.wait

    def wait():
        if engine.stops == 1:
            os.kill(os.getpid(), signal.SIGINT)
        return waited() if engine.stops else []

    engine.wait = wait
    progress = Progress([], deque(runs(tmp_path, "naive")), 1)
    with pytest.raises(KeyboardInterrupt):
        conduct(progress, engine, SilentScreen(), logs=tmp_path / "logs")
    assert (engine.stops, len(progress.running), progress.count("stopped")) == (2, 0, 1)


def test_the_time_left_counts_what_waits_and_what_runs(tmp_path):
    first, second, third = runs(tmp_path, "naive", "ewc", "segreg")
    known = [Planned(run.config, (), run.path, "new", seconds=100) for run in (first, second)]
    progress = Progress([third], deque([known[0], third]), places=2)
    progress.running[known[1].name] = (known[1], 1000.0)
    assert progress.seconds_left(1040.0) == (80.0, 1)  # (100 + 60) / 2
    text = status_text(progress, 1040.0)
    assert text == "0 done, 1 skipped, 1 running, 2 waiting; about 1:20 left and 1 run of unknown length"
