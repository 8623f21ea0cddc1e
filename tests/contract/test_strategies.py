"""What every registered strategy must do, on tiny streams; a new strategy is tested by being registered."""

import json
from itertools import pairwise

import pandas
import pytest
from safetensors.torch import load_file

from clbench.experiment import run_config
from clbench.report.load import load_runs
from clbench.reporter import SilentReporter
from clbench.runfolder import reading
from clbench.strategies import STRATEGIES
from clbench.strategies.compose import REVISION, options_of
from toy import toy_config

SCALED = [name for name, spec in STRATEGIES.items() if spec.scales]
LATENT = [name for name, spec in STRATEGIES.items() if spec.family == "latent"]
HUGE = 1e9


class StopError(Exception):
    """Stands for a kill at a chosen moment."""


class StopAt(SilentReporter):
    """Raises when a run reaches a step of a task, or has scored a task."""

    def __init__(self, task=0, step=0, scored=None):
        self.place, self.scored = (task, step), scored

    def step(self, task, tasks, name, step, steps, loss, lr):
        if (task, step) == self.place:
            raise StopError

    def evaluated(self, after_task, tasks, row):
        if after_task == self.scored:
            raise StopError


def cases(folder):
    return (folder / "cases.csv").read_bytes()


def trained_stages(folder):
    """What ``cost.json`` says of the training of each task."""
    stages = json.loads((folder / "cost.json").read_text())["stages"]
    return [stage for stage in stages if stage["stage"] == "train"]


def on_its_network(name):
    """The network that a strategy brings, as a field of ``naive``'s run."""
    return {"network": STRATEGIES[name].network} if STRATEGIES[name].network else {}


def drift(folder):
    return (folder / "drift.csv").read_bytes()


def final_weights(folder, prefix="network/"):
    (path,) = (folder / "checkpoints").glob("*/tensors.safetensors")
    return {name: value for name, value in load_file(path).items() if name.startswith(prefix)}


@pytest.fixture(scope="session")
def run_once(domain_card, class_card, first_card, volume_card, tmp_path_factory):
    """Runs on the toy streams, each made once per session."""
    made = {}

    def run(strategy, *settings, kind="domain", **fields):
        key = (strategy, settings, kind, json.dumps(fields, sort_keys=True))
        if key not in made:
            card = {"domain": domain_card, "class": class_card, "first": first_card, "volume": volume_card}[kind]
            made[key] = run_config(toy_config(card, tmp_path_factory.mktemp("runs"), strategy, settings, **fields))
        return made[key]

    return run


@pytest.mark.parametrize("kind", ["domain", "class", "volume"])
@pytest.mark.parametrize("name", STRATEGIES)
def test_trains_and_scores_every_task(run_once, name, kind):
    (run,) = load_runs(run_once(name, kind=kind))
    assert run.complete
    scores = run.scores().scores
    tasks = scores.shape[1]
    expected = {"joint": [tasks], "single": []}.get(STRATEGIES[name].regime, range(1, tasks + 1))
    for row in expected:
        assert (scores[row, : tasks if kind == "domain" else row] >= 0).all()


def logged(folder):
    """Column of ``train.csv`` -> its values."""
    return pandas.read_csv(folder / "train.csv")


@pytest.mark.parametrize("name", LATENT)
def test_latent_strategies_have_their_terms_on_volumes(run_once, name):
    """What feature maps are pooled, drawn and aligned along is not the same in 3-D."""
    terms = logged(run_once(name, kind="volume")).filter(regex=f"^{name}(\\.|$)")
    assert len(terms) == 3 * 4
    assert (terms != 0).all(axis=None)


@pytest.mark.parametrize("name", STRATEGIES)
def test_same_seed_twice_gives_the_same_bytes(run_once, domain_card, tmp_path, name):
    again = run_config(toy_config(domain_card, tmp_path, name))
    assert cases(again) == cases(run_once(name))


@pytest.mark.parametrize("place", [{"task": 1, "step": 2}, {"task": 2, "step": 4}, {"scored": 2}], ids=str)
@pytest.mark.parametrize("kind", ["domain", "class"])
@pytest.mark.parametrize("name", STRATEGIES)
def test_stopped_and_resumed_gives_the_same_bytes(run_once, domain_card, class_card, tmp_path, name, kind, place):
    if STRATEGIES[name].regime == "joint":
        place = {"task": 1, "step": 6}
    if name == "frozen" and place.get("task", 1) > 1:
        place = {"scored": 1}  # it takes no step there
    card = domain_card if kind == "domain" else class_card
    config = toy_config(card, tmp_path, name, checkpoint_steps=2)
    with pytest.raises(StopError):
        run_config(config, StopAt(**place))
    resumed, whole = run_config(config), run_once(name, kind=kind)
    assert cases(resumed) == cases(whole)
    assert drift(resumed) == drift(whole)
    first, second = final_weights(resumed), final_weights(whole)
    assert first.keys() == second.keys()
    assert all(first[key].equal(second[key]) for key in first)


@pytest.mark.parametrize("name", STRATEGIES)
def test_the_untrained_row_is_that_of_naive(run_once, name):
    untrained = [row for row in load_runs(run_once(name))[0].rows if row.after_task == 0]
    assert untrained == [
        row for row in load_runs(run_once("naive", **on_its_network(name)))[0].rows if row.after_task == 0
    ]
    assert untrained


@pytest.mark.parametrize("name", STRATEGIES)
def test_another_seed_gives_other_scores(run_once, name):
    assert cases(run_once(name, seed=1)) != cases(run_once(name))


@pytest.mark.parametrize("name", STRATEGIES)
def test_loader_processes_do_not_change_a_byte(run_once, name):
    assert cases(run_once(name, workers=2)) == cases(run_once(name))


def reads_as_naive(name):
    """Settings with which a strategy reads partly annotated masks as ``naive`` does; None when it cannot."""
    if not STRATEGIES[name].replaces_loss:
        return ()
    return (f"{name}.background=given",) if "background" in options_of(name, {}) else None


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        (name, kind)
        for name in SCALED
        for kind in ("domain", "class")
        if kind == "domain" or reads_as_naive(name) is not None
    ],
)
def test_scaled_by_zero_it_is_naive(run_once, name, kind):
    zeros = [f"{name}.{option}=0" for option in STRATEGIES[name].scales]
    run = run_once(name, *zeros, *(reads_as_naive(name) if kind == "class" else ()), kind=kind)
    plain = run_once("naive", kind=kind, **on_its_network(name))
    assert cases(run) == cases(plain)
    ours, naive = final_weights(run), final_weights(plain)
    assert all(ours[key].equal(naive[key]) for key in naive)


@pytest.mark.parametrize("name", [name for name in SCALED if STRATEGIES[name].replays])
def test_scaled_by_zero_it_is_naive_on_a_network_that_follows_its_features(run_once, name):
    """A codebook moves with every patch that goes through it in training, whatever the patch is charged."""
    zeros = [f"{name}.{option}=0" for option in STRATEGIES[name].scales]
    run, plain = run_once(name, *zeros, network="l2gnet"), run_once("naive", network="l2gnet")
    assert cases(run) == cases(plain)
    ours, naive = final_weights(run), final_weights(plain)
    assert all(ours[key].equal(naive[key]) for key in naive)


@pytest.mark.parametrize("name", [name for name in STRATEGIES if STRATEGIES[name].plugin])
def test_the_strategy_is_not_naive(run_once, name):
    ours, naive = final_weights(run_once(name)), final_weights(run_once("naive", **on_its_network(name)))
    assert any(key not in ours or not ours[key].equal(naive[key]) for key in naive)


# By default these are held to what they answered all along the first task, and so to no place where it ended.
HELD_TO_THE_END = {name: (f"{name}.logits=final",) for name in ("der", "derpp")}


@pytest.mark.parametrize("name", [name for name in SCALED if STRATEGIES[name].needs_past])
def test_a_huge_weight_keeps_the_weights_near_those_of_the_first_task(run_once, name):
    """With AdamW a weight moves by about the learning rate per step, so that it can only tremble around its anchor.

    Those that hold what the network answers, and not its weights, leave these all the directions that answer alike.
    """
    bound = 0.02 if STRATEGIES[name].family == "regularization" else 0.5
    steps, rate = "training.steps=30", "training.learning_rate=0.0003"
    huge = [f"{name}.{STRATEGIES[name].scales[0]}={HUGE}", *HELD_TO_THE_END.get(name, ())]
    start = final_weights(run_once("naive", steps, rate, kind="first"))
    moved = {}
    for strategy, settings in (("naive", ()), (name, huge)):
        end = final_weights(run_once(strategy, steps, rate, *settings))
        moved[strategy] = sum((end[key] - start[key]).abs().sum().item() for key in start)
    assert moved[name] < bound * moved["naive"]


def changed(name, option, default):
    """Another valid value of an option."""
    others = {
        ("ewc", "mode"): "online",
        ("ewc", "fisher"): "given",
        ("ewc", "samples"): 3,
        ("mas", "samples"): 3,
        ("pod", "taps"): "bottleneck",
        ("plop", "taps"): "bottleneck",
        ("plop", "samples"): 1,
        ("segreg", "taps"): "bottleneck",
        ("segreg", "normalization"): "standardize",
        ("segreg", "regularizer"): "vicreg",
        ("segreg", "warmup"): 1.0,
        ("vicreg", "taps"): "bottleneck",
        ("dispersive", "taps"): "last",
        ("dispersive", "voxels"): 8,
        ("dispersive", "variant"): "med-disseg",
        ("selfreg", "stop_gradient"): True,
        ("med-disseg", "taps"): "bottleneck",
        ("med-disseg", "variant"): "med-disseg",
        ("med-disseg", "voxels"): 8,
        ("replay", "budget"): 1.0,
        ("replay", "unit"): "slices",
        ("replay", "selection"): "reservoir",
        ("replay", "share"): 0.5,
        ("replay", "background"): "given",
        ("der", "patches"): 2,
        ("der", "share"): 1.0,
        ("der", "logits"): "final",
        ("der", "background"): "given",
        ("derpp", "patches"): 2,
        ("derpp", "share"): 1.0,
        ("derpp", "logits"): "final",
        ("derpp", "background"): "given",
        ("fdr", "patches"): 2,
        ("fdr", "share"): 1.0,
        ("fdr", "background"): "given",
        ("gss", "budget"): 1.0,
        ("gss", "share"): 1.0,
        ("gss", "compare"): 1,
        ("gpm", "patches"): 2,
        ("gss", "background"): "given",
        ("agem", "budget"): 1.0,
        ("agem", "share"): 1.0,
        ("agem", "background"): "given",
        ("gem", "budget"): 1.0,
        ("gem", "share"): 2.0,
        ("gem", "background"): "given",
    }
    if (name, option) in others:
        return others[name, option]
    return default / 2 if isinstance(default, float) else max(1, default // 3)


# Options that act only beside another one.
BESIDE = {
    # With room for all, every case is remembered with its score, whatever the last bits of gradients are.
    ("gss", "compare"): ("gss.budget=1",),
    ("gss", "patches"): ("gss.budget=1",),
    ("ewc", "gamma"): ("ewc.mode=online",),
    ("replay", "unit"): ("replay.budget=1",),
}

# Options that change what is remembered (the scores that later choices go by), but choose alike among so few cases.
REMEMBERED = {("gss", "compare"), ("gss", "patches")}
# Options that act only where masks do not show all classes.
CLASS_ONLY = {"background", "plop.samples"}


@pytest.mark.parametrize("name", ["l2gnet"])
def test_how_many_codes_are_in_use_is_written_down(run_once, name):
    in_use = logged(run_once(name))[f"{name}.perplexity"]
    assert in_use.between(1, 64).all()


# Options that only write more into train.csv, and what.
LOGS = {("segreg", "log"): "segreg.last_linear.rank"}


@pytest.mark.parametrize("name", LOGS, ids=".".join)
def test_every_logging_option_writes_what_it_names_and_changes_no_weight(run_once, name):
    plain, logged = run_once(name[0]), run_once(name[0], f"{name[0]}.{name[1]}=true")
    assert LOGS[name] not in (plain / "train.csv").read_text()
    assert LOGS[name] in (logged / "train.csv").read_text()
    assert cases(plain) == cases(logged)


@pytest.mark.parametrize(
    ("name", "option"),
    [(name, option) for name in STRATEGIES for option in options_of(name, {}) if (name, option) not in LOGS],
)
def test_every_option_changes_something(run_once, name, option):
    beside = BESIDE.get((name, option), ())
    kind = "class" if {option, f"{name}.{option}"} & CLASS_ONLY else "domain"
    value = changed(name, option, options_of(name, {})[option])
    base, other = (run_once(name, *settings, kind=kind) for settings in (beside, (*beside, f"{name}.{option}={value}")))
    prefix = f"plugin/{name}/" if (name, option) in REMEMBERED else "network/"
    first, second = final_weights(base, prefix), final_weights(other, prefix)
    assert any(not first[key].equal(second[key]) for key in first)


@pytest.mark.parametrize("name", STRATEGIES)
def test_no_option_has_the_name_under_which_identities_keep_the_revision(name):
    assert REVISION == reading.REVISION not in options_of(name, {})


@pytest.mark.parametrize("name", list(STRATEGIES))
def test_the_registry_knows_who_replays_images(run_once, name):
    stages = trained_stages(run_once(name))
    assert all((stage["replayed_fraction"] > 0) == (stage["replayed_bytes"] > 0) for stage in stages)
    assert (stages[-1]["replayed_bytes"] > 0) == STRATEGIES[name].replays


@pytest.mark.parametrize("name", STRATEGIES)
@pytest.mark.parametrize("size", ["parameters", "parameter_bytes"])
def test_the_network_grows_with_the_tasks_where_that_is_the_strategy(run_once, name, size):
    """In a domain-incremental stream, where no head grows."""
    sizes = [stage[size] for stage in trained_stages(run_once(name))]
    if STRATEGIES[name].family == "architecture":
        assert all(before < after for before, after in pairwise(sizes))
    else:
        assert len(set(sizes)) == 1


@pytest.mark.parametrize("name", [name for name in STRATEGIES if STRATEGIES[name].plugin])
def test_stored_bytes_in_the_cost_file_are_what_the_checkpoint_holds(run_once, name):
    folder = run_once(name)
    (path,) = (folder / "checkpoints").glob("*/tensors.safetensors")
    kept = [value for key, value in load_file(path).items() if key.startswith(f"plugin/{name}/")]
    assert trained_stages(folder)[-1]["stored_bytes"][name] == sum(
        value.numel() * value.element_size() for value in kept
    )
