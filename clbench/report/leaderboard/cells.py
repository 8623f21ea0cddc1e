"""The cells of a leaderboard as people read them, the same in every format for people."""

from __future__ import annotations

import math
from collections.abc import Iterable

from clbench.report.leaderboard.board import KEYS, Board, Entry
from clbench.report.stats.intervals import Estimate

HEAD = (
    *("rank", "strategy", "seeds", *KEYS, "drift"),
    *("train, s", "peak, MB", "stored, MB", "replayed", "parameters", "against the best", "marks"),
)
ONE_SEED = "†"
"""Behind every interval that one seed gave."""
ONE_SEED_NOTE = (
    f"{ONE_SEED} one seed: the interval covers other patients only, not other seeds, and is too narrow for a claim "
    "about the strategy. In simulated suites with 15 patients to a task and seeds that differ by 0.03, such intervals "
    "held the truth in 67 to 79 % of the cases instead of 95 %."
)
NOTES = (
    "Brackets: 95 % intervals over seeds and patients; after a rank, the ranks taken in 95 % of the resamples.",
    "joint and single bound the others and have no rank.",
    "Against the best: mean difference of final per patient, and the p value of the paired Wilcoxon signed-rank test, "
    "Holm-corrected over all pairs of rows, as any could have been the best; it speaks of these networks, not of other "
    "seeds.",
    "Seconds and memory are those of the machine that ran it, and do not compare across machines.",
)


def notes(boards: Iterable[Board]) -> tuple[str, ...]:
    """What a reader of these tables must know; about one seed only where a row has one."""
    seeds = {len(entry.row.runs) for board in boards for entry in board.entries}
    return (NOTES[0], *((ONE_SEED_NOTE,) if 1 in seeds else ()), *NOTES[1:])


def rows(board: Board) -> list[tuple[str, ...]]:
    """One row of texts, not yet escaped, for every entry; as long as ``HEAD``."""
    return [_row(entry) for entry in board.entries]


def _row(entry: Entry) -> tuple[str, ...]:
    spent = entry.costs
    stored = spent["stored_bytes"]
    seeds = len(entry.row.runs)
    return (
        _rank(entry),
        entry.row.label,
        str(seeds),
        *(estimate_text(entry.estimates[key], seeds) for key in KEYS),
        _number(entry.drift, 3),
        _number(spent["train_seconds"], 0),
        _number(spent["peak_memory_mb"], 0),
        _number(None if stored is None else stored / 1e6, 1),
        _number(spent["replayed_fraction"], 2),
        _number(spent["parameters"], 0),
        _against_best(entry),
        ", ".join(entry.marks),
    )


def _rank(entry: Entry) -> str:
    if entry.rank is None or entry.rank_interval is None:
        return "–"
    low, high = entry.rank_interval
    ends = f"[{low}–{high}]" if high > low else f"[{low}]"
    return f"{entry.rank} {ends}{_mark(len(entry.row.runs))}"


def estimate_text(estimate: Estimate, seeds: int) -> str:
    """A number with its interval, which is marked where it is of one seed."""
    if not math.isfinite(estimate.value):
        return "n/a"
    ends = "" if math.isnan(estimate.low) else f" [{estimate.low:.3f}, {estimate.high:.3f}]{_mark(seeds)}"
    return f"{estimate.value:.3f}{ends}"


def _mark(seeds: int) -> str:
    return ONE_SEED if seeds == 1 else ""


def _number(value: float | None, decimals: int) -> str:
    return "n/a" if value is None else f"{value:.{decimals}f}"


def _against_best(entry: Entry) -> str:
    found = entry.against_best
    if found is None or not math.isfinite(found.difference):
        return "–"
    p = "p < 0.001" if found.p_holm < 0.001 else f"p = {found.p_holm:.3f}"
    return f"{found.difference:+.3f} ({p})"
