"""GSS: the memory holds cases whose gradients differ, and is replayed."""

import pytest
import torch

from clbench.functional.greedy import greedy_selection
from clbench.networks.unet import weights
from clbench.strategies import gss
from clbench.strategies.gss import GSS
from rehearsing import make_strategy, train


@pytest.fixture
def selections(monkeypatch):
    """Arguments and results of every selection."""
    calls = []

    def record(members, scores, stream, *, gradient, **options):
        vectors = {number: gradient(number).clone() for number in [*members, *stream]}
        result = greedy_selection(members, scores, stream, gradient=vectors.__getitem__, **options)
        calls.append((list(members), list(stream), vectors, options["capacity"], result))
        return result

    monkeypatch.setattr(gss, "greedy_selection", record)
    return calls


def test_every_case_passes_the_memory_once_and_members_compete(selections, domain_benchmark):
    plugin = GSS(budget=0.5)
    train(domain_benchmark, {"gss": plugin})
    sizes = [len(pool) for pool in domain_benchmark.train_stream[-1].pools]
    for task, (members, stream, _, capacity, _) in enumerate(selections):
        assert sorted(stream) == list(range(len(members), len(members) + sizes[task]))
        assert capacity == max(1, round(0.5 * sum(sizes[: task + 1])))
    assert len(plugin.memory) == selections[-1][3]
    assert (plugin.memory.keys >= 0).all()
    assert (plugin.memory.keys <= 2).all()


def test_gradients_are_those_of_the_case_alone(selections, domain_benchmark):
    train(domain_benchmark, {"gss": GSS()})
    _, _, vectors, _, _ = selections[0]
    rows = torch.stack([vectors[number] for number in sorted(vectors)])
    assert torch.isfinite(rows).all()
    assert (rows.norm(dim=1) > 0).all()
    assert (rows[0] - rows[1]).abs().max() > 0


def test_the_memory_joins_the_batch_from_the_second_task_on(domain_benchmark):
    _, watch = train(domain_benchmark, {"gss": GSS(share=1.0)})
    assert [len(x) for x, _ in watch.batches] == [2] * 3 + [4] * 6


def test_choosing_leaves_the_network_as_the_task_left_it(domain_benchmark):
    """Its codebook included, which follows the features of every training step."""
    ours, naive = (
        make_strategy(domain_benchmark, plugins, network="l2gnet", deep_supervision=True)
        for plugins in ({"gss": GSS()}, {})
    )
    for strategy in (ours, naive):
        strategy.train_task(domain_benchmark.train_stream[0])
    expected = weights(naive.model)
    assert any("quantizer" in name for name in expected)
    assert all(value.equal(expected[name]) for name, value in weights(ours.model).items())
    assert ours.model.encoder[0].training


def test_it_trains_on_a_growing_head(class_benchmark):
    plugin = GSS(budget=1.0)
    strategy, watch = train(class_benchmark, {"gss": plugin}, deep_supervision=True)
    assert strategy.model.classes == 4
    assert torch.isfinite(torch.tensor(watch.losses)).all()
    assert sorted(set(plugin.memory.entries[:, 0].tolist())) == [1, 2, 3]
