"""Composition of strategies."""

import pytest

from clbench.errors import InputError
from clbench.strategies import STRATEGIES
from clbench.strategies.compose import (
    build_plugins,
    network_of,
    options_of,
    parse_strategy,
    regime_of,
    strategy_options,
    with_revisions,
)
from rehearsing import Watch, make_strategy


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("joint+ewc", "ewc protects earlier tasks, but joint has none"),
        ("joint+cumulative", "each decide what is trained on"),
        ("single+joint", "each decide what is trained on"),
        ("ewc+ewc", "names a part twice"),
        ("naive+ewc", "leave it out"),
        ("l2gnet+med-disseg", "each bring their own network"),
        ("joint+lwf", "lwf protects earlier tasks, but joint has none"),
        ("frozen+mas", "mas protects earlier tasks, but frozen learns none after the first"),
        ("frozen+cumulative", "each decide what is trained on"),
        ("mib+plop", "mib and plop each read partly annotated masks in their own way"),
        ("replay+mib", "each read partly annotated masks in their own way"),
        ("mib+ewc", "mib gives new classes a share of the head's background, to which ewc holds the network"),
        ("plop+lwf", "plop gives new classes a share of the head's background, to which lwf holds the network"),
        ("ewc+segrge", "unknown strategy 'segrge'; did you mean segreg"),
        ("", "unknown strategy ''"),
    ],
)
def test_senseless_compositions_are_refused(text, message):
    with pytest.raises(InputError, match=message):
        parse_strategy(text)


def test_regularizers_go_with_every_regime():
    for regime in ("joint", "cumulative", "single"):
        assert regime_of(parse_strategy(f"segreg+{regime}")) == STRATEGIES[regime].regime


@pytest.mark.parametrize("name", STRATEGIES)
def test_every_strategy_builds_from_its_default_options(name):
    plugins = build_plugins(strategy_options([name], {}), seed=3)
    assert set(plugins) == ({name} if STRATEGIES[name].plugin else set())
    assert all(getattr(plugin, "seed", 3) == 3 for plugin in plugins.values())


def test_a_revised_strategy_says_so_in_its_identity_and_is_built_all_the_same():
    options = strategy_options(["ewc", "der"], {})
    identity = with_revisions(options)
    assert identity["ewc"] == options["ewc"]
    assert identity["der"] == {**options["der"], "revision": STRATEGIES["der"].revision}
    assert set(build_plugins(identity, seed=3)) == {"ewc", "der"}
    with pytest.raises(InputError, match="unknown option of der 'revision'"):
        options_of("der", {"revision": 1})


@pytest.mark.parametrize("name", [name for name, spec in STRATEGIES.items() if spec.penalty])
def test_the_penalty_option_named_by_the_registry_exists(name):
    assert STRATEGIES[name].penalty in options_of(name, {})


def test_a_strategy_brings_its_network_and_others_take_the_one_wanted():
    assert network_of(["naive"]) == "unet"
    assert network_of(["ewc"], "l2gnet") == "l2gnet"
    assert network_of(["ewc", "l2gnet"]) == network_of(["l2gnet"], "l2gnet") == "l2gnet"
    with pytest.raises(InputError, match="strategy l2gnet brings its own network, not unet; leave out --network"):
        network_of(["l2gnet"], "unet")


@pytest.mark.parametrize("text", ["lwf+ewc", "ewc+segreg+lwf", "derpp+ewc", "segreg+replay"])
def test_every_part_of_a_combination_does_its_work_in_the_second_task(domain_benchmark, text):
    """Terms are more than 0 once the weights have moved; replay has no term, but as many patches again."""
    terms, watch = [], Watch()
    plugins = build_plugins(strategy_options(parse_strategy(text), {}), seed=0)
    strategy = make_strategy(domain_benchmark, {**plugins, "watch": watch})
    strategy.on_step = lambda strategy: terms.append({name: one.item() for name, one in strategy.loss_terms.items()})
    for experience in domain_benchmark.train_stream[:2]:
        strategy.train_task(experience)
    for name in parse_strategy(text):
        charged = [value for key, value in terms[-1].items() if key.startswith(name)]
        assert min(charged, default=0.0) > 0 or name == "replay"
    assert len(watch.batches[-1][0]) == (4 if "replay" in text else 2)
