"""Write docs/latent.md: what structured latent spaces were worth, from run folders.

Usage: python scripts/latent_page.py [--check] [FOLDER]      FOLDER of runs, results/runs without it; --check writes
nothing and exits 1 when the page is out of date. The runs are those of benchmarks/latent.toml.
"""

from __future__ import annotations

import json
import sys
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean

from latent_claims import CLAIMED, claims_of, difference_text, p_text, table

from clbench.ranking import inconsistency
from clbench.report.costs import costs
from clbench.report.groups import Group, Row, groups
from clbench.report.leaderboard.cells import ONE_SEED_NOTE, estimate_text
from clbench.report.load import find_runs
from clbench.report.results import scored_on
from clbench.report.stats.group_draws import GroupDraws, draw_group
from clbench.report.stats.intervals import interval
from clbench.report.stats.suites import compare_with
from clbench.report.usable import usable
from clbench.runfolder import Run

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "latent.md"
SUITE = ROOT / "benchmarks" / "latent.toml"
SPEED = {precision: ROOT / "results" / "speed" / f"cpu-{precision}.json" for precision in ("bfloat16", "float32")}
METRICS = ("final", "bwt", "fwt_upper")


def strategies() -> set[str]:
    """The strategies of the suite, in the canonical spelling of their parts."""
    from clbench.strategies.compose import parse_strategy

    blocks = tomllib.loads(SUITE.read_text(encoding="utf-8"))["block"]
    return {"+".join(parse_strategy(name)) for block in blocks for name in block["strategies"]}


def streams() -> set[str]:
    """The stream keys of the suite, without their version."""
    blocks = tomllib.loads(SUITE.read_text(encoding="utf-8"))["block"]
    return {name + ("+phantom" if block.get("phantom") else "") for block in blocks for name in block["streams"]}


def of_the_suite(run: Run) -> bool:
    """Whether a run is one of the suite's: stream, order, strategy, preset, network and options by default."""
    name, _, rest = run.stream.key.partition("@")
    phantom = "+phantom" if rest.endswith("+phantom") else ""
    wanted = name + phantom in streams() and "+order" not in rest and run.strategy in strategies()
    usual = run.config_resolved["preset"] == "cpu" and not run.config_given.get("training")
    own_network = run.config_resolved["network"] in ("unet", run.strategy)
    return wanted and usual and own_network and has_default_options(run)


def has_default_options(run: Run) -> bool:
    """Whether every option that the run records has its default."""
    from clbench.strategies.compose import strategy_options, with_revisions

    given = run.config_resolved["options"]
    usual = with_revisions(strategy_options(run.strategy.split("+"), {}))
    return all(usual[part].get(key) == value for part, values in given.items() for key, value in values.items())


def scores(group: Group, drawn: GroupDraws, base: Row | None) -> Iterator[str]:
    """The table of one stream, best final first."""
    against = compare_with(group, base) if base else {}
    yield f"| {' | '.join(['strategy', 'seeds', *METRICS, 'final less naive', 'p over patients'])} |"
    yield "| --- |" + " ---: |" * (len(METRICS) + 3)
    for row in best_first(group, drawn):
        values = [estimate_text(interval(drawn.row(row.label, key)), len(row.runs)) for key in METRICS]
        test = against.get(row.label)
        less = less_naive(row, drawn, base) if test else ""
        yield f"| {' | '.join([row.label, str(len(row.runs)), *values, less, p_text(test.p_holm) if test else ''])} |"


def best_first(group: Group, drawn: GroupDraws) -> list[Row]:
    """The rows by ``final``."""
    return sorted(group.rows, key=lambda row: -drawn.row(row.label, "final").value)


def less_naive(row: Row, drawn: GroupDraws, base: Row | None) -> str:
    """``final`` of a row less that of naive, over the seeds of both."""
    seeds = drawn.seeds_of_both(row.label, base.label) if base else []
    if base is None or not seeds:
        return "n/a"
    return difference_text(interval(drawn.difference(row.label, base.label, "final")), len(seeds))


def latent_and_cost(group: Group, drawn: GroupDraws) -> Iterator[str]:
    """How far features moved at each tap, and what each row costs."""
    taps = sorted({row.tap for of in group.rows for run in of.runs for row in run.drift or ()})
    drifts = [f"{name} of {tap}" for name in ("drift", "Frechet drift") for tap in taps]
    costs_shown = [*(f"step, {precision}" for precision in SPEED), "peak, MB", "stored, MB", "replayed", "parameters"]
    yield f"| {' | '.join(['strategy', *drifts, *costs_shown])} |"
    yield "| --- |" + " ---: |" * (len(drifts) + len(costs_shown))
    for row in best_first(group, drawn):
        moved = [mean_drift(row, metric, tap) for metric in ("cka_distance", "frechet_relative") for tap in taps]
        yield f"| {' | '.join([row.label, *moved, *cost(row)])} |"


def mean_drift(row: Row, metric: str, tap: str) -> str:
    """Mean over seeds and tasks."""
    found = [run.mean_drift(metric, tap) for run in row.runs]
    known = [value for value in found if value is not None]
    return f"{fmean(known):.3f}" if known and len(known) == len(found) else "n/a"


def cost(row: Row) -> list[str]:
    """Time of a step as a multiple of that of naive, from the speed harness; the rest from the runs."""
    spent = costs(row.runs)
    shown = [
        *((step(row.runs[0].strategy, precision), ".2f") for precision in SPEED),
        (spent["peak_memory_mb"], ".0f"),
        (None if spent["stored_bytes"] is None else spent["stored_bytes"] / 1e6, ".1f"),
        (spent["replayed_fraction"], ".2f"),
        (spent["parameters"], ".0f"),
    ]
    return ["n/a" if value is None else f"{value:{form}}" for value, form in shown]


def step(strategy: str, precision: str) -> float | None:
    """Time of a step as a multiple of that of naive, on the processor that was measured in that precision."""
    measured = json.loads(SPEED[precision].read_text(encoding="utf-8"))["strategies"]
    found = measured.get(strategy)
    return 1.0 if strategy == "naive" else found and found["ratio"]


def page(folder: Path) -> str:
    """The whole page."""
    found = find_runs(folder)[0] if any(folder.rglob("run.json")) else []
    runs, _ = usable((run for run in found if of_the_suite(run)), inconsistency)
    parts = [INTRODUCTION.strip()]
    for group in groups(runs):
        names = ", ".join(sorted({f"{len(row.runs)}" for row in group.rows}))
        about = (
            f"Preset cpu, {group.settings.get('precision', '?')}, data {group.fingerprint[:8]}, {scored_on(group)}; "
            f"seeds per row: {names}."
        )
        drawn = draw_group(group, METRICS)
        base = next((row for row in group.rows if row.label == "naive"), None)
        parts += [f"## {group.stream}", about, "\n".join(scores(group, drawn, base))]
        parts += [
            "### Latent space and cost",
            "\n".join(latent_and_cost(group, drawn)),
            *told_claims(group, drawn, base),
        ]
    if any(len(row.runs) == 1 for group in groups(runs) for row in group.rows):
        parts.append(ONE_SEED_NOTE)
    if not runs:
        parts.append("No run of the suite is published yet.")
    return "\n\n".join(part for part in parts if part) + "\n"


def told_claims(group: Group, drawn: GroupDraws, base: Row | None) -> Iterator[str]:
    """The claims' part of a stream's section, where it has rows that claim something."""
    if not any(row.label in CLAIMED for row in group.rows):
        return
    yield "### The claims"
    found = claims_of(group, drawn, base) if base else []
    yield "\n".join(table(found)) if found else "No run of `naive` with one of their seeds: nothing to judge by."


INTRODUCTION = """
# Structured latent spaces

Four systems claim that a structured latent space generalizes better: [SegReg](strategies.md#segreg), SelfReg-UNet
([`selfreg`](strategies.md#selfreg)), [Med-DisSeg](strategies.md#med-disseg) and [L2GNet](strategies.md#l2gnet). None of
the last three was made for continual learning. This page is written by `scripts/latent_page.py` from the run folders of
one suite:

```bash
clbench suite benchmarks/latent.toml
```

Each system is [clbench's reading](strategies.md#latent-features) of its paper, on the same budget and patches. What
follows judges these readings at the small budget of preset `cpu`, not the systems of the papers. Where each default
comes from stands with its strategy: those of these four were not tuned, `ewc`'s weight was, on validation cases of
hippocampus-shifts. `med-disseg` and `l2gnet` bring networks of their own: their difference to `naive`, which trains the
U-Net, is that of network and loss together.

- Intervals of 95 % are those of the [protocol](protocol.md#statistics): bootstrap over seeds and patients. A difference
  to `naive` is that of the tables' numbers over the seeds of both. With one seed an interval (†) speaks of that seed
  alone.
- *p over patients* is that of the Wilcoxon signed-rank test over test patients against `naive`, Holm-corrected over the
  rows of the table. It does not know of other seeds.
- `fwt_upper` is the score on tasks not yet learned: zero-shot generalization.
- [Drift](protocol.md#representation-drift) at a feature level is the mean CKA distance over the earlier tasks, Frechet
  drift the relative Frechet distance; lower is less.
- *Step* is the time of a training step as a multiple of that of `naive`, measured apart on two processors, with
  bfloat16 and without ([speed](speed.md) has intervals, too); n/a where it was not. Peak memory, what is stored between
  tasks and the fraction of old images replayed are those of the runs.
- A claim is judged from three seeds on, of `naive` too. Its p is that of a t test whose error comes from the same
  bootstrap over seeds and patients (for drift, from the seeds alone), Holm-corrected over the table of claims. In 1,000
  simulated suites of two equal strategies each, three or five seeds and 3 or 8 patients to a task, a single such test
  found a difference in at most 8 %. A claim is *confirmed* where the difference points its way at p < 0.05,
  *the opposite is the case* where it points the other way, and otherwise *not confirmed*, which does not say that there
  is no effect.
"""


def main(arguments: Sequence[str]) -> int:
    """Write or check the page."""
    folders = [Path(argument) for argument in arguments if not argument.startswith("--")]
    text = page(folders[0] if folders else ROOT / "results" / "runs")
    if "--check" not in arguments:
        PAGE.write_text(text, encoding="utf-8")
        return 0
    stale = not PAGE.exists() or PAGE.read_text(encoding="utf-8") != text
    if stale:
        print("docs/latent.md is out of date: run make results", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
