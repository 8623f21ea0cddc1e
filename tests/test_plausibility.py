"""Plausibility: scores, patients and names that no run has are found, though the hashes are those of the change."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from clbench.case_table import CaseRow
from clbench.ranking import rank
from clbench.runfolder.files import write_json
from clbench.runfolder.tables import case_text
from clbench.verify import verify
from synthetic_runs import config, finished, seal

NAN = float("nan")


@pytest.fixture
def run(tmp_path):
    return finished(tmp_path, config(numbers=2))


def found(run, change: Callable[[CaseRow], CaseRow]) -> str:
    """What is said of a run whose rows were changed before its summary was written again."""
    (run.path / "cases.csv").write_text(case_text(map(change, run.rows)))
    seal(run.path)
    differences = "\n".join(map(str, verify(run.path)))
    board = rank(run.path.parent)
    assert bool(differences) == bool(board.left_out) == (not board.boards)
    return differences


def of(row: CaseRow, *metrics: str, after: int | None = 2, case: str = "B/0") -> bool:
    return row.metric in metrics and row.case == case and after in (None, row.after_task)


@pytest.mark.parametrize(
    ("metric", "value", "text"),
    [
        *(("dice", 1.309, "1.309000"), ("dice", -0.1, "-0.100000"), ("nsd_2mm", 1.000001, "1.000001")),
        *(("hd95_mm", -1.0, "-1.000000"), ("assd_mm", -0.000001, "-0.000001")),
    ],
)
def test_scores_outside_of_what_a_metric_can_be_are_found(run, metric, value, text):
    said = found(run, lambda row: row._replace(value=value) if of(row, metric) else row)
    assert said == f"cases.csv: 1 scores cannot be, such as a {metric} of {text} for B/0 after task 2"


@pytest.mark.parametrize(("metric", "value"), [("dice", 0.0), ("dice", 1.0), ("hd95_mm", 0.0), ("assd_mm", 1e9)])
def test_scores_at_the_ends_of_what_a_metric_can_be_are_fine(run, metric, value):
    assert found(run, lambda row: row._replace(value=value) if of(row, metric) else row) == ""


def test_a_score_that_alone_is_nan_is_found(run):
    said = found(run, lambda row: row._replace(value=NAN) if of(row, "dice") else row)
    assert "cases.csv: 1 times some metrics are nan and others not, such as for 2, 2, test, B/0, organ" in said


EVERY = ("dice", "hd95_mm", "assd_mm", "nsd_2mm")


def test_scores_that_are_nan_only_where_they_were_bad_are_found(run):
    said = found(run, lambda row: row._replace(value=NAN) if of(row, *EVERY) else row)
    assert said == "cases.csv: 2 hits of masks that are empty where they are nan, such as organ of B/0 after task 0"


def test_an_empty_mask_is_nan_or_missed_at_every_stage(run):
    def empty(row):
        missed = {"dice": 0.0, "nsd_2mm": 0.0, "hd95_mm": 40.0, "assd_mm": 40.0}
        value = NAN if row.after_task != 1 else missed[row.metric]
        return row._replace(value=value) if of(row, *EVERY, after=None) else row

    assert found(run, empty) == ""


def test_a_case_of_two_patients_is_found(run):
    said = found(run, lambda row: row._replace(patient="somebody") if of(row, "dice") else row)
    assert said == "cases.csv: 1 cases belong to several patients, such as B/0: B/0, somebody"


def test_a_patient_who_validates_and_is_tested_is_found(run):
    said = found(run, lambda row: row._replace(patient="B") if row.case in ("B/0", "B/2") else row)
    assert said == "cases.csv: 1 patients are in several splits, such as B: test, val"


def rewritten(run, **change) -> str:
    content = json.loads((run.path / "run.json").read_text())
    write_json(run.path / "run.json", {**content, **change})
    seal(run.path)
    assert rank(run.path.parent).left_out
    return "\n".join(map(str, verify(run.path)))


def test_a_case_that_is_learned_in_one_task_and_tested_in_another_is_found(run):
    stream = run.stream.to_json()
    stream["tasks"][1]["cases"]["train"].append("A/0")
    assert rewritten(run, stream=stream) == "run.json: 1 cases are in several splits, such as A/0: test, train"


def test_a_regime_that_is_not_that_of_the_strategy_is_found(tmp_path):
    single = finished(tmp_path / "single", config("single"))
    said = rewritten(single, regime="sequential")
    assert "run.json: regime 'sequential', but that of single is 'single'" in said


def test_a_strategy_of_others_may_have_any_regime(tmp_path):
    assert verify(finished(tmp_path, config("ours"), regime="sequential").path) == []
    assert verify(finished(tmp_path, config("mine+naive"), regime="sequential").path) == []


def test_a_folder_that_is_named_after_another_run_is_found_and_one_of_any_other_name_is_not(tmp_path):
    naive, ewc = finished(tmp_path, config("naive")).path, finished(tmp_path, config("ewc")).path
    other = naive.rename(naive.with_name("archived"))
    assert verify(other) == []
    swapped = other.rename(ewc.parent / "ewc-s1-0123abcd")
    assert str(verify(swapped)[0]) == (
        f"run.json: the run of a folder named {naive.name}, but this one is named ewc-s1-0123abcd"
    )
    assert [item.path.name for item in rank(tmp_path).left_out] == ["ewc-s1-0123abcd"]
    assert verify(ewc) == []
