"""What files and folders say of people never reaches a run folder; with --anonymize neither do case ids."""

from __future__ import annotations

import gzip
import json

import nibabel
import numpy as np
import pytest

from clbench.errors import InputError
from clbench.evaluate import Inference
from clbench.naming import Naming, naming_of, salted
from clbench.runfolder import read_run
from clbench.streams.load import load_stream
from command_line import clbench, run_words
from killing import run_of
from toy import write_domain_stream

SECRET = "Erika-Mustermann"
CASES = {"case0", "case1", "case2", "case3"}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A card and data under a telling path, with telling headers."""
    root = tmp_path_factory.mktemp("place") / SECRET / "scans"
    card = write_domain_stream(root, tasks=2)
    for path in root.rglob("*.nii.gz"):
        image = nibabel.load(path)
        array = np.asarray(image.dataobj)
        told = nibabel.Nifti1Image(array, image.affine)
        for field in ("descrip", "aux_file", "intent_name", "db_name"):
            told.header[field] = SECRET
        told.header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", SECRET.encode()))
        nibabel.save(told, path)
    return card


@pytest.fixture(autouse=True)
def _own_surroundings(tmp_path, monkeypatch):
    monkeypatch.setenv("CLBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    for name in ("CLBENCH_DATA", "CLBENCH_SALT"):
        monkeypatch.delenv(name, raising=False)


def run(card, out, *more):
    answer = clbench(*run_words(card, card.parent, out, "--predictions", "all", *more))
    assert answer.code == 0, answer.err
    return run_of(out)


def contents(folder):
    """Every file of a folder, its name before its bytes, unpacked where it is packed."""
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        content = path.read_bytes()
        unpacked = gzip.decompress(content) if path.suffix == ".gz" else content
        yield path.relative_to(folder).as_posix().encode() + b"\n" + unpacked


def test_headers_and_the_path_of_the_data_never_reach_a_run_folder(place, tmp_path, monkeypatch):
    monkeypatch.setattr("sys.argv", ["/opt/bin/clbench", *run_words(place, place.parent, tmp_path / "runs")])
    folder = run(place, tmp_path / "runs")
    assert any(SECRET.encode() in content for content in contents(place.parent))
    told = [content[:60] for content in contents(folder) if SECRET.encode() in content]
    assert not told
    assert json.loads((folder / "run.json").read_text())["provenance"]["argv"][2:5] == [
        "--stream",
        "toy.toml",
        "--strategy",
    ]


def test_predictions_have_clean_headers(place, tmp_path):
    path = next(run(place, tmp_path / "runs").rglob("*.nii.gz"))
    header = nibabel.load(path).header
    assert not header.extensions
    assert all(not bytes(header[field].item()) for field in ("descrip", "aux_file", "intent_name", "db_name"))


def test_a_failed_run_tells_no_path_either(place, tmp_path):
    words = run_words(place, place.parent, tmp_path / "runs", "--set", "segreg.weight=1e45", strategy="segreg")
    assert clbench(*words, "--set", "training.gradient_clip=0").code == 1
    folder = run_of(tmp_path / "runs")
    assert (folder / "failure").is_dir()
    assert not [content[:60] for content in contents(folder) if SECRET.encode() in content]


def values(folder):
    return sorted(
        (row.after_task, row.on_task, row.split, row.label, row.metric, row.value) for row in read_run(folder).rows
    )


def test_anonymized_runs_hold_no_id_and_have_the_same_scores(place, tmp_path):
    plain, folder = run(place, tmp_path / "plain"), run(place, tmp_path / "hidden", "--anonymize")
    assert {case.case_id.rpartition("/")[2] for case in load_stream(str(place), data=place.parent).cases} == CASES
    for content in contents(folder):
        assert not [name for name in (*CASES, "Dataset001_Site") if name.encode() in content]
    assert values(folder) == values(plain)
    assert json.loads((folder / "run.json").read_text())["config"]["hash"] == read_run(plain).config_hash
    assert read_run(folder).stream.fingerprint == read_run(plain).stream.fingerprint
    assert not list((tmp_path / "hidden").rglob("salt"))


@pytest.mark.parametrize("strategy", ["replay+ewc", "gss"])
def test_neither_a_memory_nor_a_failure_of_an_anonymized_run_tells_an_id(place, tmp_path, monkeypatch, strategy):
    """A checkpoint inside the last task, with what the strategy remembers, and then the dump of a failed step."""
    words = run_words(
        place, place.parent, tmp_path / "runs", "--anonymize", "--checkpoint-steps", "1", strategy=strategy
    )
    explode = (
        "--set",
        "training.optimizer=sgd",
        "--set",
        "training.learning_rate=1e30",
        "--set",
        "training.gradient_clip=0",
    )
    assert clbench(*words).code == 0
    assert clbench(*words, *explode).code == 1
    folders = [path.parent for path in (tmp_path / "runs").rglob("run.json")]
    assert len(folders) == 2
    assert any((folder / "failure").is_dir() for folder in folders)
    for folder in folders:
        for content in contents(folder):
            assert not [name for name in (*CASES, "Dataset001_Site") if name.encode() in content], content[:60]


def test_an_anonymized_run_is_verified_against_the_data_by_who_has_the_salt(place, tmp_path, monkeypatch):
    folder = run(place, tmp_path / "runs", "--anonymize")
    words = ("verify", folder, "--data", place.parent, "--stream", place)
    assert (clbench(*words).code, clbench(*words).out) == (0, f"verified  {folder}\n")
    prediction = max(folder.rglob("*.nii.gz"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "another"))
    answer = clbench(*words)
    assert answer.code == 2
    assert "anonymized with another salt; set CLBENCH_SALT" in answer.err
    assert clbench("verify", folder).code == 0  # without data, everything else
    assert prediction.exists()


def test_an_anonymized_evaluation_goes_on_with_the_case_where_it_stopped(place, tmp_path, monkeypatch):
    whole, scores, predicted = run(place, tmp_path / "whole", "--anonymize"), Inference.scores, []

    def stops(self, network, image):
        predicted.append(image)
        if len(predicted) == 7:
            raise KeyboardInterrupt
        return scores(self, network, image)

    monkeypatch.setattr(Inference, "scores", stops)
    words = run_words(place, place.parent, tmp_path / "runs", "--anonymize", "--predictions", "all")
    assert clbench(*words, "--checkpoint-minutes", "1e-9").code == 130
    folder = run(place, tmp_path / "runs", "--anonymize")
    assert (folder / "cases.csv").read_bytes() == (whole / "cases.csv").read_bytes()
    assert len(predicted) == 1 + 3 * 4  # after 0, 1 and 2 tasks: val and test of both, one of them tried twice


def test_the_salt_is_drawn_once_and_only_for_its_user(tmp_path):
    first, path = salted(), tmp_path / "config" / "clbench" / "salt"
    assert salted() == first
    assert path.stat().st_mode & 0o077 == 0
    assert list(path.parent.iterdir()) == [path]
    path.write_text("short")
    with pytest.raises(InputError, match="holds no salt"):
        salted()


def test_a_secret_of_ones_own_gives_the_same_names_anywhere(tmp_path, monkeypatch):
    monkeypatch.setenv("CLBENCH_SALT", "a secret of my own")
    naming = salted()
    assert naming == Naming(b"a secret of my own")
    assert naming_of(naming.mark) == naming
    assert not (tmp_path / "config").exists()
    monkeypatch.setenv("CLBENCH_SALT", "another secret of mine")
    assert salted().case("a") != naming.case("a")
    monkeypatch.setenv("CLBENCH_SALT", "short")
    with pytest.raises(InputError, match="fewer than 16"):
        salted()


def test_names_differ_by_salt_kind_and_id_and_without_a_salt_are_the_ids():
    one, other = Naming(b"1" * 16), Naming(b"2" * 16)
    names = {one.case("a"), one.case("b"), one.patient("a"), other.case("a")}
    assert len(names) == 4
    assert all(len(name) == 16 for name in names)
    assert (Naming().case("a"), Naming().patient("p"), Naming().mark) == ("a", "p", "")
    assert one.ids([one.case("a"), "unknown"], ["a", "b"]) == {one.case("a"): "a"}
