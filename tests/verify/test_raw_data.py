"""Verify against the raw masks: the stream and its files are stood in for by arrays."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from clbench import verify as verify_module
from clbench.errors import InputError
from clbench.verify import verify
from synthetic_runs import TASKS, finished, stream_record
from verifying import found


class Raw:
    spacing_mm = (1.0, 2.0, 3.0)

    def __init__(self, mask: np.ndarray) -> None:
        self.mask = mask


@pytest.fixture
def data(monkeypatch):
    """Record, patients and masks of the stream, as the data modules would give them."""
    truth: dict[str, Any] = {"record": stream_record(), "mask": np.zeros((4, 5, 3), np.uint8)}
    truth["patients"] = {case: case for task in TASKS for case in (f"{task}/{number}" for number in range(4))}
    truth["mask"][1:3, 1:3, :2] = 1

    def raw_data(run, data_root, card):
        return verify_module.RawData(truth["record"], truth["patients"], lambda case_id: Raw(truth["mask"]))

    monkeypatch.setattr(verify_module, "raw_data", raw_data)
    return truth


def test_a_score_that_its_prediction_does_not_give_is_found(run, data):
    assert found(run.path) == ("predictions/after_2/A__0.nii.gz: dice of organ is 0.666667, but 0.550000 in cases.csv")


def test_a_score_that_its_prediction_gives_is_fine(tmp_path, data):
    scores = ((0.1, 0.2), (0.8, 0.3), (2 / 3 + 0.05, 0.9))
    assert verify(finished(tmp_path, scores=scores).path) == []


def test_other_data_are_named_and_not_scored(run, data):
    data["record"] = stream_record(fingerprint="0" * 64)
    assert found(run.path).startswith("data: not the data that the run was trained on")


def test_cases_of_other_patients_than_in_the_data_are_found_and_not_scored(run, data):
    data["patients"] |= {"A/1": "p1", "B/0": "p1"}
    assert found(run.path) == (
        "cases.csv: 2 cases are of other patients in the data, such as A/1, which is of p1 and not of A/1"
    )


def test_other_splits_than_those_of_the_data_are_found_and_not_scored(run, data):
    task = data["record"].tasks[0]
    moved = replace(task, cases={"train": ("A/2",), "val": ("A/3",), "test": task.cases["test"]})
    data["record"] = replace(data["record"], tasks=(moved, data["record"].tasks[1]))
    assert found(run.path) == (
        "run.json: split train of task A is not that of toy@1: 2 cases differ, such as A/2\n"
        "run.json: split val of task A is not that of toy@1: 2 cases differ, such as A/2"
    )


@pytest.mark.parametrize("change", [{"kind": "class"}, {"labels": {"organ": 2}}])
def test_another_kind_of_stream_and_other_labels_are_found(run, data, change):
    data["record"] = replace(data["record"], **change)
    assert found(run.path) == "run.json: kind or labels are not those of toy@1"


def test_splits_and_patients_of_a_run_without_predictions_are_compared_where_data_are_given(run, data):
    shutil.rmtree(run.path / "predictions")
    data["patients"]["A/1"] = "p1"
    assert found(run.path) == ""
    assert "1 cases are of other patients in the data" in found(run.path, Path("somewhere"))


def test_masks_of_another_shape_are_named(run, data):
    data["mask"] = np.zeros((4, 5, 4), np.uint8)
    assert "different grids" in found(run.path)


def test_data_that_were_asked_for_and_are_not_there_are_an_error(run):
    with pytest.raises(InputError, match="no data"):
        verify(run.path, Path("somewhere"))
    assert verify(run.path) == []
