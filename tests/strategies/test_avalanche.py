"""Our parts are ordinary Avalanche parts: stock strategies train on our streams with our plugins, and the reverse."""

import pytest
import torch
from avalanche.logging import BaseLogger
from avalanche.training import Cumulative, Naive
from avalanche.training.plugins import EvaluationPlugin, EWCPlugin, SupervisedPlugin

from clbench.strategies import STRATEGIES
from clbench.strategies.compose import build_plugins, options_of
from clbench.strategies.ewc import EWC

LATENT = [(name, {}) for name, spec in STRATEGIES.items() if spec.family == "latent"]
LOGGING = [(name, {"log": True}) for name in STRATEGIES if "log" in options_of(name, {})]


def train_with(template, network, benchmark, *plugins, **fields):
    strategy = template(
        model=network,
        optimizer=torch.optim.SGD(network.parameters(), lr=0.05),
        criterion=torch.nn.CrossEntropyLoss(),
        train_mb_size=2,
        plugins=list(plugins),
        evaluator=EvaluationPlugin(loggers=[BaseLogger()]),
        **fields,
    )
    for experience in benchmark.train_stream:
        strategy.train(experience, eval_streams=[])
    return strategy


class Losses(SupervisedPlugin):
    def __init__(self):
        super().__init__()
        self.values = []

    def after_update(self, strategy, **_):
        self.values.append(strategy.loss.item())


@pytest.mark.parametrize("template", [Naive, Cumulative])
def test_a_stock_strategy_trains_on_our_stream(template, network, domain_benchmark):
    losses = Losses()
    before = [parameter.clone() for parameter in network.parameters()]
    train_with(template, network, domain_benchmark, losses)
    assert any(not old.equal(new) for old, new in zip(before, network.parameters(), strict=True))
    assert len(losses.values) == {Naive: 9, Cumulative: 18}[template]


def test_our_ewc_is_a_plugin_of_stock_naive(network, domain_benchmark):
    torch.manual_seed(0)  # stock loaders shuffle
    ewc = EWC(weight=10.0, samples=2)
    train_with(Naive, network, domain_benchmark, ewc)
    assert all(value.gt(0).any() for value in ewc.past.importances.values())


@pytest.mark.parametrize(("name", "given"), [*LATENT, *LOGGING], ids=str)
def test_our_latent_and_logging_strategies_are_plugins_of_stock_naive(network_named, domain_benchmark, name, given):
    network = network_named(STRATEGIES[name].network or "unet")
    (plugin,) = build_plugins({name: options_of(name, given)}, seed=0).values()
    train_with(Naive, network, domain_benchmark, plugin)
    assert not any(module._forward_hooks for module in network.modules())


def test_importances_are_those_of_stock_ewc_with_one_patch_per_batch(network, domain_benchmark):
    ours = EWC(weight=0.0, mode="online", gamma=0.0, fisher="given", samples=6)  # the last task alone
    stock = EWCPlugin(ewc_lambda=0.0)
    strategy = train_with(Naive, network, domain_benchmark, ours)
    dataset = domain_benchmark.train_stream[-1].dataset
    theirs = stock.compute_importances(network, strategy._criterion, strategy.optimizer, dataset, "cpu", 1)
    for name, value in ours.past.importances.items():
        torch.testing.assert_close(value, theirs[name].data, rtol=1e-4, atol=1e-12)


def test_our_patches_come_in_the_same_order_for_stock_loaders(domain_benchmark):
    experience = domain_benchmark.train_stream[1]
    for index in (0, 3, 5):
        wrapped, bare = experience.dataset[index], experience.patches[index]
        assert wrapped[0].equal(bare[0])
        assert wrapped[1].equal(bare[1])
