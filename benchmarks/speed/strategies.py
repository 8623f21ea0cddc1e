"""Strategies: what a step of each costs beside a step of naive, when there are earlier tasks to protect."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from benchmarks.speed.measure import Gated
from benchmarks.speed.workload import MANY, Workload
from clbench.assembly import build_strategy, network_factory, resolve
from clbench.config import make_config
from clbench.strategies import STRATEGIES
from clbench.strategies.template import SegmentationStrategy
from clbench.streams.benchmark import SegmentationExperience

STEPS_BEFORE = 2
"""Steps of each task before the one that is measured."""
EVEN = {"der": 40, "derpp": 40, "fdr": 40}
"""Steps of every task, for strategies that number the patches of all tasks alike."""


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


def strategy_steps(workload: Workload, name: str, precision: str) -> Gated:
    """Steps of the last task of the stream, trained without a run folder around it."""

    def loop(pause: Callable[[], None]) -> None:
        last = len(workload.stream.tasks)

        def on_step(strategy: Any) -> None:
            if strategy.experience.index == last:
                pause()

        short: Any = workload.benchmark(EVEN.get(name, STEPS_BEFORE))
        long: Any = workload.benchmark(EVEN.get(name, MANY))
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
