"""Provenance: what made a result, without telling where or who."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import pytest

from clbench.provenance import collect, git_state, packages, without_path


@pytest.mark.parametrize(
    ("argument", "kept"),
    [
        ("run", "run"),
        ("--seed=3", "--seed=3"),
        ("ewc.weight=1", "ewc.weight=1"),
        ("/mnt/somebody/data", "data"),
        ("/mnt/somebody/data/", "data"),
        ("--data=/mnt/somebody/data", "--data=data"),
        ("--set=a=/mnt/x", "--set=a=x"),
        ("~/data", "data"),
        (r"C:\Users\x\data", "data"),
        ("C:/x/data", "data"),
        ("/", "..."),
        ("cards/mine.toml", "cards/mine.toml"),
        ("file:///mnt/somebody/card.toml", "card.toml"),
        ("../somebody/data", "data"),
        ("--data=../../somebody/data", "--data=data"),
        ("..", ".."),
        ("a..b", "a..b"),
        ("", ""),
        ("/a=b/c", "c"),
    ],
)
def test_absolute_paths_are_cut_to_their_last_part(argument, kept):
    assert without_path(argument) == kept


def test_everything_is_there_and_is_json():
    found = collect("cpu", ["/somewhere/bin/clbench", "run"])
    assert set(found) == {"packages", "python", "system", "git", "device", "argv"}
    assert found["argv"] == ["clbench", "run"]
    assert str(Path.home()) not in json.dumps(found)


def test_packages_are_named_with_their_versions():
    import numpy as np

    assert packages()["numpy"] == np.__version__
    assert list(packages()) == sorted(packages())


@pytest.fixture
def checkout(tmp_path):
    if shutil.which("git") is None:
        pytest.skip("no git")
    package = tmp_path / "package"
    package.mkdir()
    (package / "a.py").write_text("")
    git(tmp_path, "init", "-q")
    return package


def git(folder: Path, *arguments: str) -> None:
    identity = ["-c", "user.name=a", "-c", "user.email=a@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", "-C", str(folder), *identity, *arguments], check=True, capture_output=True)


def test_commit_and_dirty_flag_of_a_checkout(checkout):
    git(checkout.parent, "add", ".")
    git(checkout.parent, "commit", "-q", "-m", "first")
    state = git_state(checkout)
    assert state is not None
    assert len(state["commit"]) == 40
    assert state["dirty"] is False
    (checkout.parent / "runs.csv").write_text("a result beside the source")
    assert git_state(checkout) == state
    (checkout / "a.py").write_text("changed")
    assert git_state(checkout) == {"commit": state["commit"], "dirty": True}


def test_a_checkout_without_a_commit_or_no_checkout_has_no_state(checkout, tmp_path):
    assert git_state(checkout) is None
    assert git_state(tmp_path / "elsewhere" / "package") is None


def test_a_package_installed_inside_somebodys_checkout_does_not_report_it(checkout):
    installed = checkout / "site-packages" / "clbench"
    installed.mkdir(parents=True)
    assert git_state(installed) is None
