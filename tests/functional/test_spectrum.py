"""Effective rank: its ends and a value worked out by hand."""

import math

import pytest
import torch

from clbench.functional.spectrum import effective_rank


def test_equal_variance_along_all_directions_is_full_rank():
    z = torch.cat([torch.eye(5), -torch.eye(5)])
    assert effective_rank(z).item() == pytest.approx(5.0)


def test_embeddings_on_a_line_have_rank_one():
    assert effective_rank(torch.arange(8.0)[:, None] * torch.tensor([1.0, 2.0, 3.0])).item() == pytest.approx(
        1.0, abs=1e-4
    )


def test_two_unequal_directions_by_hand():
    z = torch.tensor([[3.0, 0.0], [-3.0, 0.0], [0.0, 1.0], [0.0, -1.0]])  # shares .9 and .1
    assert effective_rank(z).item() == pytest.approx(math.exp(-0.9 * math.log(0.9) - 0.1 * math.log(0.1)))


def test_equal_embeddings_have_rank_zero():
    assert effective_rank(torch.full((4, 3), 7.0)).item() == 0.0
