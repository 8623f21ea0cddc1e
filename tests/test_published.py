"""What is published, and of what data: counted from suites and run folders, and true of the committed runs."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from clbench.report.load import load_runs
from source_tree import ROOT
from synthetic_runs import config, finished, stream_record

sys.path.insert(0, str(ROOT / "scripts"))

import published_data
import published_suites

SUITE = """
[[block]]
streams = ["prostate-sites", "acdc-groups"]
strategies = ["ewc", "naive"]
seeds = [0, 1]
preset = "smoke"
"""


@pytest.fixture
def folder(tmp_path) -> Path:
    (tmp_path / "benchmarks").mkdir()
    (tmp_path / "benchmarks" / "latent.toml").write_text(SUITE)
    return tmp_path / "benchmarks"


def stand_in(folder, stream, strategy, seed, precision=0):
    """A complete run with the configuration hash of a suite's run."""
    (found,) = (
        run
        for run in published_suites.wanted(folder / "latent.toml")
        if (run.stream, run.strategy, run.seed) == (stream, strategy, seed)
    )
    resolved = config(strategy, seed)
    more = {"stream": stream_record(stream), "config_hash": sorted(found.hashes)[precision]}
    return finished(folder.parent / "runs", resolved, **more)


def test_a_suite_says_what_is_done_and_which_seeds_of_which_strategies_are_missing(folder):
    runs = [stand_in(folder, "acdc-groups@1", "ewc", 0), stand_in(folder, "acdc-groups@1", "naive", 0)]
    text = published_suites.what_is_published(runs, folder)
    assert "- `benchmarks/latent.toml`: 2 of 8 runs" in text
    assert "    - acdc-groups@1: missing ewc, naive: seed 1" in text
    assert "    - prostate-sites@1: none yet" in text
    assert "of no suite" not in text


def test_a_suite_of_one_run_is_told_as_one(folder):
    (folder / "latent.toml").write_text(
        SUITE.replace(', "acdc-groups"', "").replace('"ewc", ', "").replace("0, 1", "0")
    )
    assert "- `benchmarks/latent.toml`: 0 of 1 run\n" in published_suites.what_is_published([], folder)


def test_the_precision_that_a_machine_chose_does_not_matter(folder):
    for precision in (0, 1):
        runs = [stand_in(folder, "acdc-groups@1", "ewc", 0, precision)]
        assert "1 of 8 runs" in published_suites.what_is_published(runs, folder)


def test_a_stream_that_is_done_and_a_run_of_no_suite_are_told(folder, tmp_path):
    runs = [stand_in(folder, "acdc-groups@1", strategy, seed) for strategy in ("ewc", "naive") for seed in (0, 1)]
    other = finished(tmp_path / "runs", config("gem", 3))
    text = published_suites.what_is_published([*runs, other], folder)
    assert "    - acdc-groups@1: all" in text
    assert text.endswith("- of no suite, 1 run: gem on toy@1 (seed 3)")


def test_the_data_of_phantoms_are_not_told_and_those_of_unknown_copies_are_said_to_be_unknown(tmp_path):
    phantom = finished(tmp_path, stream=stream_record("toy@1+phantom"))
    assert "toy" not in published_data.behind([phantom])
    assert "| toy@1 | ffffffff | 2 | 2 | 4 | not recorded |" in published_data.behind([finished(tmp_path)])
    assert published_data.in_a_sentence("f" * 64) == ""


def test_the_sentence_beside_a_table_says_what_was_done_to_the_data():
    text = published_data.in_a_sentence("1ccd92a4" + "0" * 56)
    assert text.startswith("The data are a reduced and altered copy of ACDC: 70 of the 100 published patients")
    assert "voxel spacing lost" in text
    assert "altered" not in published_data.in_a_sentence("ec54871a")


# What is written by hand holds for the committed runs.


RUNS = [run for run in load_runs(ROOT / "results" / "runs") if "+phantom" not in run.stream.key]


def patients(run, split) -> int:
    """Of a split of all tasks; a case is named after its patient, in ACDC with the frame behind."""
    cases = {case for task in run.stream.tasks for case in task.cases[split]}
    return len({case.partition("_frame")[0] for case in cases})


@pytest.mark.parametrize("run", RUNS, ids=lambda run: run.path.name)
def test_the_copy_and_the_patients_of_every_published_run_are_those_of_the_pages(run):
    copy, counts = published_data.OF_STREAM[run.stream.key.partition("@")[0]]
    assert published_data.COPIES[run.stream.fingerprint[:8]] is copy
    tasks = len(run.stream.tasks) if "per group" in counts else 1
    found = {split: patients(run, split) // tasks for split in ("train", "val", "test")}
    assert "{train} train, {val} val and {test} test patients".format(**found) in counts
