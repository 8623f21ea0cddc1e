"""Published tables are what the committed runs come to."""

import subprocess
import sys
from pathlib import Path

from clbench.report.load import load_runs
from clbench.verify import verify

ROOT = Path(__file__).resolve().parents[1]


def test_every_published_table_is_what_the_runs_give():
    check = [sys.executable, ROOT / "scripts" / "results.py", "--check"]
    done = subprocess.run(check, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_every_committed_run_verifies():
    runs = load_runs(ROOT / "results" / "runs")
    assert runs
    assert {run.path.name: verify(run.path) for run in runs} == {run.path.name: [] for run in runs}


def test_results_name_the_commit_they_come_from():
    for run in load_runs(ROOT / "results" / "runs"):
        assert run.provenance["git"]["commit"]
