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
"""Times that all of a group are built, each time in another order: where arrays come to lie in memory probably makes a
step a few percent slower or faster for as long as they stay there. Fewer than six have no 95 % interval."""
TURNS = 2
"""Turns in each start, for each repeat that is asked for; of one step, since a busy host's bursts are about as long."""

WARM_UP = 2
"""Steps of each before it takes turns, after the one that tells whether it can be measured."""


def ratios(workload: Workload, names: Sequence[str], precision: str, repeats: int) -> dict[str, Any]:
    """A step of each strategy over a step of naive, with its 95 % interval; None for one that cannot be measured."""
    found: dict[str, Any] = {}
    for first in range(0, len(names), GROUP):
        group = names[first : first + GROUP]
        per_start = _ratios_per_start(workload, group, precision, TURNS * repeats)
        found |= {name: ratio(per_start[name], TURNS * repeats) if name in per_start else None for name in group}
    return found


def _ratios_per_start(workload: Workload, group: Sequence[str], precision: str, turns: int) -> dict[str, list[float]]:
    """Ratios to naive of each strategy, one per start; without those that could not be measured in every start."""
    found: dict[str, list[float]] = {name: [] for name in group}
    order = random.Random(0)
    for _ in range(STARTS):
        timings = _timings(workload, order.sample(["naive", *found], 1 + len(found)), precision, turns)
        if "naive" not in timings:
            raise SystemExit("no strategy can be measured without naive")
        found = {name: [*found[name], timings[name].over(timings["naive"])] for name in found if name in timings}
    return found


def _timings(workload: Workload, names: Sequence[str], precision: str, turns: int) -> dict[str, Timing]:
    """Steps of strategies that are built in this order; without those that cannot be measured."""
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


def ratio(per_start: Sequence[float], turns: int) -> dict[str, Any]:
    """The median of the ratios of the starts, its interval where there is one, and from what it comes."""
    low, high = (round(end, 3) if math.isfinite(end) else None for end in median_interval(per_start))
    shown = {"ratio": round(statistics.median(per_start), 3), "low": low, "high": high, "starts": len(per_start)}
    return {
        **shown,
        "per_start": [round(value, 3) for value in per_start],
        "turns": turns,
        "date": date.today().isoformat(),
    }


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
