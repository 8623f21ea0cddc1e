"""CaseTable: a sequence of rows like any other, whose layout is shared by runs that score the same."""

import gc
import weakref
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clbench.case_table import CaseRow, CaseTable
from clbench.consistency import consistency
from clbench.continual import case_curves, score_matrix
from clbench.runfolder.tables import case_text, read_cases
from synthetic_runs import case_rows, finished

ROWS = tuple(sorted(case_rows()))


def test_it_is_the_sequence_of_its_rows():
    table = CaseTable.of(ROWS)
    assert table == ROWS == table
    assert table == list(ROWS)
    assert table != ROWS[:-1]
    assert (table[0], table[-1], table[1:3], len(table)) == (ROWS[0], ROWS[-1], ROWS[1:3], len(ROWS))
    assert CaseTable.of(table) is table
    assert isinstance(table[0].value, float)
    with pytest.raises(IndexError):
        table[len(ROWS)]


def test_files_that_score_the_same_share_a_layout_and_keep_their_values(tmp_path):
    one, other, less = tmp_path / "one.csv", tmp_path / "other.csv", tmp_path / "less.csv"
    halved = [row._replace(value=row.value / 2) for row in ROWS]
    for path, rows in {one: ROWS, other: halved, less: ROWS[1:]}.items():
        path.write_text(case_text(rows))
    assert read_cases(one).layout is read_cases(other).layout
    assert read_cases(one).layout is not read_cases(less).layout
    assert read_cases(one).values[-1] == pytest.approx(2 * read_cases(other).values[-1], abs=1e-6)
    assert read_cases(less) == CaseTable.of(ROWS[1:])


def test_what_follows_from_a_layout_is_made_once_for_each_argument():
    layout, made = CaseTable.of(ROWS).layout, []

    def make(scored, *given):
        made.append(given)
        return len(scored)

    for words in ((), (), ("a",), ("a",)):
        assert layout.once(make, *words) == len(ROWS)
    assert made == [(), ("a",)]


def test_a_layout_is_forgotten_with_the_last_table_that_has_it(tmp_path):
    path = tmp_path / "cases.csv"
    path.write_text(case_text(ROWS))
    layout = weakref.ref(read_cases(path).layout)
    gc.collect()
    assert layout() is None


def test_nothing_that_one_run_is_asked_for_can_be_changed_under_another(tmp_path):
    one, other = finished(tmp_path / "one"), finished(tmp_path / "other")
    assert one.rows.layout is other.rows.layout
    one.patients.clear()
    assert other.patients == {row.case: row.patient for row in ROWS}
    with pytest.raises(ValueError, match="read-only"):
        one.rows.values[0] = 1.0


def test_undefined_scores_are_equal_where_they_are_in_the_same_place():
    undefined = [row._replace(value=float("nan")) for row in ROWS]
    assert CaseTable.of(undefined) == CaseTable.of(undefined)
    assert CaseTable.of(undefined) != CaseTable.of(ROWS)


@pytest.mark.parametrize("value", [None, "0.5"])
def test_what_is_no_number_is_no_score(value):
    with pytest.raises(TypeError):
        CaseTable.of([ROWS[0]._replace(value=value)])


def test_a_table_has_one_value_for_each_row():
    with pytest.raises(ValueError, match="1 rows, but values of the shape"):
        CaseTable(CaseTable.of(ROWS[:1]).layout, np.zeros(2))


@given(st.permutations(range(len(ROWS))))
def test_no_result_depends_on_the_order_of_rows(order):
    mixed = [ROWS[place] for place in order]
    tasks = [("organ",)] * max(row.on_task for row in ROWS)
    first, second = (score_matrix(rows, tasks, "domain") for rows in (ROWS, mixed))
    np.testing.assert_array_equal(first.scores, second.scores)
    np.testing.assert_array_equal(first.counts, second.counts)
    curves, again = (case_curves(rows, tasks, "domain") for rows in (ROWS, mixed))
    assert curves.keys() == again.keys()
    for name, curve in curves.items():
        np.testing.assert_array_equal(curve, again[name])
    assert case_text(mixed) == case_text(ROWS)


def test_splits_metrics_and_tasks_of_one_table_are_kept_apart():
    rows = [
        CaseRow(1, 1, split, case, case, label, metric, value)
        for case, split in (("A", "test"), ("B", "val"))
        for metric, value in (("dice", 0.5), ("nsd_2mm", 0.25))
        for label in ("lv", "rv")
    ]
    table = CaseTable.of(rows)
    assert score_matrix(table, [("lv",)], "class").scores[1, 0] == 0.5
    assert score_matrix(table, [("lv",)], "class", metric="nsd_2mm").scores[1, 0] == 0.25
    assert np.isnan(score_matrix(table, [("other",)], "class").scores).all()
    assert case_curves(table, [("lv",)], "class").keys() == {(1, "A")}
    assert case_curves(table, [("lv",)], "class", "val").keys() == {(1, "B")}


def test_runs_with_one_layout_are_each_held_against_their_own_configuration(tmp_path):
    run = finished(tmp_path)
    classes = replace(run, stream=replace(run.stream, kind="class"))
    newer = replace(run, config_resolved={**run.config_resolved, "numbers": 2})
    said = [" ".join(map(str, consistency(one))) for one in (run, classes, newer)]
    assert "scores after task" not in said[0]
    assert "not asked for" in said[1]
    assert "are missing" in said[2]
    tasks = [("organ",)] * len(run.stream.tasks)
    assert score_matrix(run.rows, tasks, "domain").counts[0].any()
    assert not score_matrix(run.rows, tasks, "class").counts[0].any()
