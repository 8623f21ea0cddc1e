"""A full or failing disk: one clear line, what was there stays, and the same command goes on once there is room."""

from __future__ import annotations

import errno
import shutil
import subprocess
import sys
from itertools import cycle

import pytest

from breaking import Disk, breaking
from clbench.errors import DiskError
from clbench.report.load import run_folders
from clbench.runfolder import read_run
from clbench.suite.local import LocalEngine
from clbench.suite.process import Job
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


def survives(place, undisturbed, monkeypatch, first, number, *, lasting):
    """One run whose call ``first`` fails, then the same command on a sound disk; False if there was no such call."""
    folder = place[1]
    shutil.rmtree(folder, ignore_errors=True)
    disk = Disk(folder.parent, number, first, lasting=lasting)
    with breaking(disk):
        answer = run(place, monkeypatch)
    what = f"call {first} ({disk.failed[:1]}): {answer.err}"
    if not disk.failed:
        assert answer.code == 0, what
        return False
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
    return True


def test_the_first_failing_call_of_each_kind_is_survived(place, undisturbed, monkeypatch, capsys):
    kinds = dict.fromkeys(call.split("/")[0] for call in undisturbed[1])  # what is done, in the cache or the runs
    ways = cycle([(errno.ENOSPC, True), (errno.EIO, False)])
    for kind, (number, lasting) in zip(kinds, ways, strict=False):
        assert survives(place, undisturbed, monkeypatch, kind, number, lasting=lasting), kind
    with capsys.disabled():
        sys.stdout.write(f"\n{len(kinds)} kinds of {len(undisturbed[1])} writing calls failed and were survived\n")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "lasting"), [(errno.ENOSPC, True), (errno.EIO, False), (errno.EIO, True)], ids=["full", "error", "dead"]
)
def test_every_writing_call_may_fail(place, undisturbed, monkeypatch, capsys, number, lasting):
    turn = 1
    while survives(place, undisturbed, monkeypatch, turn, number, lasting=lasting):
        turn += 1
    # threads that want one folder try to make it in turns: how often differs by a few calls from run to run
    assert turn > 0.95 * len(undisturbed[1])
    with capsys.disabled():
        sys.stdout.write(f"\n{errno.errorcode[number]} at each of {turn - 1} writing calls was survived\n")


@pytest.mark.parametrize(
    ("command", "name"),
    [
        *(("table", "table.md"), ("leaderboard", "leaderboard.csv")),
        *(
            pytest.param(command, name, marks=pytest.mark.slow)
            for command, name in (("report", "r.html"), ("figures", ""))
        ),
    ],
)
def test_a_report_that_cannot_be_written_is_one_line_and_leaves_the_one_before(place, undisturbed, command, name):
    out = place[1] / command
    words = (command, place[1] / "runs", "--out", out / name if command == "report" else out)
    assert clbench(*words).code == 0
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    assert not name or out / name in before
    counting = Disk(place[1].parent)
    with breaking(counting):
        assert clbench(*words).code == 0
    for turn in range(1, len(counting.calls) + 1):
        disk = Disk(place[1].parent, errno.ENOSPC, turn, lasting=True)
        with breaking(disk):
            answer = clbench(*words)
        assert disk.failed
        if answer.code == 0:  # removing what was begun
            continue
        assert answer.code == 1
        assert len(answer.complaints) == 1
        assert answer.complaints[0].startswith("clbench: cannot write ")
        assert "No space left on device; make room" in answer.complaints[0]
        assert {path: path.read_bytes() for path in out.rglob("*") if path.is_file()} == before, disk.failed


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


def test_a_suite_whose_log_cannot_be_written_ends_in_one_line_and_with_its_other_runs(tmp_path):
    """The first run has its log; for that of the second there is a file in the way."""
    engine = LocalEngine()
    words = ("list",)
    engine.start(Job("a", words, tmp_path / "logs" / "a.log", threads=1))
    (child,) = engine._running.values()
    (tmp_path / "file").write_text("")
    with pytest.raises(DiskError, match=r"cannot write .*b\.log: File exists; mend that, then give the same"):
        engine.start(Job("b", words, tmp_path / "file" / "b.log", threads=1))
    assert child.returncode is None
    engine.close()
    assert child.returncode is not None
    assert engine.wait() == []
