"""RunConfig: names and values are checked before anything is read."""

import pytest

from clbench.config import Experiment, config_hash, make_config, preset_values, presets
from clbench.errors import InputError


def config(**changes):
    return make_config(**{"stream": "prostate-sites", "strategy": "naive", **changes})


def test_presets_are_listed_with_a_summary():
    assert set(presets()) == {"smoke", "cpu", "full"}
    assert all(presets().values())


def test_full_preset_is_the_budget_of_nnunet():
    training = config(preset="full").training_for(2)
    assert training.steps == 250 * 250
    assert (training.optimizer, training.momentum, training.poly_power) == ("sgd", 0.99, 0.9)


def test_overrides_replace_preset_values():
    training = config(settings=["training.steps=7", "training.batch_size=3"]).training_for(3)
    assert (training.steps, training.batch_size) == (7, 3)
    assert training.learning_rate == preset_values("cpu")["training"]["learning_rate"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"strategy": "nave"}, r"unknown strategy 'nave'; did you mean naive"),
        ({"preset": "cpuu"}, r"unknown preset 'cpuu'; did you mean cpu"),
        ({"settings": ["training.step=3"]}, r"unknown training setting 'step'; did you mean steps"),
        ({"settings": ["ewc.weight=1"]}, r"unknown section of --set 'ewc'"),
        ({"settings": ["steps"]}, r"not of the form part.option=value; did you mean training\.steps=\.\.\.\?"),
        ({"settings": ["nothing=1"]}, r"not of the form part.option=value, such as ewc\.weight=1$"),
        ({"strategy": "ewc", "settings": ["weight=1"]}, r"part.option=value; did you mean ewc\.weight=1\?$"),
        ({"strategy": "ewc", "settings": ["wieght=1"]}, r"did you mean ewc\.weight=1\?$"),
        (
            {"strategy": "ewc+segreg", "settings": ["weight=1"]},
            r"did you mean (ewc|segreg)\.weight=1 or (ewc|segreg)\.weight=1\?$",
        ),
        ({"network": "unett"}, r"unknown network 'unett'; did you mean unet"),
        ({"settings": ["training.steps=0"]}, r"training\.steps: .*greater than or equal to 1"),
        ({"settings": ["training.steps=many"]}, r"training\.steps: .*integer"),
        ({"seed": -1}, r"seed: .*greater than or equal to 0"),
        ({"device": "tpu"}, r"device: .*'auto', 'cpu' or 'cuda'"),
        ({"strategy": "ewc", "settings": ["ewc.wieght=1"]}, r"unknown option of ewc 'wieght'; did you mean weight"),
        ({"strategy": "ewc", "settings": ["ewc.weight=-1"]}, r"ewc\.weight: .*greater than or equal to 0"),
        ({"strategy": "naive", "settings": ["naive.weight=1"]}, r"naive has no options"),
    ],
)
def test_mistakes_are_named(changes, message):
    with pytest.raises(InputError, match=message):
        config(**changes)


def test_options_are_complete_and_typed():
    options = config(strategy="ewc+segreg", settings=["ewc.weight=3", "ewc.mode=online"]).options
    assert options["ewc"]["weight"] == 3.0
    assert options["ewc"]["mode"] == "online"
    assert options["segreg"]["taps"] == "last_linear"
    assert "seed" not in options["ewc"]


def test_strategy_parts_have_one_canonical_order():
    assert config(strategy="segreg+ewc").strategy == config(strategy="ewc+segreg").strategy


def experiment(**changes):
    values = {
        **{"stream": "toy@1", "card": "0" * 64, "strategy": "naive", "options": {}, "seed": 0, "preset": "cpu"},
        **{"training": config().training_for(2), "plan": {"dims": 2}, "network": "unet", "precision": "float32"},
    }
    return Experiment.model_validate({**values, **changes})


def test_hash_depends_on_every_field():
    base = experiment()
    changes = [
        *[{"stream": "toy@2"}, {"card": "1" * 64}, {"strategy": "ewc"}, {"options": {"ewc": {"weight": 1}}}],
        *[{"seed": 1}, {"preset": "full"}, {"plan": {"dims": 3}}, {"network": "other"}, {"precision": "bfloat16"}],
        {"numbers": 1},
        {"compile": True},
        {"training": config(settings=["training.steps=9"]).training_for(2)},
    ]
    hashes = {experiment(**change).hash for change in changes}
    assert len(hashes) == len(changes)
    assert base.hash not in hashes
    assert set(Experiment.model_fields) == {name for change in changes for name in change}


def test_hashes_of_published_results_stay():
    """When this fails on purpose, no earlier run can be resumed or found: note it under Numbers in the CHANGELOG."""
    assert experiment().hash == "6a4428f09517e2f7bd13064194138012ec1e259c709cc46e5c04d7397e1180d0"


def test_an_order_can_be_given_as_text_or_as_numbers():
    assert config().order is None
    assert config(order="seed:7").order == "seed:7"
    assert config(order=[3, 1, 2]).order == config(order=(3, 1, 2)).order == "3,1,2"


def test_hash_does_not_depend_on_key_order():
    assert config_hash({"a": 1, "b": 2}) == config_hash({"b": 2, "a": 1})


@pytest.mark.parametrize("name", ["training", "options"])
def test_resolved_fields_cannot_be_given_past_the_settings(name):
    with pytest.raises(InputError, match=f"{name} cannot be given as such"):
        config(**{name: {"steps": 5}})
