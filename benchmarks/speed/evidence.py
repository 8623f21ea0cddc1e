"""Evidence: what a leaderboard of a thousand runs costs, and the bootstrap of a suite of a thousand cases."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks.speed.processes import environment

WRITE = """
import sys
from pathlib import Path
from many_runs import write_many
print(write_many(Path(sys.argv[1]), *map(int, sys.argv[2:])))
"""
RANK = """
import re, sys
from pathlib import Path
from clbench.cli import execute
assert execute(["leaderboard", sys.argv[1], "--out", sys.argv[2]]) == 0
# Not ru_maxrss, which a child process inherits from the parent it was forked from.
print(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1])
"""
BOOTSTRAP = """
import sys, time
from pathlib import Path
import many_runs
from clbench.report.groups import groups
from clbench.report.leaderboard.board import KEYS
from clbench.report.load import load_runs
from clbench.report.stats.suites import table_statistics
strategies, seeds, cases = map(int, sys.argv[2:])
many_runs.CASES, many_runs.LABELS = {"test": cases // many_runs.TASKS}, {"organ": 1}
many_runs.write_many(Path(sys.argv[1]), 1, strategies, seeds)
(group,) = groups(load_runs(sys.argv[1]))
begun = time.perf_counter()
table_statistics(group, KEYS)
print(time.perf_counter() - begun)
"""


def leaderboard(streams: int = 4, strategies: int = 25, seeds: int = 10) -> dict[str, float]:
    """Seconds and peak resident memory of ``clbench leaderboard``, start-up and all, over runs as large as real ones.

    Linux. The defaults are a thousand runs.
    """
    with tempfile.TemporaryDirectory(prefix="clbench-speed-") as folder:
        runs = f"{folder}/runs"
        _printed(WRITE, runs, streams, strategies, seeds)
        begun = time.perf_counter()
        kibibytes = _printed(RANK, runs, folder)
        return {"seconds": time.perf_counter() - begun, "peak_memory_mb": int(kibibytes) / 1024}


def bootstrap_seconds(strategies: int = 7, seeds: int = 3, cases: int = 1000) -> float:
    """Seconds of all intervals and ranks of one table, with as many resamples as a leaderboard takes.

    Args:
        strategies: rows of the table.
        seeds: runs of each.
        cases: in the test splits of all tasks, each of a patient of its own.
    """
    with tempfile.TemporaryDirectory(prefix="clbench-speed-") as folder:
        return float(_printed(BOOTSTRAP, Path(folder) / "runs", strategies, seeds, cases))


def _printed(script: str, *words: object) -> str:
    """The last word that a script prints in a process of its own."""
    command = [sys.executable, "-c", script, *map(str, words)]
    return subprocess.run(command, check=True, capture_output=True, text=True, env=environment()).stdout.split()[-1]
