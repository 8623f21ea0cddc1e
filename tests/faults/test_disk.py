"""A full or failing disk: one clear line, what was there stays, and the same command goes on once there is room."""

from __future__ import annotations

import errno
import shutil
import subprocess
import sys
from itertools import cycle

import pytest

from breaking import Disk, breaking
from clbench.report.load import run_folders
from clbench.runfolder import read_run
from command_line import clbench, run_words
from killing import left_behind
from toy import write_domain_stream

MORE = ("--checkpoint-steps", "2", "--set", "training.steps=3")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Data outside, and a folder for cache and runs that may fail."""
    root = tmp_path_factory.mktemp("disk")
    return write_domain_stream(root / "data", tasks=2), root / "full"


def run(place, monkeypatch):
    card, folder = place
    monkeypatch.setenv("CLBENCH_CACHE", str(folder / "cache"))
    return clbench(*run_words(card, card.parent, folder / "runs", *MORE))


@pytest.fixture(scope="module")
def undisturbed(place):
    """What a run leaves, and every call by which it writes."""
    disk = Disk(place[1].parent)
    with pytest.MonkeyPatch.context() as patch, breaking(disk):
        assert run(place, patch).code == 0
    return left_behind(place[1] / "runs"), disk.calls


def assert_survives(place, undisturbed, monkeypatch, first, number, *, lasting):
    """One run whose call ``first`` fails, then the same command on a sound disk."""
    folder = place[1]
    shutil.rmtree(folder, ignore_errors=True)
    disk = Disk(folder.parent, number, first, lasting=lasting)
    with breaking(disk):
        answer = run(place, monkeypatch)
    what = f"call {first} ({disk.failed[:1]}): {answer.err}"
    assert disk.failed, what
    if answer.code:  # else it was tried again, as where two processes want one name
        assert answer.code == 1, what
        assert len(answer.complaints) == 1, what
        assert answer.complaints[0].startswith("clbench: cannot write "), what
        assert "give the same command again: it goes on from there" in answer.complaints[0], what
    for lock in folder.glob("runs/*/*/lock"):
        lock.unlink()  # it names this process, which in truth would be gone
    for path in run_folders(folder / "runs") if any(folder.glob("runs/*/*/run.json")) else ():
        read_run(path)  # what is there is whole
    again = run(place, monkeypatch)
    assert again.code == 0, f"{what}\nthen {again.err}"
    assert left_behind(folder / "runs") == undisturbed[0], what


def test_the_first_failing_call_of_each_kind_is_survived(place, undisturbed, monkeypatch, capsys):
    first = {}
    for turn, call in enumerate(undisturbed[1], start=1):
        first.setdefault(call.split("/")[0], turn)  # what is done, and whether in the cache or the runs
    kinds = cycle([(errno.ENOSPC, True), (errno.EIO, False)])
    for turn, (number, lasting) in zip(first.values(), kinds, strict=False):
        assert_survives(place, undisturbed, monkeypatch, turn, number, lasting=lasting)
    with capsys.disabled():
        sys.stdout.write(f"\n{len(first)} kinds of {len(undisturbed[1])} writing calls failed and were survived\n")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "lasting"), [(errno.ENOSPC, True), (errno.EIO, False), (errno.EIO, True)], ids=["full", "error", "dead"]
)
def test_every_writing_call_may_fail(place, undisturbed, monkeypatch, capsys, number, lasting):
    for turn in range(1, len(undisturbed[1]) + 1):
        assert_survives(place, undisturbed, monkeypatch, turn, number, lasting=lasting)
    with capsys.disabled():
        sys.stdout.write(f"\n{errno.errorcode[number]} at each of {len(undisturbed[1])} writing calls was survived\n")


@pytest.mark.parametrize("command", ["table"])
def test_a_report_that_cannot_be_written_is_told_in_one_line(place, undisturbed, command):
    disk = Disk(place[1].parent, errno.ENOSPC, 1, lasting=True)
    out = place[1] / "report"
    with breaking(disk):
        answer = clbench(command, place[1] / "runs", "--out", out)
    assert answer.code == 1
    assert len(answer.complaints) == 1
    assert "No space left on device" in answer.complaints[0]


FULL = """
import sys
sys.path[:0] = {path!r}
from command_line import clbench
answer = clbench(*{words!r})
print(answer.code, answer.complaints)
"""


@pytest.mark.slow
def test_a_disk_that_is_really_full(place, undisturbed, tmp_path, monkeypatch):
    """A file system of 64 kB in a mount namespace of its own; with more room the same command comes to its end."""
    card, _ = place
    folder, kept = tmp_path / "full", tmp_path / "kept"
    folder.mkdir()
    words = run_words(card, card.parent, folder / "runs", *MORE)
    script = tmp_path / "give.py"
    script.write_text(FULL.format(path=sys.path, words=words))
    monkeypatch.setenv("CLBENCH_CACHE", str(tmp_path / "cache"))
    inside = f"mount -t tmpfs -o size=64k none {folder} && {sys.executable} {script} && cp -r {folder} {kept}"
    found = subprocess.run(["unshare", "-rm", "sh", "-c", inside], capture_output=True, text=True)
    if "unshare" in found.stderr or "mount" in found.stderr:
        pytest.skip(f"no mount namespace here: {found.stderr.strip()}")
    assert found.stdout.startswith("1 ['clbench: cannot write "), found.stdout + found.stderr
    assert "No space left on device; make room" in found.stdout
    shutil.copytree(kept, folder, dirs_exist_ok=True)
    assert clbench(*words).code == 0
    assert left_behind(folder / "runs") == undisturbed[0]
