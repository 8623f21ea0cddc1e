"""Bookkeeping: what a run writes down while it works, and where it goes on after a stop."""

from __future__ import annotations

import math
import resource
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from clbench.config import RunConfig
from clbench.continual import Regime, score_matrix
from clbench.data.case import Case
from clbench.data.nifti import RawCase
from clbench.data.prepare import Prepared
from clbench.device import device_name
from clbench.errors import InputError, RunError
from clbench.evaluate import Inference, evaluate, scored_tasks
from clbench.probe import DriftProbe
from clbench.reporter import Reporter
from clbench.runfolder import RunFolder, TrainRow
from clbench.stopping import StopRequest
from clbench.strategies.template import SegmentationStrategy, TrainingState, under
from clbench.streams.stream import Stream

LOG_ROWS_PER_TASK = 250
REPORT_SECONDS = 0.5


@dataclass(frozen=True)
class Position:
    """Where a run stands.

    Attributes:
        phase: ``start`` (nothing yet), ``training`` (inside task ``task``), ``trained`` or ``scored`` (after it).
        task: the task meant, from 1; 0 at the start.
        state: what training inside the task goes on from.
    """

    phase: str = "start"
    task: int = 0
    state: TrainingState | None = None

    @property
    def nothing_done(self) -> bool:
        """Whether even the untrained network is still to be scored."""
        return self.phase == "start"

    @property
    def tasks_scored(self) -> int:
        """How many tasks are trained and scored."""
        return self.task if self.phase in ("scored", "start") else self.task - 1

    def trained(self, task: int) -> bool:
        """Whether the training of a task is over."""
        return task < self.task or (task == self.task and self.phase != "training")

    def resume_in(self, task: int) -> TrainingState | None:
        """The state to go on from inside a task, if the run stopped there."""
        return self.state if self.phase == "training" and task == self.task else None


@dataclass
class Cost:
    """Seconds, memory and stored bytes, one entry per stage; what ``cost.json`` says.

    Attributes:
        stages: ``{"stage": "train" | "evaluate", "task": i, "seconds": s, "peak_memory_mb": m, ...}`` in order.
    """

    stages: list[dict[str, Any]] = field(default_factory=list)

    def add(self, stage: str, task: int, seconds: float, **more: Any) -> None:
        """Add seconds to a stage, which may have been begun before a stop."""
        for entry in self.stages:
            if entry["stage"] == stage and entry["task"] == task:
                entry.update(more, seconds=round(entry["seconds"] + seconds, 3), peak_memory_mb=peak_memory_mb())
                return
        entry = {"stage": stage, "task": task, "seconds": round(seconds, 3), "peak_memory_mb": peak_memory_mb()}
        self.stages.append({**entry, **more})

    def as_json(self) -> dict[str, Any]:
        """The content of ``cost.json``."""
        total = {
            name: round(sum(entry["seconds"] for entry in self.stages if entry["stage"] == name), 3)
            for name in ("train", "evaluate")
        }
        return {"seconds": total, "stages": self.stages}


def peak_memory_mb() -> float:
    """Largest memory of this process up to now in MiB: of the GPU when it was used, else resident memory."""
    if torch.cuda.is_available() and torch.cuda.max_memory_allocated():
        return round(torch.cuda.max_memory_allocated() / 2**20, 1)
    unit = 1 if sys.platform == "darwin" else 1024
    return round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 2**20, 1)


class Bookkeeper:
    """Writes log, checkpoints, scores and cost of one run, and tells the reporter."""

    def __init__(
        self,
        config: RunConfig,
        stream: Stream,
        prepared: Mapping[str, Prepared],
        inference: Inference,
        folder: RunFolder,
        reporter: Reporter,
        regime: Regime,
        stop: StopRequest,
    ) -> None:
        self.config, self.stream, self.prepared, self.inference = config, stream, prepared, inference
        self.folder, self.reporter, self.regime = folder, reporter, regime
        self.stop = stop
        self.cost = Cost()
        self.probe = DriftProbe(stream, prepared, inference)
        self.device = device_name(inference.device)
        self._pending: list[tuple[int, dict[str, torch.Tensor], float]] = []
        self._begun = self._stage_begun = self._reported = time.perf_counter()

    # Training.

    @contextmanager
    def training(self, experience: Any) -> Iterator[None]:
        """Time the training of an experience."""
        self._stage_begun = time.perf_counter()
        yield
        self._add_training_time(experience.index)

    def after_step(self, strategy: SegmentationStrategy) -> None:
        """Log the step; report, check the loss and save a checkpoint when it is time."""
        terms = {"loss": strategy.loss.detach(), **strategy.loss_terms}
        self._pending.append((strategy.step, terms, strategy.learning_rate_used))
        last = strategy.step == strategy.steps
        due = (strategy.step % self.config.checkpoint_steps == 0 or self.stop.asked) and not last
        now = time.perf_counter()
        if last or due or now - self._reported > REPORT_SECONDS:
            self._reported = now
            self._flush(strategy)
        if due:
            self._add_training_time(strategy.experience.index)
            self._save(strategy, "training", strategy.experience.index)
            self.stop.check()

    def after_training(self, strategy: SegmentationStrategy, experience: Any) -> None:
        """Count what the strategy keeps and save the trained task."""
        plugins = strategy.stateful_plugins()
        stored = {name: plugin.stored_bytes for name, plugin in plugins.items()}
        self.cost.add(
            "train",
            experience.index,
            0.0,
            parameters=sum(parameter.numel() for parameter in strategy.model.parameters()),
            parameter_bytes=sum(value.numel() * value.element_size() for value in strategy.model.parameters()),
            stored_bytes=stored,
            replayed_fraction=max((plugin.replayed_fraction for plugin in plugins.values()), default=0.0),
            replayed_bytes=max((plugin.replayed_bytes for plugin in plugins.values()), default=0),
        )
        self._save(strategy, "trained", experience.index)
        self.stop.check()

    def _flush(self, strategy: SegmentationStrategy) -> None:
        """Read the pending losses from the device at once, check them, and log the rows that are due."""
        experience, steps = strategy.experience, strategy.steps
        every = max(1, steps // LOG_ROWS_PER_TASK)
        rows = []
        for step, terms, rate in self._pending:
            losses = {name: float(value) for name, value in terms.items()}
            if not all(math.isfinite(value) for value in losses.values()):
                raise RunError(_not_finite(experience.name, step, losses))
            if step % every == 0 or step == steps:
                rows.append(TrainRow(experience.index, step, losses, rate, time.perf_counter() - self._begun))
        self._pending.clear()
        if rows:
            self.folder.append_train(rows)
        tasks = 1 if self.regime == "joint" else len(self.stream.tasks)
        self.reporter.step(
            experience.index, tasks, experience.name, strategy.step, steps, losses["loss"], strategy.learning_rate_used
        )

    def _add_training_time(self, task: int) -> None:
        now = time.perf_counter()
        self.cost.add("train", task, now - self._stage_begun)
        self._stage_begun = now

    # Scoring.

    def score(self, strategy: SegmentationStrategy, trained: int) -> None:
        """Score the network on every task it should know and write the rows."""
        begun = time.perf_counter()
        after_task = len(self.stream.tasks) if self.regime == "joint" and trained else trained
        tasks = scored_tasks(self.stream, after_task, alone=self.regime == "single")
        self.reporter.stage(f"scoring {len(tasks)} tasks on whole volumes" if tasks else "nothing to score yet")
        keep = self._keeper(after_task)
        rows = []
        for row in evaluate(
            strategy.model, self.stream, self.prepared, self.inference, after_task=after_task, tasks=tasks, keep=keep
        ):
            rows.append(row)
            self.stop.check()
        if rows:
            self.folder.write_cases(rows)
        self._probe(strategy, trained)
        self.cost.add("evaluate", after_task, time.perf_counter() - begun)
        labels = [[self.stream.label_name(value) for value in task.labels] for task in self.stream.tasks]
        matrix = score_matrix(rows, labels, self.stream.kind)
        self.reporter.evaluated(after_task, len(self.stream.tasks), matrix.scores[after_task].tolist())
        if trained:
            self._save(strategy, "scored", trained)
        self.stop.check()

    def _probe(self, strategy: SegmentationStrategy, trained: int) -> None:
        """Keep the features of the task just learned; after the last one, write how far those of the others moved.

        Only a stream learned one task after the other has drift: a joint network is trained once, and the networks of
        ``single`` are not each other's past.
        """
        tasks = self.stream.tasks
        if self.regime == "sequential" and 0 < trained < len(tasks):
            self.probe.remember(strategy.model, tasks[trained - 1])
        elif trained:
            self.folder.write_drift(self.probe.rows(strategy.model))
            self.probe.kept.clear()

    def _keeper(self, after_task: int) -> Any:
        wanted = self.config.predictions
        if wanted == "none" or (wanted == "final" and after_task < len(self.stream.tasks)):
            return None

        def keep(case: Case, labels: NDArray[np.uint8], raw: RawCase, on_task: int) -> None:
            self.folder.write_prediction(after_task, case.case_id, labels, raw.affine, on_task)

        return keep

    # Stopping and going on.

    def restore(self, strategy: SegmentationStrategy, experiences: Sequence[Any]) -> Position:
        """Put the strategy where the last checkpoint left it and drop what was written after it."""
        checkpoint = self.folder.load_checkpoint()
        if checkpoint is None:
            self.folder.truncate_train(0, 0)
            return Position()
        self._require_same_machine(checkpoint.state["device"])
        phase, task, step = (checkpoint.state[name] for name in ("phase", "task", "step"))
        state = TrainingState(step, checkpoint.tensors)
        self.cost = Cost(checkpoint.state["cost"])
        self.probe.kept = under(checkpoint.tensors, "drift/")
        self.folder.truncate_train(task, step)
        self.reporter.stage(
            f"going on after step {step} of task {task}" if phase == "training" else f"going on after task {task}"
        )
        if phase != "training":
            strategy.model = strategy.grown(strategy.model, experiences[task - 1])
            strategy.load_state(state)
        return Position(phase, task, state)

    def _require_same_machine(self, before: str) -> None:
        """Half a run with other rounding would have bytes that no command gives."""
        if before != self.device:
            raise InputError(
                f"{self.folder.path} was begun on {before}, and this is {self.device}; "
                "go on with the same --device and --threads, or remove that folder"
            )

    def _save(self, strategy: SegmentationStrategy, phase: str, task: int) -> None:
        _require_finite(strategy, phase, task)
        state = strategy.save_state(optimizer=phase == "training")
        position = {"phase": phase, "task": task, "step": state.step, "device": self.device}
        tensors = state.tensors | {f"drift/{name}": value for name, value in self.probe.kept.items()}
        self.folder.save_checkpoint(tensors, {**position, "cost": self.cost.stages})

    def finish(self) -> None:
        """Write the cost and the summary."""
        self.folder.write_cost(self.cost.as_json())
        self.folder.finish()


def _require_finite(strategy: SegmentationStrategy, phase: str, task: int) -> None:
    """A network with NaN weights calls everything background: a failed run, never a score of 0."""
    if not all(bool(torch.isfinite(parameter).all()) for parameter in strategy.model.parameters()):
        raise RunError(
            f"weights are not finite in task {task} ({phase}, step {strategy.step}); "
            "lower training.learning_rate or the strategy's weight"
        )


def _not_finite(task: str, step: int, losses: Mapping[str, float]) -> str:
    terms = ", ".join(f"{name} {value:g}" for name, value in losses.items())
    return f"the loss is not finite in task {task} at step {step} ({terms}); lower training.learning_rate or the weight"
