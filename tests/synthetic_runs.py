"""Run folders built by hand: two tasks, two patients each, scores that can be worked out on paper."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from clbench.case_table import CaseRow
from clbench.config import config_hash
from clbench.drift import METRICS, DriftRow
from clbench.runfolder import Run, RunFolder, StreamRecord, TaskRecord, TrainRow, read_run
from clbench.runfolder.files import write_json
from clbench.runfolder.summary import hash_files, summarize

TASKS = ("A", "B")
LABELS = {"organ": 1}
SCORES = ((0.1, 0.2), (0.8, 0.3), (0.6, 0.9))
"""R of the default run: final .75, learned .85, bwt -.2, forgetting .2, fwt_upper .3."""
BETTER = ((0.1, 0.2), (0.8, 0.3), (0.75, 0.9))
"""R of a run that forgets less."""


def stream_record(key: str = "toy@1", fingerprint: str = "f" * 64, kind: Any = "domain") -> StreamRecord:
    tasks = tuple(
        TaskRecord(
            name, tuple(LABELS), {"train": (f"{name}/3",), "val": (f"{name}/2",), "test": (f"{name}/0", f"{name}/1")}
        )
        for name in TASKS
    )
    return StreamRecord(key, kind, LABELS, fingerprint, tasks)


def config(strategy: str = "naive", seed: int = 0, **more: Any) -> dict[str, Any]:
    settings = {
        "strategy": strategy,
        "seed": seed,
        "options": {strategy: {}},
        "preset": "smoke",
        "precision": "float32",
    }
    return {**settings, "network": "unet", "training": {"steps": 5}, **more}


def open_folder(out: Path, resolved: dict[str, Any] | None = None, **more: Any) -> RunFolder:
    resolved = resolved or config()
    given = {"preset": resolved["preset"]}
    defaults = {
        "strategy": resolved["strategy"],
        "seed": resolved["seed"],
        "regime": {"joint": "joint", "single": "single"}.get(resolved["strategy"], "sequential"),
        "config_given": given,
        "config_resolved": resolved,
        "config_hash": config_hash(resolved),
        "stream": stream_record(),
        "provenance": {"python": "3.11"},
    }
    return RunFolder.create_or_resume(out, **{**defaults, **more})


def case_rows(scores: Any = SCORES, only_after: set[int] | None = None, seed: int = 0) -> list[CaseRow]:
    """Rows whose means are ``scores``: the two test cases of a task lie .05 to either side; seeds differ in ``val``."""
    rows = []
    for after, row in enumerate(scores):
        for on, (name, score) in enumerate(zip(TASKS, row, strict=True), start=1):
            if only_after is None or after in only_after:
                places = (("test", 0, -0.05), ("test", 1, 0.05), ("val", 2, 0.001 * seed))
                rows += [
                    CaseRow(after, on, split, f"{name}/{n}", f"{name}/{n}", "organ", "dice", round(score + shift, 6))
                    for split, n, shift in places
                ]
    return rows


def drift_of(cka_distance: float) -> list[DriftRow]:
    """Drift rows of task A at two taps."""
    return [
        DriftRow(1, tap, metric, cka_distance + shift)
        for tap, shift in (("bottleneck", 0.1), ("last", -0.1))
        for metric in METRICS
    ]


def with_distances(rows: list[CaseRow]) -> list[CaseRow]:
    """Rows with a distance beside each Dice: 10 mm for a Dice of 0, 0 mm for 1, and a surface Dice like the Dice."""
    more = {
        "hd95_mm": lambda dice: 10 * (1 - dice),
        "assd_mm": lambda dice: 5 * (1 - dice),
        "nsd_2mm": lambda dice: dice,
    }
    return rows + [
        row._replace(metric=key, value=round(value(row.value), 6)) for row in rows for key, value in more.items()
    ]


def seal(path: Path) -> None:
    """Write the summary again, as somebody would who wants a change to pass."""
    run = read_run(path)
    (path / "summary.json").unlink()
    write_json(path / "summary.json", summarize(run.stream, run.regime, run.rows, hash_files(path), run.drift))


def finished(
    out: Path,
    resolved: dict[str, Any] | None = None,
    scores: Any = SCORES,
    drift: list[DriftRow] | None = None,
    **more: Any,
) -> Run:
    """A complete run folder with a prediction, read back."""
    resolved = resolved or config()
    only = {0, 2} if resolved["strategy"] == "joint" else None
    rows = case_rows(scores, only, resolved["seed"])
    if resolved.get("numbers", 1) > 1:
        rows = with_distances(rows)
        learns = resolved["strategy"] not in ("joint", "single")
        drift = drift if drift is not None else drift_of(0.3) if learns else []
    with open_folder(out, resolved, **more) as folder:
        labels = np.zeros((4, 5, 3), np.uint8)
        labels[1:3, 1:3, 1] = 1
        folder.write_prediction(2, "A/0", labels, np.diag([1.0, 2.0, 3.0, 1.0]))
        return completed(folder, rows, drift)


COST = {"stages": [{"stage": "train", "task": 1, "seconds": 2.0}, {"stage": "evaluate", "seconds": 3.0}]}


def completed(folder: RunFolder, rows: list[CaseRow], drift: list[DriftRow] | None = None, cost: Any = COST) -> Run:
    """An open folder with every file that a complete run must have, read back."""
    folder.write_cases(rows)
    folder.append_train([TrainRow(1, 1, {"loss": 1.5}, 0.01, 0.1)])
    folder.write_cost(cost)
    if drift is not None:
        folder.write_drift(drift)
    folder.finish()
    return read_run(folder.path)
