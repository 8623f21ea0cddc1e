"""The whole path as a user walks it: check, run, table, verify, stop and go on."""

import csv
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import threading

import pytest

import tiny_trees
from clbench.data import prepare
from clbench.runfolder.files import file_hash, write_json
from clbench.streams import load
from command_line import clbench, run_words
from toy import write_class_stream, write_domain_stream

STREAMS = {"domain": lambda root: write_domain_stream(root, tasks=2), "class": write_class_stream}
CHANGED = ("cases.csv", "train.csv", "cost.json", "run.json", "summary.json", "prediction")


def run_folder(out):
    (found,) = (path.parent for path in out.rglob("run.json"))
    return found


@pytest.fixture(scope="module", params=list(STREAMS))
def finished(request, tmp_path_factory):
    """A card, the folder of runs with one of naive on it, and what the run said."""
    root = tmp_path_factory.mktemp(request.param)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CLBENCH_CACHE", str(root / "cache"))
        patch.delenv("CLBENCH_DATA", raising=False)
        card = STREAMS[request.param](root / "data")
        return card, root / "runs", clbench(*run_words(card, card.parent, root / "runs"))


@pytest.fixture
def copied(finished, tmp_path):
    """As ``finished``, in a copy that may be changed."""
    card, out, _ = finished
    return card, shutil.copytree(out, tmp_path / "runs")


def test_a_run_shows_its_scores_and_what_to_type_next(finished):
    card, out, answer = finished
    assert answer.code == 0, answer.err
    assert answer.complaints == []
    assert "Dice on the test cases: naive on toy@1\n" in answer.out
    assert len(re.findall(r"\d\.\d{3}\*", answer.out)) == len(re.findall(r"\[\[tasks\]\]", card.read_text()))
    assert "bwt" in answer.out
    assert answer.out.endswith(f"compare runs:  clbench table {out}\nre-check it:   clbench verify {run_folder(out)}\n")


def test_the_run_folder_holds_what_the_design_says(finished):
    folder = run_folder(finished[1])
    assert re.fullmatch(r"naive-s0-[0-9a-f]{8}", folder.name)
    assert folder.parent.name == "toy@1"
    names = {path.name for path in folder.iterdir()}
    files = {"run.json", "cases.csv", "drift.csv", "train.csv", "cost.json", "summary.json"}
    assert names == {*files, "predictions", "checkpoints"}
    head = "after_task,on_task,split,case,patient,label,metric,value"
    assert (folder / "cases.csv").read_text().splitlines()[0] == head
    assert str(finished[0].parent) not in (folder / "run.json").read_text()


def test_a_complete_run_is_not_run_again(copied):
    card, out = copied
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    answer = clbench(*run_words(card, card.parent, out))
    assert answer.code == 0
    assert answer.err.endswith(f"{run_folder(out)} is complete; nothing to do\n")
    assert "Dice on the test cases" in answer.out
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before


def test_a_complete_run_says_which_predictions_it_does_not_have(copied):
    card, out = copied
    answer = clbench(*run_words(card, card.parent, out, "--predictions", "all"))
    assert answer.code == 0
    folder = run_folder(out)
    assert answer.complaints[:1] == [
        f"warning: {folder} was run with --predictions final and has no more than that; for --predictions all remove "
        "that folder or choose another --out"
    ]
    assert "warning" not in clbench(*run_words(card, card.parent, out, "--predictions", "none")).err


def test_a_table_in_every_format_has_the_run_and_its_score(finished, tmp_path):
    _, out, _ = finished
    summary = json.loads((run_folder(out) / "summary.json").read_text())
    final = f"{summary['scores']['test']['dice']['metrics']['final']:.3f}"
    for form, row in {"md": rf"\| naive +\| +1 \| +{final}", "tex": rf"naive & 1 & {final}"}.items():
        answer = clbench("table", out, "--format", form)
        assert (answer.code, answer.err) == (0, "")
        assert re.search(row, answer.out), answer.out
        assert "toy@1" in answer.out
    answer = clbench("table", out, "--format", "csv", "--out", tmp_path / "tables")
    assert answer.out == f"{tmp_path / 'tables' / 'table.csv'}\n"
    rows = list(csv.DictReader(io.StringIO((tmp_path / "tables" / "table.csv").read_text())))
    assert [(row["strategy"], f"{float(row['final_mean']):.3f}") for row in rows] == [("naive", final)]


@pytest.mark.parametrize("data", [True, False], ids=["with data", "without data"])
def test_a_run_as_it_was_left_is_verified(finished, data):
    card, out, _ = finished
    answer = clbench("verify", out, *(["--data", card.parent, "--stream", card] if data else []))
    assert (answer.code, answer.err) == (0, "")
    first, *others = answer.out.splitlines()
    assert first == f"verified  {run_folder(out)}"
    (unchecked,) = others
    expected = (
        "scores before the last task against the raw masks: the run kept its final predictions only"
        if data
        else "predictions, splits and patients against the data: no raw data at hand"
    )
    assert expected in unchecked


def test_a_run_on_a_card_of_ones_own_needs_the_card_to_compare_with_the_data(finished):
    card, out, _ = finished
    answer = clbench("verify", out, "--data", card.parent)
    assert answer.code == 2
    assert "stream toy@1 is not shipped with clbench; give its card with --stream FILE" in answer.err


def test_a_prediction_that_does_not_give_its_scores_is_found_even_when_the_hashes_were_made_to_fit(copied):
    card, out = copied
    folder = run_folder(out)
    path = min(folder.rglob("predictions/**/*.nii.gz"))
    tiny_trees.save(path, 1 - tiny_trees.load(path).clip(0, 1))
    summary = json.loads((folder / "summary.json").read_text())
    summary["hashes"][path.relative_to(folder).as_posix()] = file_hash(path)
    write_json(folder / "summary.json", summary)
    assert clbench("verify", out).code == 0
    answer = clbench("verify", out, "--data", card.parent, "--stream", card)
    assert answer.code == 1
    assert re.search(rf"{path.name}: dice of \w+ is \d\.\d+, but \d\.\d+ in cases\.csv", answer.out)


@pytest.mark.parametrize("name", CHANGED)
def test_a_changed_byte_fails_verification_and_takes_the_run_out_of_the_table(copied, name):
    folder = run_folder(copied[1])
    path = min(folder.rglob("predictions/**/*.nii.gz")) if name == "prediction" else folder / name
    original = path.read_bytes()
    digits = [match.start() for match in re.finditer(rb"[0-9]", original)]
    for position in (digits[0], digits[len(digits) // 8], digits[-1]):
        changed = bytearray(original)
        changed[position] ^= 1
        path.write_bytes(bytes(changed))
        answer = clbench("verify", folder)
        assert answer.code == 1
        assert answer.out.startswith(f"differs  {folder}\n  ")
        assert path.name in answer.out or name == "summary.json"  # whose hashes name the other files
        shown = clbench("table", copied[1])
        assert shown.code == 0
        assert "No complete run." in shown.out
        assert re.search(rf"Left out:\n\n- toy@1/{folder.name}: .*\w+\.(csv|json|nii\.gz)", shown.out), shown.out


def test_an_unfinished_run_is_left_out_of_the_table_and_not_verified(copied):
    folder = run_folder(copied[1])
    (folder / "summary.json").unlink()
    assert f"{folder.name}: not complete; run its command again to go on" in clbench("table", folder).out
    answer = clbench("verify", folder)
    assert answer.code == 1
    assert "summary.json: missing: the run is not complete" in answer.out


def test_a_run_that_lost_its_end_is_finished_by_the_same_command_with_the_same_bytes(copied):
    card, out = copied
    folder = run_folder(out)
    before = (folder / "cases.csv").read_bytes()
    (folder / "summary.json").unlink()
    assert clbench(*run_words(card, card.parent, out)).code == 0
    assert (folder / "cases.csv").read_bytes() == before
    assert clbench("verify", out).code == 0


def test_two_strategies_are_two_rows_and_the_second_gives_the_first_its_references(tmp_path):
    card = write_domain_stream(tmp_path / "data", tasks=2)
    for strategy in ("joint", "ewc"):
        assert clbench(*run_words(card, card.parent, tmp_path / "runs", strategy=strategy)).code == 0
    shown = clbench("table", tmp_path / "runs").out
    assert {line.split("|")[1].strip() for line in shown.splitlines() if line.startswith("|")} >= {"joint", "ewc"}
    assert "gap_joint" in shown


# Stopping and going on, in a process of its own.


def start_and_signal(words, number):
    """Start the command, send it a signal when it trains, and return its exit code and standard error."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", "from clbench.cli import main; main()", *words]
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        watchdog = threading.Timer(120, process.kill)
        watchdog.start()
        said = []
        for line in process.stderr:
            said.append(line)
            if line.startswith("task 1/"):
                process.send_signal(number)
        watchdog.cancel()
        return process.wait(), said


def logged_steps(folder):
    return [line.split(",")[:2] for line in (folder / "train.csv").read_text().splitlines()]


LONGER = ("--set", "training.steps=150")


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """A card and the folder of a run on it that nobody stopped."""
    root = tmp_path_factory.mktemp("undisturbed")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CLBENCH_CACHE", str(root / "cache"))
        card = write_domain_stream(root / "data", tasks=2)
        assert clbench(*run_words(card, card.parent, root / "runs", *LONGER)).code == 0
    return card, run_folder(root / "runs")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_a_stopped_run_goes_on_from_its_checkpoint_to_the_same_bytes(number, undisturbed, tmp_path):
    card, whole = undisturbed
    words = run_words(card, card.parent, tmp_path / "runs", *LONGER)
    code, said = start_and_signal(words, number)
    assert code == 130, said
    assert said[-1] == "clbench: stopped; the same command goes on from the last checkpoint\n"
    assert "Traceback" not in "".join(said)
    folder = run_folder(tmp_path / "runs")
    assert any((folder / "checkpoints").iterdir())
    assert not (folder / "summary.json").exists()
    assert not (folder / "lock").exists()
    again = clbench(*words)
    assert again.code == 0
    assert re.search(r"going on after step \d+ of task 1\n", again.err)
    assert (folder / "cases.csv").read_bytes() == (whole / "cases.csv").read_bytes()
    assert logged_steps(folder) == logged_steps(whole)
    assert clbench("verify", folder).code == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=lambda number: number.name)
def test_a_run_stopped_while_it_prepares_leaves_no_run_folder_and_no_half_case(number, tmp_path, monkeypatch):
    sent = []

    def save(path, array):
        if not sent:
            sent.append(number)
            path.write_bytes(b"half")
            os.kill(os.getpid(), number)
            raise OSError("cut off")
        return saved(path, array)

    saved = prepare._save
    monkeypatch.setattr(prepare, "_save", save)
    card = write_class_stream(tmp_path / "data")
    answer = clbench(*run_words(card, card.parent, tmp_path / "runs"))
    assert answer.code == 130
    assert "stopped" in answer.complaints[-1]
    assert not (tmp_path / "runs").exists()
    entries = list((tmp_path / "cache").glob("prepared/*/*"))
    assert all((entry / "meta.json").is_file() and not entry.name.startswith(".") for entry in entries)


# Phantoms and the data check.


@pytest.fixture
def small_phantom(tmp_path, monkeypatch):
    """A tiny tree in the place of the real phantom, which takes seconds to build."""
    root = tiny_trees.prostate(tmp_path / "phantom")
    monkeypatch.setattr(load, "ensure", lambda layout, cache: root)


@pytest.mark.usefixtures("small_phantom")
def test_a_run_on_a_phantom_is_marked_everywhere(tmp_path):
    small = ["--set", "training.steps=1", "--phantom", "--predictions", "none"]
    answer = clbench(*run_words("prostate-sites", "", tmp_path / "runs", *small))
    assert answer.code == 0, answer.err
    assert "naive on prostate-sites@1+phantom" in answer.out
    assert run_folder(tmp_path / "runs").parent.name == "prostate-sites@1+phantom"
    assert "prostate-sites@1+phantom: test Dice" in clbench("table", tmp_path / "runs").out


@pytest.mark.usefixtures("small_phantom", "wide")
def test_a_phantom_is_checked_under_its_own_name():
    assert "prostate-sites@1+phantom: cases per task" in clbench("data", "check", "prostate-sites", "--phantom").out


@pytest.fixture
def wide(monkeypatch):
    """A screen on which no cell is broken."""
    monkeypatch.setenv("COLUMNS", "200")


def rows(text):
    """The cells of the lines of a table."""
    return [re.split(r" {2,}", line.strip()) for line in text.splitlines()]


@pytest.mark.usefixtures("wide")
def test_a_check_names_the_traps_of_the_prostate_sites_once_per_site(make_tree):
    root = make_tree("prostate-sites")
    (root / "prostate" / "UCL" / "._Case00.nii.gz").touch()
    (root / "prostate" / "I2CVB").rename(root / "prostate" / "HCRUDB")
    answer = clbench("data", "check", "prostate-sites", "--data", root)
    assert (answer.code, answer.err) == (0, "")
    for row in [
        ["4 UCL", "1", "1", "1"],
        ["capital-segmentation", "BMC", "3 masks named _Segmentation read as _segmentation"],
        ["missing-case-number", "BIDMC/Case01", "as published; none expected"],
        ["two-zone-labels", "RUNMC, 3 times", "values 1, 2 merged into one label"],
        ["two-zone-labels", "BMC, 3 times", "values 1, 2 merged into one label"],
        ["macos-files", "UCL", "1 file named ._* ignored"],
        ["site-alias", "HCRUDB", "read as I2CVB"],
        ["all 18 cases can be read"],
    ]:
        assert rows(answer.out).count(row) == 1, answer.out


@pytest.mark.usefixtures("wide")
def test_a_check_of_patients_in_folders_of_their_own_stays_short(make_tree):
    root = make_tree("acdc-groups")
    for mask in root.rglob("*_gt.nii.gz"):
        tiny_trees.save(mask, tiny_trees.load(mask).astype("f4"))
    answer = clbench("data", "check", "acdc-groups", "--data", root)
    assert answer.code == 0
    (row,) = (row for row in rows(answer.out) if row[0] == "float-mask")
    assert row[1] == "30 times in 15 folders, such as patient001/patient001_frame01_gt.nii.gz"


def test_a_check_of_a_decathlon_folder_finds_it_sound(make_tree):
    answer = clbench("data", "check", "hippocampus-classes", "--data", make_tree("hippocampus-classes"))
    assert answer.code == 0
    assert "known traps met" not in answer.out
    assert answer.out.endswith("all 4 cases can be read\n")


def test_names_that_look_like_several_cases_of_a_patient_are_warned_of_once(tmp_path):
    card = write_class_stream(tmp_path)
    for number in range(5):
        for folder, channel in (("imagesTr", "_0000"), ("labelsTr", "")):
            path = tmp_path / "Dataset001_All" / folder / f"case{number}{channel}.nii.gz"
            path.rename(path.with_name(f"p{number // 2}_visit{number % 2}{channel}.nii.gz"))
    words = run_words(card, tmp_path, tmp_path / "runs", "--set", "training.steps=1")
    found = clbench(*words)
    assert found.code == 0
    (line,) = [line for line in found.err.splitlines() if "one patient" in line]
    assert line.startswith("warning: p0_visit0 and p0_visit1 look like cases of one patient")
    assert line.count("warning") == 1
    card.write_text(card.read_text().replace("roots =", "patient = '(p\\d)_visit\\d'\nroots ="))
    again = clbench(*run_words(card, tmp_path, tmp_path / "runs", "--set", "training.steps=1"))
    assert again.code == 0
    assert "one patient" not in again.err
    assert len(list((tmp_path / "runs").rglob("run.json"))) == 2  # another identity
