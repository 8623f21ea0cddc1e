"""From the label names of a data set to the label values of a stream."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from pathlib import Path

from clbench.errors import InputError, unknown

BACKGROUND = "background"


def map_labels(
    raw: Mapping[int, str], labels: Mapping[str, int], rename: Mapping[str, str], where: Path
) -> dict[int, int]:
    """Raw mask value -> stream label value, matched by name (ignoring case).

    Args:
        raw: value -> name as the data set describes them; value 0 is background under any name.
        labels: name -> value of the stream.
        rename: raw name -> stream name, or ``background``; goes before a match by name.
        where: file that describes the labels, for messages.

    Raises:
        InputError: a raw label without counterpart, or a rename from or to a name that does not exist.
    """
    values = {_fold(name): value for name, value in labels.items()} | {BACKGROUND: 0}
    renamed = {_fold(name): _fold(target) for name, target in rename.items()}
    _check_rename(raw, labels, rename)
    mapped = {0: 0}
    strange: list[str] = []
    for value, name in sorted(raw.items()):
        target = renamed.get(_fold(name), _fold(name))
        if value != 0 and target not in values:
            strange.append(name)
        elif value != 0:
            mapped[value] = values[target]
    if strange:
        raise _without_counterpart(strange, labels, where)
    return mapped


def one_label(labels: Mapping[str, int], where: Path) -> dict[int, int]:
    """Raw mask value -> the stream's only label for every value but 0, for data sets whose parts are merged.

    Args:
        labels: name -> value of the stream.
        where: folder of the data set, for messages.

    Raises:
        InputError: the stream has other than one label.
    """
    if len(labels) != 1:
        raise InputError(f"{where}: these masks hold one label, the stream has {len(labels)}: {', '.join(labels)}")
    return {0: 0, **dict.fromkeys(range(1, 256), next(iter(labels.values())))}


def _check_rename(raw: Mapping[int, str], labels: Mapping[str, int], rename: Mapping[str, str]) -> None:
    sources = {_fold(name) for name in raw.values()}
    targets = {_fold(name) for name in labels} | {BACKGROUND}
    for name, target in rename.items():
        if _fold(name) not in sources:
            raise unknown("label to rename", name, raw.values())
        if _fold(target) not in targets:
            raise unknown("label to rename to", target, (*labels, BACKGROUND))


def _without_counterpart(names: list[str], labels: Mapping[str, int], where: Path) -> InputError:
    near = get_close_matches(_fold(names[0]), list(labels), n=1)
    example = f'rename = {{ "{names[0]}" = "{near[0] if near else BACKGROUND}" }}'
    listed = ", ".join(f"'{name}'" for name in names)
    return InputError(
        f"{where}: labels {listed} are not in the stream ({', '.join(labels)}); map each, such as {example}"
    )


def _fold(name: str) -> str:
    return name.strip().casefold()
