"""Progress: what a person sees while a run goes on."""

from __future__ import annotations

import io
import math

import pytest
from rich.console import Console

from clbench.progress import BarReporter, Pace, PlainReporter, clock_text
from clbench.reporter import Reporter, SilentReporter


class Clock:
    """A clock that the test moves."""

    def __init__(self):
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock():
    return Clock()


def screen(*, terminal: bool) -> Console:
    return Console(file=io.StringIO(), force_terminal=terminal, width=100, color_system=None)


def play(reporter: Reporter, clock: Clock) -> None:
    """Two tasks of 10 steps at 2 steps/s with a minute of evaluation in between."""
    reporter.stage("preparing 5 cases")
    for task, name in enumerate(["RUNMC", "[BMC]"], start=1):
        for step in range(1, 11):
            clock.now += 0.5
            reporter.step(task, 2, name, step, 10, 0.25 if step % 2 else None, 0.01)
        clock.now += 60
        reporter.evaluated(task, 2, [0.5, math.nan])
    reporter.warn("the disk is nearly full")
    reporter.done()


def test_pace_leaves_out_the_time_between_tasks(clock):
    pace = Pace(clock)
    assert math.isnan(pace.steps_per_second)
    for task in (1, 2):
        for step in (1, 2, 3):
            pace.reached(task, step)
            clock.now += 0.5
        clock.now += 1000
    assert pace.steps_per_second == pytest.approx(2.0)


def test_pace_survives_a_resume_from_an_earlier_step(clock):
    pace = Pace(clock)
    pace.reached(1, 50)
    clock.now += 5
    pace.reached(1, 20)
    clock.now += 1
    pace.reached(1, 30)
    assert pace.steps_per_second == pytest.approx(10.0)


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (59.6, "1:00"), (3599, "59:59"), (3600, "1:00:00"), (math.nan, "?")]
)
def test_durations_read_like_a_clock(seconds, text):
    assert clock_text(seconds) == text


def test_plain_lines_are_few_and_say_where_the_run_is(clock):
    console = screen(terminal=False)
    play(PlainReporter(console, every_seconds=4, clock=clock), clock)
    lines = console.file.getvalue().splitlines()
    assert lines == [
        "preparing 5 cases",
        "task 1/2 RUNMC: step 1/10, loss 0.250",
        "task 1/2 RUNMC: step 9/10, loss 0.250, 2.0 steps/s, 0:06 of training left",
        "task 1/2 RUNMC: step 10/10, 2.0 steps/s, 0:05 of training left",
        "after task 1: 0.500 –",
        "task 2/2 [BMC]: step 1/10, loss 0.250, 2.0 steps/s, 0:04 of training left",
        "task 2/2 [BMC]: step 9/10, loss 0.250, 2.0 steps/s, 0:00 of training left",
        "task 2/2 [BMC]: step 10/10, 2.0 steps/s, 0:00 of training left",
        "after task 2: 0.500 –",
        "warning: the disk is nearly full",
    ]


def test_the_bar_names_task_step_loss_speed_and_time_left(clock):
    console = screen(terminal=True)
    reporter = BarReporter(console, clock)
    play(reporter, clock)
    reporter.done()
    shown = console.file.getvalue()
    assert "after task 1: 0.500 –" in shown
    assert "warning: the disk is nearly full" in shown
    assert "task 2/2 [BMC] 10/10" in shown
    assert "2.0 steps/s, 0:00 of training left" in shown


def test_the_silent_reporter_says_nothing(clock, capsys):
    play(SilentReporter(), clock)
    captured = capsys.readouterr()
    assert captured.out + captured.err == ""


def test_a_run_that_had_nothing_to_do_leaves_its_last_word(clock):
    console = screen(terminal=True)
    reporter = BarReporter(console, clock)
    reporter.stage("reading the data")
    reporter.stage("runs/x is complete; nothing to do")
    reporter.done()
    reporter.done()
    last = console.file.getvalue().rstrip().splitlines()[-1]
    assert last.endswith("runs/x is complete; nothing to do")
    assert console.file.getvalue().count("\n") == 2
