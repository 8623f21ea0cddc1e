"""Write benchmarks/expected.csv: what the runs in results/runs come to, with one tolerance for all numbers.

Usage: python scripts/expected.py [TOLERANCE]      0.03 without one: what another machine's rounding may move.
"""

from __future__ import annotations

import sys
from pathlib import Path

from clbench.report.expected import expected_text
from clbench.report.load import load_runs

ROOT = Path(__file__).resolve().parents[1]

if __name__ == "__main__":
    tolerance = float(sys.argv[1]) if len(sys.argv) > 1 else 0.03
    text = expected_text(load_runs(ROOT / "results" / "runs"), tolerance)
    (ROOT / "benchmarks" / "expected.csv").write_text(text, encoding="utf-8")
