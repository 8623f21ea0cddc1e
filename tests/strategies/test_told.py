"""PNN and DAN: they grow with the stream, in a fresh process as well, and combine with nothing that protects."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from clbench.errors import InputError
from clbench.strategies.compose import parse_strategy
from clbench.strategies.dan import DAN
from clbench.strategies.pnn import PNN, classes_after
from rehearsing import make_strategy, train

PLUGINS = {"pnn": PNN, "dan": DAN}


@pytest.mark.parametrize("name", PLUGINS)
def test_the_first_task_is_that_of_naive(domain_benchmark, name):
    one = SimpleNamespace(train_stream=domain_benchmark.train_stream[:1])
    _, naive = train(one, {})
    _, ours = train(one, {name: PLUGINS[name]()})
    assert ours.losses == naive.losses


@pytest.mark.parametrize("name", PLUGINS)
def test_earlier_tasks_are_answered_as_they_were(class_benchmark, name):
    strategy = make_strategy(class_benchmark, {name: PLUGINS[name]()}, optimizer="adamw", weight_decay=0.1)
    x = torch.randn(1, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    answers = []
    for task, experience in enumerate(class_benchmark.train_stream, start=1):
        strategy.train_task(experience)
        strategy.model.eval()
        strategy.model.select_task(task)
        with torch.no_grad():
            answers.append(strategy.model(x))
        strategy.model.train()
    assert [found.shape[1] for found in answers] == [2, 3, 4]
    strategy.model.eval()
    for task, expected in enumerate(answers, start=1):
        strategy.model.select_task(task)
        with torch.no_grad():
            assert strategy.model(x).equal(expected)


@pytest.mark.parametrize("name", PLUGINS)
def test_a_fresh_network_is_grown_for_all_tasks_so_far(class_benchmark, name):
    strategy = make_strategy(class_benchmark, {name: PLUGINS[name]()})
    for experience in class_benchmark.train_stream:
        strategy.train_task(experience)
    again = make_strategy(class_benchmark, {name: PLUGINS[name]()})
    again.model = again.grown(again.model, class_benchmark.train_stream[2])
    again.load_state(strategy.save_state(optimizer=False))
    ours, theirs = dict(strategy.model.named_parameters()), dict(again.model.named_parameters())
    assert ours.keys() == theirs.keys()
    assert all(ours[key].equal(theirs[key]) for key in ours)
    assert all(ours[key].requires_grad == theirs[key].requires_grad for key in ours)


def test_dan_grows_by_far_less_than_pnn(domain_benchmark):
    counts = {}
    for name, plugin in PLUGINS.items():
        strategy, _ = train(domain_benchmark, {name: plugin()})
        counts[name] = sum(parameter.numel() for parameter in strategy.model.parameters())
    naive, _ = train(domain_benchmark, {})
    alone = sum(parameter.numel() for parameter in naive.model.parameters())
    assert counts["pnn"] > 3 * alone
    assert alone < counts["dan"] < 2 * alone


def test_classes_are_those_of_the_labels_seen(class_benchmark, domain_benchmark):
    last = class_benchmark.train_stream[-1]
    assert [classes_after(last, task) for task in (1, 2, 3)] == [2, 3, 4]
    assert classes_after(domain_benchmark.train_stream[-1], 1) == 4


@pytest.mark.parametrize("name", PLUGINS)
def test_growing_leaves_the_global_random_stream_alone(class_benchmark, name):
    strategy = make_strategy(class_benchmark, {name: PLUGINS[name]()})
    before = torch.get_rng_state()
    strategy.grown(strategy.model, class_benchmark.train_stream[1])
    assert torch.get_rng_state().equal(before)


@pytest.mark.parametrize("name", PLUGINS)
def test_other_networks_are_refused(name):
    with pytest.raises(InputError, match=f"{name} builds on the network unet, not on Linear"):
        PLUGINS[name]().check(nn.Linear(1, 1))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("pnn+ewc", "ewc protects earlier tasks, but pnn has none to forget"),
        ("dan+replay", "replay protects earlier tasks, but dan has none to forget"),
        ("pnn+dan", "pnn and dan each decide how the network grows"),
        ("joint+pnn", "pnn protects earlier tasks, but joint has none"),
    ],
)
def test_nothing_protects_what_cannot_be_forgotten(text, message):
    with pytest.raises(InputError, match=message):
        parse_strategy(text)
