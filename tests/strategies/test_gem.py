"""GEM and A-GEM: the gradient that reaches the optimizer harms no remembered case, and nothing else changes."""

from types import SimpleNamespace

import pytest
import torch

from clbench.errors import InputError
from clbench.functional.projection import project_to_cone, project_to_halfspace
from clbench.strategies import agem, gem
from clbench.strategies.agem import AGEM
from clbench.strategies.compose import parse_strategy
from clbench.strategies.gem import GEM
from rehearsing import make_strategy, train

PLUGINS = {"agem": AGEM, "gem": GEM}


@pytest.fixture
def projected(monkeypatch):
    """Arguments and results of every projection, with references turned round so that steps do harm."""
    calls = []

    def record(module, name, function):
        def call(gradient, references, **options):
            references = -references
            result = function(gradient, references, **options)
            calls.append((gradient.clone(), references.clone(), result.clone()))
            return result

        monkeypatch.setattr(module, name, call)

    record(agem, "project_to_halfspace", project_to_halfspace)
    record(gem, "project_to_cone", project_to_cone)
    return calls


@pytest.mark.parametrize("name", PLUGINS)
def test_the_projected_gradient_reaches_the_optimizer(projected, domain_benchmark, name):
    _, watch = train(domain_benchmark, {name: PLUGINS[name]()})
    assert len(projected) == 6
    assert any(not gradient.equal(result) for gradient, _, result in projected)
    for (_, _, result), reached in zip(projected, watch.gradients[3:], strict=True):
        assert result.equal(reached)


@pytest.mark.parametrize("name", PLUGINS)
def test_batches_and_losses_of_the_second_tasks_first_step_are_those_of_naive(domain_benchmark, name):
    _, naive = train(domain_benchmark, {})
    _, ours = train(domain_benchmark, {name: PLUGINS[name]()})
    assert ours.losses[:4] == naive.losses[:4]
    for (x, y), (plain_x, plain_y) in zip(ours.batches, naive.batches, strict=False):
        assert x.equal(plain_x)
        assert y.equal(plain_y)


def test_agem_leaves_no_step_against_the_memory(projected, domain_benchmark):
    train(domain_benchmark, {"agem": AGEM()})
    for _, reference, result in projected:
        assert result @ reference > -1e-5 * result.norm() * reference.norm()


def test_gem_has_one_reference_for_each_earlier_task(projected, domain_benchmark):
    train(domain_benchmark, {"gem": GEM(margin=0.5)})
    assert [len(references) for _, references, _ in projected] == [1] * 3 + [2] * 3
    for gradient, references, result in projected:
        assert result.equal(gradient) or (references @ result > 0).all()


def test_the_reference_is_the_gradient_of_the_memory_patches(domain_benchmark):
    seen = []

    class Check(AGEM):
        def draw(self, strategy):
            seen.append(plugin_batch := super().draw(strategy))
            return plugin_batch

        def after_backward(self, strategy, **_):
            held = [parameter.grad.clone() for parameter in strategy.model.parameters()]
            super().after_backward(strategy)
            if seen:
                x, y, _ = seen[-1]
                strategy.model.zero_grad()
                sum(strategy._criterion(strategy.model(x), y).values()).backward()
                expected = torch.cat([parameter.grad.flatten() for parameter in strategy.model.parameters()])
                torch.testing.assert_close(references[-1], expected)
                for parameter, gradient in zip(strategy.model.parameters(), held, strict=True):
                    parameter.grad = gradient

    references = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            agem, "project_to_halfspace", lambda gradient, reference: references.append(reference) or gradient
        )
        strategy = make_strategy(domain_benchmark, {"agem": Check()})
        for experience in domain_benchmark.train_stream[:2]:
            strategy.train_task(experience)
    assert len(references) == 3


@pytest.mark.parametrize(("share", "expected"), [(0.1, [1, 1]), (1.0, [1, 1]), (2.0, [2, 2]), (2.5, [3, 2])])
def test_gem_shares_its_patches_among_the_tasks(share, expected):
    plugin = GEM(share=share)
    plugin.memory.entries = torch.tensor([[1, 0, -1], [2, 0, -1]])
    assert plugin.counts(SimpleNamespace(train_mb_size=2)) == expected


@pytest.mark.parametrize("name", PLUGINS)
def test_they_train_with_deep_supervision_on_a_growing_head(class_benchmark, name):
    strategy, watch = train(class_benchmark, {name: PLUGINS[name]()}, deep_supervision=True)
    assert strategy.model.classes == 4
    assert torch.isfinite(torch.tensor(watch.losses)).all()


def test_two_projections_do_not_combine():
    with pytest.raises(InputError, match="agem and gem each decide which way the weights may move"):
        parse_strategy("gem+agem")
    with pytest.raises(InputError, match="replay and agem each read partly annotated masks in their own way"):
        parse_strategy("replay+agem")
    assert parse_strategy("agem+segreg") == ["segreg", "agem"]
