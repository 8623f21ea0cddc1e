"""CaseTable: a sequence of rows like any other, whose layout is shared by runs that score the same."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clbench.case_table import CaseRow, CaseTable
from clbench.continual import case_curves, score_matrix
from clbench.runfolder.tables import case_text, read_cases
from synthetic_runs import case_rows

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


def test_what_follows_from_a_layout_is_made_once_under_each_name():
    layout, made = CaseTable.of(ROWS).layout, []
    for name in ("a", "a", "b"):
        assert layout.once(name, lambda scored: made.append(scored) or len(scored)) == len(ROWS)
    assert len(made) == 2


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
