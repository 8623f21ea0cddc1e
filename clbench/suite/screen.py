"""What a suite shows: its plan, one table of what is running, a line for every run that ended."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich import box
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from clbench.progress import clock_text
from clbench.suite.conduct import Progress, Result, Screen
from clbench.suite.plan import Planned
from clbench.suite.process import last_line
from clbench.wording import counted

_WORDS = {"new": "to do", "begun": "go on", "complete": "skip"}
_STYLES: dict[Result, str] = {"done": "green", "failed": "bold red", "stopped": "yellow"}


def plan_table(runs: Sequence[Planned]) -> Table:
    """What a suite would do, run by run."""
    table = Table(box=box.SIMPLE_HEAD)
    for head, justify in (("run", "left"), ("what", "left"), ("threads", "right"), ("about", "right")):
        table.add_column(head, justify="right" if justify == "right" else "left", overflow="fold")
    for run in runs:
        complete = run.state == "complete"
        about = "" if complete else "?" if run.seconds is None else clock_text(run.seconds)
        threads = "" if complete else str(run.config.threads)
        table.add_row(Text(run.name), _WORDS[run.state], threads, about)
    return table


def plan_text(runs: Sequence[Planned], places: int) -> str:
    """The plan in one line, with an estimate of its time."""
    rest = [run for run in runs if run.state != "complete"]
    counts = [f"{sum(run.state == state for run in runs)} {word}" for state, word in _WORDS.items()]
    known = [run.seconds for run in rest if run.seconds is not None]
    text = f"{counted(len(runs), 'run')}: {', '.join(counts)}"
    if not rest:
        return f"{text}; nothing to do"
    if not known:
        return f"{text}; no earlier run to tell how long it takes"
    seconds = sum(known) / max(1, min(places, len(rest)))
    unknown = f", and {len(rest) - len(known)} more of which no earlier run tells" if len(known) < len(rest) else ""
    return f"{text}; about {clock_text(seconds)} with {places} at a time{unknown}"


def status_text(progress: Progress, now: float) -> str:
    """Where a suite is, in one line."""
    seconds, unknown = progress.seconds_left(now)
    counts = {
        "done": progress.count("done"),
        "skipped": len(progress.skipped),
        "failed": progress.count("failed"),
        "running": len(progress.running),
        "waiting": len(progress.waiting),
    }
    text = ", ".join(f"{count} {what}" for what, count in counts.items() if count or what in ("done", "waiting"))
    if not progress.running and not progress.waiting:
        return text
    left = f"about {clock_text(seconds)} left" if seconds else "time left unknown"
    more = f" and {counted(unknown, 'run')} of unknown length" if seconds and unknown else ""
    return f"{text}; {left}{more}"


def _ended_text(run: Planned, result: Result, progress: Progress) -> str:
    why = f": {progress.reasons[run.name]}" if run.name in progress.reasons else ""
    return f"{result:<7} {run.name} after {clock_text(progress.ended[run.name][1])}{why}"


class PlainScreen:
    """A suite as lines of text: one when a run starts or ends."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._started: set[str] = set()

    def _say(self, text: str) -> None:
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)

    def update(self, progress: Progress) -> None:
        """A line for each run that is new here."""
        for name in progress.running:
            if name not in self._started:
                self._started.add(name)
                self._say(f"started {name}")

    def ended(self, run: Planned, result: Result, progress: Progress) -> None:
        """A line about the run and one about the suite."""
        self.update(progress)
        self._say(_ended_text(run, result, progress))
        self._say(status_text(progress, time.monotonic()))


class TableScreen:
    """A suite as one table that is drawn again and again: what is running, and under it how far everything is."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live = Live(console=console, auto_refresh=False, transient=True)
        self._live.start()

    def update(self, progress: Progress) -> None:
        """Draw the table again."""
        now = time.monotonic()
        table = Table(box=box.SIMPLE_HEAD, expand=True)
        for head, width in (("running", 2), ("for", None), ("what", 3)):
            table.add_column(head, ratio=width, no_wrap=True, overflow="ellipsis")
        for name, (_, begun) in progress.running.items():
            table.add_row(Text(name), clock_text(now - begun), Text(last_line(progress.logs[name])))
        self._live.update(Group(table, Text(f" {status_text(progress, now)}")), refresh=True)
        if not progress.running and not progress.waiting:
            self._live.stop()

    def ended(self, run: Planned, result: Result, progress: Progress) -> None:
        """Leave a line above the table."""
        self._live.console.print(Text(_ended_text(run, result, progress), style=_STYLES[result]), soft_wrap=True)

    def close(self) -> None:
        """Take the table away."""
        self._live.stop()


@contextmanager
def suite_screen() -> Iterator[Screen]:
    """The screen that fits standard error: a table on a terminal, lines elsewhere."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield PlainScreen(console)
        return
    screen = TableScreen(console)
    try:
        yield screen
    finally:
        screen.close()
