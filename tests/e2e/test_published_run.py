"""A published run, made again by its own command, has the same bytes.

That holds on the processor model that made the published runs (``docs/results.md``): another one adds floats in another
order, and its numbers agree within the tolerance of ``benchmarks/expected.csv`` instead.
"""

import os
import platform
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from clbench.device import kernels
from clbench.provenance import packages
from clbench.report.costs import costs
from clbench.report.load import load_runs
from clbench.runfolder import read_run
from clbench.runfolder.tables import read_train
from clbench.verify import verify
from source_tree import ROOT

sys.path.insert(0, str(ROOT / "scripts"))

import published_suites

SUITE = ROOT / "benchmarks" / "cpu-real.toml"
ARITHMETIC = ("torch", "monai", "avalanche-lib", "numpy", "scipy", "nibabel")
"""Packages whose version may change a bit of a result."""
PROCESSOR, KERNELS = "AMD EPYC", "AVX512-BF16"
"""What made the published runs that do not name their instructions, as ``docs/results.md`` says."""


def cheapest(runs):
    """Of the suite's runs that a processor trained on every task: those that stop earlier prove little of the rest."""
    hashes = {each for planned in published_suites.wanted(SUITE) for each in planned.hashes}
    learners = [
        run
        for run in runs
        if run.regime == "sequential"
        and run.config_hash in hashes
        and run.provenance["device"].startswith("cpu")
        and trained_on(run) == set(range(1, len(run.stream.tasks) + 1))
    ]
    assert learners, f"no published run of {SUITE.name} trains on every task: make one"
    return min(learners, key=lambda run: costs([run])["train_seconds"])


def trained_on(run):
    """The tasks with a step in the training log."""
    return {row.task for row in read_train(run.path / "train.csv")}


def other_surroundings(run, here):
    """What is not as it was when a run was made: of that which a folder records, and the processor."""
    then = {**run.provenance["packages"], **{name: run.provenance[name] for name in ("python", "system")}}
    named = run.provenance["device"].removeprefix("cpu").partition(",")[0].strip()
    then |= {"processor": PROCESSOR, "kernels": named or KERNELS}
    names = (*ARITHMETIC, "python", "system", "processor", "kernels")
    return [f"{name} {then.get(name)} (here {here.get(name)})" for name in names if then.get(name) != here.get(name)]


def surroundings():
    """The same of this machine."""
    return {
        **packages(),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "processor": PROCESSOR if PROCESSOR in processor() else processor(),
        "kernels": kernels(),
    }


def processor():
    """The model's name, as far as the system tells it."""
    table = Path("/proc/cpuinfo")
    lines = table.read_text().splitlines() if table.exists() else []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.processor() or "unknown")


def test_the_run_to_make_again_is_of_the_published_suite_and_trains_on_every_task():
    runs = load_runs(ROOT / "results" / "runs")
    found = cheapest(runs)
    planned = [run for run in published_suites.wanted(SUITE) if found.config_hash in run.hashes]
    assert [(run.strategy, run.seed) for run in planned] == [(found.strategy, found.seed)]
    assert trained_on(found) == set(range(1, len(found.stream.tasks) + 1))
    with pytest.raises(AssertionError, match="no published run of cpu-real"):
        cheapest([run for run in runs if run.strategy in ("frozen", "joint", "single", "vicreg")])


@pytest.mark.parametrize(("device", "made"), [("cpu, 1 threads", KERNELS), ("cpu AVX2, 1 threads", "AVX2")])
def test_another_package_processor_or_instruction_set_is_a_reason_to_skip(device, made):
    provenance = {"packages": dict.fromkeys(ARITHMETIC, "1"), "python": "3", "system": "Linux", "device": device}
    run = SimpleNamespace(provenance=provenance)
    here = {**provenance["packages"], "python": "3", "system": "Linux", "processor": PROCESSOR, "kernels": made}
    assert other_surroundings(run, here) == []
    assert other_surroundings(run, {**here, "torch": "2"}) == ["torch 1 (here 2)"]
    assert other_surroundings(run, {**here, "processor": "Other"}) == [f"processor {PROCESSOR} (here Other)"]
    assert other_surroundings(run, {**here, "kernels": "DEFAULT"}) == [f"kernels {made} (here DEFAULT)"]
    assert set(surroundings()) >= set(here)
    assert f"an {PROCESSOR} with AVX512-BF16" in (ROOT / "docs" / "results.md").read_text(encoding="utf-8")


@pytest.mark.data
@pytest.mark.slow
def test_a_published_run_made_again_has_the_same_bytes(real_data, tmp_path):
    published = cheapest(load_runs(ROOT / "results" / "runs"))
    if other := other_surroundings(published, surroundings()):
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
