"""Plan: a suite file as runs, each with its folder, what is already there of it, and about how long it takes."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from fnmatch import fnmatch
from functools import cache
from pathlib import Path
from typing import Any, Literal

from clbench.config import Experiment, RunConfig, make_config
from clbench.errors import InputError
from clbench.suite.file import Block, card_of, read_suite

State = Literal["new", "begun", "complete"]
FLAGS = ("phantom", "compile", "exclude_bad", "anonymize")
"""Settings that are options without a value."""


@dataclass(frozen=True)
class Planned:
    """One run of a suite.

    Attributes:
        config: what to run.
        settings: ``--set`` of its command.
        path: of its run folder.
        state: what of it is there.
        threads: processor threads that it was begun with; 0 when it was not.
        seconds: about how long a whole run takes; None when nothing is known.
    """

    config: RunConfig
    settings: tuple[str, ...]
    path: Path
    state: State
    threads: int = 0
    seconds: float | None = None

    @property
    def name(self) -> str:
        """Stream and run: the last two folders."""
        return f"{self.path.parent.name}/{self.path.name}"

    def words(self) -> list[str]:
        """The command line that runs it, behind ``clbench``."""
        given = self.config
        words = ["run", "--stream", given.stream, "--strategy", given.strategy, "--seed", str(given.seed)]
        words += ["--preset", given.preset, "--device", given.device, "--out", str(given.out)]
        words += ["--threads", str(given.threads), *(_option(name) for name in FLAGS if getattr(given, name))]
        for name in ("order", "network", "precision", "predictions", "data"):
            value = getattr(given, name)
            if value != RunConfig.model_fields[name].default:
                words += [_option(name), str(value)]
        return [*words, *(word for setting in self.settings for word in ("--set", setting))]


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def plan_suite(
    file: Path,
    *,
    out: Path,
    data: Path | None = None,
    only: str = "",
    device: str = "auto",
) -> list[Planned]:
    """Expand a suite file; reads cards and run folders, never the data.

    Args:
        file: TOML.
        out: folder of all runs.
        data: data root; None uses CLBENCH_DATA.
        only: keep the runs whose name matches this pattern, or contains it.
        device: of all runs.

    Returns:
        Runs in the order they are started: block after block, and in each the first seed of everything first, so that
        a suite that is stopped early can be compared.

    Raises:
        InputError: a file, name, option or value that does not fit; a run planned twice; a pattern that fits none; a
            folder with the name of a planned run that holds another one.
    """
    runs = [
        _planned(config, settings)
        for block in read_suite(file).block
        for config, settings in _configs(block, file, {"out": out, "data": data, "device": device})
    ]
    names = [run.name for run in runs]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InputError(f"suite {file} plans {twice[0]} twice; two of its blocks overlap")
    chosen = [run for run in runs if fnmatch(run.name, only) or fnmatch(run.name, f"*{only}*")]
    if not chosen:
        raise InputError(f"no run of {file} matches --only {only}; a run's name is such as {names[0]}")
    return with_estimates(chosen)


def _configs(block: Block, file: Path, fields: Mapping[str, Any]) -> Iterator[tuple[RunConfig, tuple[str, ...]]]:
    for seed in block.seeds:
        for stream in block.streams:
            override = block.override(stream)
            values = {
                **fields,
                **{name: getattr(block, name) for name in (*FLAGS, "precision", "predictions")},
                **{name: getattr(override, name) or getattr(block, name) for name in ("preset", "order", "network")},
            }
            for strategy in block.strategies:
                settings = _settings(block, stream, strategy)
                card = card_of(stream, file)
                yield (
                    make_config(stream=card, strategy=strategy, seed=seed, settings=settings, **values),
                    settings,
                )


def _settings(block: Block, stream: str, strategy: str) -> tuple[str, ...]:
    """Training values and the options of a strategy's parts, those of the stream over those of the block."""
    override = block.override(stream)
    training = {**block.training, **override.training}
    parts = [part.strip() for part in strategy.split("+")]
    options = {part: {**block.options.get(part, {}), **override.options.get(part, {})} for part in sorted(set(parts))}
    tables: dict[str, Mapping[str, Any]] = {"training": training, **options}
    return tuple(f"{part}.{key}={_text(value)}" for part, table in tables.items() for key, value in table.items())


def _text(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)


def _planned(config: RunConfig, settings: tuple[str, ...]) -> Planned:
    from clbench.assembly import resolve
    from clbench.device import resolve_device
    from clbench.runfolder.folder import run_path
    from clbench.streams.load import outline

    stream = outline(config.stream, phantom=config.phantom, order=config.order)
    experiment = resolve(config, stream, resolve_device(config.device))
    path = run_path(config.out, stream.key, experiment.strategy, experiment.seed, experiment.hash)
    state: State = "new"
    if (path / "run.json").exists():
        _require_own(path, experiment)
        state = "complete" if (path / "summary.json").exists() else "begun"
    return Planned(config, settings, path, state, _threads(path) if state == "begun" else 0)


def _require_own(path: Path, experiment: Experiment) -> None:
    """Refuse a folder with another run in it; what else may be wrong with it is said by the run's own command."""
    from clbench.runfolder.folder import holds_another, other_settings

    try:
        config = json.loads((path / "run.json").read_text(encoding="utf-8"))["config"]
        resolved, digest = dict(config["resolved"]), str(config["hash"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return
    if what := other_settings(resolved, digest, experiment.model_dump(mode="json"), experiment.hash):
        raise holds_another(path, what)


def _threads(path: Path) -> int:
    """The threads a run was begun with, which it has to be finished with; 0 when its folder does not say."""
    try:
        device = json.loads((path / "run.json").read_text(encoding="utf-8"))["provenance"]["device"]
        return int(re.fullmatch(r".*, (\d+) threads", device)[1])  # type: ignore[index]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return 0


# How long.


def with_estimates(runs: Sequence[Planned]) -> list[Planned]:
    """The runs with the mean time of earlier ones: of the same strategy where there are any, else of any strategy."""
    earlier = cache(_earlier)
    return [replace(run, seconds=_estimate(run, earlier(run.path.parent))) for run in runs]


def _estimate(run: Planned, earlier: Sequence[tuple[dict[str, Any], float]]) -> float | None:
    def alike(settings: Mapping[str, Any], names: Sequence[str]) -> bool:
        wanted = run.config.model_dump()
        return all(settings.get(name) == wanted[name] for name in names)

    for names in (("strategy", "preset", "training", "network"), ("preset", "training", "network")):
        found = [seconds for settings, seconds in earlier if alike(settings, names)]
        if found:
            return sum(found) / len(found)
    return None


def _earlier(folder: Path) -> list[tuple[dict[str, Any], float]]:
    """What was asked for and the seconds it took, of every complete run in a stream's folder."""
    found = []
    for path in sorted(folder.glob("*/cost.json")):
        try:
            seconds = sum(json.loads(path.read_text(encoding="utf-8"))["seconds"].values())
            given = json.loads((path.parent / "run.json").read_text(encoding="utf-8"))["config"]["given"]
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            continue  # an estimate only: what is wrong with a folder is said by whoever reads it
        if (path.parent / "summary.json").exists():
            found.append((given, float(seconds)))
    return found
