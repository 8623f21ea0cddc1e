"""What the sweeps in results/tuning say of one strategy, for its section in docs/strategies.md."""

from __future__ import annotations

import re
from pathlib import Path

FOLDER = Path(__file__).resolve().parents[1] / "results" / "tuning"


def curves(strategy: str, folder: Path = FOLDER) -> str:
    """One table for each sweep that the strategy is in, as Markdown; empty where it is in none."""
    return "\n\n".join(curve for path in sorted(folder.glob("*.md")) if (curve := _curve(strategy, path)))


def _curve(strategy: str, path: Path) -> str:
    """The rows of one strategy in a table that ``scripts/tune.py`` wrote, with ``naive`` and ``joint`` to compare."""
    lines = path.read_text(encoding="utf-8").splitlines()
    conditions = next(line for line in lines if line.startswith("Stream ")).partition(";")[0].removeprefix("Stream ")
    head, rule, *rows = (line for line in lines if line.startswith("|"))
    chosen = [row for row in rows if row.startswith(f"| `{strategy}` |")]
    if not chosen:
        return ""
    known = [row for row in rows if re.match(r"\| `(naive|joint)` \|", row)]
    about = f"Sweep on validation cases (`results/tuning/{path.name}`): {conditions}."
    return "\n".join([about, "", head, rule, *known, *chosen])
