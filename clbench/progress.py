"""Progress of a run on a screen: a Rich bar on a terminal, plain lines in a file or pipe."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn

from clbench.errors import one_line
from clbench.reporter import Reporter

Clock = Callable[[], float]


class Pace:
    """Training speed of a run, with the time between tasks (evaluation) left out.

    Args:
        clock: seconds from any fixed moment.
    """

    def __init__(self, clock: Clock = time.monotonic) -> None:
        self._clock = clock
        self._position: tuple[int, int, float] | None = None
        self._steps = 0
        self._seconds = 0.0

    def reached(self, task: int, step: int) -> None:
        """Training reached ``step`` of ``task`` now."""
        now = self._clock()
        if self._position is not None and self._position[0] == task and step > self._position[1]:
            self._steps += step - self._position[1]
            self._seconds += now - self._position[2]
        self._position = (task, step, now)

    @property
    def steps_per_second(self) -> float:
        """Mean over the run so far; NaN before two positions of one task are known."""
        return self._steps / self._seconds if self._seconds > 0 else math.nan


def clock_text(seconds: float) -> str:
    """A duration as ``h:mm:ss`` or ``m:ss``; ``?`` when it is not finite."""
    if not math.isfinite(seconds):
        return "?"
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


def _step_text(pace: Pace, done: int, total: int, loss: float | None) -> str:
    """The loss (when it is known), the speed and the training time left."""
    speed = pace.steps_per_second
    shown = [] if loss is None else [f"loss {loss:.3f}"]
    if math.isfinite(speed):
        shown += [f"{speed:.1f} steps/s", f"{clock_text((total - done) / speed)} of training left"]
    return ", ".join(shown)


def _row_text(after_task: int, row: Sequence[float]) -> str:
    scores = " ".join("–" if math.isnan(score) else f"{score:.3f}" for score in row)
    return f"{'untrained' if after_task == 0 else f'after task {after_task}'}: {scores}"


class PlainReporter:
    """Progress as lines of text, a few per minute.

    Args:
        console: where the lines go.
        every_seconds: shortest time between two lines of the same task.
        clock: seconds from any fixed moment.
    """

    def __init__(self, console: Console, every_seconds: float = 15.0, clock: Clock = time.monotonic) -> None:
        self._console = console
        self._every_seconds = every_seconds
        self._clock = clock
        self._pace = Pace(clock)
        self._said_at = -math.inf

    def _say(self, text: str) -> None:
        self._console.print(one_line(text), markup=False, highlight=False, soft_wrap=True)

    def stage(self, text: str) -> None:
        """One line per stage."""
        self._say(text)

    def step(self, task: int, tasks: int, name: str, step: int, steps: int, loss: float | None, lr: float) -> None:
        """A line when the last one is old enough, and at the end of a task."""
        self._pace.reached(task, step)
        if step < steps and self._clock() - self._said_at < self._every_seconds:
            return
        self._said_at = self._clock()
        more = _step_text(self._pace, (task - 1) * steps + step, tasks * steps, loss)
        self._say(", ".join(filter(None, [f"task {task}/{tasks} {name}: step {step}/{steps}", more])))

    def evaluated(self, after_task: int, tasks: int, row: Sequence[float]) -> None:
        """One line per row of R."""
        self._say(_row_text(after_task, row))

    def warn(self, text: str) -> None:
        """One line per warning."""
        self._say(f"warning: {text}")

    def done(self) -> None:
        """Nothing is left open."""


class BarReporter:
    """Progress as one bar over the training of the whole run, with the rows of R above it.

    Args:
        console: a terminal.
        clock: seconds from any fixed moment.
    """

    def __init__(self, console: Console, clock: Clock = time.monotonic) -> None:
        self._console = console
        self._pace = Pace(clock)
        columns = (TextColumn("{task.description}"), BarColumn(bar_width=24), TextColumn("{task.fields[more]}"))
        self._progress = Progress(*columns, console=console, transient=True)
        self._bar: TaskID | None = None
        self._only_stage = ""

    def _update(self, text: str, more: str = "", done: int | None = None, total: int | None = None) -> None:
        if self._bar is None:
            self._bar = self._progress.add_task("", total=None, more="")
            self._progress.start()
        self._progress.update(self._bar, description=text.replace("[", r"\["), more=more, completed=done, total=total)

    def stage(self, text: str) -> None:
        """Name the stage in front of the bar."""
        self._only_stage = one_line(text)
        self._update(self._only_stage)

    def step(self, task: int, tasks: int, name: str, step: int, steps: int, loss: float | None, lr: float) -> None:
        """Move the bar."""
        self._only_stage = ""
        self._pace.reached(task, step)
        done, total = (task - 1) * steps + step, tasks * steps
        more = _step_text(self._pace, done, total, loss)
        self._update(f"task {task}/{tasks} {name} {step}/{steps}", more, done, total)

    def evaluated(self, after_task: int, tasks: int, row: Sequence[float]) -> None:
        """Leave the row of R above the bar."""
        self._only_stage = ""
        self._console.print(_row_text(after_task, row), markup=False)

    def warn(self, text: str) -> None:
        """Leave the warning above the bar."""
        self._console.print(f"warning: {one_line(text)}", style="yellow", markup=False, highlight=False)

    def done(self) -> None:
        """Take the bar away; a run that had nothing to do leaves its last stage, which says so."""
        self._progress.stop()
        if self._only_stage:
            self._console.print(self._only_stage, markup=False, highlight=False, soft_wrap=True)
        self._only_stage = ""


def screen_reporter() -> Reporter:
    """The reporter that fits standard error: a bar on a terminal, lines elsewhere."""
    console = Console(stderr=True)
    return BarReporter(console) if console.is_terminal else PlainReporter(console)
