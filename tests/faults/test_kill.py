"""kill -9 at any moment: the same command goes on, and what it comes to has the same bytes."""

from __future__ import annotations

import sys

import pytest

from clbench.strategies import STRATEGIES
from killing import MOMENTS, Harness, in_turn
from toy import write_domain_stream

SETTINGS = ("--checkpoint-steps", "3", "--set", "training.steps=8", "--predictions", "all")
MANY_KILLS = 50
QUICK = ("evaluation", "later checkpoint, tensors written", "importance pass", "between tasks")
HERE = "ewc"  # its importance pass makes it the one with the most moments


@pytest.fixture(scope="module")
def harness(tmp_path_factory):
    root = tmp_path_factory.mktemp("kills")
    return Harness(write_domain_stream(root / "data", tasks=2), root, SETTINGS)


def assert_all_alike(tally, capsys):
    with capsys.disabled():
        sys.stdout.write(f"\n{tally}\n")
    assert tally.kills
    assert not tally.refused
    assert not tally.different


def test_a_run_killed_at_random_moments_comes_to_the_same_bytes(harness, capsys):
    harness.kill_at_random(HERE, 4)
    assert_all_alike(harness.tally, capsys)


@pytest.mark.parametrize("moment", QUICK)
def test_a_run_killed_at_a_chosen_moment_comes_to_the_same_bytes(harness, moment, capsys):
    assert harness.kill_at_moment(HERE, moment)
    assert_all_alike(harness.tally, capsys)


@pytest.mark.slow
def test_fifty_random_kills_over_all_strategies(tmp_path, capsys):
    harness = Harness(write_domain_stream(tmp_path / "data", tasks=2), tmp_path, SETTINGS)
    in_turn(list(STRATEGIES), max(MANY_KILLS, len(STRATEGIES)), harness.kill_at_random)
    assert harness.tally.kills >= MANY_KILLS
    assert_all_alike(harness.tally, capsys)


@pytest.mark.slow
@pytest.mark.parametrize("strategy", STRATEGIES)
def test_every_strategy_survives_every_moment(strategy, tmp_path, capsys):
    harness = Harness(write_domain_stream(tmp_path / "data"), tmp_path, SETTINGS)
    met = [moment for moment in MOMENTS if harness.kill_at_moment(strategy, moment)]
    assert len(met) >= len(MOMENTS) - 2
    assert_all_alike(harness.tally, capsys)
