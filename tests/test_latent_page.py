"""The page on latent spaces: what its runs come to, and what it does without any."""

import json
import math
import sys
from pathlib import Path

import pytest
from scipy.stats import ttest_1samp

from clbench.report.stats.intervals import Estimate
from synthetic_runs import config, drift_of, finished, stream_record

ROOT = Path(__file__).resolve().parents[1]
NAIVE = ((0.1, 0.2), (0.8, 0.3), (0.6, 0.9))
BETTER = ((0.1, 0.2), (0.8, 0.5), (0.75, 0.9))
sys.path.insert(0, str(ROOT / "scripts"))

import latent_claims  # noqa: E402
import latent_page  # noqa: E402
from latent_claims import Claim  # noqa: E402


def made(out, strategy, scores, drift, **more):
    resolved = config(strategy, preset="cpu", **more)
    return finished(out, resolved, scores, drift_of(drift), stream=stream_record("acdc-groups@1"))


def three_seeds(out, strategy, scores, drift):
    for seed in range(3):
        made(out, strategy, scores, drift + 0.01 * seed, seed=seed)


def test_runs_of_the_suite_give_tables_and_claims(tmp_path):
    made(tmp_path, "naive", NAIVE, 0.4)
    made(tmp_path, "segreg", BETTER, 0.2)
    made(tmp_path, "der", BETTER, 0.1)  # not of the suite
    text = latent_page.page(tmp_path)
    assert "## acdc-groups@1" in text
    assert "4 test patients, 4 cases; seeds per row: 1." in text
    (scores,) = [line for line in text.splitlines() if line.startswith("| segreg | 1 |")]
    assert "0.825" in scores
    assert "+0.075" in scores
    (cost,) = [line for line in text.splitlines() if line.startswith("| segreg | 0.300 | 0.100 |")]
    measured = [json.loads(path.read_text())["strategies"]["segreg"]["ratio"] for path in latent_page.SPEED.values()]
    assert cost.split(" | ")[-6:-4] == [f"{ratio:.2f}" for ratio in measured]
    assert "| segreg | its features drift less (`drift`) | -0.200 | n/a |" in text
    assert "| segreg | generalizes better to tasks to come (`fwt_upper`) | +0.200" in text
    assert text.count("| one seed: not judged |") == 4
    assert "| der" not in text


def test_without_runs_the_page_says_so(tmp_path):
    assert latent_page.page(tmp_path).endswith("No run of the suite is published yet.\n")


def test_without_naive_nothing_is_judged_and_the_page_says_so(tmp_path):
    made(tmp_path, "naive", NAIVE, 0.4, seed=1)
    made(tmp_path, "segreg", BETTER, 0.2)
    assert "No run of `naive` with one of their seeds" in latent_page.page(tmp_path)


def test_naive_on_another_network_changes_nothing(tmp_path):
    made(tmp_path, "naive", NAIVE, 0.4)
    made(tmp_path, "segreg", BETTER, 0.2)
    before = latent_page.page(tmp_path)
    made(tmp_path, "naive", BETTER, 0.4, network="l2gnet")
    assert latent_page.page(tmp_path) == before


def claim(value=0.1, better=1, seeds=3):
    return Claim("segreg", "", Estimate(value, 0.0, 0.0), better, 0.0, seeds)


def test_verdicts_are_plain():
    assert latent_claims.verdict(claim(), 0.01) == "confirmed"
    assert latent_claims.verdict(claim(-0.1), 0.01) == "the opposite is the case"
    assert latent_claims.verdict(claim(-0.1, better=-1), 0.01) == "confirmed"  # less drift
    assert latent_claims.verdict(claim(), 0.2) == latent_claims.verdict(claim(), math.nan) == "not confirmed"


@pytest.mark.parametrize(("difference", "p"), [(0.1, 0.001), (-0.1, 0.001), (0.1, 0.9), (0.1, math.nan)])
def test_fewer_than_three_seeds_are_not_judged(difference, p):
    assert latent_claims.verdict(claim(difference, seeds=1), p) == "one seed: not judged"
    assert latent_claims.verdict(claim(difference, seeds=2), p) == "2 seeds: not judged"


def test_the_seeds_of_naive_count_as_well(tmp_path):
    made(tmp_path, "naive", BETTER, 0.4)
    three_seeds(tmp_path, "segreg", BETTER, 0.2)
    assert latent_page.page(tmp_path).count("| one seed: not judged |") == 4
    for seed in (1, 2):
        made(tmp_path, "naive", BETTER, 0.4, seed=seed)
    text = latent_page.page(tmp_path)
    assert text.count("| not confirmed |") == 3  # equal in every score
    (drift,) = [line for line in text.splitlines() if "drift less" in line]
    assert drift.endswith("| confirmed |")


def test_the_drift_of_three_seeds_is_tested_by_students_t():
    estimate, p = latent_claims.over_seeds_alone([-0.1, -0.2, -0.4])
    known = ttest_1samp([-0.1, -0.2, -0.4], 0.0)
    assert (estimate.value, p) == pytest.approx((-0.7 / 3, known.pvalue))
    assert (estimate.low, estimate.high) == pytest.approx(tuple(known.confidence_interval(0.95)))


def test_p_of_the_claims_is_corrected_over_all_claims_of_the_table():
    p_values = (0.004, 0.02, 0.03, math.nan)
    found = [Claim(name, "c", Estimate(0.1, 0, 0), 1, p, 3) for name, p in zip("abcd", p_values, strict=True)]
    told = [[cell.strip() for cell in line.split("|")[1:-1]] for line in latent_claims.table(found)][2:]
    assert [(row[0], row[3]) for row in told] == [("a", "0.012"), ("b", "0.040"), ("c", "0.040"), ("d", "n/a")]
    assert [row[4] for row in told] == ["confirmed"] * 3 + ["not confirmed"]
