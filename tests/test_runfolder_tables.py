"""Tables of a run folder: scores and the training log, written so that a crash or a second try costs nothing."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clbench.case_table import CaseRow
from clbench.errors import InputError
from clbench.runfolder import TrainRow, read_run
from clbench.runfolder.tables import case_text, is_written_so, read_cases, read_train, score_text
from synthetic_runs import case_rows, finished, open_folder


@pytest.fixture
def folder(tmp_path):
    with open_folder(tmp_path) as opened:
        yield opened


# cases.csv


def test_scores_are_sorted_with_six_decimals_whatever_the_order_they_come_in(folder):
    rows = case_rows()
    folder.write_cases(rows[::-1])
    lines = (folder.path / "cases.csv").read_text().splitlines()
    assert lines[0] == "after_task,on_task,split,case,patient,label,metric,value"
    assert lines[1] == "0,1,test,A/0,A/0,organ,dice,0.050000"
    assert lines[1:] == sorted(lines[1:])


def test_scoring_again_after_a_resume_replaces_the_rows(folder):
    folder.write_cases(case_rows(only_after={0}))
    folder.write_cases(case_rows(only_after={1}))
    folder.write_cases(case_rows(only_after={1}))
    assert folder.cases() == sorted(case_rows(only_after={0, 1}))


def test_an_undefined_score_is_written_as_nan(folder):
    folder.write_cases([CaseRow(0, 1, "test", "A/0", "A/0", "organ", "dice", float("nan"))])
    assert (folder.path / "cases.csv").read_text().endswith(",nan\n")
    assert np.isnan(folder.cases()[0].value)


@given(st.floats(allow_infinity=False))
def test_a_written_score_reads_back_to_the_same_text(value):
    assert score_text(float(score_text(value))) == score_text(value)
    assert score_text(value) != "-0.000000"


EDGE = 5e-7  # a little less than half of the last decimal, as a float


@pytest.mark.parametrize("value", [-0.0, -1e-300, -EDGE, EDGE, np.nextafter(EDGE, 1), np.nextafter(-EDGE, -1), -0.1])
def test_six_decimals_are_those_of_the_value_and_minus_zero_is_zero(value):
    expected = f"{value:.6f}"
    assert score_text(value) == ("0.000000" if expected == "-0.000000" else expected)


def names(word):
    """Case rows of one organ in one case of that name."""
    return [CaseRow(after, 1, "test", word, word, "organ", "dice", 0.5) for after in range(3)]


@pytest.mark.parametrize(
    "rows", [case_rows(), names('a "b"'), names("a, b"), names("ä"), names("50%.6f"), [], case_rows()[:1]], ids=len
)
def test_a_table_that_clbench_wrote_is_known_as_such(tmp_path, rows):
    path = tmp_path / "cases.csv"
    path.write_text(case_text(rows), encoding="utf-8", newline="")
    assert read_cases(path) == sorted(rows)
    assert is_written_so(path, read_cases(path))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("0.050000", "0.05"),
        ("0.050000", "5e-2"),
        ("0.050000", " 0.050000"),
        ("0.050000", "+0.050000"),
        ("0.050000", "00.050000"),
        ("0.050000", "-0.000000"),
        ("0.050000", "0.0500000"),
        ("0.050000", "0_0.050000"),
        ("0.050000", "NaN"),
        ("\n0,1,", "\n00,1,"),
        ("\n0,1,", "\n0, 1,"),
        ("\n0,1,", "\n+0,1,"),
        ("\n0,1,test", '\n0,1,"test"'),
        ("\n", "\r\n"),
    ],
)
def test_a_table_that_says_the_same_in_other_words_is_told_from_it(tmp_path, before, after):
    path, text = tmp_path / "cases.csv", case_text(case_rows())
    assert before in text
    path.write_text(text.replace(before, after, 1), newline="")
    assert not is_written_so(path, read_cases(path))


def test_two_rows_of_one_score_are_no_table_of_clbench(tmp_path):
    path, row = tmp_path / "cases.csv", CaseRow(0, 1, "test", "A/0", "A/0", "organ", "dice", 0.1)
    text = case_text([row])
    path.write_text(text + text.splitlines(keepends=True)[1].replace("0.1", "0.2"))
    with pytest.raises(ValueError, match="two rows for the same score"):
        is_written_so(path, read_cases(path))


def test_an_unsorted_table_and_one_without_its_last_line_feed_are_told_from_what_clbench_writes(tmp_path):
    path, lines = tmp_path / "cases.csv", case_text(case_rows()).splitlines(keepends=True)
    path.write_text("".join([lines[0], *lines[:0:-1]]))
    assert not is_written_so(path, read_cases(path))
    path.write_text("".join(lines).rstrip("\n"))
    assert not is_written_so(path, read_cases(path))


@given(st.data())
def test_whatever_is_changed_in_a_table_is_seen_or_refused(tmp_path_factory, data):
    path, text = tmp_path_factory.mktemp("table") / "cases.csv", case_text(case_rows())
    at = data.draw(st.integers(0, len(text) - 1))
    other = (
        text[:at]
        + data.draw(st.sampled_from(["", ",", "\n", '"', "0", " ", "1", "x", "-", ".", "\0", "\r"]))
        + text[at + 1 :]
    )
    path.write_text(other, newline="")
    try:
        rows = read_cases(path)
        assert is_written_so(path, rows) is (other == case_text(rows))
    except (InputError, ValueError):
        return


def test_infinite_and_repeated_scores_are_refused(folder):
    row = CaseRow(0, 1, "test", "A/0", "A/0", "organ", "dice", float("inf"))
    with pytest.raises(ValueError, match="infinite"):
        folder.write_cases([row])
    with pytest.raises(ValueError, match="two rows for the same score"):
        folder.write_cases(case_rows() + case_rows()[:1])


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda text: "", "it is empty"),
        (lambda text: text[5:], "its first line is not after_task"),
        (lambda text: text.replace("0.050000", "?", 1), "in line 2"),
        (lambda text: text.replace("0.050000", "inf", 1), "in line 2"),
        (lambda text: text[: text.rindex(",")], "in line"),
        (lambda text: text.replace("organ", "other", 1), "label"),
        (lambda text: text.replace("\n0,1", "\n0,7", 1), "task"),
        (lambda text: text.replace("\n0,1", "\n-1,1", 1), "task"),
        (lambda text: text.replace("dice", "luck", 1), "metric"),
    ],
)
def test_a_damaged_score_table_is_named(tmp_path, damage, message):
    path = finished(tmp_path).path
    text = case_text(case_rows())
    (path / "cases.csv").write_text(damage(text))
    with pytest.raises(InputError, match=rf"cases\.csv is damaged.*{message}"):
        read_run(path)


def test_a_score_table_that_is_not_text_is_named(tmp_path):
    (tmp_path / "cases.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="not a table"):
        read_cases(tmp_path / "cases.csv")


# train.csv


def test_a_new_loss_term_gets_a_column(folder):
    folder.append_train([TrainRow(1, 1, {"loss": 1.0}, 0.01, 0.5)])
    folder.append_train([TrainRow(2, 1, {"loss": 0.5, "penalty": 0.25}, 0.01, 1.0)])
    assert (folder.path / "train.csv").read_text().splitlines() == [
        "task,step,loss,penalty,learning_rate,seconds",
        "1,1,1,,0.01,0.500",
        "2,1,0.5,0.25,0.01,1.000",
    ]


def test_the_log_beyond_the_checkpoint_is_dropped(folder):
    rows = [TrainRow(task, step, {"loss": 1.0}, 0.01, 0.0) for task in (1, 2) for step in (1, 2, 3)]
    folder.append_train(rows)
    folder.truncate_train(2, 1)
    assert read_train(folder.path / "train.csv") == rows[:4]
    folder.append_train(rows[4:])
    assert read_train(folder.path / "train.csv") == rows


def test_a_log_line_cut_off_by_a_crash_is_dropped_on_resume(tmp_path):
    with open_folder(tmp_path) as folder:
        folder.append_train([TrainRow(1, step, {"loss": 1.0}, 0.01, 0.0) for step in (1, 2)])
        path = folder.path / "train.csv"
        path.write_bytes(path.read_bytes()[:-4])
    with open_folder(tmp_path) as folder:
        folder.truncate_train(1, 5)
        folder.append_train([TrainRow(1, 2, {"loss": 3.0}, 0.01, 0.0)])
    assert [(row.step, row.losses) for row in read_train(path)] == [(1, {"loss": 1.0}), (2, {"loss": 3.0})]


def test_nothing_logged_is_nothing_to_drop(folder):
    folder.truncate_train(1, 0)
    assert not (folder.path / "train.csv").exists()
