"""A thousand run folders of the size of a real one, written quickly: four streams, 25 strategies, ten seeds."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from clbench.case_table import CaseRow
from clbench.config import config_hash
from clbench.drift import METRICS as DRIFT_METRICS
from clbench.drift import DriftRow
from clbench.runfolder import StreamRecord, TaskRecord, TrainRow, read_run
from clbench.runfolder.files import write_json
from clbench.runfolder.summary import hash_files, summarize
from clbench.runfolder.tables import case_text, drift_text, train_text
from synthetic_runs import config

TASKS, CASES, LABELS = 5, {"val": 2, "test": 4}, {"rv": 1, "myo": 2, "lv": 3}
METRICS = ("assd_mm", "dice", "hd95_mm", "nsd_2mm")


def stream_of(number: int) -> StreamRecord:
    tasks = tuple(
        TaskRecord(
            f"site{task}",
            tuple(LABELS),
            {split: tuple(f"{number}-{task}/{split}{case}" for case in range(count)) for split, count in CASES.items()},
        )
        for task in range(TASKS)
    )
    return StreamRecord(f"many{number}@1", "domain", LABELS, f"{number:064x}", tasks)


def rows_of(stream: StreamRecord, rng: np.random.Generator) -> Iterator[CaseRow]:
    """Every score a run of ``numbers`` 2 must have."""
    skill = rng.uniform(0.4, 0.9)
    for after in range(TASKS + 1):
        for on, task in enumerate(stream.tasks, start=1):
            for split, cases in task.cases.items():
                for case in cases:
                    for label in LABELS:
                        score = float(np.clip(skill + rng.normal(0, 0.05), 0, 1))
                        for metric in METRICS:
                            value = 30 * (1 - score) if metric in ("assd_mm", "hd95_mm") else score
                            yield CaseRow(after, on, split, case, case, label, metric, round(value, 6))


def drift_of_tasks(rng: np.random.Generator) -> list[DriftRow]:
    """Drift of every task but the last at two taps."""
    places = [
        (task, tap, metric) for task in range(1, TASKS) for tap in ("bottleneck", "last") for metric in DRIFT_METRICS
    ]
    return [DriftRow(*place, round(rng.uniform(), 6)) for place in places]


def write_run(out: Path, stream: StreamRecord, strategy: str, seed: int) -> Path:
    """A complete run folder without the cost of doing it safely."""
    resolved = config(strategy, seed, numbers=2)
    path = out / stream.key / f"{strategy}-s{seed}-{config_hash(resolved)[:8]}"
    path.mkdir(parents=True)
    content = {"strategy": strategy, "seed": seed, "regime": "sequential", "provenance": {}, "stream": stream.to_json()}
    settings = {"given": {}, "resolved": resolved, "hash": config_hash(resolved)}
    write_json(path / "run.json", {"schema_version": 1, **content, "config": settings})
    rng = np.random.default_rng([seed, *stream.key.encode(), *strategy.encode()])
    (path / "cases.csv").write_text(case_text(rows_of(stream, rng)))
    stage = {"seconds": 60.0, "peak_memory_mb": 900.0, "parameters": 180900, "stored_bytes": {}, "replayed_fraction": 0}
    write_json(path / "cost.json", {"stages": [{"stage": "train", "task": task, **stage} for task in range(TASKS)]})
    (path / "train.csv").write_text(train_text([TrainRow(1, 1, {"loss": 1.5}, 0.01, 0.1)], ["loss"], header=True))
    (path / "drift.csv").write_text(drift_text(drift_of_tasks(rng)))
    run = read_run(path)
    write_json(path / "summary.json", summarize(run.stream, run.regime, run.rows, hash_files(path), run.drift))
    return path


def write_many(out: Path, streams: int = 4, strategies: int = 25, seeds: int = 10) -> int:
    """Write all of them; returns how many."""
    for number in range(streams):
        stream = stream_of(number)
        for strategy in range(strategies):
            for seed in range(seeds):
                write_run(out, stream, f"strategy{strategy}", seed)
    return streams * strategies * seeds
