"""Greedy selection: room first, then samples that point away from the memory."""

import numpy as np
import pytest
import torch

from clbench.functional.greedy import greedy_selection, largest_cosine

EAST, WEST, NORTH = torch.tensor([1.0, 0]), torch.tensor([-2.0, 0]), torch.tensor([0, 3.0])


def select(gradients, capacity, members=(), scores=(), stream=None, seed=0, compare=10):
    stream = range(len(members), len(gradients)) if stream is None else stream
    return greedy_selection(
        members,
        scores,
        stream,
        capacity=capacity,
        gradient=lambda number: gradients[number],
        compare=compare,
        rng=np.random.default_rng(seed),
    )


def test_samples_enter_while_there_is_room_with_one_plus_their_largest_cosine():
    members, scores = select([EAST, EAST, WEST, NORTH], capacity=4)
    assert members == [0, 1, 2, 3]
    assert scores == pytest.approx([1, 2, 0, 1])


def test_a_full_memory_takes_nothing_that_points_its_way():
    assert select([EAST, NORTH, EAST, NORTH, EAST + NORTH], capacity=2)[0] == [0, 1]


def test_a_sample_that_points_away_from_all_takes_a_place_for_sure_when_its_score_is_zero():
    members, scores = select([EAST, EAST, WEST], capacity=2, members=[0, 1], scores=[1.0, 2.0])
    assert 2 in members
    assert len(members) == 2
    assert scores[members.index(2)] == pytest.approx(0)


def test_members_are_replaced_in_proportion_to_their_scores():
    """Place i with chance s_i / sum s, then with chance s_i / (s_i + c); here c = 1 - cos 60 degrees = 0.5."""
    away = torch.tensor([-0.5, 3**0.5 / 2])
    replaced = np.zeros(3)
    for seed in range(4000):
        members, _ = select([EAST, EAST, away], capacity=2, members=[0, 1], scores=[0.5, 1.5], stream=[2], seed=seed)
        replaced[members.index(2) if 2 in members else 2] += 1
    expected = np.array([0.25 * 0.5, 0.75 * 0.75])
    expected = np.append(expected, 1 - expected.sum())
    assert np.abs(replaced / 4000 - expected).max() < 4 * np.sqrt(0.25 / 4000)


def test_only_some_members_are_compared_with():
    asked = []

    def gradient(number):
        asked.append(number)
        return EAST

    greedy_selection(
        list(range(20)), [1.0] * 20, [20], capacity=20, gradient=gradient, compare=3, rng=np.random.default_rng(0)
    )
    assert len(asked) == 4


def test_the_same_numbers_give_the_same_choice():
    gradients = list(torch.randn(30, 5, generator=torch.Generator().manual_seed(0)))
    assert select(gradients, 6, seed=4) == select(gradients, 6, seed=4)


def test_cosines_of_nothing_are_zero():
    assert largest_cosine(EAST, []) == 0
    assert largest_cosine(EAST, [torch.zeros(2)]) == 0
    assert largest_cosine(EAST, [WEST, EAST]) == 1


def test_values_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match="1 members, 0 scores"):
        select([EAST], 1, members=[0])
