"""PatchReservoir: every patch with the same chance, at any moment, without having watched."""

import numpy as np
from scipy import stats

from clbench.data.reservoir import PatchReservoir


def test_everything_is_held_while_there_is_room():
    assert PatchReservoir(0, "der", 8, 6).held(5).tolist() == [0, 1, 2, 3, 4]
    assert PatchReservoir(0, "der", 8, 6).held(0).tolist() == []


def test_what_is_dropped_never_comes_back():
    reservoir = PatchReservoir(3, "der", 5, 10)
    before = set(reservoir.held(0).tolist())
    for seen in range(1, 41):
        now = set(reservoir.held(seen).tolist())
        assert len(now) == min(5, seen)
        assert now <= before | {seen - 1}
        before = now


def test_it_does_not_depend_on_what_was_asked_before():
    one, other = PatchReservoir(1, "der", 4, 10), PatchReservoir(1, "der", 4, 10)
    forward = [one.held(seen).tolist() for seen in range(35)]
    assert [other.held(seen).tolist() for seen in reversed(range(35))] == forward[::-1]


def test_seed_and_purpose_decide():
    assert PatchReservoir(1, "der", 4, 50).held(50).tolist() != PatchReservoir(2, "der", 4, 50).held(50).tolist()
    assert PatchReservoir(1, "der", 4, 50).held(50).tolist() != PatchReservoir(1, "derpp", 4, 50).held(50).tolist()


def test_every_patch_of_every_task_is_held_with_the_same_chance():
    counts = np.zeros(25)
    for seed in range(3000):
        counts[PatchReservoir(seed, "der", 4, 10).held(25)] += 1
    assert stats.chisquare(counts).pvalue > 0.001
