"""Selection: a reservoir keeps everything with the same chance, quotas are fair."""

import numpy as np
import pytest
import torch
from scipy import stats

from clbench.functional.selection import quotas, smallest


def test_the_smallest_keys_stay_in_order():
    assert smallest(torch.tensor([0.5, 0.1, 0.9, 0.1, 0.3]), 3).tolist() == [1, 3, 4]


def test_the_earlier_of_equal_keys_wins():
    assert smallest(torch.tensor([0.1, 0.1, 0.1]), 2).tolist() == [0, 1]


def test_everything_stays_when_there_is_room():
    assert smallest(torch.tensor([0.2, 0.1]), 5).tolist() == [0, 1]


def test_a_memory_fed_in_parts_keeps_what_one_fed_at_once_keeps():
    keys = torch.rand(50, generator=torch.Generator().manual_seed(0))
    kept = torch.empty(0, dtype=torch.int64)
    for part in torch.arange(50).split(7):
        seen = torch.cat([kept, part])
        kept = seen[smallest(keys[seen], 8)]
    assert kept.equal(smallest(keys, 8))


def test_every_candidate_is_kept_with_the_same_chance():
    counts = np.zeros(20)
    for seed in range(3000):
        kept = torch.empty(0, dtype=torch.int64)
        keys = torch.rand(20, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        for part in torch.arange(20).split([3, 10, 7]):
            seen = torch.cat([kept, part])
            kept = seen[smallest(keys[seen], 5)]
        counts[kept.numpy()] += 1
    assert counts.sum() == 3000 * 5
    assert stats.chisquare(counts).pvalue > 0.001


@pytest.mark.parametrize(
    ("count", "sizes", "expected"),
    [
        (7, [5, 5, 5], [3, 2, 2]),
        (7, [1, 5, 5], [1, 3, 3]),
        (2, [4, 4, 4], [1, 1, 0]),
        (100, [2, 3], [2, 3]),
        (0, [2], [0]),
        (3, [0, 9], [0, 3]),
    ],
)
def test_quotas_are_as_equal_as_sizes_allow(count, sizes, expected):
    assert quotas(count, sizes) == expected


def test_shapes_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match="of which 1"):
        smallest(torch.zeros(2, 2), 1)
