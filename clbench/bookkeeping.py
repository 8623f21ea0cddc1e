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

from clbench.case_table import CaseRow
from clbench.config import RunConfig
from clbench.continual import Regime, score_matrix
from clbench.data.case import Case
from clbench.data.nifti import Truth
from clbench.data.prepare import Prepared
from clbench.device import device_name
from clbench.evaluate import Inference, evaluate_cases, scored_tasks
from clbench.failure import NotFiniteError, batch_cases, weights_are_finite
from clbench.naming import Naming, salted
from clbench.probe import DriftProbe
from clbench.reporter import Reporter
from clbench.resuming import Position, position_of, require_fit
from clbench.runfolder import RunFolder, TrainRow
from clbench.stopping import StopRequest
from clbench.strategies.template import SegmentationStrategy, TrainingState, under
from clbench.streams.stream import Stream, Task
from clbench.wording import counted

LOG_ROWS_PER_TASK = 250
REPORT_SECONDS = 0.5


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
        watch: NotFiniteError | None = None,
    ) -> None:
        self.config, self.stream, self.prepared, self.inference = config, stream, prepared, inference
        self.folder, self.reporter, self.regime = folder, reporter, regime
        self.stop, self.watch = stop, watch
        self.naming = salted() if config.anonymize else Naming()
        self.cost = Cost()
        self.probe = DriftProbe(stream, prepared, inference)
        self.device = device_name(inference.device)
        self._pending: list[tuple[int, dict[str, torch.Tensor], float]] = []
        self._begun = self._stage_begun = self._reported = self._saved = time.perf_counter()

    # Training.

    @contextmanager
    def training(self, strategy: SegmentationStrategy, experience: Any, begun: TrainingState | None) -> Iterator[None]:
        """Time the training of an experience, which may go on from a state."""
        self._stage_begun = time.perf_counter()
        if self.watch is not None:
            self._stop_before(experience.index, begun or TrainingState(0, strategy.save_state(optimizer=False).tensors))
        yield
        self._add_training_time(experience.index)

    def after_step(self, strategy: SegmentationStrategy) -> None:
        """Log the step; report, check the loss and save a checkpoint when it is time.

        After the last step too, since what a strategy works out at the end of a task can take long.
        """
        terms = {"loss": strategy.loss.detach(), **strategy.loss_terms}
        self._pending.append((strategy.step, terms, strategy.learning_rate_used))
        last = strategy.step == strategy.steps
        now = time.perf_counter()
        due = strategy.step % self.config.checkpoint_steps == 0 or self.stop.asked or self._minutes_are_over(now)
        if last or due or now - self._reported > REPORT_SECONDS:
            self._reported = now
            self._flush(strategy)
        if due:
            self._add_training_time(strategy.experience.index)
            self._save(strategy, "training", strategy.experience.index)
            self.stop.check()
        if self.watch is not None and self.watch.step == strategy.step + 1:
            self._stop_before(strategy.experience.index, strategy.save_state())

    def _minutes_are_over(self, now: float) -> bool:
        return now - self._saved >= 60 * self.config.checkpoint_minutes

    def _stop_before(self, task: int, state: TrainingState) -> None:
        """Keep the state before a step that is known to fail, and fail."""
        failure = self.watch
        if failure is not None and (task, state.step + 1) == (failure.task, failure.step):
            raise failure.kept_in(self.folder.save_failure(state.tensors, failure.as_json() | {"device": self.device}))

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
                raise self._failure(strategy, experience.index, step, losses)
            if step % every == 0 or step == steps:
                rows.append(TrainRow(experience.index, step, losses, rate, time.perf_counter() - self._begun))
        self._pending.clear()
        if rows:
            self.folder.append_train(rows)
        tasks = 1 if self.regime == "joint" else len(self.stream.tasks)
        self.reporter.step(
            experience.index, tasks, experience.name, strategy.step, steps, losses["loss"], strategy.learning_rate_used
        )

    def _failure(
        self, strategy: SegmentationStrategy, task: int, step: int, losses: Mapping[str, float]
    ) -> NotFiniteError:
        name = "all" if self.regime == "joint" else self.stream.tasks[task - 1].name
        batch = [self.naming.case(case) for case in batch_cases(strategy, step)]
        return NotFiniteError(task, name, step, losses, batch)

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
        work = f"scoring {counted(len(tasks), 'task')} on whole volumes"
        self.reporter.stage(work if tasks else "nothing to score yet")
        rows = self._score_cases(strategy, after_task, tasks)
        self._probe(strategy, trained)
        self.cost.add("evaluate", after_task, time.perf_counter() - begun)
        labels = [[self.stream.label_name(value) for value in task.labels] for task in self.stream.tasks]
        matrix = score_matrix(rows, labels, self.stream.kind)
        self.reporter.evaluated(after_task, len(self.stream.tasks), matrix.scores[after_task].tolist())
        if trained:
            self._save(strategy, "scored", trained)
        self.stop.check()

    def _score_cases(self, strategy: SegmentationStrategy, after_task: int, tasks: Sequence[Task]) -> list[CaseRow]:
        """The rows of an evaluation. Those of whole cases are kept from time to time, and not worked out again."""
        rows = [row for row in self.folder.cases() if row.after_task == after_task]
        kept = len(rows)
        known = self.naming.ids({row.case for row in rows}, [case.case_id for case in self.stream.cases])
        found = evaluate_cases(
            *(strategy.model, self.stream, self.prepared, self.inference),
            after_task=after_task,
            tasks=tasks,
            keep=self._keeper(after_task),
            skip=set(known.values()),
        )
        for of_one_case in found:
            rows += [self._named(row) for row in of_one_case]
            now = time.perf_counter()
            if self.stop.asked or self._minutes_are_over(now):
                self.folder.write_cases(rows)
                kept, self._saved = len(rows), now
            self.stop.check()
        if len(rows) > kept:
            self.folder.write_cases(rows)
        return rows

    def _named(self, row: CaseRow) -> CaseRow:
        return row._replace(case=self.naming.case(row.case), patient=self.naming.patient(row.patient))

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

        def keep(case: Case, labels: NDArray[np.uint8], truth: Truth, on_task: int) -> None:
            self.folder.write_prediction(after_task, self.naming.case(case.case_id), labels, truth.affine, on_task)

        return keep

    # Stopping and going on.

    def restore(self, strategy: SegmentationStrategy, experiences: Sequence[Any]) -> Position:
        """Put the strategy where the last checkpoint left it and drop what was written after it."""
        tasks = len(experiences)
        position = position_of(self.folder.load_checkpoint(), tasks, self.device, self.folder.path)
        task, state = position.task, position.state
        self.cost = Cost(list(position.cost))
        self.probe.kept = under(state.tensors, "drift/")
        self.folder.truncate_train(task, state.step)
        trained = position.tasks_trained
        self.folder.truncate_cases(len(self.stream.tasks) if trained == tasks else trained)  # joint trains once
        if not position.nothing_done:
            experience = experiences[task - 1]
            steps = len(experience.patches) // strategy.recipe.batch_size
            require_fit(strategy, position, experience, steps, self.folder.path)
            inside = position.phase == "training"
            self.reporter.stage(f"going on after {f'step {state.step} of ' if inside else ''}task {task}")
            if not inside:
                strategy.model = strategy.grown(strategy.model, experience)
                strategy.load_state(state)
        return position

    def _save(self, strategy: SegmentationStrategy, phase: str, task: int) -> None:
        if not weights_are_finite(strategy):
            raise self._failure(strategy, task, strategy.step, {})
        state = strategy.save_state(optimizer=phase == "training")
        position = {"phase": phase, "task": task, "step": state.step, "device": self.device}
        tensors = state.tensors | {f"drift/{name}": value for name, value in self.probe.kept.items()}
        self.folder.save_checkpoint(tensors, {**position, "cost": self.cost.stages})
        self._saved = time.perf_counter()

    def finish(self) -> None:
        """Write the cost and the summary."""
        self.folder.write_cost(self.cost.as_json())
        self.folder.finish()
