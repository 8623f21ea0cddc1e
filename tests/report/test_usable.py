"""Which runs may be shown: complete, unchanged, each once; the others are named with the reason."""

import re
import shutil

import pytest

from clbench.errors import InputError
from clbench.report.load import find_runs, load_runs
from clbench.report.tables import table
from clbench.report.usable import usable
from command_line import clbench
from markdown_tables import cells
from synthetic_runs import BETTER, case_rows, completed, config, finished, open_folder


def test_an_unfinished_run_is_left_out_and_named(tmp_path):
    finished(tmp_path)
    with open_folder(tmp_path, config("ewc")) as folder:
        folder.write_cases(case_rows())
    text = table(load_runs(tmp_path))
    assert list(cells(text)) == ["naive"]
    assert f"- toy@1/{folder.path.name}: not complete" in text


@pytest.mark.parametrize("name", ["cases.csv", "run.json", "cost.json", "train.csv"])
def test_a_run_that_was_changed_afterwards_is_left_out_and_named(tmp_path, name):
    run = finished(tmp_path)
    runs = load_runs(tmp_path)
    (run.path / name).write_text((run.path / name).read_text() + "\n")
    text = table(runs)
    assert "No complete run." in text
    assert f"not as it was when it ended: {name} changed" in text


def test_a_run_published_without_its_large_files_counts(tmp_path):
    run = finished(tmp_path)
    shutil.rmtree(run.path / "predictions")
    assert usable(load_runs(tmp_path)) == ([run], [])


def test_a_run_that_fails_the_check_is_left_out_and_named(tmp_path):
    finished(tmp_path)
    text = table(load_runs(tmp_path), check=lambda run: "three scores are missing")
    assert re.search(r"- toy@1/naive-s0-\w+: three scores are missing", text)
    assert "No complete run." in text


def test_the_same_run_twice_is_not_two_seeds(tmp_path):
    finished(tmp_path / "1")
    finished(tmp_path / "2")
    text = table(load_runs(tmp_path))
    assert cells(text)["naive"]["seeds"] == "1"
    assert "the same settings, seed and data as toy@1/naive-s0-" in text


def test_two_runs_that_should_have_the_same_scores_and_have_not_are_both_left_out(tmp_path):
    finished(tmp_path, config("ewc"))
    finished(tmp_path / "1", provenance={"device": "cpu, 1 threads"})
    finished(tmp_path / "2", scores=BETTER, provenance={"device": "cpu, 2 threads"})
    finished(tmp_path / "3", provenance={"device": "cpu, 1 threads"})
    text = table(load_runs(tmp_path))
    assert list(cells(text)) == ["ewc"]
    assert text.count("but other scores (they ran on cpu, 1 thread and on cpu, 2 threads): until it is known") == 3


def test_a_copy_under_another_seed_is_left_out_with_what_it_is_a_copy_of(tmp_path):
    finished(tmp_path, config("ewc"))
    rows = case_rows()
    for seed in (0, 7):
        with open_folder(tmp_path, config(seed=seed)) as folder:
            completed(folder, rows)
    text = table(load_runs(tmp_path))
    assert list(cells(text)) == ["ewc"]
    for seed, other in ((0, 7), (7, 0)):
        line = rf"- toy@1/naive-s{seed}-\w+: to the last digit the scores of toy@1/naive-s{other}-\w+, another seed"
        assert re.search(line, text)


def test_networks_that_predict_nothing_may_have_the_same_scores(tmp_path):
    for seed in (0, 1):
        with open_folder(tmp_path, config(seed=seed)) as folder:
            completed(folder, [row._replace(value=0.0) for row in case_rows()])
    assert cells(table(load_runs(tmp_path)))["naive"]["seeds"] == "2"


def test_damaged_folders_are_told_or_raised(tmp_path):
    finished(tmp_path)
    damaged = finished(tmp_path, config("ewc")).path
    (damaged / "run.json").write_text("{")
    with pytest.raises(InputError, match=r"run\.json is damaged"):
        load_runs(tmp_path)
    runs, left_out = find_runs(tmp_path)
    assert [run.strategy for run in runs] == ["naive"]
    assert str(tmp_path) not in table(runs, "md", left_out)
    assert f"- toy@1/{damaged.name}: run.json is damaged" in table(runs, "md", left_out)


@pytest.mark.parametrize("gone", [("run.json",), ("run.json", "cases.csv"), ("run.json", "summary.json")])
def test_a_folder_that_lost_its_run_json_is_left_out_and_named(tmp_path, gone):
    finished(tmp_path)
    lost = finished(tmp_path, config("ewc")).path
    for name in gone:
        (lost / name).unlink()
    runs, left_out = find_runs(tmp_path)
    assert [run.strategy for run in runs] == ["naive"]
    text = table(runs, "md", left_out)
    assert f"- toy@1/{lost.name}: run.json is missing, and nothing else says what run this is" in text
    assert str(tmp_path) not in text
    with pytest.raises(InputError, match=r"run\.json is missing"):
        load_runs(tmp_path)
    answer = clbench("verify", tmp_path)
    assert (answer.code, answer.out.count("verified  "), answer.out.count("differs  ")) == (1, 1, 1)
    assert "run.json is missing" in answer.out


def test_a_run_reached_by_two_paths_is_read_once(tmp_path):
    path = finished(tmp_path).path
    assert len(load_runs(tmp_path, path, tmp_path / "toy@1" / ".." / "toy@1")) == 1


def test_paths_without_runs_are_named(tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        load_runs(tmp_path / "nothing")
    with pytest.raises(InputError, match="no run folder in"):
        load_runs(tmp_path)
