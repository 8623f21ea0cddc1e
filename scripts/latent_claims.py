"""What the ideas of four papers did against naive, claim by claim, with a verdict that knows of seeds and patients."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean

from clbench.report.groups import Group, Row
from clbench.report.leaderboard.cells import ONE_SEED
from clbench.report.stats.group_draws import GroupDraws
from clbench.report.stats.intervals import Estimate, interval, p_of_zero
from clbench.report.stats.paired import holm
from clbench.runfolder import Run

CLAIMED = ("segreg", "selfreg", "med-disseg", "l2gnet")
CLAIMS = {
    "final": "segments better at the end",
    "bwt": "forgets less",
    "fwt_upper": "generalizes better to tasks to come",
}
DRIFT_CLAIM = "its features drift less (`drift`)"
LEVEL, FEWEST_SEEDS = 0.05, 3


@dataclass(frozen=True)
class Claim:
    """One claim and what is known of it.

    Attributes:
        strategy: label of the row.
        text: the claim.
        difference: to naive, over the seeds that both have.
        better: 1 where the claim says that the difference is positive, -1 where it says negative.
        p: of the two-sided test that the difference is 0, not corrected; NaN where there is none.
        seeds: that both have.
    """

    strategy: str
    text: str
    difference: Estimate
    better: int
    p: float
    seeds: int


def claims_of(group: Group, drawn: GroupDraws, base: Row) -> list[Claim]:
    """Every claim about a row of the table that shares a seed with naive."""
    rows = [row for row in group.rows if row.label in CLAIMED and drawn.seeds_of_both(row.label, base.label)]
    scored = [_of_scores(row, key, drawn, base) for key in CLAIMS for row in rows]
    return scored + [claim for row in rows for claim in _of_drift(row, base)]


def _of_scores(row: Row, key: str, drawn: GroupDraws, base: Row) -> Claim:
    """The difference of the table's numbers, with the bootstrap over seeds and patients that the table has."""
    found = drawn.difference(row.label, base.label, key)
    text = f"{CLAIMS[key]} (`{key}`)"
    return Claim(row.label, text, interval(found), 1, p_of_zero(found), len(found.points))


def _of_drift(row: Row, base: Row) -> Iterator[Claim]:
    """The difference of mean CKA distances, with a t test over seeds: there are no patients to resample."""
    there = {run.seed: drift_of(run) for run in base.runs}
    pairs = [(drift_of(run), there.get(run.seed)) for run in row.runs]
    differences = [one - other for one, other in pairs if one is not None and other is not None]
    if differences:
        estimate, p = over_seeds_alone(differences)
        yield Claim(row.label, DRIFT_CLAIM, estimate, -1, p, len(differences))


def drift_of(run: Run, tap: str = "") -> float | None:
    """Mean CKA distance over the tasks, at one tap or over all; None where it was not measured."""
    found = run.mean_drift("cka_distance", tap)
    return None if found is None or math.isnan(found) else found


def over_seeds_alone(values: Sequence[float]) -> tuple[Estimate, float]:
    """Mean with Student's t interval and p of the t test against 0; of one seed neither."""
    mean = fmean(values)
    if len(values) < 2:
        return Estimate(mean, math.nan, math.nan), math.nan
    if len(set(values)) == 1:
        return Estimate(mean, mean, mean), 1.0 if mean == 0 else 0.0
    from scipy.stats import ttest_1samp

    found = ttest_1samp(values, 0.0)
    low, high = found.confidence_interval(0.95)
    return Estimate(mean, float(low), float(high)), float(found.pvalue)


def table(claims: Sequence[Claim]) -> Iterator[str]:
    """The lines of a table; p are corrected over all of it."""
    yield "| strategy | claim | difference to naive | p | verdict |"
    yield "| --- | --- | ---: | ---: | --- |"
    for claim, p in zip(claims, holm([claim.p for claim in claims]), strict=True):
        cells = (
            claim.strategy,
            claim.text,
            difference_text(claim.difference, claim.seeds),
            p_text(p),
            verdict(claim, p),
        )
        yield f"| {' | '.join(cells)} |"


def verdict(claim: Claim, p: float) -> str:
    """In plain words; of few seeds none, since nobody knows then how much other seeds would differ.

    Args:
        claim: with its difference.
        p: corrected.
    """
    if claim.seeds < FEWEST_SEEDS:
        return f"{'one seed' if claim.seeds == 1 else f'{claim.seeds} seeds'}: not judged"
    if math.isnan(p) or p >= LEVEL:
        return "not confirmed"
    return "confirmed" if claim.better * claim.difference.value > 0 else "the opposite is the case"


def difference_text(difference: Estimate, seeds: int) -> str:
    """With its interval, where there is one, marked where it is of one seed."""
    if math.isnan(difference.low) or math.isnan(difference.high):
        return f"{difference.value:+.3f}"
    mark = ONE_SEED if seeds == 1 else ""
    return f"{difference.value:+.3f} [{difference.low:+.3f}, {difference.high:+.3f}]{mark}"


def p_text(p: float) -> str:
    """A p value as people read it."""
    return "n/a" if math.isnan(p) else "< 0.001" if p < 0.001 else f"{p:.3f}"
