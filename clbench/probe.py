"""Probe: the features of every task's validation images when the task is over, and how far they drift from there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from clbench.data.patches import PatchSampler, PoolEntry
from clbench.data.prepare import Prepared
from clbench.drift import DriftRow, drift_rows
from clbench.evaluate import Inference
from clbench.functional.sampling import sample_embeddings
from clbench.networks.identity import select_task
from clbench.networks.taps import tap, tap_names
from clbench.precision import forward_precision
from clbench.seeding import torch_generator
from clbench.streams.stream import Stream, Task

TAPS = ("bottleneck", "last")
PATCHES = {2: 32, 3: 8}
VOXELS = 2048


class DriftProbe:
    """Embeddings at fixed voxels of fixed patches of each task's validation images.

    Patches and voxels are drawn by the task's name alone, so that all runs of a stream, whatever their seed, strategy
    or order, are looked at in the same places. Patches are cut as in training, the last third around foreground, and
    not augmented. What the probe keeps is no memory of the strategy, which never sees it.

    Args:
        stream: tasks with their validation cases.
        prepared: case_id -> prepared case.
        inference: device, precision and patch size.

    Attributes:
        kept: ``task/tap`` -> (N, C) float32 on the CPU, N at most ``VOXELS``; part of a run's checkpoints.
    """

    def __init__(self, stream: Stream, prepared: Mapping[str, Prepared], inference: Inference) -> None:
        self.stream, self.prepared, self.inference = stream, prepared, inference
        self.kept: dict[str, Tensor] = {}

    def remember(self, network: nn.Module, task: Task) -> None:
        """Keep the features of a task that was just learned."""
        self.kept.update({f"{task.index}/{name}": value for name, value in self._embeddings(network, task).items()})

    def rows(self, network: nn.Module) -> list[DriftRow]:
        """How far the features of every remembered task have moved in this network since."""
        found = []
        for task in self.stream.tasks:
            names = [name for name in TAPS if f"{task.index}/{name}" in self.kept]
            now = self._embeddings(network, task) if names else {}
            for name in names:
                found += drift_rows(task.index, name, self.kept[f"{task.index}/{name}"].numpy(), now[name].numpy())
        return found

    @torch.inference_mode()
    def _embeddings(self, network: nn.Module, task: Task) -> dict[str, Tensor]:
        """Tap -> (N, C) float32 on the CPU, of a network in evaluation mode, one patch at a time."""
        names = [name for name in TAPS if name in tap_names(network)]
        device, found = self.inference.device, {name: list[Tensor]() for name in names}
        was_training = network.training
        network.eval()
        select_task(network, task.index)
        with tap(network, names) as taps:
            for number, image in enumerate(self._patches(task)):
                with forward_precision(device, self.inference.precision):
                    network(image[None].to(device))
                for name in names:
                    found[name].append(self._sampled(taps.features[name], task, name, number))
        network.train(was_training)
        return {name: torch.cat(values) for name, values in found.items()}

    def _patches(self, task: Task) -> Sequence[Tensor]:
        """The patches, each (C, *patch) float32."""
        plan, count = self.inference.plan, PATCHES[self.inference.plan.dims]
        pool = [PoolEntry(self.prepared[case.case_id], task.labels) for case in task.val]
        sampler = PatchSampler(pool, plan, 0, 0, count, augment=False, purpose=f"drift {task.name}")
        return [sampler(0, slot).image for slot in range(count)]

    def _sampled(self, features: Tensor, task: Task, name: str, number: int) -> Tensor:
        generator = torch_generator(0, "drift", task.name, name, number)
        count = VOXELS // PATCHES[self.inference.plan.dims]
        return sample_embeddings(features, count, generator).float().cpu()
