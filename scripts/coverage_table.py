"""Print how often intervals hold the truth in simulated suites: the tables of docs/protocol.md, Statistics.

Usage: python scripts/coverage_table.py      some minutes on one core
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))

simulated = import_module("simulated_suites")  # of the tests, which the type checker of the package does not read

SUITES = 500
OF_SEED = (0.01, 0.03, 0.05)


def lines() -> Iterator[str]:
    """One line for each design and number of seeds."""
    designs: dict[str, dict[str, Any]] = {str(patients): {"patients": patients} for patients in (3, 6, 15, 40)}
    yield "| patients per task | seeds | seeds differ by 0.01 | by 0.03 | by 0.05 |"
    yield "|---|---|---|---|---|"
    for name, fields in {**designs, "3, unequal": simulated.UNEQUAL}.items():
        yield from (line(name, seeds, fields) for seeds in (2, 3, 5))
    for name, fields in designs.items():
        yield line(name, 1, fields)


def line(name: str, seeds: int, fields: dict[str, Any]) -> str:
    """Least and most of ``final``, ``bwt`` and ``learned``, in percent."""
    found = [simulated.coverage(SUITES, seeds=seeds, of_seed=of_seed, **fields).values() for of_seed in OF_SEED]
    cells = [f"{100 * min(shares):.0f} to {100 * max(shares):.0f} %" for shares in found]
    return f"| {name} | {seeds} | {' | '.join(cells)} |"


if __name__ == "__main__":
    for each in lines():
        print(each, flush=True)
