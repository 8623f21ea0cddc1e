"""Runs in processes of their own that are killed (SIGKILL) at random or chosen moments, and what they leave behind."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path

from command_line import run_words

LONG_ENOUGH_SECONDS = 300
_SERVER = multiprocessing.get_context("forkserver")
_SERVER.set_forkserver_preload(["clbench.experiment", "clbench.console", "clbench.progress", "killing"])

# Chosen moments: name -> what is called there, and how often it must have been called before.
MOMENTS = {
    "untrained evaluation": ("clbench.evaluate:Inference.scores", 2),
    "evaluation": ("clbench.evaluate:Inference.scores", 8),
    "first checkpoint, tensors written": ("clbench.runfolder.files:file_hash", 1),
    "later checkpoint, tensors written": ("clbench.runfolder.files:file_hash", 6),
    "checkpoint, old one being removed": ("shutil:rmtree", 9),
    "cases.csv, before it is renamed": ("clbench.runfolder.files:sync", 4),
    "before the importance pass": ("clbench.strategies.template:SegmentationStrategy._after_training_exp", 1),
    "importance pass": ("importance pass", 20),
    "between tasks": ("clbench.strategies.template:SegmentationStrategy.train_task", 2),
    "prediction": ("clbench.runfolder.folder:RunFolder.write_prediction", 2),
    "summary": ("clbench.runfolder.summary:summarize", 1),
    "lock": ("clbench.runfolder.lock:release", 1),
}  # fmt: skip


def kill_at(name: str) -> None:
    """Make this process kill itself at a chosen moment."""
    from importlib import import_module

    place, calls = MOMENTS[name]
    if place == "importance pass":
        _kill_in_importance_pass(calls)
        return
    module, _, path = place.partition(":")
    owner = import_module(module)
    *holders, attribute = path.split(".")
    for holder in holders:
        owner = getattr(owner, holder)
    original, count = getattr(owner, attribute), 0

    def counted(*args, **kwargs):
        nonlocal count
        count += 1
        if count == calls:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*args, **kwargs)

    setattr(owner, attribute, counted)


def _kill_in_importance_pass(calls: int) -> None:
    """Kill at a forward pass that a strategy does between the last step of a task and its checkpoint."""
    import torch

    from clbench.strategies.template import SegmentationStrategy

    inside, count = False, 0
    after, call = SegmentationStrategy._after_training_exp, torch.nn.Module.__call__

    def after_training(self, **kwargs):
        nonlocal inside
        inside = True
        after(self, **kwargs)
        inside = False

    def counted(self, *args, **kwargs):
        nonlocal count
        count += inside
        if count == calls:
            os.kill(os.getpid(), signal.SIGKILL)
        return call(self, *args, **kwargs)

    SegmentationStrategy._after_training_exp = after_training
    torch.nn.Module.__call__ = counted


def _child(words: Sequence[str], log: str, cache: str, ready: Connection, moment: str) -> None:
    """Give one command in a process and process group of its own, with what it says in a file."""
    import torch

    from clbench.cli import execute

    os.setsid()
    torch.set_num_threads(1)
    os.environ.update(CLBENCH_CACHE=cache, OMP_NUM_THREADS="1")
    file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(file, 1)
    os.dup2(file, 2)
    if moment:
        kill_at(moment)
    ready.send("ready")
    code = execute(list(words))
    os._exit(code)  # what pytest registered for its own end is not for this process


@dataclass
class Ended:
    """How a process ended: exit code (negative for a signal), seconds since it was ready, and what it said last."""

    code: int
    seconds: float
    said: str


def start(words: Sequence[str], log: Path, cache: Path, moment: str = "") -> BaseProcess:
    """Start one command; it is at work when this returns."""
    here, there = _SERVER.Pipe(duplex=False)
    process = _SERVER.Process(target=_child, args=(list(words), str(log), str(cache), there, moment))
    process.start()
    here.recv()
    return process


def run_process(
    words: Sequence[str], log: Path, cache: Path, kill_after: float | None = None, moment: str = ""
) -> Ended:
    """Run one command to its end, or kill it after some seconds or at a chosen moment."""
    process = start(words, log, cache, moment)
    begun = time.monotonic()
    timer = threading.Timer(LONG_ENOUGH_SECONDS if kill_after is None else kill_after, process.kill)
    timer.start()
    process.join()
    timer.cancel()
    return Ended(process.exitcode or 0, time.monotonic() - begun, last_words(log))


def signal_all(process: BaseProcess, log: Path, number: int, when: str) -> Ended:
    """Send a signal to a command and all its children, as a terminal or scheduler does, once it says something."""
    begun = time.monotonic()
    while process.is_alive() and time.monotonic() - begun < LONG_ENOUGH_SECONDS:
        process.join(0.02)
        if any(line.startswith(when) for line in log.read_text().splitlines()):
            os.killpg(process.pid, number)
            break
    process.join()
    return Ended(process.exitcode or 0, time.monotonic() - begun, last_words(log))


def last_words(log: Path) -> str:
    """The last line that a command said."""
    lines = log.read_text().strip().splitlines()
    return lines[-1] if lines else "nothing"


def run_of(out: Path) -> Path:
    """The one run folder below a folder."""
    (found,) = (path.parent for path in out.rglob("run.json"))
    return found


def left_behind(out: Path) -> dict[str, bytes]:
    """The bytes that must not depend on what was killed: scores, R, predictions and final weights."""
    folder = run_of(out)
    (weights,) = (folder / "checkpoints").glob("*/tensors.safetensors")
    scores = json.loads((folder / "summary.json").read_text())["scores"]
    predictions = {path.name: path.read_bytes() for path in sorted(folder.glob("predictions/*/*"))}
    return {
        **{name: (folder / name).read_bytes() for name in ("cases.csv", "drift.csv")},
        "R": json.dumps(scores).encode(),
        "weights": weights.read_bytes(),
        **predictions,
    }


def stage(said: str) -> str:
    """The stage of a run by what it said last."""
    stages = {"task": "training", "after task": "training", "scoring": "evaluation", "going on": "going on"}
    return next((name for start, name in stages.items() if said.startswith(start)), "start")


@dataclass
class Tally:
    """What a series of kills came to."""

    kills: int = 0
    finished_first: int = 0
    completed: int = 0
    different: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    places: dict[str, int] = field(default_factory=dict)

    def count(self, place: str) -> None:
        """One kill and where it was."""
        self.kills += 1
        self.places[place] = self.places.get(place, 0) + 1

    def __str__(self) -> str:
        where = ", ".join(f"{count} x {place}" for place, count in sorted(self.places.items()))
        return (
            f"{self.kills} kills ({where}); {self.finished_first} runs were faster than their kill; {self.completed} "
            f"runs completed, {len(self.different)} with other bytes, {len(self.refused)} that could not go on"
        )


@dataclass
class Harness:
    """Kills runs of one stream and compares what they come to with undisturbed ones.

    Attributes:
        card: of the stream.
        root: folder for everything written.
        settings: further words of every command.
        seed: of the random moments.
    """

    card: Path
    root: Path
    settings: tuple[str, ...] = ()
    seed: int = 0
    tally: Tally = field(default_factory=Tally)

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._whole: dict[str, tuple[dict[str, bytes], float]] = {}

    def words(self, strategy: str, out: Path) -> list[str]:
        """The command, always the same but for its --out."""
        return run_words(self.card, self.card.parent, out, *self.settings, strategy=strategy)

    def _process(self, strategy: str, out: Path, **how) -> Ended:
        out.mkdir(parents=True, exist_ok=True)
        return run_process(self.words(strategy, out / "runs"), out / "log.txt", self.root / "cache", **how)

    def whole(self, strategy: str) -> tuple[dict[str, bytes], float]:
        """What an undisturbed run leaves, and how long it takes."""
        if strategy not in self._whole:
            out = self.root / "whole" / strategy
            ended = self._process(strategy, out)
            assert ended.code == 0, ended.said
            self._whole[strategy] = left_behind(out / "runs"), ended.seconds
        return self._whole[strategy]

    def kill_at_random(self, strategy: str, times: int) -> None:
        """Kill a run again and again at random moments, then let it end; a run that ends sooner is begun anew."""
        _, seconds = self.whole(strategy)
        before = self.tally.kills
        turn = 0
        while self.tally.kills < before + times:
            turn += 1
            out, again = self.root / "killed" / f"{strategy}-{turn}", True
            while again and self.tally.kills < before + times:
                ended = self._process(strategy, out, kill_after=self._random.uniform(0, seconds))
                again = ended.code == -signal.SIGKILL
                if again:
                    self.tally.count(stage(ended.said))
                else:
                    self.tally.finished_first += 1
            self._finish(strategy, out)

    def kill_at_moment(self, strategy: str, moment: str) -> bool:
        """Kill a run at a chosen moment and let it end; False if the strategy has no such moment."""
        self.whole(strategy)
        out = self.root / "moments" / strategy / moment.replace(" ", "-")
        ended = self._process(strategy, out, moment=moment)
        if ended.code == 0:
            return False
        assert ended.code == -signal.SIGKILL, ended.said
        self.tally.count(moment)
        self._finish(strategy, out)
        return True

    def _finish(self, strategy: str, out: Path) -> None:
        ended = self._process(strategy, out)
        if ended.code != 0:
            self.tally.refused.append(f"{out}: {ended.said}")
            return
        self.tally.completed += 1
        whole, found = self.whole(strategy)[0], left_behind(out / "runs")
        other = [name for name in whole if found.get(name) != whole[name]]
        if other or found.keys() != whole.keys():
            self.tally.different.append(f"{out}: {', '.join(other) or 'other files'}")


def in_turn(names: Sequence[str], total: int, kill: Callable[[str, int], None]) -> None:
    """Spread a number of kills over strategies."""
    share, rest = divmod(total, len(names))
    for position, name in enumerate(names):
        with suppress(ZeroDivisionError):
            count = share + (position < rest)
            if count:
                kill(name, count)
