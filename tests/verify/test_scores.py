"""Verify: scores, drift, metrics and configuration of a run agree with one another."""

from __future__ import annotations

import json

import pytest

from clbench.case_table import CaseRow
from clbench.runfolder import StreamRecord, TaskRecord
from clbench.runfolder.files import write_json
from clbench.runfolder.tables import case_text
from clbench.verify import verify
from synthetic_runs import completed, config, drift_of, finished, open_folder, seal
from verifying import found


def test_a_metric_typed_by_hand_is_found(run):
    summary = json.loads((run.path / "summary.json").read_text())
    summary["scores"]["test"]["dice"]["metrics"]["final"] = 0.99
    write_json(run.path / "summary.json", summary)
    assert found(run.path) == "summary.json: R, n or metrics are not what cases.csv comes to"


def test_a_configuration_that_lost_its_hash_is_found(run):
    content = json.loads((run.path / "run.json").read_text())
    content["config"]["resolved"]["preset"] = "full"
    write_json(run.path / "run.json", content)
    seal(run.path)
    assert "does not have the hash" in found(run.path)


def test_a_run_that_calls_itself_another_strategy_is_found(run):
    content = json.loads((run.path / "run.json").read_text())
    write_json(run.path / "run.json", {**content, "strategy": "ewc"})
    seal(run.path)
    assert found(run.path).startswith("run.json: strategy 'ewc', but 'naive' in the configuration")


@pytest.mark.parametrize(
    ("keep", "message"),
    [
        (lambda row: row.case != "A/0", "1 scores after task 0 are missing, such as 0, 1, test, A/0, organ, dice"),
        (lambda row: row.after_task != 1, "6 scores after task 1 are missing"),
        (lambda row: row.split != "val", "2 scores after task 0 are missing"),
    ],
)
def test_dropped_scores_are_found(run, keep, message):
    (run.path / "cases.csv").write_text(case_text([row for row in run.rows if keep(row)]))
    seal(run.path)
    assert message in found(run.path)


def test_scores_in_another_order_are_found(run):
    head, *lines = case_text(run.rows).splitlines()
    (run.path / "cases.csv").write_text("\n".join([head, *lines[::-1]]) + "\n")
    seal(run.path)
    assert found(run.path) == "cases.csv: not sorted or formatted as clbench writes it"


def test_scores_of_unknown_cases_are_found(run):
    row = CaseRow(2, 1, "test", "A/9", "A/9", "organ", "dice", 1.0)
    (run.path / "cases.csv").write_text(case_text([*run.rows, row]))
    seal(run.path)
    assert "1 scores after task 2 are not asked for, such as 2, 1, test, A/9" in found(run.path)


def test_a_score_given_twice_is_found(run):
    text = case_text(run.rows)
    line = text.splitlines()[1]
    (run.path / "cases.csv").write_text(f"{text}{line}\n")
    assert "1 scores are there twice" in found(run.path)


def test_a_drift_typed_by_hand_is_found(run):
    summary = json.loads((run.path / "summary.json").read_text())
    summary["drift"]["frechet"]["mean"] = 0.0
    write_json(run.path / "summary.json", summary)
    assert found(run.path) == "summary.json: drift is not what drift.csv comes to"


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        (["1,last,cka_distance,0.200000"], "drift.csv: not one value for each earlier task, tap and metric"),
        ([], ""),
        (["2,last,cka_distance,0.2"], "task 2 is not one that other tasks follow"),
        (["1,last,speed,0.2"], "is damaged in line 2"),
        (["1,last,cka_distance,inf"], "is damaged in line 2"),
    ],
)
def test_drift_that_is_not_asked_for_or_missing_is_found(run, lines, message):
    (run.path / "drift.csv").write_text("\n".join(["task,tap,metric,value", *lines]) + "\n")
    if "damaged" not in message and "follow" not in message:
        seal(run.path)
    assert message in found(run.path)


def test_drift_in_another_order_is_found(run):
    head, *lines = (run.path / "drift.csv").read_text().splitlines()
    (run.path / "drift.csv").write_text("\n".join([head, *lines[::-1]]) + "\n")
    seal(run.path)
    assert found(run.path) == "drift.csv: not sorted or formatted as clbench writes it"


def test_a_joint_run_with_drift_is_odd(tmp_path):
    assert verify(finished(tmp_path / "1", config("joint"), drift=[]).path) == []
    odd = finished(tmp_path / "2", config("joint"), drift=drift_of(0.3))
    assert found(odd.path) == "drift.csv: not one value for each earlier task, tap and metric"


def test_runs_of_later_numbers_need_every_metric(tmp_path):
    run = finished(tmp_path, config(numbers=2))
    assert verify(run.path) == []
    (run.path / "cases.csv").write_text(case_text([row for row in run.rows if row.metric != "assd_mm"]))
    seal(run.path)
    assert "6 scores after task 0 are missing, such as 0, 1, test, A/0, organ, assd_mm" in found(run.path)


def test_joint_and_single_runs_need_only_their_own_scores(tmp_path):
    assert verify(finished(tmp_path, config("joint")).path) == []
    assert verify(finished(tmp_path, config("single")).path) == []


@pytest.mark.parametrize("strategy", ["naive", "single"])
def test_a_class_stream_needs_scores_of_the_labels_taught(tmp_path, strategy):
    tasks = tuple(TaskRecord(label, (label,), {"val": ("c1",), "test": ("c0",)}) for label in ("rv", "lv"))
    record = StreamRecord("toy@1", "class", {"rv": 1, "lv": 2}, "f" * 64, tasks)
    cells = [(1, 1, "rv"), (2, 1, "rv"), (2, 2, "lv")] if strategy == "naive" else [(1, 1, "rv"), (2, 2, "lv")]
    rows = [
        CaseRow(after, on, split, case, case, label, "dice", 0.5)
        for after, on, label in cells
        for split, case in (("val", "c1"), ("test", "c0"))
    ]
    with open_folder(tmp_path, config(strategy), stream=record) as folder:
        completed(folder, rows)
    assert verify(folder.path) == []
