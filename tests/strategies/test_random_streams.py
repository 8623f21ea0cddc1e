"""Passes over the data after or before training leave the global random streams alone, whatever a data set draws."""

import random
from functools import partial

import numpy as np
import pytest
import torch
from avalanche.core import SupervisedPlugin

from clbench.data.patches import PatchDataset
from clbench.strategies.der import DER
from clbench.strategies.ewc import EWC
from clbench.strategies.fdr import FDR
from clbench.strategies.gpm import GPM
from clbench.strategies.gss import GSS
from clbench.strategies.l2 import L2
from clbench.strategies.mas import MAS
from clbench.strategies.plop import PLOP
from clbench.strategies.rwalk import RWalk
from clbench.strategies.si import SI
from rehearsing import make_strategy


def global_streams():
    keys, position = np.random.get_state()[1:3]  # noqa: NPY002 (the global stream is the point)
    return random.getstate(), keys.tolist(), position, torch.get_rng_state().tolist()


@pytest.fixture
def drawn(monkeypatch):
    """What data sets of other people may do: every item draws from all global streams. A list of what was drawn."""
    item, found = PatchDataset.__getitem__, []

    def draw(self, index):
        found.append((random.random(), np.random.rand(), torch.rand(()).item()))  # noqa: NPY002
        return item(self, index)

    monkeypatch.setattr(PatchDataset, "__getitem__", draw)
    return found


class Look(SupervisedPlugin):
    """The global streams at the end of a task, as the next plugin finds them, and how often was drawn by then."""

    def __init__(self, drawn=()):
        super().__init__()
        self.drawn = drawn

    def after_training_exp(self, strategy, **_):
        self.streams, self.draws = global_streams(), len(self.drawn)


def around(plugin, benchmark, drawn=()):
    """Looks before and after what a plugin does at the end of the first task."""
    before, after = Look(drawn), Look(drawn)
    make_strategy(benchmark, {"before": before, "part": plugin, "after": after}).train_task(benchmark.train_stream[0])
    return before, after


@pytest.mark.parametrize("plugin", [EWC, MAS, GPM])
def test_a_data_set_that_draws_in_a_pass_after_a_task_changes_no_stream(plugin, drawn, domain_benchmark):
    before, after = around(plugin(), domain_benchmark, drawn)
    assert after.draws > before.draws
    assert after.streams == before.streams


def test_nor_does_it_in_the_pass_that_plop_makes_before_a_task(drawn, domain_benchmark):
    plugin = PLOP()
    strategy = make_strategy(domain_benchmark, {"plop": plugin})
    strategy.train_task(domain_benchmark.train_stream[0])
    strategy.experience = domain_benchmark.train_stream[1]
    draws, streams = len(drawn), global_streams()
    plugin.before_forward(strategy)
    assert len(drawn) > draws
    assert global_streams() == streams


@pytest.mark.parametrize("plugin", [EWC, MAS, GPM])
def test_what_it_draws_there_depends_on_the_seed_and_the_task_alone(plugin, drawn, domain_benchmark):
    part, found = plugin(), []
    strategy = make_strategy(domain_benchmark, {"part": part})
    strategy.train_task(first := domain_benchmark.train_stream[0])
    strategy.experience = first
    for _ in range(2):
        drawn.clear()
        part.after_training_exp(strategy)
        found.append(list(drawn))
    assert found[0] == found[1]


OWN = {"l2": L2, "si": SI, "rwalk": RWalk, "gss": GSS, "fdr": FDR, "der": partial(DER, logits="final")}


@pytest.mark.parametrize("name", OWN)
def test_what_else_is_done_after_a_task_draws_from_none_of_them(name, domain_benchmark):
    before, after = around(OWN[name](), domain_benchmark)
    assert after.streams == before.streams
