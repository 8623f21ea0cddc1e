"""The speed harness measures what it says; figures of a machine are made by ``make bench``, not here."""

import json
import math
import sys
from collections import Counter
from itertools import pairwise, permutations

import pytest
import torch

from benchmarks.speed import __main__ as harness
from benchmarks.speed import evidence, page, strategies
from benchmarks.speed.measure import Gated, Timing, interleave, median_interval
from clbench.device import resolve_precision


class Noting:
    def __init__(self, name, notes):
        self.name, self.notes = name, notes

    def steps(self, count):
        self.notes.append((self.name, count))


def test_contenders_take_turns_in_an_order_that_is_drawn_anew():
    notes = []
    contenders = {name: Noting(name, notes) for name in "abcde"}
    timings = interleave(contenders, steps=3, repeats=200, wait=lambda: None, warm_up=1)
    assert notes[:5] == [(name, 1) for name in "abcde"]
    turns = [notes[5 + 5 * repeat : 10 + 5 * repeat] for repeat in range(200)]
    assert all(sorted(turn) == [(name, 3) for name in "abcde"] for turn in turns)
    assert {name: len(timing.repeats) for name, timing in timings.items()} == dict.fromkeys("abcde", 200)
    names = [name for turn in turns for name, _ in turn]
    followed = Counter(pairwise(names))
    assert all(2 < followed[name, name] < 16 for name in "abcde")  # 8 of 200 are expected of each
    assert all(followed[pair] > 15 for pair in permutations("abcde", 2))  # 38 are


def test_a_ratio_is_the_median_over_neighboring_repeats():
    slow, fast = Timing((2.0, 9.0, 4.0)), Timing((1.0, 3.0, 4.0))
    assert slow.over(fast) == 2.0
    assert slow.median == 4.0


def test_the_interval_of_a_median_is_two_of_the_values_by_their_ranks():
    assert median_interval(range(1, 21)) == (6, 15)  # P(Binomial(20, 1/2) < 6) = 0.0207, and of 7 it is 0.0577
    assert median_interval((3, 1, 6, 2, 5, 4)) == (1, 6)  # 2 / 2^6 = 0.031


def test_too_few_values_have_no_interval():
    assert all(math.isnan(end) for end in median_interval((1.0,) * 5))


def test_a_gated_loop_does_just_the_steps_it_may():
    done = []

    def loop(pause):
        for step in range(100):
            done.append(step)
            pause()

    gated = Gated(loop)
    gated.steps(2)
    assert done == [0, 1]
    gated.steps(1)
    assert done == [0, 1, 2]
    gated.close()
    assert done == [0, 1, 2]


def test_an_error_in_a_gated_loop_comes_up():
    def loop(pause):
        pause()
        raise ValueError("broken")

    gated = Gated(loop)
    gated.steps(1)
    with pytest.raises(ValueError, match="broken"):
        gated.steps(1)


@pytest.mark.parametrize(
    ("target", "shown", "cell"),
    [
        ("≥ 2.5", {"a": "2.50"}, "≥ 2.5"),
        ("≥ 2.5", {"a": "1.79"}, "≥ 2.5, missed"),
        ("≤ 1.20", {"2d": "1.68", "3d": "1.06"}, "≤ 1.20, missed in 2d"),
        ("≤ 1.20", {"2d": "1.68", "3d": "1.21"}, "≤ 1.20, missed in 2d and 3d"),
        ("< 5 %", {"a": "5.0 %"}, "< 5 %, missed"),
        ("< 5 %", {"a": "1.6 %"}, "< 5 %"),
        ("≤ 1.05", {"a": "n/a"}, "≤ 1.05"),
        ("", {"a": "9.99"}, ""),
    ],
)
def test_a_missed_target_is_marked(target, shown, cell):
    assert page.judged(target, **shown) == cell


def test_the_page_says_why_each_target_is_missed_that_is():
    figures, after = page.text().split(page.BEGIN)[1].split(page.END)
    missed = {line.split(" | ")[0] for line in figures.splitlines() if "missed" in line}
    told = {line.split(" | ")[0] for line in after.split("\n## ")[1].splitlines() if line.startswith("| ")}
    assert told - {"| missed"} == missed


def test_the_page_shows_the_committed_figures():
    assert page.PAGE.read_text(encoding="utf-8") == page.text()


# Parts that are measured alone.


class Load:
    """A workload as far as the harness looks at it."""

    device = torch.device("cpu")

    @staticmethod
    def wait():
        pass


FIGURES = f"cpu-{resolve_precision('auto', torch.device('cpu'))}.json"
STRATEGIES = {
    "ewc": {"ratio": 1.01, "low": 0.984, "high": 1.042, "starts": 6, "turns": 10, "date": "2020-01-02"},
    "si": {"ratio": 1.2, "low": None, "high": None, "starts": None, "turns": None, "date": "2020-01-01"},
}
EVIDENCE = {"leaderboard_seconds": 21.04, "leaderboard_peak_memory_mb": 800.4, "bootstrap_seconds": 3.21}


@pytest.fixture
def measure(tmp_path, monkeypatch):
    """``python -m benchmarks.speed`` with a part that takes no time, and the figures that it leaves."""
    monkeypatch.setattr(page, "write", lambda: None)
    monkeypatch.setattr(harness, "MEASURES", {"evidence": lambda loads, repeats: EVIDENCE})
    monkeypatch.setattr(
        sys, "argv", ["speed", "--device", "cpu", "--size", "small", "--parts", "evidence", "--out", str(tmp_path)]
    )

    def main():
        assert harness.main() == 0
        return json.loads((tmp_path / FIGURES).read_text())

    return main


def earlier(measured, out, **machine):
    """Figures of another day, of other parts."""
    there = {**measured, "machine": {**measured["machine"], "date": "2020-01-01", **machine}, "seconds": 700}
    del there["evidence"]
    (out / FIGURES).write_text(json.dumps({**there, "strategies": STRATEGIES}))


def test_a_part_measured_alone_joins_the_figures_of_the_same_machine(measure, tmp_path):
    first = measure()
    earlier(first, tmp_path)
    both = measure()
    assert (both["evidence"], both["strategies"]) == (EVIDENCE, STRATEGIES)
    assert (both["machine"]["date"], both["seconds"]) == ("2020-01-01", 700)
    text = page.table({**both, "machine": {**both["machine"], "device": "cpu, 1 threads"}})
    assert text.startswith("### cpu, 1 thread\n")
    assert f"700 s in all. Measured later: evidence {first['machine']['date']} (0 s).\n" in text
    assert "| `clbench leaderboard` over 1,000 runs, s | 21.0 | ≤ 20, missed |" in text
    assert "| its peak memory, MiB | 800 | ≤ 1024 |" in text
    assert "| 10,000 resamples of 21 runs on 1,000 cases, s | 3.2 | ≤ 5 |" in text
    assert "| `ewc` | 1.01 [0.98, 1.04] | ≤ 1.05 | 6 x 10 | 2020-01-02 |" in text
    assert "| `si` | 1.20 | ≤ 1.05, missed |  | 2020-01-01 |" in text


def test_some_strategies_measured_alone_leave_the_others_as_they_were(measure, tmp_path, monkeypatch):
    earlier(measure(), tmp_path)
    again = {
        "si": {"ratio": 1.02, "low": 0.99, "high": 1.06, "starts": 6, "turns": 30, "date": "2020-02-01"},
        "dan": None,
    }
    monkeypatch.setattr(harness, "workloads", lambda device, size: {"2d": Load})
    monkeypatch.setattr(harness, "MEASURES", {})
    monkeypatch.setattr(
        harness, "ratios_of_strategies", lambda load, names, *rest: {name: again[name] for name in names}
    )
    monkeypatch.setattr(sys, "argv", [*sys.argv, "--parts", "strategies", "--strategies", "si", "dan"])
    both = measure()
    assert both["strategies"] == {**STRATEGIES, **again}
    assert "later" not in both  # each strategy has its own date
    assert "| `dan` | n/a |  |  |  |" in page.table(both)


def test_strategies_are_named_for_their_own_part_alone(measure, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [*sys.argv, "--strategies", "si"])
    with pytest.raises(SystemExit):
        measure()
    assert "--strategies needs --parts strategies" in capsys.readouterr().err


def test_a_ratio_is_the_median_over_the_starts():
    found = strategies.ratio([1.0, 1.5, 1.1, 1.2, 1.3, 1.4], turns=10)
    assert (found["ratio"], found["low"], found["high"]) == (1.25, 1.0, 1.5)
    assert (found["starts"], found["turns"]) == (6, 10)
    assert found["per_start"] == [1.0, 1.5, 1.1, 1.2, 1.3, 1.4]


class Step(Noting):
    """A step of a strategy; what is called odd has none."""

    def steps(self, count):
        if self.name == "odd":
            raise ValueError("no such thing")
        super().steps(count)

    def close(self):
        self.notes.append((self.name, "closed"))


def test_strategies_take_turns_of_one_step_with_naive_and_what_cannot_be_measured_is_told(monkeypatch, capsys):
    notes, asked = [], []

    def step(workload, name, precision, turns):
        asked.append((name, precision, turns))
        return Step(name, notes)

    monkeypatch.setattr(strategies, "strategy_steps", step)
    found = strategies.ratios(Load, ["odd", "even"], "float32", repeats=2)
    assert sorted(asked[:3]) == [(name, "float32", 4) for name in ("even", "naive", "odd")]
    assert found["odd"] is None
    assert (found["even"]["starts"], found["even"]["turns"]) == (strategies.STARTS, 4)
    for name in ("naive", "even"):
        own = [count for whose, count in notes if whose == name]
        assert own == [1, strategies.WARM_UP, *[1] * 4, "closed"] * strategies.STARTS
    assert capsys.readouterr().err.count("odd cannot be measured: no such thing") == 1


def test_each_start_builds_anew_in_another_order_and_is_held_against_its_own_naive(monkeypatch):
    built = []

    def step(workload, name, precision, turns):
        built.append(name)
        return Step(name, [])

    def timings(gates, *, repeats, **_):
        start = len(built) // 4
        return {name: Timing((start * seconds,) * repeats) for name, seconds in seconds_of.items()}

    seconds_of = {"naive": 1.0, "a": 1.0, "b": 2.0, "c": 3.0}
    monkeypatch.setattr(strategies, "strategy_steps", step)
    monkeypatch.setattr(strategies, "interleave", timings)
    found = strategies.ratios(Load, ["a", "b", "c"], "float32", repeats=1)
    orders = [tuple(built[first : first + 4]) for first in range(0, len(built), 4)]
    assert len(orders) == strategies.STARTS
    assert len(set(orders)) > 3
    assert all(sorted(order) == ["a", "b", "c", "naive"] for order in orders)
    assert (found["b"]["low"], found["b"]["ratio"], found["b"]["high"]) == (2.0, 2.0, 2.0)


def test_what_fails_in_a_later_start_is_not_measured(monkeypatch, capsys):
    built = []

    def step(workload, name, precision, turns):
        built.append(name)
        return Step("odd" if name == "late" and built.count("late") == 3 else name, [])

    monkeypatch.setattr(strategies, "strategy_steps", step)
    found = strategies.ratios(Load, ["late", "even"], "float32", repeats=1)
    assert found["late"] is None
    assert found["even"]["starts"] == strategies.STARTS
    assert built.count("late") == 3
    assert "late cannot be measured: no such thing" in capsys.readouterr().err


def test_without_naive_there_is_nothing_to_compare_with(monkeypatch):
    monkeypatch.setattr(
        strategies, "strategy_steps", lambda _, name, *rest: Step("odd" if name == "naive" else name, [])
    )
    with pytest.raises(SystemExit, match="without naive"):
        strategies.ratios(Load, ["even"], "float32", repeats=1)


@pytest.mark.parametrize(
    ("machine", "told"),
    [
        ({"processor": "another"}, "another processor: measure all parts"),
        ({"packages": {"torch": "1.0", "nnunetv2": None}}, "another torch: measure all parts"),
    ],
)
def test_figures_of_another_machine_are_not_mixed(machine, told, measure, tmp_path):
    earlier(measure(), tmp_path, **machine)
    before = (tmp_path / FIGURES).read_bytes()
    with pytest.raises(SystemExit, match=told):
        measure()
    assert (tmp_path / FIGURES).read_bytes() == before


def test_all_parts_together_keep_nothing_that_was_there(measure, tmp_path, monkeypatch):
    earlier(measure(), tmp_path, processor="another")
    monkeypatch.setattr(harness, "PARTS", ("evidence",))
    assert "strategies" not in measure()


def test_leaderboard_and_bootstrap_are_measured_on_runs_that_are_written_for_it():
    found = evidence.leaderboard(streams=1, strategies=2, seeds=1)
    assert found["seconds"] > 0
    assert found["peak_memory_mb"] > 10
    assert evidence.bootstrap_seconds(strategies=2, seeds=1, cases=10) > 0
