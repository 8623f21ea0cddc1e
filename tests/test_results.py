"""Published tables, figures and pages are what the committed runs come to."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from clbench.report.load import load_runs
from clbench.verify import verify
from synthetic_runs import case_rows, completed, config, finished, open_folder

ROOT = Path(__file__).resolve().parents[1]
FIGURE_BYTES = 500_000
sys.path.insert(0, str(ROOT / "scripts"))

import results  # noqa: E402


def check(*words: str) -> str:
    """What the command that looks for stale files complains of."""
    command = [sys.executable, ROOT / "scripts" / "results.py", "--check", *words]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == bool(done.stderr)
    return done.stderr


def test_every_published_table_and_page_is_what_the_runs_give():
    assert check("--no-figures") == ""


@pytest.mark.slow
def test_every_published_figure_is_what_the_runs_give():
    assert check() == ""


def test_published_figures_are_small_and_drawn_in_vectors_alone():
    figures = sorted((ROOT / "results" / "figures").rglob("*.svg"))
    assert figures
    for path in figures:
        content = path.read_bytes()
        assert len(content) < FIGURE_BYTES, path.name
        assert b"<image" not in content, path.name


def test_every_committed_run_verifies():
    runs = load_runs(ROOT / "results" / "runs")
    assert runs
    assert {run.path.name: verify(run.path) for run in runs} == {run.path.name: [] for run in runs}


def test_results_name_the_commit_they_come_from():
    for run in load_runs(ROOT / "results" / "runs"):
        assert run.provenance["git"]["commit"]


# The command itself, on a repository of its own.


@pytest.fixture
def repository(tmp_path, monkeypatch):
    """The pages of this repository, and a run that they know nothing of."""
    for name in ("README.md", "docs/results.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    (tmp_path / "benchmarks").mkdir()
    for name, place in {
        "ROOT": "",
        "RESULTS": "results",
        "FIGURES": "results/figures",
        "TABLES": "results/tables",
    }.items():
        monkeypatch.setattr(results, name, tmp_path / place)
    monkeypatch.setattr(results.latent_page, "PAGE", tmp_path / "docs" / "latent.md")
    monkeypatch.setattr(results.results_text, "README_STREAM", "toy@1")
    add_run(tmp_path, "naive")
    add_run_without_a_case(tmp_path, "outlier")
    return tmp_path


def add_run(repository, strategy):
    finished(
        repository / "results" / "runs", config(strategy), provenance={"python": "3.11", "device": "cpu, 2 threads"}
    )


def add_run_without_a_case(repository, strategy):
    """A run whose files are as they were when it ended, but whose rows are not those of the protocol."""
    with open_folder(repository / "results" / "runs", config(strategy)) as folder:
        completed(folder, [row for row in case_rows() if row.case != "A/0"])


def complaints(capsys) -> list[str]:
    assert results.main(["--check"]) == 1
    return [line.split(" is ")[0] for line in capsys.readouterr().err.splitlines()]


def test_what_is_written_is_up_to_date_and_a_new_run_makes_it_stale(repository, capsys):
    assert results.main([]) == 0
    assert results.main(["--check"]) == 0
    assert "0 written anew" not in capsys.readouterr().out
    add_run(repository, "ewc")
    stale = complaints(capsys)
    names = (
        "README.md",
        "docs/results.md",
        "benchmarks/expected.csv",
        "results/leaderboard.md",
        "results/tables/table.tex",
    )
    assert set(names) <= set(stale)
    assert [name for name in stale if name.endswith("matrix-ewc.svg")]
    assert results.main(["--check", "--no-figures"]) == 1
    assert "results/figures/runs.csv" in capsys.readouterr().err
    assert results.main([]) == 0
    assert results.main(["--check"]) == 0
    assert "0.750" in (repository / "README.md").read_text()


def test_a_run_that_the_leaderboard_refuses_stands_nowhere_but_among_those_left_out(repository):
    results.main([])
    written = [
        path for path in repository.rglob("*") if path.is_file() and repository / "results/runs" not in path.parents
    ]
    assert not [path for path in written if "outlier" in path.name]
    lines = [
        line
        for path in written
        for line in path.read_text("utf-8").replace("</li>", "\n").splitlines()
        if "outlier" in line
    ]
    assert lines
    assert not [line for line in lines if "scores after task 0 are missing" not in line]
    assert "of no suite, 1 run: naive on toy@1 (seed 0)" in (repository / "docs/results.md").read_text("utf-8")


def test_an_edited_a_missing_and_a_left_over_file_are_named(repository, capsys):
    results.main([])
    (figure, *_) = sorted((repository / "results" / "figures").rglob("*.svg"))
    figure.with_name("old.svg").write_text("<svg/>")
    figure.write_text(figure.read_text() + " ")
    (repository / "results" / "leaderboard.csv").unlink()
    odd = [str(path.relative_to(repository)) for path in (figure, figure.with_name("old.svg"))]
    assert sorted(complaints(capsys)) == sorted([*odd, "results/leaderboard.csv"])
    results.main([])
    assert not figure.with_name("old.svg").exists()
    assert results.main(["--check"]) == 0
