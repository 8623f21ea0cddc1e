"""Choose defaults on validation cases: run a grid of settings and write what each comes to.

Usage: python scripts/tune.py benchmarks/tuning/FILE.toml [--out RUNS] [--data DIR] [--only NAME] [--threads N] [--list]

A file has ``stream``, ``preset``, ``seed``, ``settings`` and optionally ``precision`` (else ``auto``) for every run,
and under ``[strategies.NAME]`` values for each option, all combinations of which are run; ``naive`` and ``joint`` come
first, to compare with. Every setting is an ordinary run folder under RUNS, so that a sweep that was stopped goes on
where it was. Nothing is read but the validation cases. The table goes to results/tuning/FILE.md, with the settings that
are done so far.
"""

from __future__ import annotations

import argparse
import sys
import tomllib
from itertools import product
from pathlib import Path
from typing import Any

from clbench.config import RunConfig, make_config
from clbench.experiment import run_config
from clbench.report.load import load_runs
from clbench.reporter import SilentReporter
from clbench.strategies.compose import options_of
from clbench.wording import counted

ROOT = Path(__file__).resolve().parents[1]
REFERENCES = ("naive", "joint")
COLUMNS = ("final", "bwt", "learned")


class Line(SilentReporter):
    """Says which task is being learned."""

    def evaluated(self, after_task: int, tasks: int, row: Any) -> None:
        """Called after each scoring."""
        print(f"  scored after {after_task} of {tasks}", file=sys.stderr)


def settings(sweep: dict[str, Any]) -> list[tuple[str, dict[str, Any]]]:
    """Strategy and option values of every run, references first; option names without the strategy's."""
    found: list[tuple[str, dict[str, Any]]] = [(name, {}) for name in REFERENCES]
    for strategy, grid in sweep["strategies"].items():
        found += [(strategy, dict(zip(grid, values, strict=True))) for values in product(*grid.values())]
    return found


def config(sweep: dict[str, Any], strategy: str, values: dict[str, Any], arguments: argparse.Namespace) -> RunConfig:
    """The run of one setting."""
    chosen = [*sweep["settings"], *(f"{strategy}.{option}={value}" for option, value in values.items())]
    return make_config(
        stream=sweep["stream"],
        strategy=strategy,
        settings=chosen,
        preset=sweep["preset"],
        seed=sweep["seed"],
        out=arguments.out,
        data=arguments.data,
        predictions="none",
        precision=sweep.get("precision", "auto"),
        threads=arguments.threads,
    )


def row(strategy: str, values: dict[str, Any], folder: Path) -> list[str]:
    """Cells of one setting; nothing but validation cases is read."""
    (run,) = load_runs(folder)
    found = run.metrics("val")
    is_default = bool(values) and all(options_of(strategy, {})[name] == value for name, value in values.items())
    named = ", ".join(f"{name}={value}" for name, value in values.items()) + (" (default)" if is_default else "")
    cells = ["n/a" if (value := found.get(name)) is None else f"{value:.3f}" for name in COLUMNS]
    return [f"`{strategy}`", named or "-", *cells]


def table(sweep: dict[str, Any], rows: list[list[str]], total: int) -> str:
    """The page of a sweep."""
    lines = [
        f"# {sweep['about']}",
        "",
        f"Stream `{sweep['stream']}`, preset `{sweep['preset']}`, seed {sweep['seed']}"
        f"{', ' if 'precision' in sweep else ''}{sweep.get('precision', '')}"
        f"{''.join(f', `{setting}`' for setting in sweep['settings'])}; Dice of the validation cases. "
        f"{len(rows)} of {counted(total, 'setting')} done.",
        "",
        f"| strategy | setting | {' | '.join(COLUMNS)} |",
        f"|---|---|{'---:|' * len(COLUMNS)}",
        *(f"| {' | '.join(cells)} |" for cells in rows),
    ]
    return "\n".join(lines) + "\n"


def main(words: list[str] | None = None) -> int:
    """Run what is missing, and write the table after every setting."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", type=Path)
    parser.add_argument("--out", type=Path, default=Path("runs") / "tuning")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--threads", type=int, default=0, help="processor threads of every run")
    parser.add_argument("--only", default="", help="run settings of strategies whose name contains this")
    parser.add_argument("--list", action="store_true", help="say what would be run")
    parser.add_argument("--table", type=Path, help="where the table goes")
    arguments = parser.parse_args(words)
    sweep = tomllib.loads(arguments.file.read_text(encoding="utf-8"))
    wanted = [item for item in settings(sweep) if arguments.only in item[0] or item[0] in REFERENCES]
    configs = [config(sweep, *item, arguments) for item in wanted]  # all of them, so that mistakes are found at once
    target = arguments.table or ROOT / "results" / "tuning" / f"{arguments.file.stem}.md"
    rows: list[list[str]] = []
    for (strategy, values), one in zip(wanted, configs, strict=True):
        print(f"{strategy} {values or ''}", file=sys.stderr)
        if not arguments.list:
            rows.append(row(strategy, values, run_config(one, Line())))
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(table(sweep, rows, len(wanted)), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
