"""The page on latent spaces: what its runs come to, and what it does without any."""

import sys
from pathlib import Path

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
    assert "not confirmed" in text  # two patients cannot confirm anything
    assert "| der" not in text


def test_without_runs_the_page_says_so(tmp_path):
    assert latent_page.page(tmp_path).endswith("No run of the suite is published yet.\n")


def test_verdicts_are_plain():
    assert latent_page.verdict(0.1, 0.01, 3) == "confirmed"
    assert latent_page.verdict(0.1, 0.01, 1) == "confirmed, of one seed"
    assert latent_page.verdict(-0.1, 0.01, 3) == "the opposite is the case"
    assert latent_page.verdict(0.1, 0.2, 3) == latent_page.verdict(0.1, float("nan"), 1) == "not confirmed"
