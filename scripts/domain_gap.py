"""Write the score matrices of naive on the phantoms into docs/phantoms.md.

Usage: python scripts/domain_gap.py RUNS...      run folders, or folders of them, of naive on every phantom
"""

from __future__ import annotations

import sys
from pathlib import Path

from results_text import score_matrix

from clbench.report.load import load_runs
from clbench.streams.card import cards, parse_card
from results import spliced

PAGE = Path(__file__).resolve().parents[1] / "docs" / "phantoms.md"


def phantom_keys() -> list[str]:
    """The keys of all shipped streams on their phantoms, sorted."""
    shipped = (parse_card(text, name) for name, text in cards().items())
    return sorted(f"{card.name}@{card.version}+phantom" for card in shipped if card.phantom)


def main() -> int:
    runs = [run for folder in sys.argv[1:] for run in load_runs(folder)]
    wrong = [run for run in runs if not run.complete or run.strategy != "naive" or not run.stream.phantom]
    if wrong or not runs:
        print(f"no complete run of naive on a phantom: {wrong[0].path if wrong else 'none given'}", file=sys.stderr)
        return 2
    shown, asked = sorted(run.stream.key for run in runs), phantom_keys()
    if shown != asked:
        print(f"needs one run for each of {', '.join(asked)}, but got {', '.join(shown)}", file=sys.stderr)
        return 2
    parts = []
    for run in sorted(runs, key=lambda run: run.stream.key):
        steps, forgetting = run.config_resolved["training"]["steps"], run.metrics()["forgetting"]
        said = f"`{run.stream.key}`, {steps} steps per task, mean forgetting {forgetting:.3f}:"
        parts += [said, score_matrix(run)]
    text = spliced(PAGE.read_text(encoding="utf-8"), "domain gap", "\n\n".join(parts))
    PAGE.write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
