"""How much of each suite in benchmarks is published, from the runs' hashes, and which runs are of no suite."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from clbench.assembly import resolve
from clbench.device import resolve_device
from clbench.report.markup import escape_markdown
from clbench.runfolder import Run
from clbench.streams.load import outline
from clbench.suite.plan import Planned, plan_suite
from clbench.wording import counted

SUITES = ("cpu-real", "strategies", "latent", "segreg-paper")
"""Suites whose runs are meant to be published; the numbers of ``smoke`` mean nothing."""
PRECISIONS = ("bfloat16", "float32")
"""What a suite's ``auto`` may have been; which one a run has must not depend on who writes the page."""


@dataclass(frozen=True)
class Wanted:
    """One run of a suite.

    Attributes:
        stream: key.
        strategy, seed: of the run.
        hashes: of its configuration in each precision that the suite allows.
    """

    stream: str
    strategy: str
    seed: int
    hashes: frozenset[str]


def wanted(file: Path) -> list[Wanted]:
    """The runs of a suite."""
    return [_wanted(planned) for planned in plan_suite(file, out=Path("runs"), device="cpu")]


def _wanted(planned: Planned) -> Wanted:
    config = planned.config
    stream = outline(config.stream, phantom=config.phantom, order=config.order)
    precisions = PRECISIONS if config.precision == "auto" else (config.precision,)
    found = [config.model_copy(update={"precision": precision}) for precision in precisions]
    hashes = frozenset(resolve(each, stream, resolve_device("cpu")).hash for each in found)
    return Wanted(stream.key, config.strategy, config.seed, hashes)


def what_is_published(runs: Sequence[Run], folder: Path) -> str:
    """A section: how much of each suite is there, what is missing, and what else is there.

    Args:
        runs: that are published.
        folder: of the suites' files.
    """
    there = {run.config_hash: run for run in runs}
    suites = {file.name: wanted(file) for name in SUITES if (file := folder / f"{name}.toml").is_file()}
    lines = [line for name, planned in suites.items() for line in _of_suite(name, planned, set(there))]
    planned_hashes = {each for planned in suites.values() for run in planned for each in run.hashes}
    others = [run for found, run in there.items() if found not in planned_hashes]
    if others:
        texts = (f"{run.strategy} on {run.stream.key} (seed {run.seed})" for run in sorted(others, key=_place))
        lines.append(f"- of no suite, {counted(len(others), 'run')}: {escape_markdown(', '.join(texts))}")
    return "\n".join(["## What is published", "", *lines])


def _place(run: Run) -> tuple[str, str, int]:
    return run.stream.key, run.strategy, run.seed


def _of_suite(name: str, planned: Sequence[Wanted], there: set[str]) -> Iterator[str]:
    """The lines of one suite: a count, then what is missing of each stream of which some is there."""
    missing = [run for run in planned if not run.hashes & there]
    yield f"- `benchmarks/{name}`: {len(planned) - len(missing)} of {counted(len(planned), 'run')}"
    for stream in dict.fromkeys(run.stream for run in planned):
        lacking = [run for run in missing if run.stream == stream]
        whole = len(lacking) == sum(run.stream == stream for run in planned)
        told = "none yet" if whole else f"missing {_summary(lacking)}" if lacking else "all"
        yield f"    - {escape_markdown(f'{stream}: {told}')}"


def _summary(lacking: Iterable[Wanted]) -> str:
    """``lwf: seeds 0, 1, 2; ewc, naive: seeds 1, 2``: strategies that lack the same seeds are told together."""
    seeds: dict[str, list[int]] = defaultdict(list)
    for run in lacking:
        seeds[run.strategy].append(run.seed)
    alike: dict[tuple[int, ...], list[str]] = defaultdict(list)
    for strategy, found in sorted(seeds.items()):
        alike[tuple(sorted(found))].append(strategy)
    return "; ".join(
        f"{', '.join(strategies)}: {'seed' if len(found) == 1 else 'seeds'} {', '.join(map(str, found))}"
        for found, strategies in alike.items()
    )
