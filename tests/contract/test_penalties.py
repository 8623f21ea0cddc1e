"""What every strategy that charges for forgetting must do, seen at the first step of the third task."""

import pytest
import torch

from clbench.data.prepare import prepare_cases
from clbench.seeding import torch_generator
from clbench.strategies import STRATEGIES
from clbench.strategies.compose import build_plugins, options_of
from clbench.strategies.template import under
from clbench.streams.benchmark import Sampling, make_benchmark
from clbench.streams.load import load_stream
from rehearsing import make_strategy

CHARGING = [name for name, spec in STRATEGIES.items() if spec.needs_past and spec.scales]
KINDS = ["domain", "class"]


@pytest.fixture(scope="module")
def benchmarks(domain_card, class_card, tmp_path_factory):
    """Kind -> the toy stream as an Avalanche benchmark."""
    found = {}
    for kind, card in zip(KINDS, (domain_card, class_card), strict=True):
        stream = load_stream(str(card), data=card.parent)
        plan = stream.plan("default")
        prepared = prepare_cases(stream.cases, plan, tmp_path_factory.mktemp("prepared"))
        found[kind] = make_benchmark(stream, prepared, Sampling(plan, 0, 3, 2))
    return found


def learner(benchmark, name, **options):
    (plugin,) = build_plugins({name: {**options_of(name, {}), **options}}, seed=0).values()
    return make_strategy(benchmark, {name: plugin})


def learned(benchmark, name, tasks, *, forget_after=0, **options):
    """All state of a strategy that has learned some tasks; its plugin may be made to forget all that it kept."""
    strategy = learner(benchmark, name, **options)
    for task in tasks:
        strategy.train_task(benchmark.train_stream[task - 1])
        if task == forget_after:
            strategy.named_plugins[name].load_state_tensors({})
    return strategy.save_state(optimizer=False).tensors


def free(name):
    """The options with which a strategy charges nothing."""
    return dict.fromkeys(STRATEGIES[name].scales, 0.0)


def charged(benchmark, name, state, *, still=(), **options):
    """What the first step of the third task costs besides the segmentation loss, at weights that noise has moved.

    Weights whose names begin as one of ``still`` stay where they are.
    """
    terms = []
    strategy = learner(benchmark, name, **options)
    strategy.on_step = lambda strategy: terms.append(dict(strategy.loss_terms))
    strategy.named_plugins[name].load_state_tensors(under(state, f"plugin/{name}/"))
    strategy.experience = benchmark.train_stream[2]
    strategy.model_adaptation()
    with torch.no_grad():
        for key, value in strategy.model.named_parameters():
            if not key.startswith(still):
                value += 0.05 * torch.randn(value.shape, generator=torch_generator(0, key))
    strategy.train_task(benchmark.train_stream[2])
    return sum(value.item() for key, value in terms[0].items() if key.startswith(name))


@pytest.mark.parametrize("name", STRATEGIES)
def test_the_registry_knows_the_options_that_scale(name):
    """An option called weight is one, whatever else it is called elsewhere."""
    spec, options = STRATEGIES[name], options_of(name, {})
    assert set(spec.scales) <= set(options)
    assert "weight" in spec.scales or "weight" not in options
    assert not (spec.penalty and spec.factors)
    assert spec.replaces_loss or not spec.factors


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("name", "option"), [(name, option) for name in CHARGING for option in STRATEGIES[name].scales]
)
def test_the_charge_is_linear_in_each_option_that_scales(benchmarks, name, option, kind):
    """Seen while the others are 0."""
    state = learned(benchmarks[kind], name, (1, 2))
    one, three = (charged(benchmarks[kind], name, state, **{**free(name), option: factor}) for factor in (1.0, 3.0))
    assert one > 0
    assert three == pytest.approx(3 * one, rel=1e-5)


@pytest.mark.parametrize("name", CHARGING)
def test_every_earlier_task_has_its_part_in_the_charge(benchmarks, name):
    """Learned without charge, so that the weights are the same whatever is remembered."""
    stream = benchmarks["domain"]
    if STRATEGIES[name].replays:  # a reservoir fills its places in one order, and cannot have missed a task
        held = learned(stream, name, (1, 2))[f"plugin/{name}/numbers"]
        assert set((held // len(stream.train_stream[0].patches)).tolist()) == {0, 1}
        return
    whole = charged(stream, name, learned(stream, name, (1, 2), **free(name)))
    assert charged(stream, name, learned(stream, name, (1,), **free(name))) != pytest.approx(whole, rel=1e-6)
    without_first = charged(stream, name, learned(stream, name, (1, 2), forget_after=1, **free(name)))
    assert (without_first == pytest.approx(whole, rel=1e-6)) == STRATEGIES[name].chained


@pytest.mark.parametrize("name", [name for name in CHARGING if not STRATEGIES[name].replaces_loss])
def test_the_registry_knows_who_holds_the_head(benchmarks, name):
    stream = benchmarks["domain"]
    state = learned(stream, name, (1, 2))
    moved, still = (charged(stream, name, state, still=prefix) for prefix in ((), "heads."))
    assert (moved != pytest.approx(still, rel=1e-6)) == STRATEGIES[name].anchors_head
