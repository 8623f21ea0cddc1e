"""The screens of the commands, as text without colors."""

from __future__ import annotations

import io
import math
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from rich.console import Console

from clbench.console import (
    matrix_table,
    metrics_table,
    names_table,
    next_commands,
    rows_table,
    show_check,
    show_run,
    trap_rows,
)
from clbench.data.case import Case, Trap
from clbench.data.check import Findings, Problem
from clbench.data.plan import Plan
from clbench.streams.stream import Stream, Task

R = [[0.1, 0.2], [0.8, 0.3], [0.6, 0.9]]


def text_of(*things: object) -> str:
    console = Console(file=io.StringIO(), width=100, color_system=None)
    for thing in things:
        console.print(thing)
    return console.file.getvalue()


def test_the_matrix_can_be_read_without_colors():
    shown = [line.split() for line in text_of(matrix_table(R, ["RUNMC", "[BMC]"])).splitlines() if line.strip()]
    assert shown[0] == ["after", "\\", "on", "RUNMC", "[BMC]"]
    assert shown[2:] == [
        ["0", "untrained", "0.100", "0.200"],
        ["1", "RUNMC", "0.800*", "0.300"],
        ["2", "[BMC]", "0.600", "0.900*"],
    ]


def test_rows_that_were_never_scored_are_left_out():
    shown = text_of(matrix_table([[0.1, 0.2], [math.nan, math.nan], [0.6, 0.9]], ["a", "b"]))
    assert "1 a" not in shown
    assert "2 b" in shown


def test_a_missing_score_is_a_dash_and_scores_outside_0_to_1_do_not_break():
    shown = text_of(matrix_table([[math.nan, -0.1], [1.0, 1.5], [0.0, 0.5]], ["a", "b"]))
    assert "–" in shown
    assert "-0.100" in shown
    assert "1.500" in shown


def test_the_matrix_is_colored_on_a_terminal():
    console = Console(file=io.StringIO(), width=100, color_system="truecolor", force_terminal=True)
    console.print(matrix_table(R, ["a", "b"]))
    assert "\x1b[" in console.file.getvalue()


def test_metrics_show_their_sign_and_name_what_is_missing():
    shown = text_of(metrics_table({"final": 0.7, "bwt": 0.05, "rma": None, "fwt_init": -0.1}))
    assert "+0.050" in shown
    assert "-0.100" in shown
    assert " 0.700" in shown
    assert "rma" not in shown


@pytest.mark.parametrize(
    ("regime", "note"), [("sequential", "* the task just learned"), ("joint", "joint trains on all tasks at once")]
)
def test_the_end_of_a_run_names_what_is_missing_and_what_to_type_next(regime, note):
    run = SimpleNamespace(
        stream=SimpleNamespace(key="s@1", tasks=[SimpleNamespace(name="a"), SimpleNamespace(name="b")]),
        strategy="ewc",
        regime=regime,
        path=Path("runs/s@1/ewc-s0-00000000"),
        scores=lambda: SimpleNamespace(scores=np.array(R)),
        metrics=lambda: {"final": 0.75, "rma": None, "gap_joint": None},
    )
    console = Console(file=io.StringIO(), width=40, color_system=None)
    show_run(console, run)
    lines = console.file.getvalue().splitlines()
    assert "Dice on the test cases: ewc on s@1" in lines
    assert note in lines
    assert "n/a here: rma, gap_joint" in lines
    assert lines[-2:] == ["compare runs:  clbench table runs", "re-check it:   clbench verify runs/s@1/ewc-s0-00000000"]


def test_names_and_rows_are_shown_as_they_are():
    assert "[bold]x" in text_of(names_table("metrics", {"dice": "[bold]x"}))
    assert "[red]a" in text_of(rows_table("cases", ["case"], [["[red]a"]]))


def test_commands_are_never_broken_into_two_lines():
    console = Console(file=io.StringIO(), width=40, color_system=None)
    next_commands(console, {"compare:": "clbench table " + "x" * 80})
    assert console.file.getvalue().splitlines() == ["compare:  clbench table " + "x" * 80]


@pytest.fixture
def stream(tmp_path):
    case = Case("HK/Case00", "HK/Case00", (tmp_path / "a.nii.gz",), tmp_path / "b.nii.gz", {0: 0, 1: 1})
    trap = Trap("capital-segmentation", "BMC", "read as a mask")
    plan = Plan(2, (1.0, 1.0, 0.0), (16, 16))
    return Stream("s", 1, "domain", {"x": 1}, (Task(1, "HK", (1,), (case,), (), ()),), {"default": plan}, (trap,), True)


@pytest.mark.parametrize(
    ("problems", "expected"),
    [((), "the only case can be read"), ((Problem("HK/Case00", Path("b.nii.gz"), "truncated"),), "truncated")],
    ids=["sound", "broken"],
)
def test_a_data_check_shows_counts_traps_and_problems(stream, problems, expected):
    console = Console(file=io.StringIO(), width=120, color_system=None)
    traps = [Trap("float-mask", f"HK/Case0{number}.nii.gz", "rounded") for number in range(3)]
    show_check(console, stream, Findings(problems, tuple(traps)))
    shown = console.file.getvalue()
    assert "s@1+phantom: cases per task" in shown
    assert "capital-segmentation" in shown
    assert shown.count("float-mask") == 1
    assert "HK, 3 times" in shown
    assert expected in shown


def test_traps_of_one_kind_are_one_row_per_folder():
    zones = [Trap("two-zone-labels", f"{site}/Case{n:02d}.nii.gz", "merged") for site in ("A", "B") for n in range(20)]
    capital = Trap("capital-segmentation", "B", "20 masks")
    assert trap_rows([capital, *zones]) == [
        ["capital-segmentation", "B", "20 masks"],
        ["two-zone-labels", "A, 20 times", "merged"],
        ["two-zone-labels", "B, 20 times", "merged"],
    ]


def test_a_trap_met_once_names_its_file_and_different_actions_show_one():
    once, *often = [Trap(kind, f"A/{n}.nii.gz", f"off by {n}") for n, kind in enumerate("xyy")]
    assert trap_rows([once, *often]) == [["x", "A/0.nii.gz", "off by 0"], ["y", "A, 2 times", "such as: off by 1"]]


def test_a_trap_met_in_very_many_folders_is_one_row():
    traps = [Trap("float-mask", f"patient{n:03d}/gt.nii.gz", "rounded") for n in range(100)]
    assert trap_rows(traps) == [["float-mask", "100 times in 100 folders, such as patient000/gt.nii.gz", "rounded"]]


def test_problems_are_one_line_each_whatever_the_width(stream):
    console = Console(file=io.StringIO(), width=20, color_system=None)
    show_check(console, stream, Findings((Problem("a", Path("x" * 40), "truncated"),), ()))
    assert f"{'x' * 40}: truncated" in console.file.getvalue().splitlines()
