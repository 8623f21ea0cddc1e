"""Evaluation: whole rows of scores against the forward passes they need, and metrics against inference."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from benchmarks.speed.measure import interleave
from benchmarks.speed.strategies import trained_network
from benchmarks.speed.workload import Workload
from clbench.data.nifti import read_case
from clbench.evaluate import Inference, evaluate
from clbench.metrics import score_case
from clbench.precision import forward_precision

TRAINED = {2: 300, 3: 60}
"""Steps before the measurement."""


class _Call:
    """A function as a contender: one call is one step."""

    def __init__(self, function: Callable[[], object]) -> None:
        self.function = function

    def steps(self, count: int) -> None:
        for _ in range(count):
            self.function()


class _Recorder(nn.Module):
    """Passes windows on and keeps them."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network
        self.windows: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        """As the network."""
        self.windows.append(x.clone())
        output: Tensor = self.network(x)
        return output


def _windows(network: nn.Module, inference: Inference, images: list[Any]) -> list[Tensor]:
    """The batches that the network sees while it predicts prepared images (C, X, Y, Z)."""
    recorder = _Recorder(network)
    for image in images:
        inference.scores(recorder, image)
    return recorder.windows


def evaluation(workload: Workload, precision: str, repeats: int, cases: int = 12) -> dict[str, float]:
    """Seconds per case of what an evaluation is made of.

    The network is trained for a while first, so that its predictions are organs and not noise.
    """
    network = trained_network(workload, precision, TRAINED[workload.plan.dims])
    inference = Inference(workload.plan, workload.training.overlap, workload.device, precision)
    stream = workload.stream
    task = stream.tasks[0]
    chosen = (*task.val, *task.test)[:cases]
    windows = _windows(network, inference, [workload.prepared[case.case_id].image for case in chosen])

    def forward() -> None:
        with torch.inference_mode():
            for batch in windows:
                with forward_precision(workload.device, precision):
                    network(batch).float()

    def scores() -> None:
        for case in chosen:
            inference.scores(network, workload.prepared[case.case_id].image)

    reduced: Any = type("Few", (), {"labels": stream.labels, "kind": stream.kind})
    few = type(
        "Task", (), {"index": 1, "labels": task.labels, "split": lambda self, name: chosen if name == "test" else ()}
    )()

    def whole() -> None:
        list(evaluate(network, reduced, workload.prepared, inference, after_task=1, tasks=[few]))

    raws = [read_case(case) for case in chosen]
    guesses = [
        workload.prepared[case.case_id]
        .geometry.to_native(inference.scores(network, workload.prepared[case.case_id].image))
        .astype(np.uint8)
        for case in chosen
    ]

    def metrics() -> None:
        for raw, guess in zip(raws, guesses, strict=True):
            list(score_case(guess, raw.mask, dict(stream.labels), raw.spacing_mm))

    timings = interleave(
        {name: _Call(function) for name, function in
         {"forward": forward, "inference": scores, "evaluate": whole, "metrics": metrics}.items()},
        steps=1, repeats=repeats, wait=workload.wait, warm_up=1,
    )  # fmt: skip
    per_case = {f"{name}_seconds_per_case": timing.median / len(chosen) for name, timing in timings.items()}
    return {
        **per_case,
        "evaluate_over_forward": timings["evaluate"].over(timings["forward"]),
        "metrics_over_inference": timings["metrics"].over(timings["inference"]),
    }


def prepare_seconds(workload: Workload, cases: int = 10) -> float:
    """Seconds to prepare one case into an empty cache."""
    import tempfile
    from pathlib import Path

    from clbench.data.prepare import prepare_cases

    with tempfile.TemporaryDirectory(prefix="clbench-speed-") as folder:
        begun = time.perf_counter()
        prepare_cases(workload.stream.cases[:cases], workload.plan, Path(folder))
        return (time.perf_counter() - begun) / cases
