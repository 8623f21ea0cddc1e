"""Failure: a run whose loss or weights are not finite stops, says where, and keeps what shows it again."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from clbench.errors import RunError
from clbench.strategies.template import SegmentationStrategy

ADVICE = "lower training.learning_rate or the strategy's weight"


class NotFiniteError(RunError):
    """A training step whose loss, or the weights after it, are NaN or infinite.

    Args:
        task: from 1.
        name: of the task.
        step: within the task, from 1.
        losses: loss terms of the step; empty where only the weights are not finite.
        batch: case id of every slot of the step.
        kept: folder with the state before the step, once it is written.
    """

    def __init__(
        self,
        task: int,
        name: str,
        step: int,
        losses: Mapping[str, float],
        batch: Sequence[str],
        kept: Path | None = None,
    ) -> None:
        self.task, self.name, self.step, self.losses, self.batch = task, name, step, dict(losses), tuple(batch)
        terms = ", ".join(f"{term} {value:g}" for term, value in losses.items())
        what = f"the loss is not finite in task {name} at step {step} ({terms})"
        if not losses:
            what = f"weights are not finite in task {name} after step {step}"
        kept_in = f"; the state before that step is in {kept}" if kept else ""
        super().__init__(f"{what}, with a batch of the cases {', '.join(batch)}{kept_in}; {ADVICE}")

    def kept_in(self, folder: Path) -> NotFiniteError:
        """The same error, which says where the state before the step is."""
        return NotFiniteError(self.task, self.name, self.step, self.losses, self.batch, folder)

    def as_json(self) -> dict[str, Any]:
        """What is written beside the state; numbers that JSON lacks are text."""
        return {
            "task": self.task,
            "name": self.name,
            "step": self.step,
            "losses": {term: value if math.isfinite(value) else str(value) for term, value in self.losses.items()},
            "batch": [{"slot": slot, "case": case} for slot, case in enumerate(self.batch)],
        }


def batch_cases(strategy: SegmentationStrategy, step: int) -> list[str]:
    """The case of every slot of a step (from 1) of the current task: patches are a function of task, step and slot."""
    patches = strategy.patches
    at = patches.first_step + step - 1
    return [patches.sampler(at, slot).case_id for slot in range(patches.sampler.batch_size)]


def weights_are_finite(strategy: SegmentationStrategy) -> bool:
    """Whether no weight is NaN or infinite: such a network calls everything background, which is no score of 0."""
    return all(bool(torch.isfinite(parameter).all()) for parameter in strategy.model.parameters())
