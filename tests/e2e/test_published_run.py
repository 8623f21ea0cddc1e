"""A published run, made again by its own command, has the same bytes.

That holds on the processor model that made the published runs (``docs/results.md``): another one adds floats in another
order, and its numbers agree within the tolerance of ``benchmarks/expected.csv`` instead.
"""

import os
import platform
import subprocess
import sys

import pytest

from clbench.provenance import packages
from clbench.report.costs import costs
from clbench.report.load import load_runs
from clbench.runfolder import read_run
from clbench.verify import verify
from source_tree import ROOT

ARITHMETIC = ("torch", "monai", "avalanche-lib", "numpy", "scipy", "nibabel")
"""Packages whose version may change a bit of a result."""


def cheapest(runs):
    """Of the runs that learn task after task on a processor."""
    learners = [run for run in runs if run.regime == "sequential" and run.provenance["device"].startswith("cpu")]
    return min(learners, key=lambda run: costs([run])["train_seconds"])


def other_surroundings(run):
    """What is not as it was when a run was made, of that which a folder records."""
    now = {**packages(), "python": platform.python_version(), "system": f"{platform.system()} {platform.machine()}"}
    then = {**run.provenance["packages"], **{name: run.provenance[name] for name in ("python", "system")}}
    names = (*ARITHMETIC, "python", "system")
    return [f"{name} {then.get(name)} (here {now.get(name)})" for name in names if then.get(name) != now.get(name)]


@pytest.mark.data
@pytest.mark.slow
def test_a_published_run_made_again_has_the_same_bytes(real_data, tmp_path):
    published = cheapest(load_runs(ROOT / "results" / "runs"))
    if other := other_surroundings(published):
        pytest.skip(f"{published.path.name} was made with {', '.join(other)}")
    command, *words = published.provenance["argv"]
    assert command == "clbench"
    words[words.index("--out") + 1] = str(tmp_path / "runs")
    environment = {**os.environ, "CLBENCH_DATA": str(real_data)}
    subprocess.run([sys.executable, "-m", "clbench", *words], env=environment, check=True, capture_output=True)
    (folder,) = (path.parent for path in (tmp_path / "runs").rglob("summary.json"))
    assert folder.name == published.path.name, "published with other settings or numbers: make the run again"
    assert verify(folder) == []
    again = read_run(folder)
    assert again.stream.fingerprint == published.stream.fingerprint
    assert again.summary["scores"] == published.summary["scores"], "another processor than that of the published runs?"
    for name in ("cases.csv", "drift.csv"):
        assert (folder / name).read_bytes() == (published.path / name).read_bytes(), name
