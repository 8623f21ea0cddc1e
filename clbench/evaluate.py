"""Evaluation: whole volumes through sliding windows, back on the native grid, one row per case, label and metric."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from monai.inferers import sliding_window_inference
from numpy.typing import NDArray
from torch import Tensor, nn

from clbench.case_table import CaseRow
from clbench.data.case import Case
from clbench.data.nifti import Truth, read_truth
from clbench.data.plan import Plan
from clbench.data.prepare import Prepared
from clbench.errors import RunError
from clbench.metrics import score_case
from clbench.networks.identity import TaskAware, select_task
from clbench.precision import forward_precision
from clbench.streams.stream import Stream, Task

SCORED_SPLITS = ("val", "test")
WINDOWS_PER_BATCH = {2: 16, 3: 2}

Keep = Callable[[Case, NDArray[np.uint8], Truth, int], None]


@dataclass(frozen=True)
class Inference:
    """How a network is applied to a whole volume.

    Attributes:
        plan: grid and patch (= window) size.
        overlap: of neighboring windows, as a fraction of the window.
        device: where the forward passes run.
        precision: ``float32`` or ``bfloat16`` autocast.
    """

    plan: Plan
    overlap: float
    device: torch.device
    precision: str

    def scores(self, network: nn.Module, image: NDArray[np.float32]) -> NDArray[np.float32]:
        """Class scores of a prepared volume.

        Args:
            network: in evaluation mode.
            image: (C, X, Y, Z).

        Returns:
            (K, X, Y, Z) float32 logits, Gaussian-weighted mean over windows.
        """
        volume = torch.from_numpy(np.ascontiguousarray(image, dtype=np.float32))
        batch = volume.permute(3, 0, 1, 2) if self.plan.dims == 2 else volume[None]
        found = self._windows(network, batch.contiguous())
        ordered = found.permute(1, 2, 3, 0) if self.plan.dims == 2 else found[0]
        return np.asarray(ordered.contiguous().numpy())

    @torch.inference_mode()
    def _windows(self, network: nn.Module, batch: Tensor) -> Tensor:
        """(B, C, *S) on the CPU -> logits (B, K, *S) on the CPU; 2-D slices go through a batch at a time."""

        def predict(windows: Tensor) -> Tensor:
            with forward_precision(self.device, self.precision):
                logits = network(windows)
            scores: Tensor = logits.float()
            return scores

        size = WINDOWS_PER_BATCH[self.plan.dims]
        found = [
            sliding_window_inference(
                chunk.to(self.device),
                self.plan.patch_size,
                size,
                predict,
                overlap=self.overlap,
                mode="gaussian",
            ).cpu()
            for chunk in torch.split(batch, size)
        ]
        return torch.cat(found)


def scored_tasks(stream: Stream, after_task: int, *, alone: bool = False) -> tuple[Task, ...]:
    """The tasks that are scored after ``after_task`` tasks.

    All tasks of a domain stream; of a class-incremental stream those whose labels the network has been taught, or
    only the last one for a network that learned it alone.
    """
    if stream.kind == "domain":
        return stream.tasks
    return stream.tasks[after_task - 1 : after_task] if alone and after_task else stream.tasks[:after_task]


def evaluate_cases(
    network: nn.Module,
    stream: Stream,
    prepared: Mapping[str, Prepared],
    inference: Inference,
    *,
    after_task: int,
    tasks: Sequence[Task],
    keep: Keep | None = None,
    skip: Collection[str] = (),
) -> Iterator[list[CaseRow]]:
    """Score a network on the validation and test cases of some tasks.

    Each case is predicted once; once for each of its tasks by a network that is told the task, which answers for one
    that it has not learned yet as for the newest.

    Args:
        network: maps (B, C, *patch) to logits (B, K, *patch); its training mode is restored afterwards.
        stream: for label names.
        prepared: case_id -> prepared case.
        inference: how volumes are predicted.
        after_task: number of tasks trained, for the rows.
        tasks: from ``scored_tasks``.
        keep: called with every test case's label map on the native grid, and the task (from 1) that it is for, or 0
            where it is for all tasks of the case.
        skip: ids of cases that are left out, since their rows are known.

    Raises:
        RunError: the network gives NaN or infinite scores.

    Yields:
        The rows of one case: one per task, label and metric.
    """
    was_training = network.training
    network.eval()
    for case_id, places in _places(tasks, skip).items():
        item = prepared[case_id]
        truth = read_truth(item.case)
        rows: list[CaseRow] = []
        for group in _told_alike(network, places):
            select_task(network, group[0][0].index)
            scores = inference.scores(network, item.image)
            if not np.isfinite(scores.sum(dtype=np.float64)):  # the largest of NaNs would be a label like any other
                raise RunError(
                    f"class scores of case {case_id} are not finite after task {after_task}; try --precision float32"
                )
            prediction = item.geometry.to_native(scores).astype(np.uint8)
            if keep is not None and any(split == "test" for _, split in group):
                keep(item.case, prediction, truth, 0 if len(group) == len(places) else group[0][0].index)
            for task, split in group:
                rows += _rows(stream, task, split, after_task, item.case, prediction, truth)
        yield rows
    network.train(was_training)


def _places(tasks: Sequence[Task], skip: Collection[str]) -> dict[str, list[tuple[Task, str]]]:
    """Case id -> the tasks and splits that it is scored in."""
    found: dict[str, list[tuple[Task, str]]] = {}
    for task in tasks:
        for split in SCORED_SPLITS:
            for case in (case for case in task.split(split) if case.case_id not in skip):
                found.setdefault(case.case_id, []).append((task, split))
    return found


def _told_alike(network: nn.Module, places: Sequence[tuple[Task, str]]) -> list[list[tuple[Task, str]]]:
    """The tasks of a case in groups that one prediction answers."""
    if not isinstance(network, TaskAware):
        return [list(places)]
    return [[place for place in places if place[0] is task] for task in dict.fromkeys(task for task, _ in places)]


def evaluate(*args: Any, **kwargs: Any) -> Iterator[CaseRow]:
    """The rows of ``evaluate_cases``, one after the other."""
    for rows in evaluate_cases(*args, **kwargs):
        yield from rows


def _rows(
    stream: Stream, task: Task, split: str, after_task: int, case: Case, prediction: NDArray[np.uint8], truth: Truth
) -> Iterator[CaseRow]:
    labels = {name: value for name, value in stream.labels.items() if value in task.labels}
    for label, metric, value in score_case(prediction, truth.mask, labels, truth.spacing_mm):
        yield CaseRow(after_task, task.index, split, case.case_id, case.patient_id, label, metric, value)
