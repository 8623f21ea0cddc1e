"""GSS: the memory holds cases whose gradients differ, and is replayed."""

import pytest
import torch
from numpy.lib.stride_tricks import sliding_window_view

from clbench.functional.greedy import greedy_selection
from clbench.networks.unet import weights
from clbench.strategies import gss
from clbench.strategies.gss import GSS
from clbench.strategies.rehearsal import gradient_of
from rehearsing import make_strategy, train
from strategies.plain import dice_plus_ce


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


def cut_out_of(case, image, mask, label):
    """Whether a patch is a window of a slice of the case, as it is, with a mask of that label alone."""
    images, masks = (sliding_window_view(array, image.shape[1:], (0, 1)) for array in (case.image[0], case.mask))
    same = (images == image[0].numpy()).all((-1, -2)) & (masks * (masks == label) == mask.numpy()).all((-1, -2))
    return same.any()


def test_gradients_are_those_of_the_loss_on_plain_patches_of_the_case_alone(selections, class_benchmark, monkeypatch):
    seen = []

    def record(strategy, plugin, x, y, bits):
        seen.append((x, y, gradient_of(strategy, plugin, x, y, bits)))
        return seen[-1][-1]

    monkeypatch.setattr(gss, "gradient_of", record)
    strategy = make_strategy(class_benchmark, {"gss": GSS()})
    for experience in class_benchmark.train_stream[:2]:
        strategy.train_task(experience)
    (*_, ((member,), _)), (members, stream, *_) = selections
    entries = [(1, member), *((2, number - len(members)) for number in stream)]
    assert len(entries) == 4
    network = strategy.model.eval()
    for (task, position), (x, y, found) in zip(entries, seen[-4:], strict=True):
        case = experience.pools[task - 1][position].prepared
        assert len(x) == 2
        assert all(cut_out_of(case, image, mask, task) for image, mask in zip(x, y, strict=True))
        chance = network(x).softmax(1)[:, task]  # task k annotates label k, and its masks say nothing of others
        loss = dice_plus_ce(torch.stack([1 - chance, chance], 1), (y == task).long())
        expected = torch.autograd.grad(loss, list(network.parameters()))
        torch.testing.assert_close(found, torch.cat([value.flatten() for value in expected]), rtol=1e-4, atol=1e-6)


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
