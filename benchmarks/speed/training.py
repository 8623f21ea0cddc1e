"""Training contenders: the bare network, ``clbench run``, and Avalanche with MONAI as a user would write it."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from benchmarks.speed.measure import Gated
from benchmarks.speed.workload import Workload
from clbench import experiment
from clbench.bookkeeping import Bookkeeper
from clbench.functional.losses import dice_ce
from clbench.precision import forward_precision
from clbench.reporter import SilentReporter


class Floor:
    """Forward, loss, backward and optimizer step on one batch that lies on the device: nothing can be faster.

    Args:
        workload: network, batch and training values.
        precision: ``float32`` or ``bfloat16``.
    """

    def __init__(self, workload: Workload, precision: str) -> None:
        self.network, self.precision, self.device = workload.network(), precision, workload.device
        self.x, self.y = workload.batch()
        self.clip = workload.training.gradient_clip
        self.optimizer = optimizer(self.network, workload)

    def steps(self, count: int) -> None:
        """Train on the same batch again and again."""
        for _ in range(count):
            with forward_precision(self.device, self.precision):
                output = self.network(self.x)
            loss = sum(dice_ce(output, self.y).values())
            self.optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(self.network.parameters(), self.clip)
            self.optimizer.step()


def optimizer(network: nn.Module, workload: Workload) -> torch.optim.Optimizer:
    """The optimizer of the workload's preset."""
    values = workload.training
    if values.optimizer == "adamw":
        return torch.optim.AdamW(
            network.parameters(), values.learning_rate, weight_decay=values.weight_decay, fused=True
        )
    return torch.optim.SGD(
        network.parameters(), values.learning_rate, values.momentum, nesterov=True,
        weight_decay=values.weight_decay, fused=True,
    )  # fmt: skip


class _PausingReporter(SilentReporter):
    def __init__(self, pause: Callable[[], None]) -> None:
        self.pause = pause


class _PausingBookkeeper(Bookkeeper):
    """Waits after each step, when everything that belongs to the step is done."""

    def after_step(self, strategy: Any) -> None:
        super().after_step(strategy)
        if isinstance(self.reporter, _PausingReporter):
            self.reporter.pause()


def clbench_run(workload: Workload, precision: str, strategy: str = "naive") -> Gated:
    """``clbench run`` itself: data, sampling, augmentation, hooks, log and checkpoints."""

    def loop(pause: Callable[[], None]) -> None:
        experiment.Bookkeeper = _PausingBookkeeper
        out = Path(tempfile.mkdtemp(prefix="clbench-speed-"))
        try:
            experiment.run_config(workload.config(strategy, out, precision), _PausingReporter(pause))
        finally:
            shutil.rmtree(out, ignore_errors=True)

    return Gated(loop)
