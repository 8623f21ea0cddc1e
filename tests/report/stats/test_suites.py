"""The statistics of a whole table, from run folders."""

from __future__ import annotations

import numpy as np
import pytest

from clbench.report.groups import groups
from clbench.report.load import load_runs
from clbench.report.stats.patients import patient_scores
from clbench.report.stats.suites import compare_with, table_statistics
from synthetic_runs import BETTER, SCORES, config, finished

JOINT = ((0.1, 0.2), (float("nan"),) * 2, (0.9, 0.95))


@pytest.fixture
def group(tmp_path):
    for seed in (0, 1):
        finished(tmp_path, config(seed=seed))
        finished(tmp_path, config("ewc", seed=seed), BETTER)
    finished(tmp_path, config("joint"), JOINT)
    (found,) = groups(load_runs(tmp_path))
    return found


def row_of(group, label):
    return next(row for row in group.rows if row.label == label)


def test_estimates_are_the_numbers_of_the_table(group):
    found = table_statistics(group, ("final", "bwt", "gap_joint"), resamples=200)
    for at, row in enumerate(group.rows):
        values = [run.metrics(**group.references(run)) for run in row.runs]
        for key, estimates in found.estimates.items():
            known = [value[key] for value in values]
            if None in known:
                assert np.isnan(estimates[at].value)
            else:
                assert estimates[at].value == pytest.approx(np.mean(known))
                assert estimates[at].low <= estimates[at].value <= estimates[at].high


def test_strategies_that_differ_for_every_patient_have_sure_ranks(group):
    found = table_statistics(group, ("final",), resamples=500)
    ends = {row.label: tuple(ends) for row, ends in zip(group.rows, found.rank_intervals, strict=True)}
    bound = ends.pop("joint")
    assert ends == {
        "ewc": (1, 1),
        "naive": (2, 2),
    }
    assert np.isnan(bound).all()


def test_the_same_command_gives_the_same_numbers(group):
    one, two = (table_statistics(group, ("final",), resamples=100) for _ in range(2))
    assert one.estimates == two.estimates


def test_metrics_per_patient_before_averaging(group):
    assert patient_scores(group, row_of(group, "naive"), "final") == pytest.approx(
        {"A/0": 0.55, "A/1": 0.65, "B/0": 0.85, "B/1": 0.95}
    )
    assert patient_scores(group, row_of(group, "naive"), "bwt") == pytest.approx({"A/0": -0.2, "A/1": -0.2})
    assert patient_scores(group, row_of(group, "naive"), "gap_joint") == {}  # joint has one seed of the two


def test_a_patient_with_several_cases_counts_once(tmp_path):
    from synthetic_runs import case_rows, open_folder

    with open_folder(tmp_path) as folder:
        folder.write_cases([row._replace(patient=row.case[0]) for row in case_rows(SCORES)])
        folder.finish()
    (group,) = groups(load_runs(tmp_path))
    assert patient_scores(group, group.rows[0], "final") == pytest.approx({"A": 0.6, "B": 0.9})


def test_learners_are_compared_on_the_same_patients(group):
    found = compare_with(group, row_of(group, "naive"))
    assert set(found) == {"ewc"}
    assert found["ewc"].patients == 4
    assert found["ewc"].difference == pytest.approx(0.075)  # .15 for the two patients of A
    assert found["ewc"].p_holm == found["ewc"].p


def test_references_are_resampled_with_the_same_patients(tmp_path):
    """A run that equals joint in every case is no worse in every resample; without a joint run, nothing is known."""
    final = ((0.1, 0.2), (0.8, 0.3), (0.9, 0.95))
    finished(tmp_path, config("joint"), JOINT)
    finished(tmp_path, config("ewc"), final)
    finished(tmp_path, config("ewc", seed=1), final)
    (group,) = groups(load_runs(tmp_path))
    estimate = table_statistics(group, ("gap_joint",), resamples=100).estimates["gap_joint"]
    assert np.isnan(estimate[group.rows.index(row_of(group, "ewc"))].value)
    finished(tmp_path, config("joint", seed=1), JOINT)
    (group,) = groups(load_runs(tmp_path))
    estimate = table_statistics(group, ("gap_joint",), resamples=100).estimates["gap_joint"]
    both = estimate[group.rows.index(row_of(group, "ewc"))]
    assert (both.value, both.low, both.high) == pytest.approx((0, 0, 0), abs=1e-12)
