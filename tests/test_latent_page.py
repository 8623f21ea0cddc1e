"""The page on latent spaces: what its runs come to, and what it does without any."""

import sys
from pathlib import Path

import pytest

from clbench.report.groups import Row
from clbench.report.stats.paired import Comparison
from synthetic_runs import config, drift_of, finished, stream_record

ROOT = Path(__file__).resolve().parents[1]
BETTER = ((0.1, 0.2), (0.8, 0.5), (0.75, 0.9))
sys.path.insert(0, str(ROOT / "scripts"))

import latent_page  # noqa: E402


def made(out, strategy, scores, drift, **more):
    resolved = config(strategy, preset="cpu", **more)
    return finished(out, resolved, scores, drift_of(drift), stream=stream_record("acdc-groups@1"))


def test_runs_of_the_suite_give_a_table_and_claims(tmp_path):
    made(tmp_path, "naive", ((0.1, 0.2), (0.8, 0.3), (0.6, 0.9)), 0.4)
    made(tmp_path, "segreg", BETTER, 0.2)
    made(tmp_path, "der", BETTER, 0.1)  # not of the suite
    text = latent_page.page(tmp_path)
    assert "## acdc-groups@1" in text
    assert "4 test patients, 4 cases; seeds per row: 1." in text
    (segreg,) = [line for line in text.splitlines() if line.startswith("| segreg | 1 |")]
    assert "0.825" in segreg
    assert "0.200" in segreg
    assert "+0.075" in segreg
    assert "| segreg | its features drift less | less in 2 of 2 |" in text
    assert "| segreg | generalizes better to tasks to come (`fwt_upper`) | +0.200 |" in text
    assert text.count("| one seed: not judged |") == 3
    assert "| der" not in text


def test_without_runs_the_page_says_so(tmp_path):
    assert latent_page.page(tmp_path).endswith("No run of the suite is published yet.\n")


def test_verdicts_are_plain():
    assert latent_page.verdict(0.1, 0.01, 3) == "confirmed"
    assert latent_page.verdict(-0.1, 0.01, 3) == "the opposite is the case"
    assert latent_page.verdict(0.1, 0.2, 3) == latent_page.verdict(0.1, float("nan"), 3) == "not confirmed"


@pytest.mark.parametrize(("difference", "p"), [(0.1, 0.001), (-0.1, 0.001), (0.1, 0.9), (0.1, float("nan"))])
def test_fewer_than_three_seeds_are_not_judged(difference, p):
    assert latent_page.verdict(difference, p, 1) == "one seed: not judged"
    assert latent_page.verdict(difference, p, 2) == "2 seeds: not judged"


def test_the_seeds_of_naive_count_as_well(tmp_path):
    made(tmp_path, "naive", BETTER, 0.4)
    for seed in range(3):
        made(tmp_path, "segreg", BETTER, 0.2, seed=seed)
    assert latent_page.page(tmp_path).count("| one seed: not judged |") == 3
    for seed in (1, 2):
        made(tmp_path, "naive", BETTER, 0.4, seed=seed)
    assert latent_page.page(tmp_path).count("| not confirmed |") == 3  # two patients cannot confirm anything


def test_p_of_the_claims_is_corrected_over_all_claims_of_the_table(tmp_path, monkeypatch):
    for strategy in ("naive", "segreg", "selfreg", "ewc"):
        made(tmp_path, strategy, BETTER, 0.4)
    p_values = {"segreg": 0.004, "selfreg": 0.02, "ewc": 0.001}  # ewc is in the table of scores, but claims nothing

    def compared(group, base, key="final", metric="dice"):
        return {label: Comparison(9, 0.1, 0.5, p, 1.0) for label, p in p_values.items()}

    monkeypatch.setattr(latent_page, "compare_with", compared)
    (group,) = latent_page.groups(latent_page.find_runs(tmp_path)[0])
    told = [[cell.strip() for cell in line.split("|")[1:-1]] for line in latent_page.claims(group)][2:]
    tested = [(row[0], row[3]) for row in told if row[3]]
    # six tests: 6 x .004, 5 x .004 -> .024, 4 x .004 -> .024, then 3 x .02 -> .06 and no smaller one after it
    assert tested == [("segreg", "0.024"), ("selfreg", "0.060")] * 3


@pytest.mark.parametrize(
    ("threads", "ratio"), [(("1", "1"), "1.00"), (("1", "2"), "n/a"), (("?", "?"), "1.00"), (("?", "2"), "n/a")]
)
def test_training_times_of_other_numbers_of_threads_are_not_compared(tmp_path, threads, ratio):
    for strategy, count in zip(("naive", "segreg"), threads, strict=True):
        resolved = config(strategy, preset="cpu")
        place = {"stream": stream_record("acdc-groups@1"), "provenance": {"device": f"cpu, {count} threads"}}
        finished(tmp_path, resolved, BETTER, drift_of(0.4), **place)
    runs = {run.strategy: Row(run.strategy, "unet", (run,)) for run in latent_page.find_runs(tmp_path)[0]}
    assert latent_page.cost(runs["segreg"], runs["naive"]) == ratio
