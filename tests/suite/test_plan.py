"""The plan of a suite: which runs, in which folders, from which commands, and about how long."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import typer.main

from clbench import cli
from clbench.config import make_config
from clbench.errors import InputError
from clbench.suite.plan import Planned, plan_suite
from clbench.suite.screen import plan_text

SUITE = """
[[block]]
streams = ["acdc-groups", "hippocampus-shifts"]
strategies = ["naive", "segreg+ewc"]
seeds = [3, 0]
preset = "smoke"
precision = "float32"
compile = true
exclude_bad = true
anonymize = true
training = { steps = 5 }
options.ewc.weight = 2.5

[block.stream.hippocampus-shifts]
preset = "cpu"
order = "seed:7"
training.batch_size = 2
options.ewc.weight = 1
options.segreg.taps = ["last_linear"]
"""


def planned(folder: Path, text: str = SUITE, **choices) -> list[Planned]:
    (folder / "suite.toml").write_text(text)
    return plan_suite(folder / "suite.toml", out=folder / "runs", device="cpu", **choices)


def test_runs_are_ordered_by_seed_then_stream_then_strategy(tmp_path):
    found = [(run.config.seed, run.config.stream, run.config.strategy) for run in planned(tmp_path)]
    streams, strategies = ("acdc-groups", "hippocampus-shifts"), ("naive", "ewc+segreg")
    assert found == [(seed, stream, strategy) for seed in (3, 0) for stream in streams for strategy in strategies]


def test_a_stream_has_its_own_values_over_those_of_the_block(tmp_path):
    runs = {(run.config.stream, run.config.strategy): run.config for run in planned(tmp_path) if not run.config.seed}
    groups, shifts = runs["acdc-groups", "ewc+segreg"], runs["hippocampus-shifts", "ewc+segreg"]
    assert (groups.preset, groups.order, groups.training, groups.options["ewc"]["weight"]) == (
        "smoke",
        None,
        {"steps": 5},
        2.5,
    )
    assert (shifts.preset, shifts.order, shifts.training, shifts.options["ewc"]["weight"]) == (
        "cpu",
        "seed:7",
        {"steps": 5, "batch_size": 2},
        1.0,
    )


def test_the_command_of_a_run_asks_for_what_was_planned(tmp_path):
    for run in planned(tmp_path, data=tmp_path / "data"):
        command = typer.main.get_command(cli.app).commands["run"]
        values = command.make_context("run", run.words()[1:]).params
        fields = {name.rstrip("_"): value for name, value in values.items()}
        assert make_config(**{**fields, "settings": fields["settings"] or []}) == run.config


def test_a_run_has_the_folder_that_its_command_writes(tmp_path):
    runs = planned(tmp_path)
    assert runs[0].path.parent == tmp_path / "runs" / "acdc-groups@1"
    assert runs[2].name.startswith("hippocampus-shifts@1+order-")
    assert len({run.path for run in runs}) == len(runs)


def test_a_pattern_chooses_runs_by_name(tmp_path):
    assert {run.config.strategy for run in planned(tmp_path, only="ewc+segreg")} == {"ewc+segreg"}
    assert {run.config.seed for run in planned(tmp_path, only="acdc-groups@1/*-s3-*")} == {3}
    with pytest.raises(
        InputError, match=r"no run of .* matches --only si; a run's name is such as acdc-groups@1/naive"
    ):
        planned(tmp_path, only="si")


def test_blocks_that_overlap_are_refused(tmp_path):
    block = '[[block]]\nstreams = ["acdc-groups"]\nstrategies = ["naive"]\n'
    with pytest.raises(InputError, match="twice; two of its blocks overlap"):
        planned(tmp_path, block + block)
    assert len(planned(tmp_path, block + block + "training = { steps = 7 }\n")) == 2


def test_unknown_names_and_options_are_found_before_anything_runs(tmp_path):
    block = '[[block]]\nstreams = ["acdc-groups"]\nstrategies = ["ewc"]\n'
    for more, message in {
        "options.ewc.wait = 1": "unknown option of ewc 'wait'",
        "training.stepps = 1": "unknown training setting 'stepps'; did you mean steps?",
        'preset = "cup"': "unknown preset 'cup'; did you mean cpu?",
        'network = "unett"': "unknown network 'unett'; did you mean unet",
    }.items():
        with pytest.raises(InputError, match=message.replace("?", r"\?")):
            planned(tmp_path, block + more)


# What is there already.


def leave(run: Planned, *, seconds: float | None, threads: int = 3) -> None:
    """What a run leaves behind, as far as a plan looks at it; no seconds for one that is not complete."""
    run.path.mkdir(parents=True)
    content = {
        "provenance": {"device": f"cpu, {threads} threads"},
        "config": {"given": run.config.model_dump(mode="json")},
    }
    (run.path / "run.json").write_text(json.dumps(content))
    if seconds is not None:
        (run.path / "cost.json").write_text(json.dumps({"seconds": {"train": seconds - 1, "evaluate": 1}}))
        (run.path / "summary.json").touch()


def test_complete_and_begun_runs_are_told_apart(tmp_path):
    first, second, *_ = planned(tmp_path)
    leave(first, seconds=10)
    leave(second, seconds=None)
    assert [(run.state, run.threads) for run in planned(tmp_path)[:3]] == [("complete", 0), ("begun", 3), ("new", 0)]


def test_the_time_is_that_of_earlier_runs_of_the_same_strategy_stream_and_budget(tmp_path):
    runs = planned(tmp_path)
    leave(runs[0], seconds=100)
    leave(runs[1], seconds=300)
    again = planned(tmp_path)
    assert [run.seconds for run in again] == [100, 300, None, None, 100, 300, None, None]
    text = plan_text(again, places=2)
    assert text.startswith("8 runs: 6 to do, 0 go on, 2 skip; about 3:20 with 2 at a time, and 4 more of which no ")
    assert plan_text(again[:1], places=1) == "1 run: 0 to do, 0 go on, 1 skip; nothing to do"
    assert {run.seconds for run in planned(tmp_path, SUITE.replace("steps = 5", "steps = 6"))} == {None}


def test_a_strategy_without_earlier_runs_takes_as_long_as_the_others(tmp_path):
    leave(planned(tmp_path)[0], seconds=100)
    assert [run.seconds for run in planned(tmp_path)[:4]] == [100, 100, None, None]


@pytest.mark.parametrize("name", ["run.json", "cost.json"])
@pytest.mark.parametrize("content", ["", "[]", "{}", '{"seconds": {"train": "long"}}'])
def test_damaged_folders_are_left_to_whoever_reads_them(name, content, tmp_path):
    run = planned(tmp_path)[0]
    leave(run, seconds=10)
    (run.path / name).write_text(content)
    assert planned(tmp_path)[0].seconds is None
