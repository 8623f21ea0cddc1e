"""Which runs may stand in one table, and which are several seeds of one row."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from clbench.continual import Floats
from clbench.report.load import LeftOut
from clbench.runfolder import Run

OF_THE_ROW = ("strategy", "options", "seed")
"""Resolved settings in which the runs of one table may differ."""


@dataclass(frozen=True)
class Row:
    """One strategy with its options.

    Attributes:
        label: the strategy, with those options that tell it from the table's other rows of this strategy.
        runs: one per seed, sorted by seed.
    """

    label: str
    runs: tuple[Run, ...]


@dataclass(frozen=True)
class Group:
    """Runs that can be compared: same stream, data, training budget, precision and network.

    Attributes:
        stream: key, with ``+phantom`` for the procedural twin.
        fingerprint: of the data.
        settings: resolved settings that all runs share.
        differing: those of them, flattened, in which tables with the same title differ.
        rows: of the table.
    """

    stream: str
    fingerprint: str
    settings: Mapping[str, Any]
    differing: Mapping[str, str]
    rows: tuple[Row, ...]

    def references(self, run: Run) -> dict[str, Floats | None]:
        """S, Q and J for a run, as ``continual_metrics`` takes them; None where no other run of its seed has them."""
        runs = {other.strategy: other for row in self.rows for other in row.runs if other.seed == run.seed}
        runs.pop(run.strategy, None)  # nobody is compared with itself
        scores = {name: runs[name].scores().scores for name in ("single", "naive", "joint") if name in runs}
        return {
            "single": np.diagonal(scores["single"][1:]) if "single" in scores else None,
            "naive": scores.get("naive"),
            "joint": scores["joint"][-1] if "joint" in scores else None,
        }


def usable(runs: Iterable[Run]) -> tuple[list[Run], list[LeftOut]]:
    """Complete runs whose files are as they were when the run ended, each configuration once; and the others."""
    kept: dict[tuple[str, str], Run] = {}
    left_out: list[LeftOut] = []
    for run in sorted(runs, key=lambda run: run.path):
        identity = (run.config_hash, run.stream.fingerprint)
        if fault := _fault(run):
            left_out.append(LeftOut(run.path, fault))
        elif identity in kept:
            twin = LeftOut(kept[identity].path, "").name
            left_out.append(LeftOut(run.path, f"the same settings, seed and data as {twin}"))
        else:
            kept[identity] = run
    return list(kept.values()), left_out


def _fault(run: Run) -> str:
    """Why no number of a run may be shown; empty when they may."""
    if not run.complete:
        return "not complete; run its command again to go on"
    if changed := run.changed_files(everything=False):
        what = ", ".join(f"{name} {how}" for name, how in changed.items())
        return f"not as it was when it ended: {what}"
    try:
        fault = run.summary_fault()
    except ValueError as error:
        return f"cases.csv: {error}"
    return f"summary.json: {fault}" if fault else ""


def groups(runs: Sequence[Run]) -> list[Group]:
    """Split runs into tables, sorted by stream."""
    tables: dict[tuple[str, ...], list[Run]] = defaultdict(list)
    for run in runs:
        shared = {key: value for key, value in run.config_resolved.items() if key not in OF_THE_ROW}
        tables[run.stream.key, run.stream.fingerprint, _canonical(shared), _canonical(run.stream.to_json())].append(run)
    titles: dict[tuple[str, ...], list[dict[str, str]]] = defaultdict(list)
    for key in tables:
        titles[_title(key)].append(_flat(json.loads(key[2])))
    return [_group(key, tables[key], titles[_title(key)]) for key in sorted(tables)]


def _title(key: tuple[str, ...]) -> tuple[str, ...]:
    settings = json.loads(key[2])
    return (*key[:2], *(str(settings.get(name)) for name in ("preset", "precision", "network")))


def _group(key: tuple[str, ...], runs: Sequence[Run], alike: Sequence[Mapping[str, str]]) -> Group:
    settings = json.loads(key[2])
    return Group(key[0], key[1], settings, _telling(_flat(settings), alike), _rows(runs))


def _rows(runs: Sequence[Run]) -> tuple[Row, ...]:
    """One row for each strategy and choice of options."""
    rows: dict[tuple[str, str], list[Run]] = defaultdict(list)
    for run in runs:
        rows[run.strategy, _canonical(run.config_resolved.get("options", {}))].append(run)
    options: dict[str, list[dict[str, str]]] = defaultdict(list)
    for strategy, chosen in rows:
        options[strategy].append(_flat(json.loads(chosen)))
    found = []
    for (strategy, chosen), members in rows.items():
        telling = ", ".join(f"{k}={v}" for k, v in _telling(_flat(json.loads(chosen)), options[strategy]).items())
        label = f"{strategy} ({telling})" if telling else strategy
        found.append(Row(label, tuple(sorted(members, key=lambda run: run.seed))))
    return tuple(found)


def _telling(settings: Mapping[str, str], alike: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """The settings that are not the same in all of ``alike``."""
    return {key: value for key, value in settings.items() if any(other.get(key) != value for other in alike)}


def _flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Nested settings with dotted names."""
    found: dict[str, str] = {}
    for key, value in settings.items():
        found |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": str(value)}
    return found


def _canonical(content: Any) -> str:
    return json.dumps(content, sort_keys=True)
