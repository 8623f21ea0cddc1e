"""Whole processes: start-up of the command line, memory against the number of cases, tables over many runs."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def command_seconds(*words: str, repeats: int) -> float:
    """Median wall time of a ``clbench`` command, after one run that is not counted."""
    seconds = []
    for _ in range(repeats + 1):
        begun = time.perf_counter()
        subprocess.run([*_clbench(), *words], check=True, capture_output=True, env=environment())
        seconds.append(time.perf_counter() - begun)
    return statistics.median(seconds[1:])


def _clbench() -> list[str]:
    return [sys.executable, "-c", "from clbench.cli import main; main()"]


def environment(**more: str) -> dict[str, str]:
    """Of a process that imports the package and what its tests write runs with."""
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests"), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "PYTHONPATH": path, **more}


MEMORY = """
import re, sys
from pathlib import Path
from toy import toy_config, write_dataset, _CARD
from clbench.experiment import run_config
root, cases = Path(sys.argv[1]), int(sys.argv[2])
import toy
toy.SHAPE = (96, 96, 24)
write_dataset(root / "Dataset001_Site", cases, contrast=1.0, seed=1)
card = root / "toy.toml"
task = 'name = "site"\\ndata = { layout = "nnunet", roots = ["Dataset001_Site"], marker = "dataset.json" }\\n'
card.write_text(_CARD.format(kind="domain", data="").replace("[16, 16]", "[64, 64]") + "\\n[[tasks]]\\n" + task)
run_config(toy_config(card, root / "runs", "naive", ("training.steps=40",), threads=1))
# Not ru_maxrss, which a child process inherits from the parent it was forked from.
print(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
"""


def peak_memory_mb(cases: int) -> float:
    """Peak resident memory of a whole run on ``cases`` volumes of 96 x 96 x 24 voxels (Linux)."""
    with tempfile.TemporaryDirectory(prefix="clbench-speed-") as folder:
        found = subprocess.run(
            [sys.executable, "-c", MEMORY, folder, str(cases)],
            check=True, capture_output=True, text=True, env=environment(CLBENCH_CACHE=f"{folder}/cache"),
        )  # fmt: skip
    return int(found.stdout.split()[-1]) / 1024


REPORTS = """
import json, sys, time
from pathlib import Path
from synthetic_runs import config, finished
out = Path(sys.argv[1])
for seed in range(int(sys.argv[2])):
    finished(out, config(("naive", "joint", "single", "ewc")[seed % 4], seed // 4, numbers=2))
found = {}
from clbench.cli import execute
for command in ("table", "leaderboard"):
    begun = time.perf_counter()
    code = execute([command, str(out), "--out", str(out / command)])
    found[command] = time.perf_counter() - begun if code == 0 else None
print(json.dumps(found))
"""


def report_seconds(runs: int) -> dict[str, float | None]:
    """Seconds of ``clbench table`` and ``clbench leaderboard`` over many small runs; None for what fails."""
    with tempfile.TemporaryDirectory(prefix="clbench-speed-") as folder:
        found = subprocess.run(
            [sys.executable, "-c", REPORTS, folder, str(runs)],
            check=True, capture_output=True, text=True, env=environment(),
        )  # fmt: skip
    seconds: dict[str, float | None] = json.loads(found.stdout.splitlines()[-1])
    return seconds
