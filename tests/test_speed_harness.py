"""The speed harness measures what it says; figures of a machine are made by ``make bench``, not here."""

import pytest

from benchmarks.speed import page
from benchmarks.speed.measure import Gated, Timing, interleave


class Noting:
    def __init__(self, name, notes):
        self.name, self.notes = name, notes

    def steps(self, count):
        self.notes.append((self.name, count))


def test_contenders_take_turns_and_change_the_order():
    notes = []
    timings = interleave({name: Noting(name, notes) for name in "ab"}, steps=3, repeats=2, wait=lambda: None, warm_up=1)
    assert notes == [("a", 1), ("b", 1), ("a", 3), ("b", 3), ("b", 3), ("a", 3)]
    assert {name: len(timing.repeats) for name, timing in timings.items()} == {"a": 2, "b": 2}


def test_a_ratio_is_the_median_over_neighboring_repeats():
    slow, fast = Timing((2.0, 9.0, 4.0)), Timing((1.0, 3.0, 4.0))
    assert slow.over(fast) == 2.0
    assert slow.median == 4.0


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
