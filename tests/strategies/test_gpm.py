"""GPM: what earlier tasks saw, weights no longer answer to."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from clbench.errors import InputError
from clbench.strategies.gpm import GPM, _spread
from rehearsing import make_strategy, train


class LinearTasks:
    """A linear layer of six channels and a bias, taught two tasks by an optimizer that looks back."""

    def __init__(self, optimizer, **options):
        self.model = nn.Sequential(nn.Conv2d(6, 2, 1))
        self.plugin = GPM(threshold=1.0, **options)
        self.strategy = SimpleNamespace(model=self.model, device=torch.device("cpu"))
        self.make_optimizer = optimizer

    def learn(self, task, x, steps=10):
        self.strategy.experience = SimpleNamespace(current_experience=task - 1, patches=[(image,) for image in x])
        optimizer = self.make_optimizer(self.model.parameters())
        self.plugin.before_training_exp(self.strategy)
        for _ in range(steps):
            optimizer.zero_grad()
            (self.model(x) - 3.0).square().mean().backward()
            self.plugin.after_backward(self.strategy)
            self.plugin.before_update(self.strategy)
            optimizer.step()
            self.plugin.after_update(self.strategy)
        self.plugin.after_training_exp(self.strategy)


def images(channels, seed):
    """Four images that use some of six channels only."""
    x = torch.zeros(4, 6, 5, 5)
    x[:, channels] = torch.randn(4, len(channels), 5, 5, generator=torch.Generator().manual_seed(seed))
    return x


OPTIMIZERS = {
    "sgd": lambda parameters: torch.optim.SGD(parameters, lr=0.1),
    "momentum": lambda parameters: torch.optim.SGD(parameters, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.1),
    "adamw": lambda parameters: torch.optim.AdamW(parameters, lr=0.1, weight_decay=0.1),
}


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_outputs_of_earlier_tasks_stay_while_a_new_one_is_learned(optimizer):
    torch.manual_seed(0)
    tasks = LinearTasks(OPTIMIZERS[optimizer])
    old, new = images([0, 1, 2], seed=0), images([1, 3, 4, 5], seed=1)
    tasks.learn(1, old)
    with torch.no_grad():
        before, loss = tasks.model(old), (tasks.model(new) - 3).square().mean()
    tasks.learn(2, new)
    with torch.no_grad():
        torch.testing.assert_close(tasks.model(old), before, atol=1e-5, rtol=1e-5)
        assert (tasks.model(new) - 3).square().mean() < loss
    assert tasks.plugin.bases["0.weight"].shape == (6, 6)


def test_the_basis_spans_the_inputs_seen():
    tasks = LinearTasks(OPTIMIZERS["sgd"])
    tasks.learn(1, images([0, 1, 2], seed=0))
    basis = tasks.plugin.bases["0.weight"]
    assert basis.shape == (6, 3)
    torch.testing.assert_close(basis @ basis.T, torch.diag(torch.tensor([1.0, 1, 1, 0, 0, 0])), atol=1e-6, rtol=0)


def test_a_lower_threshold_keeps_fewer_directions(domain_benchmark):
    sizes = []
    for threshold in (0.5, 0.97):
        plugin = GPM(threshold=threshold)
        train(domain_benchmark, {"gpm": plugin})
        sizes.append(plugin.stored_bytes)
    assert sizes[0] < sizes[1]


def test_changes_of_a_transposed_convolution_miss_its_inputs():
    torch.manual_seed(0)
    layer = nn.ConvTranspose2d(4, 3, 2, stride=2)
    plugin = GPM(threshold=1.0)
    strategy = SimpleNamespace(model=nn.Sequential(layer), device=torch.device("cpu"))
    x = torch.zeros(1, 4, 3, 3)
    x[0, :2] = torch.randn(2, 3, 3)
    strategy.experience = SimpleNamespace(current_experience=0, patches=[(x[0],)])
    plugin.before_training_exp(strategy)
    plugin.after_training_exp(strategy)
    before = layer(x)
    with torch.no_grad():
        layer.weight += plugin.allowed("0.weight", torch.randn_like(layer.weight))
    torch.testing.assert_close(layer(x), before)


def test_norms_and_biases_stay_and_new_classes_are_free(class_benchmark):
    plugin = GPM()
    strategy = make_strategy(class_benchmark, {"gpm": plugin}, optimizer="adamw", weight_decay=0.1)
    first, second, _ = class_benchmark.train_stream
    strategy.train_task(first)
    before = {name: value.clone() for name, value in strategy.model.named_parameters()}
    strategy.train_task(second)
    after = dict(strategy.model.named_parameters())
    for name, old in before.items():
        if name not in plugin.bases:
            assert after[name][: len(old)].equal(old), name
    head = "heads.0.conv.weight"
    assert len(after[head]) == 3
    assert any(not after[name].equal(before[name]) for name in plugin.bases if name != head)


def test_the_change_of_a_trained_network_lies_outside_the_bases(domain_benchmark):
    plugin = GPM(threshold=0.9)
    strategy = make_strategy(domain_benchmark, {"gpm": plugin}, optimizer="adamw", weight_decay=0.1)
    strategy.train_task(domain_benchmark.train_stream[0])
    before = {name: value.clone() for name, value in strategy.model.named_parameters()}
    bases = dict(plugin.bases)
    strategy.train_task(domain_benchmark.train_stream[1])
    moved = 0.0
    for name, basis in bases.items():
        change = (dict(strategy.model.named_parameters())[name] - before[name]).detach()
        flat = change.flatten(1) if name in plugin._transposed else change.flatten(1).T
        assert (basis.T @ flat).abs().max() < 1e-5, name
        moved += change.abs().sum().item()
    assert moved > 0.1


def test_state_survives_save_and_load(domain_benchmark):
    plugin, loaded = GPM(), GPM()
    train(domain_benchmark, {"gpm": plugin})
    loaded.load_state_tensors(plugin.state_tensors())
    assert loaded.state_tensors().keys() == plugin.state_tensors().keys()
    assert all(loaded.state_tensors()[name].equal(value) for name, value in plugin.state_tensors().items())


def test_the_patches_looked_at_meet_every_slot_of_a_batch():
    places = [_spread(number, 32, 4800) for number in range(32)]
    assert {place % 16 for place in places} == set(range(16))
    assert len(set(places)) == 32
    assert max(places) < 4800
    assert [_spread(number, 4, 4) for number in range(4)] == [0, 1, 2, 3]


def test_grouped_convolutions_are_refused():
    with pytest.raises(InputError, match="grouped or dilated convolution '0'"):
        GPM().check(nn.Sequential(nn.Conv2d(4, 4, 3, groups=2)))
