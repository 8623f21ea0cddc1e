"""Write every published table from the runs in results/runs: results/tables, docs/results.md and the README's table.

Usage: python scripts/results.py [--check]      --check writes nothing and exits 1 when something is out of date.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from pathlib import Path

from clbench.report.load import find_runs
from clbench.report.tables import table
from clbench.runfolder import Run

ROOT = Path(__file__).resolve().parents[1]
README_STREAM = "acdc-groups@1"


def matrix(run: Run) -> str:
    """R on the test cases as a Markdown table."""
    names = [task.name for task in run.stream.tasks]
    scores = run.scores().scores
    lines = [f"| after \\ on | {' | '.join(names)} |", "| --- |" + " ---: |" * len(names)]
    for row, title in zip(scores.tolist(), ["untrained", *names], strict=True):
        if any(not math.isnan(score) for score in row):
            cells = ["n/a" if math.isnan(score) else f"{score:.3f}" for score in row]
            lines.append(f"| {title} | {' | '.join(cells)} |")
    return "\n".join(lines)


def title(run: Run, runs: Sequence[Run]) -> str:
    """What tells a run from the others: its options only where the same strategy was run with several."""
    name = f"{run.stream.key}: {run.strategy}, seed {run.seed}"
    alike = [other for other in runs if (other.stream.key, other.strategy, other.seed) == identity(run)]
    if len(alike) == 1:
        return name
    chosen = [
        f"{part}.{key}={value}"
        for part, values in run.config_resolved["options"].items()
        for key, value in values.items()
    ]
    return f"{name} ({', '.join(chosen)})"


def identity(run: Run) -> tuple[str, str, int]:
    """Of a run but for its settings."""
    return run.stream.key, run.strategy, run.seed


def spliced(path: Path, marker: str, text: str) -> str:
    """The file with what stands between ``<!-- marker -->`` and ``<!-- end marker -->`` replaced."""
    before, rest = path.read_text(encoding="utf-8").split(f"<!-- {marker} -->\n")
    _, after = rest.split(f"<!-- end {marker} -->\n")
    return f"{before}<!-- {marker} -->\n\n{text.strip()}\n\n<!-- end {marker} -->\n{after}"


def outputs() -> dict[Path, str]:
    """Every derived file and what it should hold."""
    runs, left_out = find_runs(ROOT / "results" / "runs")
    shown = [run for run in runs if run.stream.key == README_STREAM]
    matrices = [f"### {title(run, runs)}\n\n{matrix(run)}" for run in runs if run.complete]
    tables = {
        ROOT / "results" / "tables" / f"table.{kind}": table(runs, format=kind, left_out=left_out).rstrip() + "\n"
        for kind in ("md", "csv", "tex")
    }
    results = ROOT / "docs" / "results.md"
    return {
        **tables,
        results: spliced(
            results, "results", "\n\n".join([table(runs, left_out=left_out), "## Score matrices", *matrices])
        ),
        ROOT / "README.md": spliced(ROOT / "README.md", "table", table(shown)),
    }


def main() -> int:
    """Write or check all outputs."""
    stale = [path for path, text in outputs().items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    if "--check" in sys.argv[1:]:
        for path in stale:
            print(f"{path.relative_to(ROOT)} is out of date: run scripts/results.py", file=sys.stderr)
        return 1 if stale else 0
    for path, text in outputs().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
