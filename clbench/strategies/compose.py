"""Composition: ``replay+segreg`` as parts that fit together, with the options of each."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import ConfigDict, ValidationError, create_model

from clbench.errors import InputError, unknown
from clbench.strategies import STRATEGIES
from clbench.strategies.spec import Regime

DEFAULT_NETWORK = "unet"
RUN_ARGUMENTS = {"self", "seed"}  # given by the run, never by the user
REVISION = "revision"
"""Stands among the options of a result's identity; never given, never passed to a plugin."""
ONE_OF = {
    "rehearsal": "decide what is looked at again",
    "projection": "decide which way the weights may move",
    "architecture": "decide how the network grows",
}


def parse_strategy(text: str) -> list[str]:
    """The parts of a strategy name in canonical order (``naive`` dropped unless alone).

    Raises:
        InputError: an unknown part, a part twice, or parts that exclude each other.
    """
    parts = [part.strip() for part in text.split("+")]
    for part in parts:
        if part not in STRATEGIES:
            raise unknown("strategy", part, STRATEGIES)
    if len(set(parts)) != len(parts):
        raise InputError(f"strategy '{text}' names a part twice; name each part once")
    if len(parts) > 1 and "naive" in parts:
        raise InputError(f"strategy '{text}': naive is what remains without any part; leave it out")
    order = {name: position for position, name in enumerate(STRATEGIES)}
    parts.sort(key=order.__getitem__)
    _refuse_conflicts(text, parts)
    return parts


def _refuse_conflicts(text: str, parts: Sequence[str]) -> None:
    regimes = [part for part in parts if STRATEGIES[part].reference]
    if len(regimes) > 1:
        raise InputError(f"strategy '{text}': {' and '.join(regimes)} each decide what is trained on; use one of them")
    for family, what in ONE_OF.items():
        same = [part for part in parts if STRATEGIES[part].family == family]
        if len(same) > 1:
            raise InputError(f"strategy '{text}': {' and '.join(same)} each {what}; use one of them")
    losses = [part for part in parts if STRATEGIES[part].replaces_loss]
    if len(losses) > 1:
        what = "each read partly annotated masks in their own way"
        raise InputError(f"strategy '{text}': {' and '.join(losses)} {what}; use one of them")
    changed = [part for part in parts if STRATEGIES[part].shares_background]
    anchored = [part for part in parts if STRATEGIES[part].anchors_head]
    if changed and anchored:
        what = "gives new classes a share of the head's background, to which"
        raise InputError(f"strategy '{text}': {changed[0]} {what} {anchored[0]} holds the network; use one of them")
    networks = [part for part in parts if STRATEGIES[part].network]
    if len(networks) > 1:
        raise InputError(f"strategy '{text}': {' and '.join(networks)} each bring their own network; use one of them")
    past = [part for part in parts if STRATEGIES[part].needs_past]
    grown = [part for part in parts if STRATEGIES[part].family == "architecture"]
    if grown and len(past) > 1:
        other = next(part for part in past if part not in grown)
        raise InputError(
            f"strategy '{text}': {other} protects earlier tasks, but {grown[0]} has none to forget; use one of them"
        )
    if regimes and past:
        without = "learns none after the first" if regimes[0] == "frozen" else "has none to forget"
        raise InputError(
            f"strategy '{text}': {past[0]} protects earlier tasks, but {regimes[0]} {without}; use one of them"
        )


def network_of(parts: Sequence[str], wanted: str = "") -> str:
    """The network of a parsed strategy: the one that a part brings, else the one wanted, else the U-Net.

    Args:
        parts: from ``parse_strategy``.
        wanted: key of a network; empty for no wish.

    Raises:
        InputError: another network is wanted than the one that a part brings.
    """
    for part in parts:
        brought = STRATEGIES[part].network
        if brought and wanted not in ("", brought):
            raise InputError(f"strategy {part} brings its own network, not {wanted}; leave out --network")
        wanted = brought or wanted
    return wanted or DEFAULT_NETWORK


def regime_of(parts: Sequence[str]) -> Regime:
    """The training regime of a parsed strategy."""
    return next((STRATEGIES[part].regime for part in parts if STRATEGIES[part].regime != "sequential"), "sequential")


def strategy_options(parts: Sequence[str], given: Mapping[str, Mapping[str, str]]) -> dict[str, dict[str, Any]]:
    """Every option of every part: the given values, checked, over the defaults.

    Args:
        parts: from ``parse_strategy``.
        given: part -> option -> text, as typed after ``--set``.

    Raises:
        InputError: unknown option or a value of the wrong type or range.
    """
    return {part: options_of(part, given.get(part, {})) for part in parts}


def options_of(part: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The options of one strategy: keyword parameters of its plugin, with ``given`` over the defaults."""
    if not STRATEGIES[part].plugin:
        known: dict[str, Any] = {}
    else:
        signature = inspect.signature(STRATEGIES[part].load(), eval_str=True)
        parameters = {name: value for name, value in signature.parameters.items() if name not in RUN_ARGUMENTS}
        known = {name: (value.annotation, value.default) for name, value in parameters.items()}
    for name in given:
        if name not in known:
            raise unknown(f"option of {part}", name, known) if known else InputError(f"{part} has no options")
    model = create_model(part, __config__=ConfigDict(extra="forbid"), **known)
    try:
        values: dict[str, Any] = model.model_validate(dict(given)).model_dump(mode="json")
    except ValidationError as error:
        first = error.errors()[0]
        raise InputError(f"{part}.{first['loc'][0]}: {first['msg']} (got {first['input']!r})") from None
    return values


def build_plugins(options: Mapping[str, Mapping[str, Any]], seed: int) -> dict[str, Any]:
    """Part name -> a fresh plugin, for the parts that have one, in canonical order.

    Args:
        options: complete option values per part, from ``strategy_options`` or of an ``Experiment``.
        seed: the run's seed, given to plugins that draw random numbers.
    """
    plugins = {}
    for part, values in options.items():
        if STRATEGIES[part].plugin:
            plugin = STRATEGIES[part].load()
            wants_seed = "seed" in inspect.signature(plugin).parameters
            chosen = {name: value for name, value in values.items() if name != REVISION}
            plugins[part] = plugin(**chosen, **({"seed": seed} if wants_seed else {}))
    return plugins


def with_revisions(options: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
    """Options as they identify a result: those of a strategy that was revised after publication say which it is."""
    revisions = {part: STRATEGIES[part].revision for part in options}
    return {
        part: {**values, **({REVISION: revisions[part]} if revisions[part] > 1 else {})}
        for part, values in options.items()
    }
