"""CaseMemory: what a budget keeps, of which task, and how much of the old images it stands for."""

from collections import Counter
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from scipy import stats

from clbench.data.patches import PoolEntry
from clbench.errors import InputError
from clbench.strategies.memory import CaseMemory, replayed_share


@dataclass(frozen=True)
class FakePrepared:
    """What references look at: name, shape and arrays."""

    case: SimpleNamespace
    geometry: SimpleNamespace

    @property
    def image(self):
        return np.zeros((2, 1, 1, 1), np.float16)

    @property
    def mask(self):
        return np.zeros((1, 1, 1), np.uint8)


def pool(task, cases, depth=3, labels=(1,)):
    return [
        PoolEntry(
            FakePrepared(SimpleNamespace(case_id=f"{task}-{number:03d}"), SimpleNamespace(shape=(4, 5, depth))), labels
        )
        for number in range(cases)
    ]


def fed(budget, unit, selection, pools, seed=0):
    memory = CaseMemory(budget, unit, selection, seed, "replay")
    for number in range(1, len(pools) + 1):
        memory.add_task(pools[:number])
    return memory


def per_task(memory):
    return dict(sorted(Counter(memory.entries[:, 0].tolist()).items()))


POOLS = [pool(1, 12), pool(2, 4), pool(3, 20)]


@pytest.mark.parametrize(
    ("budget", "unit", "expected"),
    [
        (0.25, "fraction", {1: 3, 2: 1, 3: 5}),
        (0.01, "fraction", {1: 1, 2: 1, 3: 1}),
        (1.0, "fraction", {1: 12, 2: 4, 3: 20}),
        (7, "cases", {1: 3, 2: 2, 3: 2}),
        (15, "cases", {1: 6, 2: 4, 3: 5}),
        (2, "cases", {1: 1, 2: 1}),
        (32, "slices", {1: 11, 2: 11, 3: 10}),
    ],
)
def test_a_balanced_memory_gives_every_task_its_share(budget, unit, expected):
    assert per_task(fed(budget, unit, "balanced", POOLS)) == expected


@pytest.mark.parametrize(("budget", "unit", "size"), [(0.25, "fraction", 9), (7, "cases", 7), (32, "slices", 32)])
def test_a_reservoir_has_its_size(budget, unit, size):
    assert len(fed(budget, unit, "reservoir", POOLS)) == size


def test_a_reservoir_keeps_cases_of_all_tasks_with_the_same_chance():
    counts = Counter()
    for seed in range(1500):
        counts.update(map(tuple, fed(6, "cases", "reservoir", POOLS, seed).entries[:, :2].tolist()))
    found = [counts[task, case] for task, cases in ((1, 12), (2, 4), (3, 20)) for case in range(cases)]
    assert sum(found) == 1500 * 6
    assert stats.chisquare(found).pvalue > 0.001


def test_a_case_once_dropped_does_not_come_back():
    memory = CaseMemory(4, "cases", "balanced", 0, "replay")
    kept = []
    for number in (1, 2, 3):
        memory.add_task(POOLS[:number])
        kept.append({tuple(entry) for entry in memory.entries.tolist() if entry[0] == 1})
    assert kept[0] > kept[1] >= kept[2]


def test_the_choice_depends_on_the_seed_and_the_strategy():
    def chosen(seed, purpose):
        memory = CaseMemory(0.25, "fraction", "balanced", seed, purpose)
        memory.add_task(POOLS[:1])
        return memory.entries.tolist()

    assert chosen(0, "replay") == chosen(0, "replay")
    assert chosen(0, "replay") != chosen(1, "replay")
    assert chosen(0, "replay") != chosen(0, "agem")


def test_groups_follow_the_selection():
    assert [len(group) for group in fed(7, "cases", "balanced", POOLS).groups(POOLS)] == [3, 2, 2]
    assert [len(group) for group in fed(7, "cases", "reservoir", POOLS).groups(POOLS)] == [7]
    (first, *_), *_ = fed(9, "slices", "balanced", POOLS).groups(POOLS)
    assert first.slice in range(3)
    assert first.labels == (1,)


def test_state_survives_save_and_load():
    memory, loaded = (CaseMemory(7, "cases", "reservoir", 0, "replay") for _ in range(2))
    memory.add_task(POOLS[:1])
    loaded.load(memory.state())
    for other in (memory, loaded):
        other.add_task(POOLS[:2])
    assert loaded.entries.equal(memory.entries)
    assert not CaseMemory(7, "cases", "reservoir", 0, "replay").state()


def test_share_and_bytes_are_those_of_the_voxels_referred_to():
    pools = [pool(1, 2, depth=4), pool(2, 2, depth=6)]
    entries = torch.tensor([[1, 0, -1], [1, 0, 2], [2, 1, 5], [2, 1, 0]])
    share, stored = replayed_share(entries, pools)
    assert share == pytest.approx((4 + 2) / (2 * 4 + 2 * 6))
    assert stored == 6 * 20 * (2 * 2 + 1)


def test_a_case_of_two_tasks_counts_once():
    pools = [pool(1, 2), pool(1, 2, labels=(2,))]
    share, _ = replayed_share(torch.tensor([[1, 0, -1], [2, 0, -1]]), pools)
    assert share == 0.5


@pytest.mark.parametrize(
    ("budget", "unit", "message"),
    [
        (1.5, "fraction", "is no fraction"),
        (0.25, "cases", "no number of cases"),
        (2.5, "slices", "no number of slices"),
    ],
)
def test_budgets_that_do_not_fit_their_unit_are_refused(budget, unit, message):
    with pytest.raises(InputError, match=message):
        CaseMemory(budget, unit, "balanced", 0, "replay")
