"""Paired comparisons against scipy, statsmodels and hand-worked examples."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import wilcoxon

from clbench.report.stats.paired import compare, compare_all, holm


def test_a_hand_worked_example():
    """Differences 1, 2, -3, 4, 5: ranks 12 up, 3 down; 5 of the 32 sign patterns have 3 or less below."""
    first = np.array([1.0, 2.0, -3.0, 4.0, 5.0])
    found = compare(first, np.zeros(5))
    assert found.patients == 5
    assert found.difference == pytest.approx(1.8)
    assert found.rank_biserial == pytest.approx((12 - 3) / 15)
    assert found.p == pytest.approx(2 * 5 / 32)


def test_it_is_the_test_of_scipy_on_the_patients_both_have():
    from scipy.stats import wilcoxon

    first, second = np.random.default_rng(0).normal(0.1, 0.2, (2, 40))
    first[3] = second[8] = np.nan
    kept = np.isfinite(first - second)
    found = compare(first, second)
    assert found.patients == 38
    assert found.p == wilcoxon(first[kept], second[kept]).pvalue


def test_swapping_the_strategies_changes_signs_only():
    first, second = np.random.default_rng(1).normal(0.1, 0.2, (2, 30))
    there, back = compare(first, second), compare(second, first)
    assert there.p == pytest.approx(back.p)
    assert there.difference == pytest.approx(-back.difference)
    assert there.rank_biserial == pytest.approx(-back.rank_biserial)


def test_better_for_every_patient_is_one():
    assert compare(np.arange(2.0, 9.0), np.zeros(7)).rank_biserial == 1.0


def test_no_difference_and_no_patients():
    same = compare(np.ones(4), np.ones(4))
    assert (same.difference, same.rank_biserial, same.p) == (0.0, 0.0, 1.0)
    none = compare(np.array([np.nan]), np.ones(1))
    assert none.patients == 0
    assert math.isnan(none.p)


def test_ties_and_zeros_are_not_refused():
    found = compare(np.array([0.5, 0.5, 0.7, 0.7, 0.9, 0.4]), np.array([0.5, 0.4, 0.6, 0.6, 0.6, 0.6]))
    assert 0 < found.p < 1


def test_under_the_null_one_test_in_twenty_is_significant():
    rng = np.random.default_rng(0)
    p = [compare(*rng.normal(size=(2, 20))).p for _ in range(1000)]
    assert np.mean(np.array(p) < 0.05) == pytest.approx(0.05, abs=0.02)


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.6, 0.7]) == [1.0, 1.0]
    assert holm([]) == []


def test_holm_does_not_count_tests_that_were_not_made():
    found = holm([0.01, math.nan, 0.04])
    assert found[0] == pytest.approx(0.02)
    assert math.isnan(found[1])
    assert found[2] == pytest.approx(0.04)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holm_is_that_of_statsmodels(p_values):
    from statsmodels.stats.multitest import multipletests

    assert holm(p_values) == pytest.approx(list(multipletests(p_values, method="holm")[1]), abs=1e-12)


def equal_rows(rng, rows=9, patients=15):
    return {str(row): dict(enumerate(rng.normal(size=patients))) for row in range(rows)}


def test_a_row_that_was_picked_is_corrected_over_all_pairs():
    scores = equal_rows(np.random.default_rng(0), rows=4)
    best = max(scores, key=lambda row: sum(scores[row].values()))
    told = compare_all(scores, best, picked=True)
    pairs = [compare(*(np.array(list(scores[row].values())) for row in pair)).p for pair in combinations(scores, 2)]
    assert set(told) == set(scores) - {best}
    assert {found.p_holm for found in told.values()} <= set(holm(pairs))
    few = compare_all(scores, best)
    assert [found.p_holm for found in few.values()] == holm([found.p for found in few.values()])
    assert any(told[row].p_holm > few[row].p_holm for row in few)


def test_patients_that_only_one_row_has_are_left_out():
    found = compare_all({"one": {"a": 1.0, "b": 2.0, "c": 9.0}, "other": {"a": 0.0, "b": 0.5, "d": 9.0}}, "other")
    assert (found["one"].patients, found["one"].difference) == (2, 1.25)


@pytest.mark.slow
@pytest.mark.parametrize(("rows", "as_if_chosen_beforehand"), [(3, 0.063), (9, 0.107), (15, 0.143)])
def test_equal_rows_are_told_from_the_best_in_one_table_of_twenty(rows, as_if_chosen_beforehand):
    alarms = {True: 0, False: 0}
    for number in range(300):
        scores = equal_rows(np.random.default_rng([number, 3]), rows)
        best = max(scores, key=lambda row: sum(scores[row].values()))
        for picked in alarms:
            alarms[picked] += any(found.p_holm < 0.05 for found in compare_all(scores, best, picked=picked).values())
    assert alarms[True] / 300 <= 0.06
    assert alarms[False] / 300 == pytest.approx(as_if_chosen_beforehand, abs=0.001)


def test_pairs_compared_together_have_the_p_of_pairs_compared_alone():
    """A zero or a tie in one pair must not change the test of another, as it would in one call of scipy's."""
    rng = np.random.default_rng(5)
    patients = [f"p{number}" for number in range(20)]
    drawn = {f"row{number}": rng.uniform(size=20) for number in range(6)}
    drawn["like row0"] = drawn["row0"] + np.where(np.arange(20) % 3, rng.normal(size=20), 0)  # zeros
    drawn["steps"] = drawn["row0"] + rng.choice([-0.25, 0.25], size=20)  # ties
    drawn["one zero"] = drawn["row0"] + np.where(np.arange(20), rng.normal(size=20), 0)
    drawn["same"] = drawn["row0"]
    scores = {row: dict(zip(patients, values.tolist(), strict=True)) for row, values in drawn.items()}
    scores["fewer"] = {patient: rng.uniform() for patient in patients[:7]}
    for row, found in compare_all(scores, "row0").items():
        both = patients[: len(scores[row])]
        difference = np.array([scores[row][patient] - scores["row0"][patient] for patient in both])
        p = wilcoxon(difference, zero_method="pratt").pvalue if difference.any() else 1.0
        assert (found.patients, found.p) == (len(both), p)
        assert found.difference == pytest.approx(difference.mean(), abs=1e-15)
