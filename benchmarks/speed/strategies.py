"""Strategies: what a step of each costs beside a step of naive, when there are earlier tasks to protect."""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Callable, Sequence
from datetime import date
from typing import Any

from torch import nn

from benchmarks.speed.measure import Gated, Timing, interleave, median_interval, say
from benchmarks.speed.workload import MANY, Workload
from clbench.assembly import build_strategy, network_factory, resolve
from clbench.config import make_config
from clbench.strategies import STRATEGIES
from clbench.strategies.template import SegmentationStrategy
from clbench.streams.benchmark import SegmentationExperience

STEPS_BEFORE = 2
"""Steps of each task before the one that is measured."""
EVEN = ("der", "derpp", "fdr")
"""Strategies that number the patches of all tasks alike, so that every task has as many steps as the one measured."""
GROUP = 5
"""Strategies that take turns with one naive: all hold their networks and memories at once."""
STARTS = 6
"""Times that all of a group are built anew, in another order: where their arrays happen to lie in memory shifts a step
by several percent for as long as they lie there. The fewest that have a 95 % interval."""
TURNS = 2
"""Turns of one step of each start for each repeat asked for. Single steps, since a busy host's bursts last as long."""

WARM_UP = 2
"""Steps of each before it takes turns, after the one that tells whether it can be measured."""


def ratios(workload: Workload, names: Sequence[str], precision: str, repeats: int) -> dict[str, Any]:
    """A step of each strategy over a step of naive, with its 95 % interval; None for one that cannot be measured."""
    found: dict[str, Any] = {}
    for first in range(0, len(names), GROUP):
        group = names[first : first + GROUP]
        starts = _starts(workload, group, precision, TURNS * repeats)
        found |= {name: ratio([start[name] for start in starts if name in start], TURNS * repeats) for name in group}
    return found


def _starts(workload: Workload, group: Sequence[str], precision: str, turns: int) -> list[dict[str, float]]:
    """Ratios to naive, by strategy, of each start; without those that cannot be measured."""
    found, order, names = [], random.Random(0), ["naive", *group]
    for _ in range(STARTS):
        timings = _start(workload, order.sample(names, len(names)), precision, turns)
        found.append({name: timing.over(timings["naive"]) for name, timing in timings.items()})
        names = list(timings)
    return found


def _start(workload: Workload, names: Sequence[str], precision: str, turns: int) -> dict[str, Timing]:
    gates = {name: strategy_steps(workload, name, precision, turns) for name in names}
    ready = {name: gate for name, gate in gates.items() if _can_step(name, gate)}
    timings = interleave(ready, steps=1, repeats=turns, wait=workload.wait, warm_up=WARM_UP)
    for gate in ready.values():
        gate.close()
    return timings


def _can_step(name: str, gate: Gated) -> bool:
    try:
        gate.steps(1)
    except Exception as error:
        say(f"{name} cannot be measured: {error}")
        return False
    return True


def ratio(starts: Sequence[float], turns: int) -> dict[str, Any] | None:
    """The median of the ratios of some starts, its interval where there is one, and from what it comes."""
    if not starts:
        return None
    low, high = (round(end, 3) if math.isfinite(end) else None for end in median_interval(starts))
    about = {"starts": len(starts), "turns": turns, "date": date.today().isoformat()}
    return {"ratio": round(statistics.median(starts), 3), "low": low, "high": high, **about}


def measured() -> list[str]:
    """The strategies whose steps are compared with those of naive: all but the reference rows."""
    return [name for name, spec in STRATEGIES.items() if not spec.reference]


def trained_network(workload: Workload, precision: str, steps: int) -> nn.Module:
    """A network after the first task of the stream, in evaluation mode."""
    first: Any = workload.benchmark(steps).train_stream[0]  # type: ignore[attr-defined]
    strategy = _built(workload, "naive", precision, first.classes, lambda _: None)
    strategy.train_task(first)
    network: nn.Module = strategy.model.eval()
    return network


def strategy_steps(workload: Workload, name: str, precision: str, turns: int) -> Gated:
    """Steps of the last task of the stream, after those of the earlier ones, without a run folder around them.

    There are enough of them for ``_can_step``, the warm-up and ``turns``.
    """
    even = 1 + WARM_UP + turns + 1 if name in EVEN else 0  # one to spare: the loop must not end

    def loop(pause: Callable[[], None]) -> None:
        last = len(workload.stream.tasks)

        def on_step(strategy: Any) -> None:
            if strategy.experience.index == last:
                pause()

        short: Any = workload.benchmark(even or STEPS_BEFORE)
        long: Any = workload.benchmark(even or MANY)
        experiences: list[SegmentationExperience] = [*short.train_stream[: last - 1], long.train_stream[last - 1]]
        strategy = _built(workload, name, precision, experiences[0].classes, on_step)
        for experience in experiences:
            strategy.train_task(experience)

    return Gated(loop)


def _built(
    workload: Workload, name: str, precision: str, classes: int, on_step: Callable[[SegmentationStrategy], None]
) -> SegmentationStrategy:
    stream = workload.stream
    config = make_config(
        stream=stream.name, strategy=name, settings=list(workload.settings), preset=workload.preset,
        precision=precision, device=workload.device.type,
    )  # fmt: skip
    experiment = resolve(config, stream, workload.device)
    return build_strategy(
        experiment,
        network_factory(experiment, stream, workload.plan, workload.channels),
        classes,
        device=workload.device,
        workers=0,
        on_step=on_step,
    )
