"""Replay: what joins the batch, and what its masks are taken for."""

from types import SimpleNamespace

import pytest
import torch

from clbench.errors import InputError
from clbench.functional.losses import dice_ce
from clbench.functional.partial import marginal_loss
from clbench.strategies.compose import parse_strategy
from clbench.strategies.replay import Replay
from rehearsing import make_strategy, train


def test_current_patches_stay_those_of_naive_and_memory_comes_on_top(domain_benchmark):
    _, naive = train(domain_benchmark, {})
    _, ours = train(domain_benchmark, {"replay": Replay(share=1.0)})
    sizes = [len(x) for x, _ in ours.batches]
    assert sizes == [2] * 3 + [4] * 6
    for (x, y), (plain_x, plain_y) in zip(ours.batches, naive.batches, strict=True):
        assert x[:2].equal(plain_x)
        assert y[:2].equal(plain_y)


def test_memory_patches_are_of_earlier_tasks_only(domain_benchmark):
    replay = Replay(budget=1.0, share=1.0)
    strategy = make_strategy(domain_benchmark, {"replay": replay})
    tasks = []
    for experience in domain_benchmark.train_stream:
        strategy.train_task(experience)
        tasks.append(sorted(set(replay.memory.entries[:, 0].tolist())))
    assert tasks == [[1], [1, 2], [1, 2, 3]]
    assert replay.replayed_fraction == 1.0
    assert replay.replayed_bytes > 10_000 > replay.stored_bytes


def test_the_loss_is_that_of_the_joined_batch(domain_benchmark):
    seen = []

    class Check(Replay):
        def before_backward(self, strategy, **_):
            terms = dice_ce(strategy.mb_output, strategy.mb_y)
            seen.append(((terms["dice"] + terms["ce"]).item(), strategy.loss.item(), len(strategy.mb_y)))

    train(domain_benchmark, {"replay": Check(share=0.5)})
    assert [size for *_, size in seen] == [2] * 3 + [3] * 6
    assert all(expected == found for expected, found, _ in seen)


def test_masks_of_a_class_stream_are_read_as_partly_annotated(class_benchmark):
    seen = []

    class Check(Replay):
        def before_backward(self, strategy, **_):
            task = strategy.experience.index
            bits = [1 << task] * 2 + [2] * (len(strategy.mb_y) - 2)
            terms = marginal_loss(dice_ce, strategy.mb_output, strategy.mb_y, bits)
            seen.append((task, len(bits), (terms["dice"] + terms["ce"]).item(), strategy.loss.item()))
            assert set(strategy.mb_y[:2].unique().tolist()) <= {0, task}

    first_two = SimpleNamespace(train_stream=class_benchmark.train_stream[:2])
    train(first_two, {"replay": Check()})
    assert [(task, size) for task, size, *_ in seen] == [(1, 2)] * 3 + [(2, 4)] * 3
    assert all(expected == found for *_, expected, found in seen)


def test_background_as_given_leaves_the_criterion_alone(class_benchmark):
    class Check(Replay):
        def before_backward(self, strategy, **_):
            terms = dice_ce(strategy.mb_output, strategy.mb_y)
            assert (terms["dice"] + terms["ce"]).item() == strategy.loss.item()

    strategy, _ = train(class_benchmark, {"replay": Check(background="given")})
    assert strategy._criterion is dice_ce


def test_the_criterion_is_put_back_after_every_task(class_benchmark):
    strategy, _ = train(class_benchmark, {"replay": Replay()})
    assert strategy._criterion is dice_ce


def test_it_trains_with_deep_supervision_on_a_growing_head(class_benchmark):
    strategy, watch = train(class_benchmark, {"replay": Replay()}, deep_supervision=True)
    assert strategy.model.classes == 4
    assert all(torch.isfinite(torch.tensor(watch.losses)))


def test_slices_need_slices():
    network = SimpleNamespace(topology=SimpleNamespace(strides=((1, 1, 1),)))
    Replay().check(network)
    with pytest.raises(InputError, match="needs a 2-D plan"):
        Replay(budget=32, unit="slices").check(network)


def test_it_combines_where_there_is_a_past():
    assert parse_strategy("segreg+replay+ewc") == ["ewc", "segreg", "replay"]
    for regime in ("joint", "single", "cumulative"):
        with pytest.raises(InputError, match=f"replay protects earlier tasks, but {regime} has none"):
            parse_strategy(f"{regime}+replay")
