"""A run in another order: its own folder and table, verified against the data in that order, the usual one unmoved."""

from __future__ import annotations

import json

import pytest

import clbench
from clbench.runfolder import read_run
from clbench.runfolder.files import write_json
from clbench.runfolder.summary import hash_files, summarize
from clbench.verify import verify
from command_line import clbench as command
from command_line import run_words
from toy import TINY, write_domain_stream

KEYS = ("toy@1", "toy@1+order-2-1")


@pytest.fixture(scope="module")
def card(tmp_path_factory):
    return write_domain_stream(tmp_path_factory.mktemp("order"), tasks=2)


@pytest.fixture
def runs(card, tmp_path, monkeypatch):
    """The same run in the usual order and with the tasks swapped; key -> run."""
    monkeypatch.setenv("CLBENCH_CACHE", str(card.parent / "cache"))
    for more in ([], ["--order", "2,1"]):
        answer = command(*run_words(card, card.parent, tmp_path / "runs", *more))
        assert answer.code == 0, answer.err
    return {run.stream.key: run for run in clbench.load_runs(tmp_path / "runs")}


def reseal(run, content):
    """Write ``run.json`` and a summary that fits it, as somebody would who wants a change to pass."""
    write_json(run.path / "run.json", content)
    (run.path / "summary.json").unlink()
    run = read_run(run.path)
    write_json(run.path / "summary.json", summarize(run.stream, run.regime, run.rows, hash_files(run.path)))


def test_an_order_is_another_result_on_the_same_data(runs, card, tmp_path):
    assert set(runs) == set(KEYS)
    usual, swapped = (runs[key] for key in KEYS)
    assert swapped.path.parent.name == KEYS[1]
    assert [task.name for task in swapped.stream.tasks] == ["site2", "site1"]
    assert usual.stream.fingerprint == swapped.stream.fingerprint
    assert usual.config_hash != swapped.config_hash
    assert {**usual.config_resolved, "stream": ""} == {**swapped.config_resolved, "stream": ""}
    first, second = (run.scores().scores[0] for run in (usual, swapped))
    assert list(first) == list(second)[::-1]  # the untrained network meets the same tasks
    shown = command("table", tmp_path / "runs").out
    assert all(f"{key}" in shown for key in KEYS)
    assert shown.count("| naive") == 2
    assert command("verify", tmp_path / "runs", "--data", card.parent, "--stream", card).code == 0


def test_python_takes_the_order_as_a_list_and_finds_the_run(runs, card, tmp_path):
    settings = dict(setting.split("=") for setting in TINY)
    fields = {"preset": "smoke", "device": "cpu", "precision": "float32", "threads": 1}
    folder = clbench.run(
        str(card), "naive", data=card.parent, out=tmp_path / "runs", settings=settings, order=[2, 1], **fields
    )
    assert folder == runs[KEYS[1]].path


def test_tasks_that_are_not_in_the_order_of_the_key_are_found(runs, card):
    run = runs[KEYS[1]]
    content = json.loads((run.path / "run.json").read_text())
    for task, name in zip(content["stream"]["tasks"], ("site1", "site2"), strict=True):
        task["name"] = name
    reseal(run, content)
    found = [str(difference) for difference in verify(run.path, card.parent, str(card))]
    assert "run.json: tasks site1, site2, but toy@1+order-2-1 has site2, site1" in found


def test_a_key_without_the_order_is_found(runs, card):
    run = runs[KEYS[1]]
    content = json.loads((run.path / "run.json").read_text())
    content["stream"]["key"] = "toy@1"
    reseal(run, content)
    found = [str(difference) for difference in verify(run.path, card.parent, str(card))]
    assert found[0] == "run.json: stream 'toy@1', but 'toy@1+order-2-1' in the configuration"
    assert found[-1] == "run.json: tasks site2, site1, but toy@1 has site1, site2"
