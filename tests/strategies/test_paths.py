"""SI, RWalk, MAS, L2 and frozen: what is remembered of a task, and what leaving it costs."""

import pytest
import torch
from avalanche.core import SupervisedPlugin
from avalanche.training import Naive

from clbench.functional.importance import output_sensitivity, path_importance
from clbench.networks.unet import weights
from clbench.strategies.frozen import Frozen
from clbench.strategies.gpm import GPM
from clbench.strategies.l2 import L2
from clbench.strategies.mas import MAS
from clbench.strategies.patches import training_patches
from clbench.strategies.rwalk import RWalk
from clbench.strategies.si import SI
from rehearsing import make_strategy, train
from strategies.test_avalanche import train_with


class Diary(SupervisedPlugin):
    """Weights before and after each step of the first task, and the gradient between them."""

    def __init__(self):
        super().__init__()
        self.weights, self.gradients = [], []

    def before_training_exp(self, strategy, **_):
        self.start = {name: value.clone() for name, value in weights(strategy.model).items()}

    def after_backward(self, strategy, **_):
        self.gradients.append({name: value.grad.clone() for name, value in strategy.model.named_parameters()})
        self.weights.append({name: value.clone() for name, value in weights(strategy.model).items()})

    def after_update(self, strategy, **_):
        self.after = {name: value.clone() for name, value in weights(strategy.model).items()}
        self.ends = [*getattr(self, "ends", []), self.after]


def first_task(benchmark, **plugins):
    diary = Diary()
    strategy = make_strategy(benchmark, {**plugins, "diary": diary})
    strategy.train_task(benchmark.train_stream[0])
    return strategy, diary


def falls(diary, name):
    return [
        -gradient[name] * (end[name] - start[name])
        for gradient, start, end in zip(diary.gradients, diary.weights, diary.ends, strict=True)
    ]


def test_si_remembers_what_each_weight_contributed(domain_benchmark):
    plugin = SI(xi=0.01)
    strategy, diary = first_task(domain_benchmark, si=plugin)
    path = {name: sum(falls(diary, name)) for name in diary.start}
    expected = path_importance(path, diary.start, diary.after, 0.01)
    for name, value in expected.items():
        torch.testing.assert_close(plugin.kept["importance"][name], value, rtol=1e-5, atol=1e-8)
        assert plugin.kept["anchor"][name].equal(weights(strategy.model)[name])
    assert any(value.gt(0).any() for value in plugin.kept["importance"].values())  # also without a GPU


def test_the_path_does_not_see_the_penalty(domain_benchmark):
    """A weight whose task gradient is zero has no path, however hard the penalty pulls."""
    plugin = SI(weight=100.0)
    strategy = make_strategy(domain_benchmark, {"si": plugin})
    network = torch.nn.Linear(1, 1, bias=False)
    plugin.kept = {"anchor": {"weight": torch.ones(1, 1)}, "importance": {"weight": torch.ones(1, 1)}}
    strategy.model, strategy.loss = network, torch.zeros(())
    plugin.begin({"weight": network.weight.detach().clone()})
    network.weight.grad = torch.zeros(1, 1)
    plugin.after_backward(strategy)
    assert network.weight.grad.item() == pytest.approx(100 * (network.weight.item() - 1))
    with torch.no_grad():
        network.weight -= 0.01 * network.weight.grad
    plugin.after_training_iteration(strategy)
    assert plugin.kept["path"]["weight"].item() == 0


class PathsOf(SupervisedPlugin):
    """The paths of SI at the end of each task; stands before it."""

    def __init__(self, plugin):
        super().__init__()
        self.plugin, self.paths = plugin, []

    def after_training_exp(self, strategy, **_):
        self.paths.append({name: value.clone() for name, value in self.plugin.kept["path"].items()})


def test_the_path_is_that_of_the_step_as_gpm_leaves_it(domain_benchmark):
    """What GPM holds still contributes nothing, whatever the optimizer wanted of it."""
    plugin, held = SI(), GPM()
    paths = PathsOf(plugin)
    train(domain_benchmark, {"paths": paths, "si": plugin, "gpm": held}, optimizer="adamw", weight_decay=0.1)
    still = [name for name in held.rows if name not in held.bases]
    assert still
    assert all(paths.paths[0][name].any() for name in still)
    assert not any(paths.paths[1][name].any() for name in still)


def test_rwalk_remembers_fisher_information_and_scores_of_its_intervals(domain_benchmark):
    plugin = RWalk(update_every=2, alpha=0.75, damping=1e-6)
    _, diary = first_task(domain_benchmark, rwalk=plugin)  # three steps: one whole interval and a half
    fisher, score = {}, {}
    for name in diary.start:
        g, fall = [gradient[name] for gradient in diary.gradients], falls(diary, name)
        first, last = (g[0] ** 2 + g[1] ** 2) / 2, g[2] ** 2
        fisher[name] = 0.75 * last + 0.25 * first
        steps = [diary.ends[1][name] - diary.start[name], diary.ends[2][name] - diary.ends[1][name]]
        score[name] = (fall[0] + fall[1]).clamp(min=0) / (first * steps[0] ** 2 / 2 + 1e-6)
        score[name] += fall[2].clamp(min=0) / (fisher[name] * steps[1] ** 2 / 2 + 1e-6)
    most = [max(value.max() for value in values.values()) for values in (fisher, score)]
    for name in diary.start:
        expected = fisher[name] / most[0] + score[name] / most[1]
        torch.testing.assert_close(plugin.kept["importance"][name], expected, rtol=1e-4, atol=1e-6)


def test_rwalk_halves_the_scores_of_earlier_tasks(domain_benchmark):
    """Without charge, so that the second task is learned alike whatever is remembered of the first."""

    def scores(*, forget):
        plugin = RWalk(weight=0.0)
        strategy = make_strategy(domain_benchmark, {"rwalk": plugin})
        strategy.train_task(domain_benchmark.train_stream[0])
        first = plugin.kept.pop("score") if forget else plugin.kept["score"]
        strategy.train_task(domain_benchmark.train_stream[1])
        return first, plugin.kept["score"]

    first, both = scores(forget=False)
    _, second = scores(forget=True)
    for name, value in both.items():
        torch.testing.assert_close(value, (first[name] + second[name]) / 2)
    assert any(value.any() for value in first.values())
    assert any(value.any() for value in second.values())


def test_the_change_of_the_output_that_rwalk_divides_by_is_mostly_below_its_damping(domain_benchmark):
    """As its page says: the gradient of a mean over voxels and batch is too small for it, squared."""
    changes = []

    class Watched(RWalk):
        def _close(self, weights):
            start = self.kept["interval_start"]
            super()._close(weights)
            fisher = self.kept["fisher"]
            changes.extend((fisher[name] * (weights[name] - start[name]) ** 2 / 2).flatten() for name in fisher)

    plugin = Watched(update_every=3)
    train(domain_benchmark, {"rwalk": plugin}, learning_rate=3e-3)
    assert (torch.cat(changes) > plugin.damping).float().mean() < 0.5


def test_rwalk_learns_at_its_defaults(domain_benchmark):
    """Stock Avalanche's collapses to an empty prediction."""
    _, ours = train(domain_benchmark, {"rwalk": RWalk()}, steps=3)
    _, naive = train(domain_benchmark, {}, steps=3)
    assert ours.losses[-1] < 1.5 * naive.losses[-1]


def test_mas_remembers_how_the_output_depends_on_each_weight(domain_benchmark):
    plugin = MAS(samples=4, gamma=0.5)
    strategy = make_strategy(domain_benchmark, {"mas": plugin})
    total = {}
    for experience in list(domain_benchmark.train_stream)[:2]:
        strategy.train_task(experience)
        strategy.experience = experience
        new = output_sensitivity(strategy.model, training_patches(strategy, 4))
        total = {name: value + 0.5 * total.get(name, 0) for name, value in new.items()}
    for name, value in total.items():
        torch.testing.assert_close(plugin.kept["importance"][name], value)


@pytest.mark.parametrize("plugin", [L2, SI, MAS, RWalk])
def test_memory_does_not_grow_with_the_number_of_tasks(plugin, domain_benchmark):
    kept, sizes = plugin(), []
    strategy = make_strategy(domain_benchmark, {"kept": kept})
    for experience in domain_benchmark.train_stream:
        strategy.train_task(experience)
        sizes.append(kept.stored_bytes)
    count = sum(parameter.numel() for parameter in strategy.model.parameters())
    assert sizes == [{L2: 4, SI: 8, MAS: 8, RWalk: 16}[plugin] * count] * 3


@pytest.mark.parametrize("plugin", [L2, SI, MAS, RWalk])
def test_new_classes_are_free(plugin, class_benchmark):
    kept = plugin()
    strategy = make_strategy(class_benchmark, {"kept": kept})
    first, second, *_ = class_benchmark.train_stream
    strategy.train_task(first)
    if "importance" in kept.kept:  # of a path of few steps, much is 0
        kept.kept["importance"] = {name: torch.ones_like(value) for name, value in kept.kept["importance"].items()}
    charges = []
    with torch.no_grad():
        for value in strategy.model.parameters():
            value.add_(0.1)
    strategy.grown(strategy.model, second)
    for scale in (1.0, 100.0):
        with torch.no_grad():
            strategy.model.heads[0].conv.weight[first.classes :] *= scale
            strategy.model.heads[0].conv.bias[first.classes :] += scale
        charges.append(kept.penalty(strategy.model).item())
    assert charges[0] == charges[1] > 0
    for experience in class_benchmark.train_stream[1:]:
        strategy.train_task(experience)
    assert {len(values["heads.0.conv.weight"]) for values in kept.kept.values()} == {4}


@pytest.mark.parametrize("plugin", [L2, SI, MAS, RWalk, Frozen])
def test_it_is_a_plugin_of_stock_naive(plugin, network, domain_benchmark):
    kept = plugin()
    train_with(Naive, network, domain_benchmark, kept)
    assert kept.state_tensors()


def test_frozen_keeps_the_network_of_the_first_task(domain_benchmark):
    strategy = make_strategy(domain_benchmark, {"frozen": Frozen()})
    strategy.train_task(domain_benchmark.train_stream[0])
    before = {name: value.clone() for name, value in weights(strategy.model).items()}
    for experience in list(domain_benchmark.train_stream)[1:]:
        strategy.train_task(experience)
    assert all(value.equal(before[name]) for name, value in weights(strategy.model).items())


def test_frozen_never_predicts_a_class_that_it_has_not_learned(class_benchmark):
    strategy = make_strategy(class_benchmark, {"frozen": Frozen()})
    x = torch.randn(2, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    strategy.train_task(class_benchmark.train_stream[0])
    before = strategy.model.eval()(x).argmax(1)
    for experience in list(class_benchmark.train_stream)[1:]:
        strategy.train_task(experience)
    after = strategy.model.eval()(x)
    assert after.shape[1] == 4
    assert after.argmax(1).equal(before)
