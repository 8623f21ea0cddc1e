"""Consistency: whether configuration and scores of a run are those that the protocol asks for."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from clbench.case_table import Scored
from clbench.continual import Kind, Regime
from clbench.difference import Difference
from clbench.drift import METRICS as DRIFT_METRICS
from clbench.metrics import required_metrics
from clbench.plausibility import implausible
from clbench.runfolder import Run
from clbench.runfolder.folder import run_name
from clbench.runfolder.tables import drift_text, is_written_so

SCORED_SPLITS = ("val", "test")
_Score = tuple[int, int, str, str, str, str]
_RUN_NAME = re.compile(r".+-s-?\d+-[0-9a-f]{8}")


def consistency(run: Run) -> list[Difference]:
    """Whether configuration and rows of a run are those that the protocol asks for, from what was read already."""
    return [*_config(run), *_rows(run), *implausible(run), *_drift(run), *_name(run)]


def _config(run: Run) -> Iterator[Difference]:
    """Whether the configuration has its hash and agrees with the rest of ``run.json``."""
    from clbench.config import config_hash
    from clbench.strategies import STRATEGIES
    from clbench.strategies.compose import regime_of

    if config_hash(run.config_resolved) != run.config_hash:
        yield Difference("run.json", "the resolved configuration does not have the hash that is written beside it")
    for key, value in {"strategy": run.strategy, "seed": run.seed, "stream": run.stream.key}.items():
        if run.config_resolved.get(key, value) != value:
            yield Difference("run.json", f"{key} {value!r}, but {run.config_resolved[key]!r} in the configuration")
    parts = run.strategy.split("+")
    if STRATEGIES.keys() >= set(parts) and run.regime != regime_of(parts):  # those of others may have any
        yield Difference("run.json", f"regime {run.regime!r}, but that of {run.strategy} is {regime_of(parts)!r}")


def _name(run: Run) -> Iterator[Difference]:
    """Whether a folder that is named as clbench names them is named after its own run; others may have any name."""
    name, own = run.path.absolute().name, run_name(run.strategy, run.seed, run.config_hash)
    if name != own and _RUN_NAME.fullmatch(name):
        yield Difference("run.json", f"the run of a folder named {own}, but this one is named {name}")


def _rows(run: Run) -> Iterator[Difference]:
    """Whether every score that the protocol asks for is there, once, and none besides."""
    layout = run.rows.layout
    twice = layout.once(_twice)
    if twice:
        yield Difference("cases.csv", f"{twice} scores are there twice")
    elif run.rows and not is_written_so(run.path / "cases.csv", run.rows):
        yield Difference("cases.csv", "not sorted or formatted as clbench writes it")
    yield from layout.once(_missing_or_odd, _Asked.by(run))


def _score(row: Scored) -> _Score:
    return row.after_task, row.on_task, row.split, row.case, row.label, row.metric


def _twice(scored: Sequence[Scored]) -> int:
    """How many scores are there again, be it of another patient."""
    return len(scored) - len(set(map(_score, scored)))


@dataclass(frozen=True)
class _Asked:
    """What decides which scores the protocol asks for.

    Attributes:
        kind: of the stream.
        regime: of the strategy.
        metrics: that every run of its ``numbers`` has.
        tasks: labels of each task, and its cases as (split, case).
    """

    kind: Kind
    regime: Regime
    metrics: frozenset[str]
    tasks: tuple[tuple[tuple[str, ...], tuple[tuple[str, str], ...]], ...]

    @classmethod
    def by(cls, run: Run) -> _Asked:
        """What a run was asked for."""
        tasks = (
            (task.labels, tuple((split, case) for split in SCORED_SPLITS for case in task.cases.get(split, ())))
            for task in run.stream.tasks
        )
        return cls(run.stream.kind, run.regime, frozenset(required_metrics(run.numbers)), tuple(tasks))

    def scores_of(self, after_task: int) -> Iterator[tuple[int, int, str, str, str]]:
        """(after_task, on_task, split, case, label) of every score of one evaluation."""
        for on_task, (labels, cases) in enumerate(self.tasks, start=1):
            taught = on_task == after_task if self.regime == "single" else on_task <= after_task
            if self.kind == "domain" or taught:
                for split, case in cases:
                    yield from ((after_task, on_task, split, case, label) for label in labels)


def _missing_or_odd(scored: Sequence[Scored], asked: _Asked) -> list[Difference]:
    """What is missing among the rows of a table, and what is there besides."""
    last = len(asked.tasks)
    needed = {"sequential": range(last + 1), "single": range(1, last + 1), "joint": range(last, last + 1)}
    metrics = {row.metric for row in scored} | asked.metrics
    stages = sorted({*needed[asked.regime], *(row.after_task for row in scored)})
    expected = {(*key, metric) for after_task in stages for key in asked.scores_of(after_task) for metric in metrics}
    there = set(map(_score, scored))
    odd = {"missing": expected - there, "not asked for": there - expected}
    return [
        Difference("cases.csv", f"{len(found)} scores after task {after_task} are {what}, such as {_first(found)}")
        for after_task in stages
        for what, every in odd.items()
        if (found := [key for key in every if key[0] == after_task])
    ]


def _first(scores: Sequence[_Score]) -> str:
    return ", ".join(map(str, min(scores)))


def _drift(run: Run) -> Iterator[Difference]:
    """Whether drift was measured in every metric for the same tasks at each tap, and written as clbench writes it."""
    if run.drift is None:  # written before drift was measured
        return
    if (run.path / "drift.csv").read_bytes() != drift_text(run.drift).encode():
        yield Difference("drift.csv", "not sorted or formatted as clbench writes it")
    tasks = range(1, len(run.stream.tasks)) if run.regime == "sequential" else ()
    taps = sorted({row.tap for row in run.drift})
    expected = sorted((task, tap, metric) for task in tasks for tap in taps for metric in DRIFT_METRICS)
    if sorted((row.task, row.tap, row.metric) for row in run.drift) != expected:
        yield Difference("drift.csv", "not one value for each earlier task, tap and metric")
