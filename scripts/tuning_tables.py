"""What the sweeps in results/tuning say of one strategy, for its section in docs/strategies.md."""

from __future__ import annotations

import re
from pathlib import Path

REFERENCES = {"naive", "joint"}
FOLDER = Path(__file__).resolve().parents[1] / "results" / "tuning"


def curves(strategy: str, folder: Path = FOLDER) -> str:
    """One table for each sweep that the strategy is in, as Markdown; empty where it is in none."""
    return "\n\n".join(curve for path in sorted(folder.glob("*.md")) if (curve := _curve(strategy, path)))


def tuned_on(folder: Path = FOLDER) -> dict[str, list[str]]:
    """Stream -> the strategies that have a sweep there, both sorted; ``naive`` and ``joint`` are in all of them."""
    found: dict[str, set[str]] = {}
    for path in folder.glob("*.md"):
        lines = path.read_text(encoding="utf-8").splitlines()
        stream = next(line for line in lines if line.startswith("Stream ")).split("`")[1]
        found.setdefault(stream, set()).update(line.split("`")[1] for line in lines if line.startswith("| `"))
    return {stream: sorted(found[stream] - REFERENCES) for stream in sorted(found)}


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
