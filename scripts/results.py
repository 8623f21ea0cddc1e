"""Write everything that is derived from the runs in results/runs, or check it.

Usage: python scripts/results.py [--check] [--no-figures]

Derived are results/tables, results/leaderboard.*, results/figures, benchmarks/expected.csv, docs/latent.md, and parts
of docs/results.md and README.md. --check writes nothing and exits 1 when a file is out of date, missing or left over.
--no-figures leaves the figures as they are; whether they were drawn from these runs is checked all the same.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import latent_page
import published_data
import published_suites
import results_text

from clbench.ranking import inconsistency, marked_strategies
from clbench.report.expected import expected_text
from clbench.report.figures.write import write_figures
from clbench.report.leaderboard import leaderboard
from clbench.report.leaderboard.files import FORMATS as LEADERBOARDS
from clbench.report.load import LeftOut, find_runs
from clbench.report.tables import table
from clbench.report.usable import usable
from clbench.runfolder import Run
from clbench.runfolder.files import file_hash

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "results"
FIGURES, TABLES = RESULTS / "figures", RESULTS / "tables"
STRATEGY_TABLES = ("acdc-groups", "acdc-classes")
"""Streams whose every strategy is run with seed 0, each with a table of its own."""
MORE_METRICS = (
    "These tables have the metrics that a page has room for; [all of them](protocol.md#continual-learning-metrics) "
    "are in `results/tables/table.csv` and in the page that `clbench report results/runs` writes."
)
TOLERANCE = 0.03
"""What another machine's rounding may move a number of ``benchmarks/expected.csv`` by."""


def spliced(page: str, marker: str, text: str) -> str:
    """A page with what stands between ``<!-- marker -->`` and ``<!-- end marker -->`` replaced."""
    before, rest = page.split(f"<!-- {marker} -->\n")
    _, after = rest.split(f"<!-- end {marker} -->\n")
    return f"{before}<!-- {marker} -->\n\n{text.strip()}\n\n<!-- end {marker} -->\n{after}"


def texts(runs: Sequence[Run], left_out: Sequence[LeftOut]) -> Iterator[tuple[Path, str]]:
    """Every derived file but the figures.

    Args:
        runs: that may be published.
        left_out: the others, which leaderboards and tables name.
    """
    ranked = leaderboard(runs, left_out, marked=marked_strategies())
    for kind, of in LEADERBOARDS.items():
        yield RESULTS / f"leaderboard.{kind}", of(ranked)
    tables = {kind: tabulated(runs, kind, left_out) for kind in ("md", "csv", "tex")}
    for kind, text in tables.items():
        yield TABLES / f"table.{kind}", text
    for stream in STRATEGY_TABLES:
        chosen = [run for run in runs if run.stream.key.partition("@")[0] == stream]
        others = [item for item in left_out if item.name.partition("@")[0] == stream]
        for kind in tables:
            yield TABLES / f"strategies-{stream}.{kind}", tabulated(chosen, kind, others)
    yield ROOT / "benchmarks" / "expected.csv", expected_text(runs, TOLERANCE)
    yield latent_page.PAGE, latent_page.page(RESULTS / "runs")
    page, readme = ROOT / "docs" / "results.md", ROOT / "README.md"
    boards = LEADERBOARDS["md"](ranked).removeprefix("# Leaderboard\n").replace("\n## ", "\n### ")
    parts = (
        published_suites.what_is_published(runs, ROOT / "benchmarks"),
        published_data.behind(runs),
        "## Leaderboard",
        boards,
        "## More metrics",
        MORE_METRICS,
        tables["md"],
        results_text.where_tuned(),
        results_text.how_made(runs),
        results_text.matrices(runs),
    )
    yield page, spliced(page.read_text("utf-8"), "results", "\n\n".join(part.strip() for part in parts))
    yield readme, spliced(readme.read_text("utf-8"), "results", results_text.readme_part(ranked))
    yield FIGURES / "runs.csv", drawn_from(runs)


def tabulated(runs: Sequence[Run], kind: str, left_out: Sequence[LeftOut]) -> str:
    """What ``clbench table`` prints."""
    return table(runs, format=kind, left_out=left_out, marked=marked_strategies()).rstrip() + "\n"


def drawn_from(runs: Sequence[Run]) -> str:
    """The runs that the figures show, so that figures of other runs are found without drawing any."""
    lines = [f"{run.path.parent.name}/{run.path.name},{file_hash(run.path / 'summary.json')}" for run in runs]
    return "\n".join(["run,sha256_of_summary", *lines]) + "\n"


def figures(runs: Sequence[Run]) -> Iterator[tuple[Path, str]]:
    """Every figure, as ``clbench figures results/runs`` draws it."""
    with TemporaryDirectory() as out:
        written, _ = write_figures(runs, Path(out), ("svg",))
        for path in written:
            yield FIGURES / path.relative_to(out), path.read_text(encoding="utf-8")


def left_over(wanted: set[Path]) -> list[Path]:
    """Files beside the derived ones that nothing derives any more; PDFs are not published and may lie there."""
    there = {path for folder in (FIGURES, TABLES) for path in folder.rglob("*") if path.is_file()}
    return sorted(path for path in there - wanted if path.suffix != ".pdf")


def publishable() -> tuple[list[Run], list[LeftOut]]:
    """The runs that the leaderboard takes, and the others: what it refuses stands nowhere else either."""
    found, unread = find_runs(RESULTS / "runs")
    runs, refused = usable(found, inconsistency)
    return runs, [*unread, *refused]


def main(arguments: Sequence[str]) -> int:
    """Write or check everything."""
    runs, left_out = publishable()
    made = dict(texts(runs, left_out))
    if "--no-figures" not in arguments:
        made |= dict(figures(runs))
    stale = [path for path, text in made.items() if not path.exists() or path.read_bytes() != text.encode()]
    odd = left_over(set(made)) if "--no-figures" not in arguments else []
    if "--check" in arguments:
        for path, how in (*((path, "out of date") for path in stale), *((path, "left over") for path in odd)):
            print(f"{path.relative_to(ROOT)} is {how}: run make results", file=sys.stderr)
        return 1 if stale or odd else 0
    for path in odd:
        path.unlink()
    for path in stale:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(made[path].encode())
    print(f"{len(made)} derived files, {len(stale)} written anew, {len(odd)} removed")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
