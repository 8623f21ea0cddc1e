"""Continual-learning metrics against the worked example, closed forms and Avalanche."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from clbench.case_table import CaseRow
from clbench.continual import (
    METRIC_KEYS,
    case_curves,
    case_metric,
    case_scores,
    continual_metrics,
    own_metrics,
    resampled_metric,
    score_matrix,
)

NAN = float("nan")
EXAMPLE = np.array([[0.1, 0.2, 0.1], [0.8, 0.3, 0.2], [0.6, 0.9, 0.3], [0.5, 0.7, 0.9]])
SINGLE = np.array([0.8, 0.8, 0.5])
NAIVE = np.array([[0.1, 0.2, 0.1], [0.8, 0.3, 0.2], [0.5, 0.6, 0.3], [0.4, 0.5, 0.6]])
JOINT = np.array([0.9, 0.9, 0.9])
WORKED = {
    "final": 0.7,
    "average": (0.8 + 0.6 + 0.9 + 0.5 + 0.7 + 0.9) / 6,
    "learned": 2.6 / 3,
    "bwt": -0.25,
    "bwt_all": (-0.2 - 0.3 - 0.2) / 3,
    "bwt_relative": (-0.3 / 0.8 - 0.2 / 0.9) / 2,
    "forgetting": 0.25,
    "remembering": 1 - 0.7 / 3,
    "bwt_plus": 0.0,
    "fwt_init": 0.15,
    "fwt_upper": 0.8 / 3,
    "fwt_upper_init": 0.4 / 3,
    "fwt_single": ((0.3 - 0.8) + (0.3 - 0.5)) / 2,
    "plasticity_naive": ((0.9 - 0.6) + (0.9 - 0.6)) / 2,
    "plasticity_naive_relative": 0.5,
    "rma": (0.9 / 0.8 + 0.9 / 0.5) / 2,
    "intransigence": (0.1 + 0.0 + 0.0) / 3,
    "gap_joint": (0.4 + 0.2 + 0.0) / 3,
}
matrices = st.integers(1, 5).flatmap(lambda t: arrays(np.float64, (t + 1, t), elements=st.floats(0.01, 1)))


def row(after, on, case, value, label="organ", split="test", metric="dice"):
    return CaseRow(after, on, split, case, f"patient of {case}", label, metric, value)


@pytest.mark.parametrize("key", METRIC_KEYS)
def test_worked_example(key):
    values = continual_metrics(EXAMPLE, single=SINGLE, naive=NAIVE, joint=JOINT)
    assert values[key] == pytest.approx(WORKED[key], abs=1e-12)


def test_every_metric_is_reported_in_the_documented_order():
    assert tuple(continual_metrics(EXAMPLE)) == METRIC_KEYS == tuple(WORKED)


@given(matrices)
def test_forgetting_and_bwt_are_those_of_avalanche(scores):
    from avalanche.evaluation.functional import forgetting
    from avalanche.evaluation.metrics.forgetting_bwt import BWT

    tasks = scores.shape[1]
    ours = continual_metrics(scores)
    if tasks == 1:
        assert ours["bwt"] is None
        return
    since_learned = forgetting(scores[1:])[-1, :-1]
    assert ours["bwt"] == pytest.approx(-since_learned.mean(), abs=1e-12)
    metric = BWT()
    for task in range(tasks):
        metric.update(task, scores[task + 1, task], initial=True)
        metric.update(task, scores[-1, task])
    theirs = metric.result()
    assert ours["bwt"] == pytest.approx(np.mean([theirs[task] for task in range(tasks - 1)]), abs=1e-12)


@given(matrices)
def test_forgetting_is_never_below_what_was_lost_since_learning(scores):
    values = continual_metrics(scores)
    if values["forgetting"] is not None:
        assert values["forgetting"] >= -values["bwt"] - 1e-12


def test_a_task_that_got_better_later_is_forgotten_from_its_best():
    scores = np.array([[0.0, 0.0, 0.0], [0.5, 0.0, 0.0], [0.8, 0.5, 0.0], [0.6, 0.5, 0.5]])
    assert continual_metrics(scores)["forgetting"] == pytest.approx((0.2 + 0.0) / 2)
    assert continual_metrics(scores)["bwt"] == pytest.approx((0.1 + 0.0) / 2)


def test_one_task_has_neither_backward_nor_forward_transfer():
    values = continual_metrics(np.array([[0.1], [0.9]]))
    assert values["final"] == values["learned"] == values["average"] == 0.9
    assert {key for key, value in values.items() if value is not None} == {"final", "learned", "average"}


@pytest.mark.parametrize(
    ("missing", "keys"),
    [
        ("single", {"fwt_single", "rma"}),
        ("naive", {"plasticity_naive", "plasticity_naive_relative"}),
        ("joint", {"intransigence", "gap_joint"}),
    ],
)
def test_metrics_without_their_reference_are_not_available(missing, keys):
    references = {"single": SINGLE, "naive": NAIVE, "joint": JOINT, missing: None}
    values = continual_metrics(EXAMPLE, **references)
    assert {key for key, value in values.items() if value is None} == keys


def test_forward_metrics_of_a_class_stream_are_not_available_and_never_zero():
    lower = np.where(np.arange(4)[:, None] >= np.arange(1, 4), EXAMPLE, NAN)
    values = continual_metrics(lower, "class", single=SINGLE, naive=NAIVE, joint=JOINT)
    forward = {"fwt_init", "fwt_upper", "fwt_upper_init", "fwt_single"}
    assert {key for key, value in values.items() if value is None} == forward
    assert values["bwt"] == pytest.approx(-0.25)


def test_joint_has_only_a_final_score():
    scores = np.full((4, 3), NAN)
    scores[[0, 3]] = EXAMPLE[[0, 3]]
    values = continual_metrics(scores, regime="joint", joint=scores[3], single=SINGLE, naive=NAIVE)
    assert {key: value for key, value in values.items() if value is not None} == {"final": pytest.approx(0.7)}


def test_single_has_nothing_to_forget():
    values = continual_metrics(EXAMPLE, regime="single", single=SINGLE, naive=NAIVE, joint=JOINT)
    assert values["final"] is None
    assert values["forgetting"] is None
    assert values["learned"] == pytest.approx(WORKED["learned"])


def test_an_undefined_score_makes_a_metric_unavailable_rather_than_wrong():
    scores = EXAMPLE.copy()
    scores[3, 0] = NAN
    values = continual_metrics(scores)
    assert values["final"] is values["bwt"] is values["forgetting"] is None
    assert values["learned"] == pytest.approx(WORKED["learned"])


def test_relative_metrics_of_a_task_never_learned_are_not_available():
    scores = np.array([[0.0, 0.0], [0.0, 0.0], [0.0, 0.5]])
    assert continual_metrics(scores)["bwt_relative"] is None


def test_distances_keep_their_levels_and_turn_their_differences():
    millimetres = 10 * (1 - EXAMPLE)
    turned = continual_metrics(millimetres, higher_is_better=False, joint=10 * (1 - JOINT))
    plain = continual_metrics(EXAMPLE, joint=JOINT)
    assert turned["final"] == pytest.approx(10 * (1 - plain["final"]))
    for key in ("bwt", "bwt_all", "forgetting", "fwt_init", "fwt_upper_init", "intransigence", "gap_joint"):
        assert turned[key] == pytest.approx(10 * plain[key]), key
    assert turned["remembering"] is None


def test_rma_of_distances_is_above_one_when_better_than_alone():
    millimetres = np.array([[9.0, 9.0], [2.0, 9.0], [2.0, 2.0]])
    assert continual_metrics(millimetres, higher_is_better=False, single=np.array([2.0, 4.0]))["rma"] == 2.0


@pytest.mark.parametrize("higher_is_better", [True, False])
@pytest.mark.parametrize("regime", ["sequential", "joint", "single"])
@pytest.mark.parametrize("kind", ["domain", "class"])
@pytest.mark.parametrize("key", METRIC_KEYS)
def test_many_matrices_at_once_give_what_each_gives_alone(key, kind, regime, higher_is_better):
    rng = np.random.default_rng(0)
    scores, naive = rng.uniform(0.1, 1, (2, 4, 3, 4, 3))
    single, joint = rng.uniform(0.1, 1, (2, 4, 3, 3))
    scores[0, 0, 2, 1] = NAN
    naive[0, 1, 2, 1] = 0.0
    found = resampled_metric(
        key, scores, kind, regime, single=single, naive=naive, joint=joint, higher_is_better=higher_is_better
    )
    assert found.shape == (4, 3)
    for at in np.ndindex(4, 3):
        references = {"single": single[at], "naive": naive[at], "joint": joint[at]}
        alone = continual_metrics(scores[at], kind, regime, **references, higher_is_better=higher_is_better)[key]
        assert found[at] == pytest.approx(NAN if alone is None else alone, nan_ok=True)


@pytest.mark.parametrize("kind", ["domain", "class"])
@pytest.mark.parametrize("regime", ["sequential", "joint", "single"])
@pytest.mark.parametrize("higher_is_better", [True, False])
def test_the_scores_of_a_run_at_once_give_what_each_gives_alone(kind, regime, higher_is_better):
    matrices = np.random.default_rng(0).uniform(size=(5, 4, 3))
    matrices[1, 2, 1], matrices[2] = np.nan, 0.0
    found = own_metrics(matrices, kind, regime, higher_is_better=higher_is_better)
    alone = [continual_metrics(matrix, kind, regime, higher_is_better=higher_is_better) for matrix in matrices]
    assert found == alone  # to the last bit
    assert any(value is not None for value in found[0].values())


def test_many_matrices_without_a_reference_or_a_term_are_undefined():
    assert np.isnan(resampled_metric("gap_joint", np.ones((5, 4, 3)))).all()
    assert np.isnan(resampled_metric("bwt", np.ones((5, 2, 1)))).all()


def test_a_matrix_of_the_wrong_shape_is_refused():
    with pytest.raises(ValueError, match="too many values"):
        continual_metrics(np.ones((2, 4, 3)))
    with pytest.raises(ValueError, match=r"\(3, 3\)"):
        continual_metrics(np.zeros((3, 3)))


def test_a_task_is_the_mean_over_its_cases_not_over_its_rows():
    rows = [
        row(0, 1, "one", 0.2, "a"),
        row(0, 1, "one", 0.4, "b"),
        row(0, 1, "two", 0.9, "a"),
        row(0, 1, "two", NAN, "b"),
    ]
    matrix = score_matrix(rows, [("a", "b")], "domain")
    assert matrix.scores[0, 0] == pytest.approx((0.3 + 0.9) / 2)
    assert matrix.counts[0, 0] == 2
    assert np.isnan(matrix.scores[1, 0])
    assert matrix.counts[1, 0] == 0


def test_a_case_without_a_defined_score_is_not_counted():
    matrix = score_matrix([row(1, 1, "one", NAN), row(1, 1, "two", 0.5)], [("organ",)], "domain")
    assert matrix.scores[1, 0] == 0.5
    assert matrix.counts[1, 0] == 1


def test_other_splits_and_metrics_do_not_enter():
    rows = [row(1, 1, "one", 0.5), row(1, 1, "two", 0.9, split="val"), row(1, 1, "one", 7.0, metric="hd95_mm")]
    assert score_matrix(rows, [("organ",)], "domain").scores[1, 0] == 0.5
    assert score_matrix(rows, [("organ",)], "domain", split="val").scores[1, 0] == 0.9


def test_a_class_stream_scores_each_task_on_its_own_labels_once_taught():
    rows = [
        row(1, 1, "one", 0.8, "rv"),
        row(1, 2, "one", 0.0, "lv"),  # not taught yet
        row(2, 1, "one", 0.6, "rv"),
        row(2, 1, "one", 0.1, "lv"),  # a label of another task
        row(2, 2, "one", 0.9, "lv"),
    ]
    scores = score_matrix(rows, [("rv",), ("lv",)], "class").scores
    np.testing.assert_array_equal(scores, [[NAN, NAN], [0.8, NAN], [0.6, 0.9]])


def test_a_score_given_twice_is_refused():
    with pytest.raises(ValueError, match="two rows score label 'organ' of one"):
        case_scores([row(1, 1, "one", 0.5), row(1, 1, "one", 0.6)])


def test_metrics_of_cases_average_to_those_of_tasks_where_they_are_linear():
    rows = [
        row(after, on, f"{on}-{case}", EXAMPLE[after, on - 1] + shift)
        for after in range(4)
        for on in (1, 2, 3)
        for case, shift in enumerate((-0.05, 0.05))
    ]
    curves = case_curves(rows, [("organ",)] * 3, "domain")
    found = case_metric("bwt", curves)
    assert set(found) == {(1, "1-0"), (1, "1-1"), (2, "2-0"), (2, "2-1")}
    assert math.fsum(found.values()) / 4 == pytest.approx(-0.25)
    gaps = case_metric("gap_joint", curves, joint=dict.fromkeys(curves, 1.0))
    assert gaps[3, "3-1"] == pytest.approx(0.05)


def test_per_case_metrics_leave_out_cases_without_a_reference():
    curves = {(1, "one"): np.array([0.1, 0.8]), (1, "two"): np.array([0.1, 0.6])}
    assert case_metric("intransigence", curves, joint={(1, "one"): 0.9}) == {(1, "one"): pytest.approx(0.1)}
