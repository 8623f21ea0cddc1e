"""Resuming: where a run stands, read from a checkpoint that is not trusted."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clbench.errors import InputError, RunError
from clbench.networks.unet import weights
from clbench.runfolder import Checkpoint
from clbench.strategies.template import SegmentationStrategy, TrainingState

PHASES = ("training", "trained", "scored")


@dataclass(frozen=True)
class Position:
    """Where a run stands.

    Attributes:
        phase: ``start`` (nothing yet), ``training`` (inside task ``task``), ``trained`` or ``scored`` (after it).
        task: the task meant, from 1; 0 at the start.
        state: network, optimizer and plugins there.
        cost: the stages of ``Cost`` so far.
    """

    phase: str = "start"
    task: int = 0
    state: TrainingState = field(default_factory=lambda: TrainingState(0))
    cost: tuple[dict[str, Any], ...] = ()

    @property
    def nothing_done(self) -> bool:
        """Whether even the untrained network is still to be scored."""
        return self.phase == "start"

    @property
    def tasks_scored(self) -> int:
        """How many tasks are trained and scored."""
        return self.task if self.phase in ("scored", "start") else self.task - 1

    @property
    def tasks_trained(self) -> int:
        """How many tasks are trained, scored or not."""
        return self.task - 1 if self.phase == "training" else self.task

    def trained(self, task: int) -> bool:
        """Whether the training of a task is over."""
        return task <= self.tasks_trained

    def resume_in(self, task: int) -> TrainingState | None:
        """The state to go on from inside a task, if the run stopped there."""
        return self.state if self.phase == "training" and task == self.task else None


def position_of(checkpoint: Checkpoint | None, tasks: int, device: str, folder: Path) -> Position:
    """Where a checkpoint left a run of ``tasks`` trainings.

    Args:
        checkpoint: None at the start.
        tasks: trainings of the run.
        device: name of the device of this process.
        folder: of the run, for messages.

    Raises:
        InputError: the run was begun on another device, where rounding differs.
        RunError: the checkpoint is not one of such a run.
    """
    if checkpoint is None:
        return Position()
    content = checkpoint.state
    try:
        before, phase, task, step = (content[name] for name in ("device", "phase", "task", "step"))
        cost = tuple(_stage(entry) for entry in content["cost"])
        sound = phase in PHASES and _whole(task, 1, tasks) and _whole(step, 0)
    except (KeyError, TypeError, ValueError):
        sound = False
    if not sound:
        raise _not_of_this_run(folder)
    _require_same_machine(str(before), device, folder)
    return Position(phase, task, TrainingState(step, checkpoint.tensors), cost)


def require_fit(strategy: SegmentationStrategy, position: Position, experience: Any, steps: int, folder: Path) -> None:
    """Refuse weights of another network and steps beyond a task's last one.

    Raises:
        RunError: they do not fit.
    """
    network = strategy.grown(deepcopy(strategy.model), experience)
    expected = {f"network/{name}": value for name, value in weights(network).items()}
    found = {name: value for name, value in position.state.tensors.items() if name.startswith("network/")}
    same = found.keys() == expected.keys() and all(found[name].shape == expected[name].shape for name in expected)
    if not same or position.state.step > steps or not all(bool(value.isfinite().all()) for value in found.values()):
        raise _not_of_this_run(folder)


def _stage(entry: Mapping[str, Any]) -> dict[str, Any]:
    if not isinstance(entry["stage"], str) or not isinstance(entry["seconds"], (int, float)):
        raise TypeError
    return {**entry, "task": int(entry["task"])}


def _whole(value: object, least: int, most: int | None = None) -> bool:
    is_whole = isinstance(value, int) and not isinstance(value, bool)
    return is_whole and least <= value and (most is None or value <= most)  # type: ignore[operator]


def _not_of_this_run(folder: Path) -> RunError:
    return RunError(f"the checkpoint in {folder} is not one of this run; remove {folder} to start anew")


def _require_same_machine(before: str, device: str, folder: Path) -> None:
    """Half a run with other rounding would have bytes that no command gives."""
    if before != device:
        raise InputError(
            f"{folder} was begun on {before}, and this is {device}; go on with the same --device and --threads "
            "on a processor with the same instructions, or remove that folder"
        )
