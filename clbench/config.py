"""RunConfig: what a user asks for, checked and frozen; Experiment: what it resolves to, and its hash."""

from __future__ import annotations

import hashlib
import json
import math
import tomllib
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from clbench.errors import InputError, unknown
from clbench.networks import NETWORKS
from clbench.strategies.compose import DEFAULT_NETWORK, network_of, parse_strategy, strategy_options

Model = TypeVar("Model", bound=BaseModel)
Precision = Literal["auto", "float32", "bfloat16"]


def _joined(value: Any) -> Any:
    """``[3, 1, 2]`` as ``"3,1,2"``."""
    return ",".join(str(item) for item in value) if isinstance(value, (list, tuple)) else value


NUMBERS = 2
"""Raised when a change of the code would leave published runs no longer comparable with new ones; see the heading
**Numbers** in the CHANGELOG. Results of other arithmetic get another hash."""


class Training(BaseModel):
    """The training budget and recipe of a preset, after the choice between its 2-D and 3-D values.

    Attributes:
        steps: optimizer steps per task.
        batch_size: patches per step.
        optimizer: ``sgd`` with Nesterov momentum, or ``adamw``.
        learning_rate: at the first step of each task; decays as (1 - step / steps) ** poly_power.
        momentum: of SGD; the first beta of AdamW.
        weight_decay: L2 factor of the optimizer.
        poly_power: exponent of the decay, at least 0; 0 keeps the rate constant.
        gradient_clip: largest gradient norm; 0 switches clipping off.
        augment: whether patches are augmented.
        deep_supervision: whether the loss is also taken at lower decoder levels.
        base_features, max_features: channels of the finest level, and the cap for coarser ones.
        overlap: of sliding windows in evaluation, as a fraction of the patch, in [0, 1).
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    steps: int = Field(ge=1)
    batch_size: int = Field(ge=1)
    optimizer: Literal["sgd", "adamw"] = "sgd"
    learning_rate: float = Field(gt=0)
    momentum: float = Field(ge=0, lt=1)
    weight_decay: float = Field(ge=0)
    poly_power: float = Field(ge=0)
    gradient_clip: float = Field(ge=0)
    augment: bool
    deep_supervision: bool
    base_features: int = Field(ge=1)
    max_features: int = Field(ge=1)
    overlap: float = Field(ge=0, lt=1)


class RunConfig(BaseModel):
    """One run as the user asked for it: validated names and settings, not yet tied to data.

    Attributes:
        stream: name of a shipped card, ``name@version``, or path of a card file.
        order: of the tasks, such as ``"3,1,2"`` or ``"seed:7"``; None for that of the card. It becomes part of the
            stream's key.
        strategy: canonical name, such as ``ewc+segreg``.
        options: option values per strategy part, defaults included.
        seed: of every random draw of the run.
        preset: named training budget.
        training: overrides of the preset's training values.
        network: key of the network registry; where none is given, the strategy's own, else the U-Net.
        precision: of the forward passes; ``auto`` is bfloat16 where the processor computes it natively.
        phantom: run on the procedural twin of the stream instead of real data.
        data: data root, or None to use CLBENCH_DATA.
        device: ``auto``, ``cpu`` or ``cuda``; not part of the result's identity.
        out: folder under which the run folder is made.
        compile: train the network through ``torch.compile``, which pays on GPUs; moves results by float noise.
        workers: loader processes; None for none on a processor and one per free core, at most 12, on a GPU. Not part
            of the result's identity.
        threads: processor threads of torch; 0 leaves them to torch. Other values can move results by float noise.
        predictions: which label maps to keep.
        exclude_bad: leave faulty cases out instead of refusing the data; the fingerprint of the data tells.
        anonymize: name cases and patients by salted hashes in everything that is written.
        checkpoint_steps: most training steps between checkpoints; not part of the result's identity.
        checkpoint_minutes: most minutes between checkpoints, in evaluations too; not part of the result's identity.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    stream: str
    order: Annotated[str, BeforeValidator(_joined)] | None = None
    strategy: str
    options: dict[str, dict[str, Any]]
    seed: int = Field(default=0, ge=0)
    preset: str = "cpu"
    training: dict[str, Any] = {}
    network: str = DEFAULT_NETWORK
    precision: Precision = "auto"
    phantom: bool = False
    data: Path | None = None
    device: Literal["auto", "cpu", "cuda"] = "auto"
    out: Path = Path("runs")
    compile: bool = False
    workers: int | None = Field(default=None, ge=0)
    threads: int = Field(default=0, ge=0)
    predictions: Literal["final", "all", "none"] = "final"
    exclude_bad: bool = False
    anonymize: bool = False
    checkpoint_steps: int = Field(default=250, ge=1)
    checkpoint_minutes: float = Field(default=10.0, gt=0)

    def training_for(self, dims: int) -> Training:
        """The preset's values for 2-D or 3-D networks with the user's overrides applied.

        Raises:
            InputError: an override is out of range.
        """
        values = preset_values(self.preset)
        merged = {**values["training"], **values[f"dims{dims}"], **self.training}
        return _validated(Training, merged, "training.")


class Experiment(BaseModel):
    """Everything a result depends on; the same hash on the same machine, device and threads gives the same bytes.

    Attributes:
        stream: key with version, ``+order-3-1-2`` for another order than the card's, and ``+phantom``.
        card: SHA-256 of the card's text.
        plan: grid and patch, from the card.
        precision: resolved, never ``auto``.
        compile: whether training goes through ``torch.compile``.
        numbers: version of the code's arithmetic, see ``NUMBERS``.
        others: as in RunConfig and Training.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    stream: str
    card: str
    strategy: str
    options: dict[str, dict[str, Any]]
    seed: int
    preset: str
    training: Training
    plan: dict[str, Any]
    network: str
    precision: Literal["float32", "bfloat16"]
    compile: bool = False
    numbers: int = NUMBERS

    @property
    def hash(self) -> str:
        """SHA-256 (hex) of the canonical JSON of all fields."""
        return config_hash(self.model_dump(mode="json"))


def config_hash(resolved: Mapping[str, Any]) -> str:
    """SHA-256 (hex) of a resolved configuration as canonical JSON (sorted keys, no spaces)."""
    text = json.dumps(resolved, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def make_config(
    *,
    stream: str,
    strategy: str,
    settings: Sequence[str] = (),
    **fields: Any,
) -> RunConfig:
    """A checked RunConfig from command-line-like values.

    Args:
        stream: card name or path; existence, and whether ``order`` fits it, are checked when the stream is loaded.
        strategy: one name or several joined by ``+``.
        settings: ``key=value`` strings; keys are ``training.NAME`` or ``PART.OPTION`` for a part of the strategy.
        fields: the other fields of RunConfig.

    Raises:
        InputError: unknown name, key or value, with near matches.
    """
    for name in ("training", "options"):
        if name in fields:
            raise InputError(
                f"{name} cannot be given as such; use settings such as 'training.steps=100' or 'ewc.weight=1'"
            )
    parts = parse_strategy(strategy)
    network = network_of(parts, fields.get("network") or "")
    if network not in NETWORKS:
        raise unknown("network", network, NETWORKS)
    given: dict[str, dict[str, str]] = {}
    for setting in settings:
        section, key, value = _split_setting(setting, parts)
        if section != "training" and section not in parts:
            raise unknown("section of --set", section, ["training", *parts])
        if section == "training" and key not in Training.model_fields:
            raise unknown("training setting", key, Training.model_fields)
        given.setdefault(section, {})[key] = value
    training = given.pop("training", {})
    values = {**fields, "stream": stream, "strategy": "+".join(parts), "network": network}
    config = _validated(RunConfig, {**values, "options": strategy_options(parts, given)}, "")
    _refuse_infinite(config.options)
    preset_values(config.preset)
    checked = config.model_copy(update={"training": training}).training_for(2)
    typed = {key: getattr(checked, key) for key in training}
    return config.model_copy(update={"training": typed})


def _split_setting(setting: str, parts: Sequence[str]) -> tuple[str, str, str]:
    name, equals, value = setting.partition("=")
    section, dot, key = name.strip().partition(".")
    if not equals or not dot or not key or not value.strip():
        meant = [f"{full}={value.strip() or '...'}" for full in _settings_named(section, parts)] if not dot else []
        hint = f"; did you mean {' or '.join(meant)}?" if meant else ", such as ewc.weight=1"
        raise InputError(f"--set {setting!r} is not of the form part.option=value{hint}")
    return section, key, value.strip()


def _settings_named(option: str, parts: Sequence[str]) -> list[str]:
    """The settings of a strategy's parts and of the training with an option of this name, else of one like it."""
    known = {part: list(values) for part, values in strategy_options(parts, {}).items()}
    known["training"] = list(Training.model_fields)
    exact = [f"{part}.{option}" for part, names in known.items() if option in names]
    near = [f"{part}.{name}" for part, names in known.items() for name in get_close_matches(option, names, n=1)]
    return exact or near


def _refuse_infinite(options: Mapping[str, Mapping[str, Any]]) -> None:
    """Numbers that JSON, and so a configuration's hash, does not have."""
    for part, values in options.items():
        for name, value in values.items():
            if isinstance(value, float) and not math.isfinite(value):
                raise InputError(f"{part}.{name}: should be a finite number (got {value})")


def _validated(model: type[Model], values: Mapping[str, Any], prefix: str) -> Model:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        name = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            raise unknown("setting", prefix + name, [prefix + field for field in model.model_fields]) from None
        raise InputError(f"{prefix}{name}: {first['msg']} (got {first['input']!r})") from None


def presets() -> dict[str, str]:
    """Preset name -> one-line summary."""
    folder = files("clbench") / "presets"
    names = sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))
    return {name: preset_values(name)["summary"] for name in names}


@cache
def preset_values(name: str) -> dict[str, Any]:
    """The tables of a preset file: ``summary``, ``training``, ``dims2`` and ``dims3``.

    Raises:
        InputError: no such preset, with near matches.
    """
    folder = files("clbench") / "presets"
    names = sorted(entry.name.removesuffix(".toml") for entry in folder.iterdir() if entry.name.endswith(".toml"))
    if name not in names:
        raise unknown("preset", name, names)
    return tomllib.loads((folder / f"{name}.toml").read_text(encoding="utf-8"))
