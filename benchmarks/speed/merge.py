"""Merge: some parts measured anew take their place among the figures of the same machine that are there."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

ALIKE = ("device", "processor", "bfloat16", "python")


def merged(
    path: Path,
    found: Mapping[str, Any],
    parts: Mapping[str, Any],
    *,
    everything: bool,
    strategies: Sequence[str] = (),
) -> dict[str, Any]:
    """What a file of figures should hold.

    Args:
        path: of the file, there or not.
        found: machine, size and seconds of this measurement, and what else stands beside the parts.
        parts: part -> its figures.
        everything: whether these are all parts; then nothing that is there is kept.
        strategies: where the only part is that of strategies and has these alone; the others that are there stay.

    Raises:
        SystemExit: what is there is of another machine, other packages or another size.
    """
    if everything or not path.exists():
        return {**found, **parts}
    there = json.loads(path.read_text(encoding="utf-8"))
    if odd := differences(there, found):
        raise SystemExit(f"{path} is of another {', '.join(odd)}: measure all parts, or choose another --out")
    about = {"date": found["machine"]["date"], "seconds": found["seconds"]}
    if strategies:  # each has its own date
        return {**there, "strategies": {**there.get("strategies", {}), **parts.get("strategies", {})}}
    return {**there, **parts, "later": {**there.get("later", {}), **dict.fromkeys(parts, about)}}


def differences(there: Mapping[str, Any], here: Mapping[str, Any]) -> list[str]:
    """What keeps two measurements apart; a package that one of them lacks measured nothing there."""
    old, new = there["machine"], here["machine"]
    odd = [name for name in ALIKE if old[name] != new[name]]
    odd += ["size"] if there["size"] != here["size"] else []
    versions = [(name, old["packages"].get(name), version) for name, version in new["packages"].items()]
    return odd + [name for name, before, now in versions if before and now and before != now]
