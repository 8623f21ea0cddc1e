"""``dataset.json`` as the Decathlon and nnU-Net write it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clbench.data.case import Trap
from clbench.errors import InputError

NAME = "dataset.json"


def load(root: Path) -> dict[str, Any]:
    """The description in ``root/dataset.json``.

    Raises:
        InputError: no such file, not JSON, or not a JSON object.
    """
    path = root / NAME
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror or error}); copy or download it again") from None
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: is not valid JSON ({error}); repair or download it again") from None
    if not isinstance(content, dict):
        raise InputError(f"{path}: must hold a JSON object")
    return content


def table(content: Mapping[str, Any], key: str, path: Path) -> dict[str, Any]:
    """A non-empty JSON object under ``key``.

    Raises:
        InputError: it is absent, empty or something else.
    """
    value = content.get(key)
    if not isinstance(value, dict) or not value:
        raise InputError(f"{path}: needs '{key}' with at least one entry")
    return value


def raw_labels(content: Mapping[str, Any], path: Path) -> dict[int, str]:
    """Mask value -> name, from ``{"1": "liver"}`` (Decathlon, nnU-Net 1) or ``{"liver": 1}`` (nnU-Net 2).

    Raises:
        InputError: region-based labels (lists), values that are no whole numbers from 0, or a value named twice.
    """
    named: dict[int, str] = {}
    for key, entry in table(content, "labels", path).items():
        value, name = (key, entry) if isinstance(entry, str) and not entry.isdigit() else (entry, key)
        if isinstance(value, list):
            raise InputError(f"{path}: label '{name}' is a region of several values; give each value its own name")
        number = _whole_number(value)
        if number is None:
            raise InputError(f"{path}: label '{name}' has the value {value!r}, expected a whole number from 0")
        if named.setdefault(number, name) != name:
            raise InputError(f"{path}: labels '{named[number]}' and '{name}' have the same value {number}")
    return named


def traps(content: Mapping[str, Any], count: int, channel: int | None) -> list[Trap]:
    """What a description says that is not what is read.

    Args:
        content: of ``dataset.json``.
        count: cases found.
        channel: the one channel that is read, or None for all.
    """
    found = []
    promised = content.get("numTraining", count)
    if promised != count:
        action = f"numTraining says {promised}, {count} found and used; check that the download is complete"
        found.append(Trap("case-count-differs", NAME, action))
    names = content.get("channel_names") or content.get("modality")
    if channel is not None and isinstance(names, dict) and len(names) > 1:
        chosen = f"channel {channel} ({names.get(str(channel), 'no name')})"
        found.append(Trap("several-channels", NAME, f"{chosen} of {len(names)} read"))
    return found


def _whole_number(value: object) -> int | None:
    if isinstance(value, str) and value.isascii() and value.isdigit():
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
