"""Write docs/latent.md: what structured latent spaces were worth, from run folders.

Usage: python scripts/latent_page.py [--check] [FOLDER]      FOLDER of runs, results/runs without it; --check writes
nothing and exits 1 when the page is out of date. The runs are those of benchmarks/latent.toml.
"""

from __future__ import annotations

import math
import sys
import tomllib
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean

from clbench.report.groups import Group, Row, groups
from clbench.report.leaderboard.cells import ONE_SEED_NOTE, estimate_text
from clbench.report.load import find_runs
from clbench.report.results import scored_on
from clbench.report.stats.paired import Comparison, holm
from clbench.report.stats.suites import compare_with, table_statistics
from clbench.report.threads import threads_of
from clbench.report.usable import usable
from clbench.runfolder import Run

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "latent.md"
SUITE = ROOT / "benchmarks" / "latent.toml"
METRICS = ("final", "bwt", "fwt_upper")
CLAIMED = ("segreg", "selfreg", "med-disseg", "l2gnet")
CLAIMS = {
    "final": "segments better at the end",
    "bwt": "forgets less",
    "fwt_upper": "generalizes better to tasks to come",
}
LEVEL, FEWEST_SEEDS = 0.05, 3


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
    """Whether a run is one of the suite's: stream, order, strategy, preset and options as they are by default."""
    name, _, rest = run.stream.key.partition("@")
    phantom = "+phantom" if rest.endswith("+phantom") else ""
    wanted = name + phantom in streams() and "+order" not in rest and run.strategy in strategies()
    usual = run.config_resolved["preset"] == "cpu" and not run.config_given.get("training")
    return wanted and usual and has_default_options(run)


def has_default_options(run: Run) -> bool:
    """Whether every option that the run records has its default."""
    from clbench.strategies.compose import strategy_options

    given = run.config_resolved["options"]
    usual = strategy_options(run.strategy.split("+"), {})
    return all(usual[part].get(key) == value for part, values in given.items() for key, value in values.items())


def drift(row: Row, metric: str) -> str:
    """Mean over seeds, tasks and taps."""
    found = [run.mean_drift(metric) for run in row.runs]
    known = [value for value in found if value is not None]
    return f"{fmean(known):.3f}" if known and len(known) == len(found) else "n/a"


def seconds(run: Run) -> float:
    """Of training, all stages."""
    return sum(float(stage["seconds"]) for stage in run.cost.get("stages", []) if stage["stage"] == "train")


def cost(row: Row, base: Row | None) -> str:
    """Training time as a multiple of that of naive, of the seeds that both have; n/a where their threads differ."""
    there = {run.seed: run for run in base.runs} if base else {}
    pairs = [(run, there[run.seed]) for run in row.runs if run.seed in there and seconds(there[run.seed])]
    if not pairs or any(threads_of(run) != threads_of(other) for run, other in pairs):
        return "n/a"
    return f"{fmean(seconds(run) / seconds(other) for run, other in pairs):.2f}"


def p_text(p: float) -> str:
    """A p value as people read it."""
    return "n/a" if math.isnan(p) else "< 0.001" if p < 0.001 else f"{p:.3f}"


def scores(group: Group) -> Iterator[str]:
    """The table of one stream, best final first."""
    estimates = table_statistics(group, METRICS).estimates
    base = next((row for row in group.rows if row.label == "naive"), None)
    against = compare_with(group, base) if base else {}
    order = sorted(range(len(group.rows)), key=lambda at: -estimates["final"][at].value)
    titles = ["strategy", "seeds", *METRICS, "drift", "Frechet drift", "training time", "final less naive", "p"]
    yield f"| {' | '.join(titles)} |"
    yield "| --- |" + " ---: |" * (len(titles) - 1)
    for at in order:
        row = group.rows[at]
        found = against.get(row.label)
        values = [estimate_text(estimates[key][at], len(row.runs)) for key in METRICS]
        test = [f"{found.difference:+.3f}", p_text(found.p_holm)] if found else ["", ""]
        cells = [row.label, str(len(row.runs)), *values, drift(row, "cka_distance"), drift(row, "frechet_relative")]
        yield f"| {' | '.join([*cells, cost(row, base), *test])} |"


def claims(group: Group) -> Iterator[str]:
    """What the four papers' ideas did against naive, with a verdict for each claim that can be tested on patients."""
    base = next((row for row in group.rows if row.label == "naive"), None)
    if base is None:
        return
    seeds = {row.label: min(len(row.runs), len(base.runs)) for row in group.rows}
    tested = tested_claims(group, base)
    yield "| strategy | claim | difference to naive | p | verdict |"
    yield "| --- | --- | ---: | ---: | --- |"
    for (label, key, found), p in zip(tested, holm([found.p for *_, found in tested]), strict=True):
        said = verdict(found.difference, p, seeds[label])
        yield f"| {label} | {CLAIMS[key]} (`{key}`) | {found.difference:+.3f} | {p_text(p)} | {said} |"
    for row in group.rows:
        if row.label in CLAIMED:
            yield f"| {row.label} | its features drift less | {less_drift(row, base)} | | described, not tested |"


def tested_claims(group: Group, base: Row) -> list[tuple[str, str, Comparison]]:
    """Strategy, metric and comparison with naive of every claim that can be tested; their p are not yet corrected."""
    found = {key: compare_with(group, base, key) for key in CLAIMS}
    return [(label, key, test) for key, of in found.items() for label, test in of.items() if label in CLAIMED]


def verdict(difference: float, p: float, seeds: int) -> str:
    """In plain words; of few seeds none, since the test does not know how much other seeds would differ.

    Args:
        difference: to naive; positive is what the claim says.
        p: corrected.
        seeds: of the row or of naive, whichever has fewer.
    """
    if seeds < FEWEST_SEEDS:
        return f"{'one seed' if seeds == 1 else f'{seeds} seeds'}: not judged"
    if math.isnan(p) or p >= LEVEL:
        return "not confirmed"
    return "confirmed" if difference > 0 else "the opposite is the case"


def cka_distances(run: Run) -> list[tuple[tuple[int, str], float]]:
    """(task, feature level) and value of each."""
    return [((row.task, row.tap), row.value) for row in run.drift or () if row.metric == "cka_distance"]


def less_drift(row: Row, base: Row) -> str:
    """In how many of the (seed, task, level) pairs the CKA distance is smaller than that of naive."""
    there = {(run.seed, *place): value for run in base.runs for place, value in cka_distances(run)}
    pairs = [
        value < there[run.seed, *place]
        for run in row.runs
        for place, value in cka_distances(run)
        if (run.seed, *place) in there
    ]
    return f"less in {sum(pairs)} of {len(pairs)}" if pairs else "n/a"


def page(folder: Path) -> str:
    """The whole page."""
    found = find_runs(folder)[0] if any(folder.rglob("run.json")) else []
    runs, _ = usable(run for run in found if of_the_suite(run))
    parts = [INTRODUCTION.strip()]
    for group in groups(runs):
        names = ", ".join(sorted({f"{len(row.runs)}" for row in group.rows}))
        about = (
            f"Preset cpu, {group.settings.get('precision', '?')}, data {group.fingerprint[:8]}, {scored_on(group)}; "
            f"seeds per row: {names}."
        )
        said = "\n".join(claims(group))
        parts += [f"## {group.stream}", about, "\n".join(scores(group)), "### The claims" if said else "", said]
    if any(len(row.runs) == 1 for group in groups(runs) for row in group.rows):
        parts.append(ONE_SEED_NOTE)
    if not runs:
        parts.append("No run of the suite is published yet.")
    return "\n\n".join(part for part in parts if part) + "\n"


INTRODUCTION = """
# Structured latent spaces

Four systems claim that a structured latent space generalizes better: [SegReg](strategies.md#segreg), SelfReg-UNet
([`selfreg`](strategies.md#selfreg)), [Med-DisSeg](strategies.md#med-disseg) and [L2GNet](strategies.md#l2gnet). None of
the last three was made for continual learning. This page is written by `scripts/latent_page.py` from the run folders of
one suite:

```bash
clbench suite benchmarks/latent.toml
```

Each system is [clbench's reading](strategies.md#latent-features) of its paper, on the same budget and patches; the
defaults of these four were not tuned, those of other strategies may be. What follows judges these readings at the small
budget of preset `cpu`, not the systems of the papers.

- Intervals of 95 % and p values are those of the [protocol](protocol.md#statistics): bootstrap over seeds and patients;
  Wilcoxon signed-rank tests over test patients against `naive`. In a table of scores p is Holm-corrected over its rows,
  in a table of claims over all tested claims of that table. With one seed an interval (†) speaks of that seed alone.
- `fwt_upper` is the score on tasks not yet learned: zero-shot generalization.
- [Drift](protocol.md#representation-drift) is the mean CKA distance, with the relative Frechet distance beside it;
  lower is less. There are no patients to test over: its row counts pairs of (seed, task, feature level), which are not
  independent.
- Training time is a multiple of that of `naive` with the same seed, n/a where the two were run with different numbers
  of processor threads. Other runs went on meanwhile, now more, now fewer: [speed](speed.md) compares the steps of
  strategies fairly.
- A claim is judged from three seeds on, of `naive` too: the tests know other patients, not other seeds. It is
  *confirmed* where the difference to `naive` points its way at p < 0.05, *the opposite is the case* where it points the
  other way, and otherwise *not confirmed*, which does not say that there is no effect.
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
