"""Expected numbers: runs that are worse, better or absent are named; runs as they were are not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from clbench.errors import InputError
from clbench.report.expected import COLUMNS, Outcome, compare, expected_text, read_expected, told
from clbench.report.load import load_runs
from command_line import clbench
from source_tree import ROOT
from synthetic_runs import SCORES, config, finished, stream_record


def scores(first: float) -> tuple:
    return (*SCORES[:2], (first, 0.9))


@pytest.fixture
def runs(tmp_path):
    return [finished(tmp_path / "runs", config("naive", seed), scores=scores(0.6 + 0.1 * seed)) for seed in (0, 1)]


@pytest.fixture
def file(tmp_path, runs):
    path = tmp_path / "expected.csv"
    path.write_text(expected_text(runs, 0.01))
    return path


def test_the_numbers_are_means_over_the_named_seeds(file):
    values = {item.metric: (item.seeds, item.value) for item in read_expected(file)}
    assert values["final"] == ("0 1", pytest.approx(0.775))
    assert values["bwt"] == ("0 1", pytest.approx(-0.15))


def test_runs_as_they_were_are_as_expected(runs, file):
    assert compare(runs, read_expected(file)) == Outcome((), 4, 0)


@pytest.mark.parametrize("shift", [-0.03, 0.03])
def test_a_number_that_moved_either_way_is_named(shift, tmp_path, file):
    moved = [finished(tmp_path / "new", config("naive", s), scores=scores(0.6 + 0.1 * s + shift)) for s in (0, 1)]
    faults = compare(moved, read_expected(file)).faults
    assert faults[1] == (
        f"naive on toy@1 (smoke, float32), final: {0.775 + shift / 2:.6f}, but 0.775000 ± 0.01 is expected"
    )
    assert {fault.split(", ")[2].split(":")[0] for fault in faults} == {"bwt", "final", "forgetting"}


def test_a_move_within_the_tolerance_is_fine(tmp_path, file):
    moved = [finished(tmp_path / "new", config("naive", s), scores=scores(0.6 + 0.1 * s + 0.005)) for s in (0, 1)]
    assert compare(moved, read_expected(file)).faults == ()


def test_a_seed_that_is_not_there_is_counted_and_one_too_many_is_not(runs, file, tmp_path):
    assert compare(runs[:1], read_expected(file)) == Outcome((), 0, 4)
    more = [*runs, finished(tmp_path / "runs", config("naive", 2), scores=scores(0.1))]
    assert compare(more, read_expected(file)) == Outcome((), 4, 0)
    assert compare([], read_expected(file)) == Outcome((), 0, 4)


def test_each_of_two_tables_with_rows_of_one_name_is_compared(runs, file, tmp_path):
    hidden = replace(stream_record(), anonymized="0123abcd")

    def twins(out, first=0.6):
        return [
            finished(tmp_path / out, run.config_resolved, scores=scores(first + 0.1 * run.seed), stream=hidden)
            for run in runs
        ]

    assert compare([*runs, *twins("same")], read_expected(file)) == Outcome((), 4, 0)
    assert compare(twins("same"), read_expected(file)) == Outcome((), 4, 0)
    both = [*runs, *twins("other", 0.1)]
    assert "final: 0.525000, but 0.775000" in compare(both, read_expected(file)).faults[1]
    file.write_text(expected_text(both, 0.01))
    assert compare(both, read_expected(file)) == Outcome((), 8, 0)


def test_rows_that_were_not_run_are_counted_and_the_others_compared(runs, tmp_path):
    other = finished(tmp_path / "runs", config("ewc"), scores=scores(0.5))
    path = tmp_path / "both.csv"
    path.write_text(expected_text([*runs, other], 0.01))
    assert compare(runs, read_expected(path)) == Outcome((), 4, 4)
    moved = finished(tmp_path / "new", config("ewc"), scores=scores(0.9))
    assert len(compare([*runs, moved], read_expected(path)).faults) == 3
    assert compare([*runs, moved], read_expected(path)).absent == 0


def test_runs_on_other_data_are_named_as_such_once_for_each_row(file, tmp_path):
    other = [
        finished(tmp_path / "new", config("naive", seed), stream=stream_record(fingerprint="a" * 64)) for seed in (0, 1)
    ]
    line = "naive on toy@1 (smoke, float32): other data: fingerprint aaaaaaaa, expected ffffffff"
    assert compare(other, read_expected(file)) == Outcome((line,), 0, 0)


def test_the_same_rows_on_the_expected_data_and_on_other_data_are_as_expected(runs, file, tmp_path):
    other = finished(tmp_path / "new", config("naive"), stream=stream_record(fingerprint="a" * 64))
    assert compare([*runs, other], read_expected(file)) == Outcome((), 4, 0)


def test_a_tampered_run_does_not_count(runs, file):
    (runs[0].path / "cases.csv").write_text("")
    assert compare(runs, read_expected(file)) == Outcome((), 0, 4)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "first line"),
        ("a,b\n", "first line"),
        (f"{','.join(COLUMNS)}\n1,2\n", "line 2: not 10 fields"),
        (f"{','.join(COLUMNS)}\na,b,c,d,e,f,g,h,x,1\n", "line 2: not 10 fields"),
        (f"{','.join(COLUMNS)}\na,b,c,d,e,f,g,h,nan,1\n", "line 2: value and tolerance"),
        (f"{','.join(COLUMNS)}\na,b,c,d,e,f,g,h,1,-1\n", "line 2: value and tolerance"),
    ],
)
def test_other_files_are_refused(text, message, tmp_path):
    (tmp_path / "expected.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        read_expected(tmp_path / "expected.csv")
    with pytest.raises(InputError, match="cannot read"):
        read_expected(tmp_path / "missing.csv")


def test_the_command_fails_when_numbers_are_not_as_expected(runs, file, tmp_path):
    answer = clbench("verify", tmp_path / "runs", "--expected", file)
    assert (answer.code, answer.out.splitlines()[-1]) == (0, f"as expected: 4 numbers of {file}")
    file.write_text(file.read_text().replace("0.775000", "0.750000"))
    answer = clbench("verify", tmp_path / "runs", "--expected", file)
    assert answer.code == 1
    assert "not as expected: naive on toy@1 (smoke, float32), final: 0.775000, but 0.750000" in answer.out
    assert answer.out.count("verified  ") == 2


def test_the_command_compares_one_run_with_its_own_rows_and_says_how_many_numbers_are_of_others(runs, tmp_path):
    finished(tmp_path / "runs", config("ewc"))
    file = tmp_path / "expected.csv"
    file.write_text(expected_text(load_runs(tmp_path / "runs"), 0.01))
    answer = clbench("verify", next((tmp_path / "runs").rglob("ewc-*")), "--expected", file)
    assert (answer.code, answer.out.splitlines()[-2:]) == (
        0,
        [
            f"as expected: 4 numbers of {file}",
            f"not compared: 4 numbers of {file} are of rows or seeds that are not among these",
        ],
    )


def test_the_command_fails_in_one_sentence_when_nothing_expected_was_run(file, tmp_path):
    finished(tmp_path / "other", config("ewc"))
    answer = clbench("verify", tmp_path / "other", "--expected", file)
    assert answer.code == 1
    assert answer.out.splitlines()[-1].startswith(f"not as expected: none of the 4 numbers of {file} is of these runs;")


def test_one_number_is_told_as_one(tmp_path):
    assert told(Outcome((), 1, 1), tmp_path)[0] == [
        f"as expected: 1 number of {tmp_path}",
        f"not compared: 1 number of {tmp_path} is of rows or seeds that are not among these",
    ]
    ((line,), _) = told(Outcome((), 0, 1), tmp_path)
    assert line.startswith(f"not as expected: the only number of {tmp_path} is not of these runs;")


def test_the_published_runs_come_to_the_published_numbers():
    expected = read_expected(ROOT / "benchmarks" / "expected.csv")
    assert expected
    assert compare(load_runs(ROOT / "results" / "runs"), expected) == Outcome((), len(expected), 0)
