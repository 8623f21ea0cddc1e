"""Verify: any changed byte, any score that its prediction does not give, is found."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from clbench import verify as verify_module
from clbench.case_table import CaseRow
from clbench.errors import InputError
from clbench.ranking import rank
from clbench.runfolder import StreamRecord, TaskRecord, TrainRow, read_run
from clbench.runfolder.files import write_json
from clbench.runfolder.tables import case_text
from clbench.verify import check, verify
from synthetic_runs import TASKS, case_rows, completed, config, drift_of, finished, open_folder, seal, stream_record

FILES = (
    "run.json",
    "cases.csv",
    "drift.csv",
    "train.csv",
    "cost.json",
    "summary.json",
    "predictions/after_2/A__0.nii.gz",
)


def no_data(run, data_root, card):
    raise InputError("no data")


@pytest.fixture(autouse=True)
def _without_raw_data(monkeypatch):
    monkeypatch.setattr(verify_module, "raw_data", no_data)


@pytest.fixture
def run(tmp_path):
    return finished(tmp_path, drift=drift_of(0.3))


def found(path: Path, data: Path | None = None) -> str:
    return "\n".join(map(str, verify(path, data)))


def test_a_run_as_it_was_finished_has_no_difference(run):
    assert verify(run.path) == []


@pytest.mark.parametrize("name", FILES)
def test_any_changed_byte_is_found(run, name):
    path = run.path / name
    original = path.read_bytes()
    for position in {0, 1, len(original) // 3, len(original) // 2, len(original) - 1}:
        changed = bytearray(original)
        changed[position] ^= 1
        path.write_bytes(bytes(changed))
        assert verify(run.path), f"byte {position}"
    path.write_bytes(original + b"\n")
    assert verify(run.path)
    path.write_bytes(original)
    assert verify(run.path) == []


@pytest.mark.parametrize("name", FILES)
def test_a_missing_file_is_found(run, name):
    (run.path / name).unlink()
    assert verify(run.path)


def test_every_file_of_a_whole_folder_is_found_deleted_cut_short_or_edited(tmp_path):
    run = whole(tmp_path)
    files = sorted(path for path in run.path.rglob("*") if path.is_file())
    assert {path.relative_to(run.path).parts[0] for path in files} >= {*FILES[:5], "predictions", "checkpoints"}
    for path in files:
        original = path.read_bytes()
        for position in {0, len(original) // 2, len(original) - 1}:
            path.write_bytes(original[:position] + bytes([original[position] ^ 1]) + original[position + 1 :])
            assert verify(run.path), f"{path.name}, byte {position}"
        for length in (0, len(original) // 2, len(original) - 1):
            path.write_bytes(original[:length])
            assert verify(run.path), f"{path.name} cut to {length} bytes"
        path.unlink()
        alone = list(path.parent.iterdir()) == []
        assert verify(run.path) or alone, path.name
        path.write_bytes(original)
        assert verify(run.path) == []


def test_no_run_is_ranked_with_a_file_deleted_cut_short_or_edited(tmp_path):
    run = whole(tmp_path)
    for path in sorted(path for path in run.path.rglob("*") if path.is_file()):
        original = path.read_bytes()
        for changed in (original[:-1], bytes([original[0] ^ 1]) + original[1:], original + b"\n", None):
            path.unlink()
            if changed is not None:
                path.write_bytes(changed)
            assert not ranked(tmp_path), path.name
            path.write_bytes(original)
    assert ranked(tmp_path)


def ranked(out: Path) -> bool:
    """Whether a leaderboard shows the folder's only run, which it otherwise names as left out."""
    board = rank(out)
    assert bool(board.boards) != bool(board.left_out)
    return bool(board.boards)


def without_hashes(run: Path) -> None:
    """Nothing in the list of hashes, and better scores."""
    summary = json.loads((run / "summary.json").read_text())
    write_json(run / "summary.json", {**summary, "hashes": {}})
    (run / "cases.csv").write_text((run / "cases.csv").read_text().replace("0.550000", "0.950000"))


def short_hashes(run: Path) -> None:
    """A cost that says nothing, and no hash of it."""
    summary = json.loads((run / "summary.json").read_text())
    del summary["hashes"]["cost.json"]
    write_json(run / "summary.json", summary)
    (run / "cost.json").write_text("{}")


def link(run: Path) -> None:
    (run / "cases.csv").rename(run.parent / "cases.csv")
    (run / "cases.csv").symlink_to(run.parent / "cases.csv")


DAMAGES = {
    "no hashes": without_hashes,
    "short hashes": short_hashes,
    "an added file": lambda run: (run / "notes.txt").write_text("better than it looks"),
    "a damaged checkpoint": lambda run: next(run.rglob("*.safetensors")).write_bytes(b""),
    "one of two predictions": lambda run: next(run.rglob("*.nii.gz")).unlink(),
    "a link": link,
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_what_verify_finds_is_not_ranked(tmp_path, damage):
    run = whole(tmp_path)
    damage(run.path)
    assert verify(run.path)
    assert not ranked(tmp_path)


def test_whole_folders_of_large_files_may_be_left_out(tmp_path):
    run = whole(tmp_path)
    shutil.rmtree(run.path / "predictions")
    shutil.rmtree(run.path / "checkpoints")
    assert verify(run.path) == []
    assert ranked(tmp_path)


@pytest.mark.parametrize("name", ["cases.csv", "train.csv", "cost.json", "drift.csv"])
def test_a_file_that_was_taken_out_with_its_hash_is_found(tmp_path, name):
    run = finished(tmp_path, config(numbers=2))
    (run.path / name).unlink()
    seal(run.path)
    assert f"{name}: missing" in found(run.path)
    assert not ranked(tmp_path)


def test_runs_from_before_drift_was_measured_need_none(tmp_path):
    assert verify(finished(tmp_path, config(numbers=1)).path) == []


def whole(out: Path):
    """A run folder with a file of every kind; two predictions and checkpoint files, so that none is a folder's last."""
    with open_folder(out, config("ewc")) as folder:
        folder.write_cases(case_rows())
        folder.append_train([TrainRow(1, 1, {"loss": 1.5}, 0.01, 0.1)])
        folder.write_cost({"stages": []})
        folder.write_drift(drift_of(0.25))
        for case in ("A/0", "B/0"):
            folder.write_prediction(2, case, np.ones((4, 5, 3), np.uint8), np.eye(4))
        folder.save_checkpoint({"weight": torch.ones(3)}, {"step": 1})
        folder.finish()
    return read_run(folder.path)


def test_an_added_file_is_found(run):
    (run.path / "predictions" / "after_2" / "A__1.nii.gz").write_bytes(b"")
    assert found(run.path) == "predictions/after_2/A__1.nii.gz: not in the summary"


def test_a_run_published_without_its_large_files_is_fine(run):
    shutil.rmtree(run.path / "predictions")
    assert verify(run.path) == []


def test_what_went_unchecked_is_said(run, tmp_path):
    assert check(run.path).unchecked == (
        "the scores of 1 predictions, splits and patients against the data: no raw data at hand; "
        "give --data DIR (no data)",
    )
    shutil.rmtree(run.path / "predictions")
    assert check(run.path).unchecked == (
        "scores against the raw masks: the run's 1 predictions are not in this copy of its folder",
        "splits and patients against the data: give --data DIR",
    )
    shutil.rmtree(whole(tmp_path / "more").path / "checkpoints")
    assert "checkpoints: they are not in this copy of the folder" in check(whole_path(tmp_path / "more")).unchecked
    with open_folder(tmp_path / "other", config("ewc")) as folder:
        completed(folder, case_rows())
    assert check(folder.path, Path("somewhere")).unchecked == (
        "scores against the raw masks: the run kept no predictions",
        "splits and patients against the data: no raw data at hand; give --data DIR (no data)",
    )


def whole_path(out: Path) -> Path:
    (path,) = (found.parent for found in out.rglob("run.json"))
    return path


def test_a_prediction_that_was_taken_out_with_its_hash_is_found(tmp_path):
    given = {"config_given": {"preset": "smoke", "predictions": "final"}}
    run = finished(tmp_path, **given)
    assert found(run.path) == "predictions: 3 are missing, such as that of A/1 after task 2"


def test_an_unfinished_run_is_not_verified(tmp_path):
    with open_folder(tmp_path) as folder:
        assert found(folder.path) == "summary.json: missing: the run is not complete"


def test_a_hash_list_that_leaves_the_folder_is_not_followed(run, tmp_path):
    (tmp_path / "outside").write_text("x")
    summary = json.loads((run.path / "summary.json").read_text())
    summary["hashes"]["../../outside"] = "0"
    (run.path / "summary.json").write_text(json.dumps(summary))
    assert "../../outside: missing" in found(run.path)


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


# Against the raw masks: the stream and its files are stood in for by arrays.


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
