"""The names a user can give, gathered from the registries."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from clbench.errors import unknown


def catalog(kinds: Sequence[str]) -> dict[str, dict[str, str]]:
    """Kind -> name -> one line about it.

    Args:
        kinds: members of ``KINDS``.

    Raises:
        InputError: an unknown kind.
    """
    for kind in kinds:
        if kind not in _SOURCES:
            raise unknown("kind of name", kind, _SOURCES)
    return {kind: _SOURCES[kind]() for kind in kinds}


def _streams() -> dict[str, str]:
    from clbench.streams.card import cards, parse_card

    parsed = [parse_card(text, name) for name, text in cards().items()]
    return {f"{card.name}@{card.version}": card.title for card in parsed}


def _strategies() -> dict[str, str]:
    from clbench.strategies import STRATEGIES

    return {name: spec.summary for name, spec in STRATEGIES.items()}


def _networks() -> dict[str, str]:
    from clbench.networks import NETWORKS

    return {name: spec.summary for name, spec in NETWORKS.items()}


def _metrics() -> dict[str, str]:
    from clbench.metrics import METRICS

    return {name: spec.summary for name, spec in METRICS.items()}


def _presets() -> dict[str, str]:
    from clbench.config import presets

    return presets()


_SOURCES: dict[str, Callable[[], dict[str, str]]] = {
    "streams": _streams,
    "strategies": _strategies,
    "networks": _networks,
    "metrics": _metrics,
    "presets": _presets,
}
KINDS: tuple[str, ...] = tuple(_SOURCES)
