"""A wrong --out or file is a mistake of the user: exit 2 and one line that says what to change, before any work."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from clbench.errors import DiskError, InputError, out_error
from clbench.pictures import require_predictions
from clbench.report.load import load_runs
from clbench.runfolder import files
from command_line import clbench
from synthetic_runs import finished

SUITE = '[[block]]\nstreams = ["prostate-sites"]\nstrategies = ["naive"]\npreset = "smoke"\nphantom = true\n'


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with a finished run, a suite, a file and a folder."""
    monkeypatch.chdir(tmp_path)
    finished(Path("runs"))
    Path("suite.toml").write_text(SUITE)
    Path("file").touch()
    Path("folder").mkdir()


@pytest.mark.parametrize("out", ["file", "file/below"])
@pytest.mark.parametrize(
    "words",
    [
        *(["table", "runs"], ["leaderboard", "runs"], ["figures", "runs"], ["report", "runs"], ["suite", "suite.toml"]),
        ["run", "--stream", "prostate-sites", "--phantom", "--strategy", "naive", "--preset", "smoke"],
    ],
    ids=lambda words: words[0],
)
def test_a_file_in_the_place_of_a_folder_is_refused_before_any_work(words, out, place):
    wanted = f"{out}/page.html" if words[0] == "report" else out
    before = sorted(Path().rglob("*"))
    answer = clbench(*words, "--out", wanted)
    assert (answer.code, answer.out, answer.err) == (
        *(2, ""),
        f"clbench: cannot write {wanted}: file is no folder; choose another --out\n",
    )
    assert sorted(Path().rglob("*")) == before


def test_a_folder_in_the_place_of_a_file_is_refused(place):
    answer = clbench("report", "runs", "--out", "folder")
    assert (answer.code, answer.err) == (
        2,
        "clbench: cannot write folder: a folder of that name is there; choose another --out\n",
    )
    Path("leaderboard.md").mkdir()
    answer = clbench("leaderboard", "runs")
    assert answer.code == 2
    assert answer.err.endswith("leaderboard.md: a folder of that name is there; choose another --out\n")


def test_a_name_that_no_file_can_have_is_refused(place):
    answer = clbench("table", "runs", "--out", "a" * 300)
    assert (answer.code, answer.err.count("\n")) == (2, 1)
    assert answer.err.endswith("/table.md: File name too long; choose another --out\n")


@pytest.mark.parametrize(
    ("name", "why"),
    [("missing.csv", "No such file or directory"), ("folder", "Is a directory"), ("file/a.csv", "Not a directory")],
)
def test_expected_numbers_that_cannot_be_read_are_named_once(name, why, place):
    answer = clbench("verify", "runs", "--expected", name)
    assert (answer.code, answer.err) == (2, f"clbench: cannot read expected numbers {name}: {why}\n")


@pytest.mark.parametrize("command", ["figures", "report"])
def test_pictures_that_cannot_be_made_are_told(command, place):
    require_predictions(load_runs("runs"))
    for path in Path("runs").rglob("*.nii.gz"):
        path.unlink()
    answer = clbench(command, "runs", "--overlays", "--out", "new")
    assert (answer.code, answer.err) == (
        2,
        "clbench: no run has predictions of its worst cases; run with --predictions final or all\n",
    )


def test_a_full_disk_is_no_mistake_of_the_user(place, monkeypatch):
    assert isinstance(out_error(Path("new"), OSError(errno.ENOSPC, "No space left on device")), DiskError)
    assert isinstance(out_error(Path("new"), OSError(errno.EACCES, "Permission denied")), InputError)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(files, "write_bytes", full)
    with pytest.raises(DiskError, match="make room, then give the same command again"):
        files.publish(Path("new"), b"")
