"""Which runs may be shown: complete, as they were when they ended, each once; and why the others may not."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path

from clbench.case_table import Scored
from clbench.report.load import LeftOut
from clbench.report.processors import device_of
from clbench.runfolder import Run

Reason = tuple[Path, str]


def usable(runs: Iterable[Run], check: Callable[[Run], str] = lambda run: "") -> tuple[list[Run], list[LeftOut]]:
    """Complete runs whose files are as they were when the run ended, each configuration once; and the others.

    Two runs of the same settings, seed and data have the same scores, and two seeds have different ones: where that is
    not so, none of them is used, since nothing here tells which of them is right.

    Args:
        runs: complete or not.
        check: one more reason to leave out a run whose files are as they were; empty when there is none.
    """
    ordered = sorted({run.path: run for run in runs}.values(), key=lambda run: run.path)
    reasons = {run.path: fault for run in ordered if (fault := _fault(run) or check(run))}
    for look in (_again, _copied):
        reasons |= look([run for run in ordered if run.path not in reasons])
    kept = [run for run in ordered if run.path not in reasons]
    return kept, [LeftOut(run.path, reasons[run.path]) for run in ordered if run.path in reasons]


def _fault(run: Run) -> str:
    """Why no number of a run may be shown; empty when they may."""
    if not run.complete:
        return "not complete; run its command again to go on"
    if changed := run.changed_files():
        what = ", ".join(f"{name} {how}" for name, how in changed.items())
        return f"not as it was when it ended: {what}"
    try:
        fault = run.summary_fault()
    except ValueError as error:
        return f"cases.csv: {error}"
    return f"summary.json: {fault}" if fault else ""


def _again(runs: Sequence[Run]) -> dict[Path, str]:
    """Runs of the same settings, seed and data: all but the first if their scores are the same, else all."""
    same: dict[tuple[str, str], list[Run]] = defaultdict(list)
    for run in runs:
        same[run.config_hash, _data(run)].append(run)
    return dict(reason for members in same.values() if len(members) > 1 for reason in _of_the_same(members))


def _of_the_same(runs: Sequence[Run]) -> Iterator[Reason]:
    first, *others = runs
    if len({_scores(run) for run in runs}) == 1:
        yield from ((run.path, f"the same settings, seed and data as {_name(first)}") for run in others)
        return
    devices = sorted({device_of(run) for run in runs})
    where = f" (they ran on {' and on '.join(devices)})" if len(devices) > 1 else ""
    for run in runs:
        other = next(other for other in runs if _scores(other) != _scores(run))
        what = f"the same settings, seed and data as {_name(other)}, but other scores{where}"
        yield run.path, f"{what}: until it is known which of them can be had again, none is used"


def _copied(runs: Sequence[Run]) -> dict[Path, str]:
    """Runs that differ in nothing but the seed, to the last digit of every score."""
    same: dict[tuple[str, ...], list[Run]] = defaultdict(list)
    for run in runs:
        settings = {name: value for name, value in run.config_resolved.items() if name != "seed"}
        same[json.dumps(settings, sort_keys=True), _data(run), _scores(run)].append(run)
    odd = [members for members in same.values() if len(members) > 1 and _has_hits(members[0])]
    pairs = (pair for members in odd for pair in zip(members, [*members[1:], members[0]], strict=True))
    return {run.path: f"to the last digit the scores of {_name(other)}, another seed" for run, other in pairs}


def _has_hits(run: Run) -> bool:
    """Whether any structure was hit; networks that predict nothing score alike whatever their seed."""
    dice = run.rows.layout.once(_dice)
    return bool((run.rows.values[dice] > 0).any())


def _dice(scored: Sequence[Scored]) -> list[int]:
    """The rows that are Dice."""
    return [place for place, row in enumerate(scored) if row.metric == "dice"]


def _data(run: Run) -> str:
    """What the scores of a run are of."""
    return json.dumps([run.stream.key, run.stream.fingerprint, run.subjects])


def _scores(run: Run) -> str:
    """The hash of a complete run's ``cases.csv``."""
    return str((run.summary or {})["hashes"]["cases.csv"])


def _name(run: Run) -> str:
    return LeftOut(run.path, "").name
