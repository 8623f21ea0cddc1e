"""Verify: any changed, missing or added file is found, and keeps the run out of the leaderboard."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from clbench.runfolder.files import write_json
from clbench.verify import check, verify
from synthetic_runs import case_rows, completed, config, finished, open_folder, seal
from verifying import found, ranked, whole

FILES = (
    "run.json",
    "cases.csv",
    "drift.csv",
    "train.csv",
    "cost.json",
    "summary.json",
    "predictions/after_2/A__0.nii.gz",
)


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
