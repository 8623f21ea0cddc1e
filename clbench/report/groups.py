"""Which runs may stand in one table, and which are several seeds of one row."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from clbench.continual import Floats
from clbench.runfolder import Run
from clbench.runfolder.reading import REVISION

OF_THE_ROW = ("strategy", "options", "network", "seed")
"""Resolved settings in which the runs of one table may differ: some strategies bring a network of their own."""
SHOWN = 8  # digits of a hash
REFERENCES = ("single", "naive", "joint")
"""Strategies whose runs other runs are measured against."""


@dataclass(frozen=True)
class Row:
    """One strategy with its options and network.

    Attributes:
        label: the strategy, with those options that tell it from the table's other rows of this strategy, and with
            its network where the rows of the table do not share one. Strategies that bring a network of their name
            neither say it nor count: one run of ``l2gnet`` changes no other row's label.
        network: key of the network registry.
        runs: one per seed, sorted by seed.
    """

    label: str
    network: str
    runs: tuple[Run, ...]

    @property
    def learns(self) -> bool:
        """Whether it learns task after task; ``joint`` and ``single`` bound those that do."""
        return self.runs[0].regime == "sequential"


@dataclass(frozen=True)
class Group:
    """Runs that can be compared: same stream, data, cases of the same patients, training budget and precision.

    Attributes:
        stream: key, with ``+phantom`` for the procedural twin.
        fingerprint: of the data.
        settings: resolved settings that all runs share.
        subjects: what of the data was scored, as ``Run.subjects`` has it.
        differing: those settings, flattened, and those subjects, shortened, in which tables with the same title differ.
        rows: of the table.
    """

    stream: str
    fingerprint: str
    settings: Mapping[str, Any]
    subjects: Mapping[str, str]
    differing: Mapping[str, str]
    rows: tuple[Row, ...]

    @property
    def networks(self) -> tuple[str, ...]:
        """The networks of the rows, sorted."""
        return tuple(sorted({row.network for row in self.rows}))

    def reference_runs(self, run: Run) -> dict[str, Run]:
        """The runs of ``single``, ``naive`` and ``joint`` with a run's seed and network, itself left out.

        All runs of a group share data, preset and precision. Where one strategy has several, with other options, it
        is that of the first row.
        """
        alike = [other for row in self.rows if row.network == _network(run) for other in row.runs]
        found: dict[str, Run] = {}
        for other in alike:
            if other.seed == run.seed and other.strategy in REFERENCES and other.strategy != run.strategy:
                found.setdefault(other.strategy, other)
        return found

    def references(self, run: Run, metric: str = "dice", split: str = "test") -> dict[str, Floats | None]:
        """S, Q and J for a run, as ``continual_metrics`` takes them; None where no other run of its seed has them."""
        scores = {name: other.scores(split, metric).scores for name, other in self.reference_runs(run).items()}
        return references_of(scores)


def references_of(scores: Mapping[str, Floats]) -> dict[str, Floats | None]:
    """S, Q and J from the matrices (*B, T + 1, T) of ``single``, ``naive`` and ``joint``; None for those missing."""
    return {
        "single": np.diagonal(scores["single"][..., 1:, :], axis1=-2, axis2=-1) if "single" in scores else None,
        "naive": scores.get("naive"),
        "joint": scores["joint"][..., -1, :] if "joint" in scores else None,
    }


def groups(runs: Sequence[Run]) -> list[Group]:
    """Split runs into tables, sorted by stream."""
    tables: dict[_Key, list[Run]] = defaultdict(list)
    for run in runs:
        shared = {key: value for key, value in run.config_resolved.items() if key not in OF_THE_ROW}
        tables[_Key(run.stream.key, run.stream.fingerprint, _canonical(shared), json.dumps(run.subjects))].append(run)
    titles: dict[tuple[str, ...], list[_Key]] = defaultdict(list)
    for key in tables:
        titles[key.title].append(key)
    return [_group(key, tables[key], titles[key.title]) for key in sorted(tables)]


class _Key(NamedTuple):
    """What the runs of one table share: stream and data, and as JSON their settings and what of the data was scored."""

    stream: str
    fingerprint: str
    settings: str
    subjects: str

    @property
    def title(self) -> tuple[str, ...]:
        settings = json.loads(self.settings)
        return (self.stream, self.fingerprint, *(str(settings.get(name)) for name in ("preset", "precision")))


def _group(key: _Key, runs: Sequence[Run], alike: Sequence[_Key]) -> Group:
    settings, subjects = json.loads(key.settings), json.loads(key.subjects)
    differing = {
        **_telling(_flat(settings), [_flat(json.loads(other.settings)) for other in alike]),
        **_setting_apart(subjects, [json.loads(other.subjects) for other in alike]),
    }
    return Group(key.stream, key.fingerprint, settings, subjects, differing, _rows(runs))


def _setting_apart(own: Mapping[str, str], others: Sequence[Mapping[str, str]]) -> dict[str, str]:
    """The first parts that set ``own`` apart from all others, shortened; with other names of cases all parts differ."""
    found: dict[str, str] = {}
    for key, value in own.items():
        alike = [other for other in others if all(other[name] == own[name] for name in found)]
        if any(other[key] != value for other in alike):
            found[key] = value[:SHOWN]
    return found


def _rows(runs: Sequence[Run]) -> tuple[Row, ...]:
    """One row for each strategy, network and choice of options."""
    rows: dict[tuple[str, str, str], list[Run]] = defaultdict(list)
    for run in runs:
        rows[run.strategy, _network(run), _canonical(run.config_resolved.get("options", {}))].append(run)
    options: dict[tuple[str, str], list[dict[str, str]]] = defaultdict(list)
    for strategy, network, chosen in rows:
        options[strategy, network].append(_chosen(chosen))
    several = len({network for strategy, network, _ in rows if not _brings(strategy, network)}) > 1
    found = []
    for (strategy, network, chosen), members in rows.items():
        telling = [f"{k}={v}" for k, v in _telling(_chosen(chosen), options[strategy, network]).items()]
        if several and not _brings(strategy, network):
            telling.insert(0, f"network={network}")
        label = f"{strategy} ({', '.join(telling)})" if telling else strategy
        found.append(Row(label, network, tuple(sorted(members, key=lambda run: run.seed))))
    return tuple(found)


def _chosen(options: str) -> dict[str, str]:
    """Options that someone could choose: the revision of a strategy is none."""
    return {key: value for key, value in _flat(json.loads(options)).items() if not key.endswith(f".{REVISION}")}


def _brings(strategy: str, network: str) -> bool:
    return network in strategy.split("+")


def _network(run: Run) -> str:
    return str(run.config_resolved.get("network", "?"))


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
