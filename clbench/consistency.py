"""Consistency: whether configuration and scores of a run are those that the protocol asks for."""

from __future__ import annotations

import re
from collections.abc import Iterator
from operator import attrgetter

from clbench.difference import Difference
from clbench.drift import METRICS as DRIFT_METRICS
from clbench.metrics import required_metrics
from clbench.plausibility import implausible
from clbench.runfolder import Run
from clbench.runfolder.folder import run_name
from clbench.runfolder.tables import drift_text, is_written_so

SCORED_SPLITS = ("val", "test")
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
    last = len(run.stream.tasks)
    needed = {"sequential": range(last + 1), "single": range(1, last + 1), "joint": range(last, last + 1)}[run.regime]
    keys = list(map(attrgetter("after_task", "on_task", "split", "case", "label", "metric"), run.rows))
    if len(set(keys)) < len(keys):
        yield Difference("cases.csv", f"{len(keys) - len(set(keys))} scores are there twice")
    elif run.rows and not is_written_so(run.path / "cases.csv", run.rows):
        yield Difference("cases.csv", "not sorted or formatted as clbench writes it")
    metrics = {row.metric for row in run.rows} | required_metrics(run.numbers)
    stages = sorted({*needed, *(row.after_task for row in run.rows)})
    expected = {(*key, metric) for after_task in stages for key in _expected(run, after_task) for metric in metrics}
    there = set(keys)
    odd = {} if expected == there else {"missing": expected - there, "not asked for": there - expected}
    for after_task in stages if odd else ():
        for what, every in odd.items():
            if found := [key for key in every if key[0] == after_task]:
                example = ", ".join(map(str, min(found)))
                yield Difference(
                    "cases.csv", f"{len(found)} scores after task {after_task} are {what}, such as {example}"
                )


def _expected(run: Run, after_task: int) -> Iterator[tuple[int, int, str, str, str]]:
    """(after_task, on_task, split, case, label) of every score of one evaluation."""
    for on_task, task in enumerate(run.stream.tasks, start=1):
        taught = on_task == after_task if run.regime == "single" else on_task <= after_task
        if run.stream.kind == "domain" or taught:
            for split in SCORED_SPLITS:
                for case in task.cases.get(split, ()):
                    yield from ((after_task, on_task, split, case, label) for label in task.labels)


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
