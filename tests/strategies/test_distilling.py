"""Strategies that learn from the previous network: the teacher, and what each of them charges."""

from types import SimpleNamespace

import pytest
import torch
from avalanche.core import SupervisedPlugin
from avalanche.training import Naive

from clbench.errors import InputError
from clbench.functional.distillation import distillation, unbiased_distillation
from clbench.functional.losses import dice_ce
from clbench.networks import build_network
from clbench.networks.head import grow_head
from clbench.networks.taps import tap
from clbench.networks.unet import weights
from clbench.strategies.der import DER
from clbench.strategies.fdr import FDR
from clbench.strategies.lwf import LwF
from clbench.strategies.mib import MiB
from clbench.strategies.plop import PLOP
from clbench.strategies.pod import POD
from clbench.strategies.segreg import SegReg
from clbench.strategies.teacher import frozen_copy
from rehearsing import make_strategy, train
from strategies.test_avalanche import train_with

TEACHER = {PLOP: "teacher/"}


class Spy(SupervisedPlugin):
    """The plugin watched, at the first step of each task: what it charges and what it knows."""

    def __init__(self, plugin):
        super().__init__()
        self.plugin, self.first, self.answers = plugin, {}, {}

    def before_backward(self, strategy, **_):
        task = strategy.experience.index
        if task not in self.first:
            self.first[task] = {name: value.item() for name, value in strategy.loss_terms.items()}
            self.answers[task] = list(self.plugin.answers)


def watched(benchmark, plugin, **options):
    spy = Spy(plugin)
    train(benchmark, {"taught": plugin, "spy": spy}, **options)
    return spy


def image(network, batch=2):
    return torch.randn(batch, 1, 16, 16, generator=torch.Generator().manual_seed(0))


def test_a_teacher_answers_as_the_network_did_before_its_head_grew(network):
    kept = {name: value.clone() for name, value in weights(network).items()}
    before = network.eval()(image(network))
    grow_head(network, 6, seed=1)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 1.0
    teacher = frozen_copy(network, kept)
    torch.testing.assert_close(teacher(image(network)), before.detach())
    assert weights(teacher).keys() == kept.keys()
    assert all(value.equal(kept[name]) for name, value in weights(teacher).items())


def test_a_teacher_shares_nothing_and_learns_nothing(network):
    with tap(network, ["last"]) as listening:
        teacher = frozen_copy(network, weights(network))
        teacher(image(network))
        assert not listening.features  # it has no hooks of others
    assert not any(parameter.requires_grad for parameter in teacher.parameters())
    own = {parameter.data_ptr() for parameter in network.parameters()}
    assert not own & {parameter.data_ptr() for parameter in teacher.parameters()}
    assert not any(module.training for module in teacher.modules() if module is not teacher)


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16], ids=str)
def test_a_teacher_with_the_networks_weights_gives_its_answers_to_the_last_bit(precision):
    grid = SimpleNamespace(dims=2, patch_size=(32, 32), spacing_mm=(0.0, 0.0, 0.0))
    network = build_network(
        "unet", plan=grid, in_channels=1, classes=3, base_features=8, max_features=32, deep_supervision=True, seed=0
    )
    x = torch.randn(4, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    with torch.autocast("cpu", torch.bfloat16, enabled=precision == torch.bfloat16):
        ours = network.train()(x)
        with torch.no_grad():
            theirs = frozen_copy(network, weights(network))(x)
    assert all(level.equal(answer) for level, answer in zip(ours, theirs, strict=True))


@pytest.mark.parametrize("plugin", [LwF, MiB, POD, PLOP])
def test_nothing_is_charged_in_the_first_task_and_at_the_first_step_of_the_second(plugin, domain_benchmark):
    """There the network is still its own teacher."""
    spy = watched(domain_benchmark, plugin())
    name = plugin.__name__.lower()
    assert name not in spy.first[1]
    assert spy.first[2][name] == pytest.approx(0, abs=1e-5)


@pytest.mark.parametrize("plugin", [LwF, MiB, POD, PLOP])
def test_it_works_under_deep_supervision_and_a_grown_head(plugin):
    grid = SimpleNamespace(dims=2, patch_size=(32, 32), spacing_mm=(0.0, 0.0, 0.0))
    network = build_network(
        "unet", plan=grid, in_channels=1, classes=2, base_features=4, max_features=8, deep_supervision=True, seed=0
    )
    taught, x = plugin(), torch.randn(2, 1, 32, 32, generator=torch.Generator().manual_seed(0))
    taught.load_state_tensors({f"{TEACHER.get(plugin, '')}{name}": value for name, value in weights(network).items()})
    taught.thresholds = torch.tensor([0.9, 0.9])
    grow_head(network, 3, seed=1)
    strategy = SimpleNamespace(
        model=network, mb_x=x, loss=torch.zeros(()), loss_terms={}, _criterion=dice_ce, experience=None
    )
    taught.before_training_exp(strategy)
    taught.before_forward(strategy)
    strategy.mb_output = network.train()(x)
    taught.after_forward(strategy)
    assert [answer.shape for answer in taught.answers] == [level[:, :2].shape for level in strategy.mb_output]
    assert len(taught.answers) > 1
    terms = strategy._criterion(strategy.mb_output, torch.randint(2, (2, 32, 32)) * 2)
    strategy.loss = sum(terms.values())
    taught.before_backward(strategy)
    strategy.loss.backward()
    assert all(torch.isfinite(head.conv.weight.grad).all() for head in network.heads)
    taught.after_backward(strategy)
    assert taught.answers == []


def test_answers_are_in_the_precision_of_the_student(network):
    taught = LwF()
    taught.load_state_tensors(weights(network))
    for precision, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16)):
        strategy = SimpleNamespace(model=network, precision=precision)
        (answer,) = taught.ask(strategy, image(network))
        assert answer.dtype == dtype
        assert not answer.requires_grad


def test_the_old_teacher_is_let_go(domain_benchmark):
    taught = LwF()
    strategy, _ = train(domain_benchmark, {"lwf": taught})
    assert taught._teacher is None
    assert taught.stored_bytes == sum(4 * parameter.numel() for parameter in strategy.model.parameters())
    assert all(value.equal(taught.kept[name]) for name, value in weights(strategy.model).items())


def test_lwf_charges_the_weighted_divergence_from_the_previous_network(network):
    taught = LwF(weight=3.0, temperature=2.0)
    taught.load_state_tensors({name: value.clone() for name, value in weights(network).items()})
    old = network.eval()(image(network)).detach()
    with torch.no_grad():
        for parameter in network.parameters():
            parameter += 0.1
    output = network(image(network))
    strategy = SimpleNamespace(
        model=network, mb_x=image(network), mb_output=output, loss=torch.zeros(()), loss_terms={}
    )
    taught.before_forward(strategy)
    taught.after_forward(strategy)
    taught.before_backward(strategy)
    assert strategy.loss.item() == pytest.approx(3 * distillation(output, old, 2.0).item(), rel=1e-5)
    strategy.loss.backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


class Compared(SupervisedPlugin):
    """What LwF charges, and the divergence worked out anew on the patches of the task at hand."""

    def __init__(self, taught):
        super().__init__()
        self.taught, self.charged, self.expected = taught, [], []

    def before_backward(self, strategy, **_):
        if self.taught.kept:
            self.charged.append(strategy.loss_terms["lwf"].item())
            with torch.no_grad():
                own = strategy.model(strategy.mb_x)
            self.expected.append(distillation(own, self.taught.ask(strategy, strategy.mb_x)[0], 2.0).item())


@pytest.mark.parametrize("other", [DER, FDR])
def test_beside_a_rehearsal_that_appends_patches_lwf_charges_those_of_the_task(other, domain_benchmark):
    taught = LwF(weight=1.0)
    compared = Compared(taught)
    train(domain_benchmark, {"lwf": taught, "other": other(), "compared": compared})
    assert len(compared.charged) == 6
    assert compared.charged == pytest.approx(compared.expected, rel=1e-4, abs=1e-7)
    assert max(compared.charged) > 0


def test_mib_starts_new_classes_from_the_background(network):
    old = network.eval()(image(network)).detach()
    grow_head(network, 6, seed=1)
    for head in network.heads:
        head.share_background(4)
    new = network(image(network)).detach()
    assert unbiased_distillation(new, old, 1.0).item() == pytest.approx(0, abs=1e-6)
    before, after = old.softmax(1), new.softmax(1)
    torch.testing.assert_close(after[:, 1:4], before[:, 1:4])
    for label in (0, 4, 5):
        torch.testing.assert_close(after[:, label], before[:, 0] / 3)


def test_mib_charges_nothing_at_the_start_of_a_task_with_new_classes(class_benchmark):
    spy = watched(class_benchmark, MiB())
    assert spy.first[2]["mib"] == pytest.approx(0, abs=1e-5)
    assert spy.first[3]["mib"] == pytest.approx(0, abs=1e-5)


class FirstOutput(SupervisedPlugin):
    """What network and teacher predict at the first step of each task."""

    def __init__(self, taught):
        super().__init__()
        self.taught, self.pairs = taught, {}

    def before_backward(self, strategy, **_):
        if self.taught.answers:
            pair = strategy.mb_output.detach().softmax(1), self.taught.answers[0].softmax(1)
            self.pairs.setdefault(strategy.experience.index, pair)


@pytest.mark.parametrize("plugin", [MiB, PLOP])
def test_new_classes_start_with_a_share_of_the_backgrounds_probability(plugin, class_benchmark):
    first = FirstOutput(taught := plugin())
    train(class_benchmark, {"taught": taught, "first": first})
    assert sorted(first.pairs) == [2, 3]
    for ours, theirs in first.pairs.values():
        known = theirs.shape[1]
        torch.testing.assert_close(ours[:, 1:known], theirs[:, 1:])
        torch.testing.assert_close(ours[:, :1], theirs[:, :1] / 2)
        torch.testing.assert_close(ours[:, known:], theirs[:, :1] / 2)


def test_on_a_domain_stream_mib_is_lwf_at_temperature_one(domain_benchmark):
    ours, _ = train(domain_benchmark, {"mib": MiB(weight=2.0)})
    theirs, _ = train(domain_benchmark, {"lwf": LwF(weight=2.0, temperature=1.0)})
    for name, value in weights(ours.model).items():
        torch.testing.assert_close(value, weights(theirs.model)[name], rtol=1e-4, atol=1e-6)


def test_on_a_domain_stream_plop_is_pod(domain_benchmark):
    ours, _ = train(domain_benchmark, {"plop": PLOP(weight=2.0)})
    theirs, _ = train(domain_benchmark, {"pod": POD(weight=2.0)})
    assert all(value.equal(weights(theirs.model)[name]) for name, value in weights(ours.model).items())


def test_plop_knows_how_sure_the_previous_network_is_of_each_class(class_benchmark):
    seen = {}

    class Look(SupervisedPlugin):
        def before_backward(self, strategy, **_):
            seen[strategy.experience.index] = taught.thresholds

    taught = PLOP(samples=2)
    train(class_benchmark, {"plop": taught, "look": Look()})
    assert seen[1] is None
    assert len(seen[2]) == 2
    assert len(seen[3]) == 3
    assert all(((value >= 0.001) & (value <= 1)).all() for value in (seen[2], seen[3]))
    assert taught.thresholds is None


@pytest.mark.parametrize("plugin", [MiB, PLOP])
def test_the_segmentation_loss_is_given_back(plugin, class_benchmark):
    strategy = make_strategy(class_benchmark, {"taught": plugin()})
    usual = strategy._criterion
    for experience in class_benchmark.train_stream:
        strategy.train_task(experience)
        assert strategy._criterion is usual


@pytest.mark.parametrize("plugin", [LwF, MiB, POD, PLOP])
def test_it_is_a_plugin_of_stock_naive(plugin, network, domain_benchmark):
    taught = plugin()
    train_with(Naive, network, domain_benchmark, taught)
    assert taught.kept
    assert not any(module._forward_hooks for module in network.modules())


def test_the_teacher_does_not_fill_the_feature_maps_of_another_part(domain_benchmark):
    _, watch = train(domain_benchmark, {"lwf": LwF(weight=0.0), "segreg": SegReg()})
    _, alone = train(domain_benchmark, {"segreg": SegReg()})
    assert watch.losses == alone.losses


def test_levels_that_do_not_exist_are_named(network):
    with pytest.raises(InputError, match="unknown feature tap 'decoder_9'"):
        POD(taps="decoder_9").check(network)
    with pytest.raises(InputError, match="names a level twice"):
        PLOP(taps="last,last")
    with pytest.raises(InputError, match=r"name modules of it in pod.taps"):
        POD().check(torch.nn.Conv2d(1, 1, 1))
