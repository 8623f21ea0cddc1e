"""Counter-based seeds."""

import random

import numpy as np
import pytest
import torch

from clbench.seeding import derive, forked_rng, numpy_generator, torch_generator


def test_a_seed_is_the_same_on_every_machine():
    assert derive(0, "patch", 1, 2, 3) == 3990048610744231020


def test_every_name_counts_and_so_does_its_type_and_place():
    seeds = {
        derive(0, "a", "b"), derive(0, "ab"), derive(0, "b", "a"), derive(1, "a", "b"), derive(0, "a", 1),
        derive(0, "a", "1"), derive(0), derive(0, "a"),
    }  # fmt: skip
    assert len(seeds) == 8
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_integers_of_any_kind_are_equal():
    assert derive(np.int64(3), np.int32(4)) == derive(3, 4)


def test_generators_of_the_same_name_draw_the_same():
    assert numpy_generator(5, "x").random() == numpy_generator(5, "x").random()
    assert torch.rand(3, generator=torch_generator(5, "x")).equal(torch.rand(3, generator=torch_generator(5, "x")))


def states():
    return random.getstate(), np.random.get_state()[1].tolist(), torch.get_rng_state().tolist()  # noqa: NPY002


def draw():
    return random.random(), np.random.random(), torch.rand(1).item()  # noqa: NPY002


def test_nobody_sees_that_the_block_drew():
    before = states()
    with forked_rng(7):
        first = draw()
    assert states() == before
    with forked_rng(7):
        assert draw() == first


def fail_inside_the_block():
    with forked_rng(7):
        draw()
        raise ZeroDivisionError


def test_streams_are_put_back_after_an_error():
    before = states()
    with pytest.raises(ZeroDivisionError):
        fail_inside_the_block()
    assert states() == before
