"""Stopped by a terminal or a scheduler, two at once, and numbers that are not finite."""

from __future__ import annotations

import json
import math
import os
import re
import signal

import numpy as np
import pytest
import torch

from clbench.assembly import network_factory, resolve
from clbench.bookkeeping import Bookkeeper
from clbench.data.prepare import prepare_cases
from clbench.device import resolve_device
from clbench.evaluate import Inference
from clbench.experiment import run_config
from clbench.failure import NotFiniteError
from clbench.functional.losses import dice_ce
from clbench.networks.unet import load_weights
from clbench.runfolder import RunFolder, checkpoint
from clbench.streams.benchmark import Sampling, make_benchmark
from clbench.streams.load import load_stream
from command_line import clbench, run_words
from killing import last_words, left_behind, run_of, run_process, signal_all, start
from toy import toy_config, write_domain_stream


@pytest.fixture
def card(tmp_path, monkeypatch):
    monkeypatch.setenv("CLBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("CLBENCH_DATA", raising=False)
    return write_domain_stream(tmp_path / "data", tasks=2)


# Signals.


@pytest.mark.parametrize(
    "number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)], ids=lambda number: number.name
)
def test_a_signal_to_all_processes_of_a_run_with_loaders_saves_and_the_run_goes_on(card, tmp_path, number):
    more = ("--workers", "2", "--set", "training.steps=40")
    whole, stopped = (run_words(card, card.parent, tmp_path / name, *more) for name in ("whole", "stopped"))
    assert run_process(whole, tmp_path / "1.log", tmp_path / "cache").code == 0
    process = start(stopped, tmp_path / "2.log", tmp_path / "cache")
    ended = signal_all(process, tmp_path / "2.log", number, "task 1/")
    assert ended.code == 130, ended
    assert ended.said == "clbench: stopped; the same command goes on from the last checkpoint"
    assert (run_of(tmp_path / "stopped") / "checkpoints").is_dir()
    assert run_process(stopped, tmp_path / "3.log", tmp_path / "cache").code == 0
    assert re.search(r"going on after step \d+ of task 1\n", (tmp_path / "3.log").read_text())
    assert left_behind(tmp_path / "stopped") == left_behind(tmp_path / "whole")


def test_ctrl_c_before_there_is_anything_to_keep_is_one_line(card, monkeypatch):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("clbench.streams.load.load_stream", interrupted)
    answer = clbench("data", "check", card)
    assert (answer.code, answer.err) == (130, "clbench: stopped\n")


def count_scored(monkeypatch, at=None):
    """Count predicted cases; at one of them the scheduler asks to stop."""
    scores, cases = Inference.scores, []

    def counted(self, network, image):
        cases.append(image.shape)
        if len(cases) == at:
            os.kill(os.getpid(), signal.SIGTERM)
        return scores(self, network, image)

    monkeypatch.setattr(Inference, "scores", counted)
    return cases


@pytest.mark.parametrize("at", [2, 7], ids=["untrained", "after task 1"])
def test_an_evaluation_goes_on_with_the_case_where_it_stopped(card, tmp_path, monkeypatch, at):
    config = toy_config(card, tmp_path / "runs")
    with monkeypatch.context() as patch:
        every = count_scored(patch)
        whole = run_config(toy_config(card, tmp_path / "whole"))
    with monkeypatch.context() as patch:
        first = count_scored(patch, at)
        with pytest.raises(KeyboardInterrupt):
            run_config(config)
    assert len(first) == at
    with monkeypatch.context() as patch:
        rest = count_scored(patch)
        folder = run_config(config)
    assert len(first) + len(rest) == len(every)
    assert (folder / "cases.csv").read_bytes() == (whole / "cases.csv").read_bytes()


# Intervals.


@pytest.mark.parametrize(
    ("fields", "steps"),
    [
        ({"checkpoint_steps": 3}, [3]),
        ({"checkpoint_steps": 2}, [2, 4]),
        ({"checkpoint_steps": 100, "checkpoint_minutes": 1e-9}, [1, 2, 3, 4]),
        ({"checkpoint_steps": 100, "checkpoint_minutes": 1000}, []),
    ],
)
def test_checkpoints_come_by_steps_and_by_minutes_whichever_is_first(card, tmp_path, monkeypatch, fields, steps):
    saved, save = [], RunFolder.save_checkpoint

    def counted(self, tensors, state):
        saved.append((state["phase"], state["task"], state["step"]))
        save(self, tensors, state)

    monkeypatch.setattr(RunFolder, "save_checkpoint", counted)
    run_config(toy_config(card, tmp_path / "runs", **fields))
    assert [step for phase, task, step in saved if (phase, task) == ("training", 1)] == steps
    assert [(phase, task) for phase, task, _ in saved if phase != "training"] == [
        *(("trained", 1), ("scored", 1)),
        *(("trained", 2), ("scored", 2)),
    ]


# Two at once.


def test_two_processes_that_prepare_one_cache_do_not_disturb_each_other(card, tmp_path):
    words = [run_words(card, card.parent, tmp_path / f"runs{number}") for number in range(3)]
    processes = [start(w, tmp_path / f"{n}.log", tmp_path / "cache") for n, w in enumerate(words)]
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0, 0], last_words(tmp_path / "0.log")
    assert left_behind(tmp_path / "runs0") == left_behind(tmp_path / "runs1") == left_behind(tmp_path / "runs2")
    entries = list((tmp_path / "cache").glob("prepared/*/*"))
    assert len(entries) == 8
    assert all((entry / "meta.json").is_file() for entry in entries)


def test_of_two_processes_on_one_run_folder_the_second_refuses_and_names_the_first(card, tmp_path):
    words = run_words(card, card.parent, tmp_path / "runs", "--set", "training.steps=60")
    first = start(words, tmp_path / "1.log", tmp_path / "cache")
    while first.is_alive() and not any(tmp_path.glob("runs/*/*/lock")):
        first.join(0.01)
    second = run_process(words, tmp_path / "2.log", tmp_path / "cache")
    pid = first.pid
    first.join()
    assert first.exitcode == 0
    assert second.code == 1
    assert f"is being written by process {pid} on {os.uname().nodename}; wait for it" in second.said


# Numbers that are not finite.

EXPLODES = (
    "training.optimizer=sgd",
    "training.learning_rate=1e30",
    "training.gradient_clip=0",
    "training.momentum=0.9",
)


@pytest.mark.parametrize("fields", [{}, {"checkpoint_steps": 1}], ids=["from the start", "from a checkpoint"])
def test_a_loss_that_is_not_finite_names_step_terms_and_cases_and_leaves_what_shows_it_again(card, tmp_path, fields):
    config = toy_config(card, tmp_path / "runs", "naive", EXPLODES, **fields)
    with pytest.raises(NotFiniteError) as failed:
        run_config(config)
    failure, folder = failed.value, run_of(tmp_path / "runs")
    assert re.fullmatch(
        rf"the loss is not finite in task site1 at step {failure.step} \(loss (nan|inf).*\), with a batch of the cases "
        r"Dataset001_Site/case\d, Dataset001_Site/case\d; the state before that step is in .*/failure; "
        r"lower training.learning_rate or the strategy's weight",
        str(failure),
    )
    kept = checkpoint.load(folder / "failure")
    assert kept.state["step"] == failure.step
    assert [slot["case"] for slot in kept.state["batch"]] == list(failure.batch)
    assert json.loads(json.dumps(kept.state))["losses"]["loss"] in ("nan", "inf", "-inf")
    assert not math.isfinite(loss_again(config, card, kept, tmp_path))
    assert not (folder / "summary.json").exists()
    assert "not complete" in clbench("table", tmp_path / "runs").out


def loss_again(config, card, kept, tmp_path):
    """The loss of the failed step, from what was kept and the step's number alone."""
    stream = load_stream(str(card), data=card.parent)
    experiment, plan = resolve(config, stream, resolve_device("cpu")), stream.plan("smoke")
    training = experiment.training
    prepared = prepare_cases(stream.cases, plan, tmp_path / "cache")
    sampling = Sampling(plan, 0, training.steps, training.batch_size, augment=training.augment)
    experience = make_benchmark(stream, prepared, sampling).train_stream[kept.state["task"] - 1]
    network = network_factory(experiment, stream, plan, 1)(experience.classes)
    weights = {
        name.removeprefix("network/"): value for name, value in kept.tensors.items() if name.startswith("network/")
    }
    load_weights(network, weights)
    first = (kept.state["step"] - 1) * training.batch_size
    x, y, _ = zip(*(experience.patches[first + slot] for slot in range(training.batch_size)), strict=True)
    return sum(dice_ce(network(torch.stack(x)), torch.stack(y)).values()).item()


def test_weights_that_are_not_finite_fail_the_run_by_name(card, tmp_path, monkeypatch):
    import clbench.strategies.template as template

    def poison(self):
        with torch.no_grad():
            next(self.model.parameters()).fill_(float("nan"))

    monkeypatch.setattr(template.SegmentationStrategy, "optimizer_step", poison)
    with pytest.raises(NotFiniteError, match=r"weights are not finite in task site1 after step 1, with a batch of"):
        run_config(toy_config(card, tmp_path / "runs", settings=("training.steps=1",)))
    assert (run_of(tmp_path / "runs") / "failure").is_dir()


def test_what_a_failure_left_is_gone_once_the_run_ends_well(card, tmp_path, monkeypatch):
    config, flush = toy_config(card, tmp_path / "runs"), Bookkeeper._flush

    def failing(self, strategy):
        raise self._failure(strategy, strategy.experience.index, 2, {"loss": math.nan})

    monkeypatch.setattr(Bookkeeper, "_flush", failing)
    with pytest.raises(NotFiniteError):
        run_config(config)
    assert (run_of(tmp_path / "runs") / "failure").is_dir()
    monkeypatch.setattr(Bookkeeper, "_flush", flush)
    assert not (run_config(config) / "failure").exists()


def test_scores_that_are_not_finite_are_refused_in_predictions(card, tmp_path, monkeypatch):
    scores = Inference.scores

    def broken(self, network, image):
        return scores(self, network, image) * np.float32("nan")

    monkeypatch.setattr(Inference, "scores", broken)
    with pytest.raises(RuntimeError, match=r"class scores of case .* are not finite after task 0"):
        run_config(toy_config(card, tmp_path / "runs"))


# Checkpoints that do not belong to the run.


@pytest.mark.parametrize(
    "change",
    [
        {"phase": "other"},
        {"task": 7},
        {"task": "1"},
        {"step": -1},
        {"step": 10**6},
        {"cost": 3},
        {"cost": [{}]},
        {"cost": [{"stage": "train", "task": "x", "seconds": 1.0}]},
        {"device": None, "phase": None},
    ],
    ids=str,
)
def test_a_checkpoint_of_something_else_is_refused_in_one_line(card, tmp_path, change):
    out = tmp_path / "runs"
    assert clbench(*run_words(card, card.parent, out)).code == 0
    folder = run_of(out)
    (folder / "summary.json").unlink()
    (path,) = folder.glob("checkpoints/*/state.json")
    content = json.loads(path.read_text())
    content["state"].update(change)
    path.write_text(json.dumps(content))
    answer = clbench(*run_words(card, card.parent, out))
    assert answer.code == 1
    assert len(answer.complaints) == 1
    assert "is not one of this run; remove" in answer.complaints[0]


def test_weights_of_another_network_are_refused(card, tmp_path):
    out = tmp_path / "runs"
    assert clbench(*run_words(card, card.parent, out)).code == 0
    folder = run_of(out)
    (folder / "summary.json").unlink()
    kept = checkpoint.load(folder / "checkpoints")
    name = next(name for name in kept.tensors if name.startswith("network/"))
    for value in (torch.zeros(1), torch.full_like(kept.tensors[name], math.nan)):
        checkpoint.save(folder / "checkpoints", {**kept.tensors, name: value}, kept.state)
        answer = clbench(*run_words(card, card.parent, out))
        assert answer.code == 1
        assert "is not one of this run; remove" in answer.complaints[0]
