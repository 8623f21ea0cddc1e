"""A suite as a user runs it: on toy streams, most of it in this process, once as real processes that are stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import nibabel
import pytest

import clbench as package
from clbench.errors import RunError
from clbench.report.load import load_runs
from clbench.suite import local
from clbench.suite.process import WITH_PARENT
from command_line import clbench
from toy import write_domain_stream

SUITE = """
[[block]]
streams = ["toy.toml"]
strategies = ["naive", "ewc"]
preset = "smoke"
precision = "float32"
training = { steps = 3, batch_size = 2, base_features = 4, max_features = 8 }
"""


class Within:
    """An engine that carries jobs out in this process."""

    def __init__(self, *_: object) -> None:
        self.ended: list = []

    def start(self, job) -> None:
        answer = clbench(*job.words)
        job.log.parent.mkdir(parents=True, exist_ok=True)
        job.log.write_text(answer.err)
        self.ended.append((job, answer.code))

    def wait(self):
        ended, self.ended = self.ended, []
        return ended

    def stop(self) -> None:
        raise AssertionError("nobody asked to stop")

    def close(self) -> None:
        pass


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """A suite file beside its card and data."""
    monkeypatch.setenv("CLBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("CLBENCH_DATA", str(tmp_path / "data"))
    write_domain_stream(tmp_path / "data", tasks=2)
    path = tmp_path / "data" / "suite.toml"
    path.write_text(SUITE)
    return path


@pytest.fixture
def within(monkeypatch):
    monkeypatch.setattr(local, "LocalEngine", Within)


@pytest.mark.usefixtures("within")
def test_a_suite_runs_what_is_missing_and_skips_what_is_complete(toy, tmp_path):
    words = ["suite", toy, "--out", tmp_path / "runs", "--device", "cpu", "--threads", "1"]
    answer = clbench(*words, "--only", "ewc")
    assert (answer.code, answer.out) == (
        0,
        f"the only run is complete; see: clbench table {tmp_path / 'runs'}\n",
    )
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "runs").rglob("*")}
    answer = clbench(*words)
    assert answer.code == 0, answer.err
    assert "2 runs: 1 to do, 0 go on, 1 skip" in answer.err
    assert {run.strategy for run in load_runs(tmp_path / "runs")} == {"naive", "ewc"}
    assert all(run.complete for run in load_runs(tmp_path / "runs"))
    assert all(path.stat().st_mtime_ns == when for path, when in before.items() if path.is_file())
    assert not (tmp_path / "runs" / "logs").exists()
    answer = clbench(*words)
    assert "2 runs: 0 to do, 0 go on, 2 skip; nothing to do" in answer.err


@pytest.mark.usefixtures("within")
def test_runs_on_other_data_are_not_skipped_but_refused(toy, tmp_path):
    words = ["suite", toy, "--out", tmp_path / "runs", "--device", "cpu", "--threads", "1", "--only", "naive"]
    assert clbench(*words).code == 0
    image = next((tmp_path / "data").rglob("imagesTr/*.nii.gz"))
    old = nibabel.load(image)
    voxels = old.get_fdata(dtype="float32")
    nibabel.save(nibabel.Nifti1Image(2 * voxels, old.affine), image)
    answer = clbench(*words)
    assert answer.code == 1
    assert "the only run failed; the same command tries it again." in answer.err
    assert "holds a run with other data" in answer.err


@pytest.mark.usefixtures("within")
@pytest.mark.parametrize("more", [[], ["--dry-run"]])
def test_a_folder_that_holds_another_run_is_refused_before_anything_runs(toy, tmp_path, more):
    words = ["suite", toy, "--out", tmp_path / "runs", "--device", "cpu", "--threads", "1"]
    assert clbench(*words).code == 0
    first, second = sorted((tmp_path / "runs" / "toy@1").iterdir())
    names = first.name, second.name
    second.rename(tmp_path / "second")
    first.rename(second)
    (tmp_path / "second").rename(first)
    answer = clbench(*words, *more)
    assert answer.code == 2
    assert f"{second} holds a run with other settings (options, strategy); choose another --out" in answer.err
    assert "skip" not in answer.err
    answer = clbench("verify", tmp_path / "runs")
    assert answer.code == 1
    assert f"run.json: the run of a folder named {names[0]}, but this one is named {names[1]}" in answer.out


@pytest.mark.usefixtures("within")
def test_a_failing_run_is_reported_at_the_end_and_the_others_are_complete(toy, tmp_path):
    bad = '[[block]]\nstreams = ["toy.toml"]\nstrategies = ["naive"]\npreset = "smoke"\ntraining.learning_rate = 1e30\n'
    toy.write_text(bad + SUITE)
    with pytest.raises(RunError, match=r"1 of 3 runs failed.*not finite.*\.log"):
        package.run_suite(toy, out=tmp_path / "runs", device="cpu", threads=1)
    assert [run.strategy for run in load_runs(tmp_path / "runs") if run.complete] == ["ewc", "naive"]
    assert len(list((tmp_path / "runs" / "logs").rglob("*.log"))) == 1


def test_a_dry_run_prints_the_plan_and_changes_nothing(toy, tmp_path):
    answer = clbench("suite", toy, "--out", tmp_path / "runs", "--dry-run", "--jobs", "2")
    assert answer.code == 0
    assert "2 runs: 2 to do, 0 go on, 0 skip; no earlier run to tell how long it takes" in answer.out
    assert "toy@1/ewc-s0-" in answer.out
    assert not (tmp_path / "runs").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--engine", "rya"], "unknown engine 'rya'; did you mean ray?"),
        (["--jobs", "0"], "jobs begin at 1"),
        (["--threads", "-1"], "threads at 0"),
        (["--device", "gpu"], "device: "),
        (["--only", "nothing"], "no run of"),
    ],
)
def test_mistakes_are_one_line_with_exit_2(words, message, toy, tmp_path):
    answer = clbench("suite", toy, "--out", tmp_path / "runs", *words)
    assert (answer.code, answer.out, answer.err.count("\n")) == (2, "", 1)
    assert message in answer.err


def test_threads_are_divided_between_the_jobs_but_a_begun_run_keeps_its_own(toy, tmp_path, monkeypatch):
    from clbench.suite import plan, run

    monkeypatch.setattr(run, "cores", lambda: 8)

    def threads(**choices) -> list[int]:
        prepared = run.prepare_suite(toy, out=tmp_path / "runs", device="cpu", **choices)
        return [planned.config.threads for planned in prepared.runs]

    assert threads(jobs=3) == [2, 2]
    assert threads(jobs=16) == [1, 1]
    assert threads(engine="ray") == [1, 1]
    monkeypatch.setattr(plan, "_threads", lambda path: 5)
    folder = run.prepare_suite(toy, out=tmp_path / "runs", device="cpu").runs[0].path
    folder.mkdir(parents=True)
    (folder / "run.json").touch()
    assert threads(jobs=2) == [5, 4]
    assert threads(jobs=2, threads=7) == [7, 7]


@pytest.mark.slow
def test_stopped_processes_save_and_the_suite_goes_on_to_the_bytes_of_one_that_was_never_stopped(toy, tmp_path):
    toy.write_text(SUITE.replace("steps = 3", "steps = 400"))
    words = [sys.executable, "-m", "clbench", "suite", toy, "--jobs", "2", "--device", "cpu", "--threads", "1", "--out"]
    suite = subprocess.Popen([*words, tmp_path / "runs"], stderr=subprocess.PIPE, text=True)
    _wait_for(tmp_path / "runs" / "logs", "task 1/2", suite)
    suite.send_signal(signal.SIGTERM)
    said = suite.communicate()[1]
    assert suite.returncode == 130, said
    assert "stopped; the same command goes on" in said
    assert not any(run.complete for run in load_runs(tmp_path / "runs"))
    for out in ("runs", "straight"):
        done = subprocess.run([*words, tmp_path / out], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
    for strategy in ("naive", "ewc"):
        one, other = (next((tmp_path / out).rglob(f"{strategy}-*/cases.csv")) for out in ("runs", "straight"))
        assert one.read_bytes() == other.read_bytes()


@pytest.mark.slow
def test_runs_end_when_their_suite_is_killed(toy, tmp_path):
    toy.write_text(SUITE.replace("steps = 3", "steps = 100000"))
    words = [sys.executable, "-m", "clbench", "suite", toy, "--only", "naive", "--device", "cpu", "--threads", "1"]
    suite = subprocess.Popen([*words, "--out", tmp_path / "runs"], stderr=subprocess.DEVNULL)
    log = _wait_for(tmp_path / "runs" / "logs", "task 1/2", suite)
    suite.kill()
    suite.wait()
    while "stopped; the same command goes on" not in log.read_text():
        os.sched_yield()


def _wait_for(folder: Path, text: str, process: subprocess.Popen) -> Path:
    """The log that first says a text."""
    while not (found := [log for log in folder.rglob("*.log") if text in log.read_text()]):
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(timeout=0.1)
    return found[0]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process that its parent died")
def test_a_run_whose_suite_is_gone_does_not_begin():
    environment = {**os.environ, WITH_PARENT: "0"}
    words = [sys.executable, "-m", "clbench", "list"]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")
