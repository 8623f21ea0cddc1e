"""Run folders: whole or absent, resumable, locked, and never trusted when read."""

from __future__ import annotations

import gzip
import json
import multiprocessing
import os
import socket
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from clbench.errors import InputError, RunError
from clbench.runfolder import StreamRecord
from clbench.runfolder import files as run_files
from clbench.runfolder.reading import prediction_path, read_prediction
from clbench.runfolder.records import file_name
from synthetic_runs import SCORES, case_rows, config, drift_of, finished, open_folder, stream_record


@pytest.fixture
def folder(tmp_path):
    with open_folder(tmp_path) as opened:
        yield opened


def test_a_folder_is_named_after_stream_strategy_seed_and_settings(folder, tmp_path):
    assert folder.path.parent == tmp_path / "toy@1"
    assert folder.path.name.startswith("naive-s0-")
    assert len(folder.path.name) == len("naive-s0-") + 8
    assert folder.status == "new"


def test_a_finished_run_reads_back_as_written(tmp_path):
    run = finished(tmp_path)
    assert run.complete
    assert run.stream == stream_record()
    assert run.rows == tuple(sorted(case_rows()))
    np.testing.assert_allclose(run.scores().scores, SCORES, atol=1e-9)
    assert run.scores().counts.tolist() == [[2, 2]] * 3
    assert run.metrics()["bwt"] == pytest.approx(-0.2)
    assert run.config_resolved == config()
    assert run.changed_files() == {}


def test_the_summary_holds_scores_of_both_splits_and_a_hash_of_every_other_file(tmp_path):
    run = finished(tmp_path)
    assert run.summary is not None
    assert run.summary["scores"]["test"]["dice"]["R"] == [list(row) for row in SCORES]
    assert run.summary["scores"]["val"]["dice"]["n"] == [[1, 1]] * 3
    assert run.summary["scores"]["test"]["dice"]["metrics"]["forgetting"] == 0.2
    there = {path.relative_to(run.path).as_posix() for path in run.path.rglob("*") if path.is_file()}
    assert there == {*run.summary["hashes"], "summary.json"}


def test_drift_reads_back_as_written_with_its_means(tmp_path):
    run = finished(tmp_path, drift=drift_of(0.25)[::-1])
    assert run.drift == tuple(sorted(drift_of(0.25)))
    assert (run.mean_drift(), run.mean_drift(tap="last"), run.mean_drift("frechet", "bottleneck")) == (0.25, 0.15, 0.35)
    assert run.summary["drift"]["cka_distance"]["tasks"] == {"bottleneck": [0.35], "last": [0.15]}


@pytest.mark.parametrize("drift", [None, []], ids=["not measured", "without meaning"])
def test_a_run_without_drift_has_no_mean(tmp_path, drift):
    run = finished(tmp_path, drift=drift)
    assert run.mean_drift() is None
    assert ("drift" in run.summary) == (drift is not None)


def test_the_same_run_gives_the_same_bytes(tmp_path):
    first, second = finished(tmp_path / "1"), finished(tmp_path / "2")
    assert first.path.joinpath("summary.json").read_bytes() == second.path.joinpath("summary.json").read_bytes()


def test_a_complete_run_is_found_complete_and_not_touched(tmp_path):
    run = finished(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in run.path.rglob("*")}
    with open_folder(tmp_path) as again:
        assert again.status == "complete"
    assert {path: path.stat().st_mtime_ns for path in run.path.rglob("*")} == before


def test_a_run_without_scores_cannot_be_finished(folder):
    with pytest.raises(InputError, match="no scores"):
        folder.finish()


def test_other_data_under_the_same_name_are_refused(tmp_path):
    finished(tmp_path)
    with pytest.raises(
        InputError, match=r"other data \(fingerprint ffffffff there, 00000000 now\); choose another --out"
    ):
        open_folder(tmp_path, stream=stream_record(fingerprint="0" * 64))


def test_other_settings_with_the_same_short_hash_are_refused_and_named(tmp_path):
    open_folder(tmp_path, config_hash="12345678aaaa").close()
    with pytest.raises(InputError, match=r"other settings \(network\)"):
        open_folder(tmp_path, config(network="other"), config_hash="12345678bbbb")


def test_other_splits_of_the_same_data_are_refused(tmp_path):
    open_folder(tmp_path).close()
    record = stream_record()
    with pytest.raises(InputError, match="other tasks, labels or splits"):
        open_folder(
            tmp_path, stream=StreamRecord(record.key, record.kind, {"organ": 2}, record.fingerprint, record.tasks)
        )


def test_a_refused_folder_is_not_left_locked(tmp_path):
    open_folder(tmp_path).close()
    with pytest.raises(InputError):
        open_folder(tmp_path, stream=stream_record(fingerprint="0" * 64))
    assert open_folder(tmp_path).status == "incomplete"


def test_a_folder_of_other_things_is_not_taken_for_a_new_run(tmp_path):
    path = open_folder(tmp_path).path
    (path / "run.json").rename(path / "notes.txt")
    (path / "lock").unlink()
    with pytest.raises(InputError, match=r"no run\.json"):
        open_folder(tmp_path)


def test_a_place_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="choose another --out"):
        open_folder(tmp_path / "file")


def test_the_software_of_a_resume_is_recorded_once(tmp_path):
    for version in ("3.11", "3.12", "3.12", "3.11"):
        open_folder(tmp_path, provenance={"python": version}).close()
    content = json.loads(next(tmp_path.rglob("run.json")).read_text())
    assert content["provenance"] == {"python": "3.11"}
    assert content["resumed_with"] == [{"python": "3.12"}]


# The lock.


def test_a_second_writer_is_refused_with_host_and_pid(folder, tmp_path):
    with pytest.raises(RunError, match=f"process {os.getpid()} on {socket.gethostname()}"):
        open_folder(tmp_path)


def test_the_lock_of_a_dead_process_is_taken_over(tmp_path):
    path = open_folder(tmp_path).path
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    (path / "lock").write_text(json.dumps({"host": socket.gethostname(), "pid": process.pid, "started": "1"}))
    assert open_folder(tmp_path).status == "incomplete"


def test_a_process_id_given_again_does_not_keep_a_lock_alive(tmp_path):
    path = open_folder(tmp_path).path
    (path / "lock").write_text(json.dumps({"host": socket.gethostname(), "pid": os.getpid(), "started": "1"}))
    assert open_folder(tmp_path).status == "incomplete"


def test_the_lock_of_another_host_stands(tmp_path):
    path = open_folder(tmp_path).path
    (path / "lock").write_text(json.dumps({"host": "elsewhere", "pid": 1, "started": "1"}))
    with pytest.raises(RunError, match="on elsewhere; wait for it, or, if that process is gone, remove"):
        open_folder(tmp_path)


def test_a_lock_cut_off_by_a_crash_does_not_block(tmp_path):
    path = open_folder(tmp_path).path
    (path / "lock").write_text('{"host": "el')
    assert open_folder(tmp_path).status == "incomplete"


def test_closing_removes_only_the_own_lock(tmp_path):
    folder = open_folder(tmp_path)
    (folder.path / "lock").write_text(json.dumps({"host": "elsewhere", "pid": 1}))
    folder.close()
    assert (folder.path / "lock").exists()


def _try_to_open(out: Path, start: object, results: object) -> None:
    start.wait()  # type: ignore[attr-defined]
    try:
        open_folder(out)
        results.put("opened")  # type: ignore[attr-defined]
    except RunError:
        results.put("refused")  # type: ignore[attr-defined]
    start.wait()  # type: ignore[attr-defined]


def test_of_several_processes_at_once_one_gets_a_stale_lock(tmp_path):
    path = open_folder(tmp_path).path
    (path / "lock").write_text(json.dumps({"host": socket.gethostname(), "pid": os.getpid(), "started": "1"}))
    context = multiprocessing.get_context("fork")
    start, results = context.Barrier(4), context.Queue()
    workers = [context.Process(target=_try_to_open, args=(tmp_path, start, results)) for _ in range(4)]
    for worker in workers:
        worker.start()
    found = sorted(results.get(timeout=20) for _ in workers)
    for worker in workers:
        worker.join()
    assert found == ["opened", "refused", "refused", "refused"]


# Predictions.


def test_a_prediction_reads_back_with_its_affine_and_equal_maps_have_equal_bytes(folder):
    import nibabel

    labels = np.random.default_rng(0).integers(0, 3, (4, 5, 6)).astype(np.uint8)
    affine = np.array([[-1.5, 0, 0, 3], [0, 2, 0, -4], [0, 0, 3, 5], [0, 0, 0, 1.0]])
    folder.write_prediction(1, "A/0", labels, affine)
    path = prediction_path(folder.path, 1, "A/0")
    assert path.relative_to(folder.path).as_posix() == "predictions/after_1/A__0.nii.gz"
    first = path.read_bytes()
    folder.write_prediction(1, "A/0", np.asfortranarray(labels), affine)
    assert path.read_bytes() == first
    np.testing.assert_array_equal(read_prediction(path), labels)
    np.testing.assert_array_equal(nibabel.load(path).affine, affine)


@pytest.mark.parametrize("content", [b"", b"\x1f\x8b\x08", gzip.compress(b"not an image", mtime=0)])
def test_a_damaged_prediction_is_named(tmp_path, content):
    path = tmp_path / "x.nii.gz"
    path.write_bytes(content)
    with pytest.raises(InputError, match="is damaged"):
        read_prediction(path)


@pytest.mark.parametrize(
    "case_id", ["../x", "a/../b", "/etc", "a//b", "a/", ".", "a/.", "", "a b", "a\nb", "a\\b", "é"]
)
def test_case_ids_that_could_leave_the_folder_are_refused(case_id):
    with pytest.raises(InputError, match="case id"):
        file_name(case_id)


def test_two_cases_may_not_share_a_file(tmp_path):
    record = stream_record()
    task = record.tasks[0]
    clash = type(task)("C", task.labels, {"test": ("A__0",)})
    with pytest.raises(InputError, match="share a prediction file"):
        open_folder(tmp_path, stream=StreamRecord(record.key, "domain", record.labels, "f", (*record.tasks, clash)))


# Checkpoints.


@pytest.fixture
def tensors():
    import torch

    weights = torch.arange(6, dtype=torch.float32).reshape(2, 3)
    return {"w": weights, "view": weights.T, "half": torch.ones(2, dtype=torch.bfloat16), "step": torch.tensor(3)}


def test_a_checkpoint_reads_back_bit_for_bit(folder, tensors):
    import torch

    folder.save_checkpoint(tensors, {"task": 1, "rates": (0.1, 1e-300), "none": None})
    found = folder.load_checkpoint()
    assert found is not None
    assert found.state == {"task": 1, "rates": [0.1, 1e-300], "none": None}
    assert set(found.tensors) == set(tensors)
    for name, tensor in tensors.items():
        assert found.tensors[name].dtype == tensor.dtype
        assert torch.equal(found.tensors[name], tensor)


def test_without_a_checkpoint_there_is_none(folder):
    assert folder.load_checkpoint() is None


def test_only_the_newest_checkpoint_is_kept(folder, tensors):
    for step in range(3):
        folder.save_checkpoint(tensors, {"step": step})
    assert folder.load_checkpoint().state == {"step": 2}
    assert len(list((folder.path / "checkpoints").iterdir())) == 1


@pytest.mark.parametrize("name", ["tensors.safetensors", "state.json"])
def test_a_damaged_newest_checkpoint_falls_back_to_the_one_before(folder, tensors, name):
    folder.save_checkpoint(tensors, {"step": 1})
    before = folder.path / "checkpoints" / "000001"
    after = before.with_name("000002")
    after.mkdir()
    for file in before.iterdir():
        (after / file.name).write_bytes(file.read_bytes())
    (after / name).write_bytes((after / name).read_bytes()[:-3])
    assert folder.load_checkpoint().state == {"step": 1}
    folder.save_checkpoint(tensors, {"step": 3})
    assert folder.load_checkpoint().state == {"step": 3}


def test_a_run_killed_before_it_removed_an_old_checkpoint_ends_with_one(folder, tensors, monkeypatch):
    folder.write_cases(case_rows())
    with monkeypatch.context() as patch:
        patch.setattr("clbench.runfolder.checkpoint._remove_all_but", lambda _: None)
        for step in range(3):
            folder.save_checkpoint(tensors, {"step": step})
    folder.finish()
    assert folder.load_checkpoint().state == {"step": 2}
    assert len(list((folder.path / "checkpoints").iterdir())) == 1


def test_a_checkpoint_that_was_being_written_is_ignored(tmp_path, tensors):
    with open_folder(tmp_path) as folder:
        folder.save_checkpoint(tensors, {"step": 1})
        half = folder.path / "checkpoints" / f"{run_files.TEMPORARY}2"
        half.mkdir()
        (half / "tensors.safetensors").write_bytes(b"half")
    with open_folder(tmp_path) as folder:
        assert folder.load_checkpoint().state == {"step": 1}
        assert not half.exists()


def test_starting_anew_without_saying_so_is_refused_when_all_checkpoints_are_damaged(folder, tensors):
    folder.save_checkpoint(tensors, {"step": 1})
    next(folder.path.rglob("state.json")).write_text("{}")
    with pytest.raises(RunError, match=r"no checkpoint under .* is whole; remove that folder"):
        folder.load_checkpoint()


def test_a_state_that_json_cannot_hold_is_refused_and_the_last_checkpoint_survives(folder, tensors):
    folder.save_checkpoint(tensors, {"step": 1})
    with pytest.raises(ValueError, match="JSON"):
        folder.save_checkpoint(tensors, {"loss": float("nan")})
    assert folder.load_checkpoint().state == {"step": 1}
