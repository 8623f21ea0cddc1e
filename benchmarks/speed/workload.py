"""Workloads: the data, grid and training values on which everything is measured."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import torch
from torch import Tensor, nn

from clbench.config import RunConfig, Training, make_config
from clbench.data.loading import Batches
from clbench.data.nifti import channel_count
from clbench.data.plan import Plan
from clbench.data.prepare import Prepared, prepare_cases
from clbench.errors import InputError
from clbench.networks import build_network
from clbench.streams.benchmark import Sampling, make_benchmark
from clbench.streams.load import cache_root, load_stream
from clbench.streams.stream import Stream, Task

MANY = 100_000
"""Steps of a task that no measurement reaches the end of."""


@dataclass(frozen=True)
class Workload:
    """One stream at one preset.

    Attributes:
        name: row of the tables.
        real: stream to use when its data are at hand.
        phantom: stream whose phantom is used otherwise.
        preset: of the training values.
        settings: overrides of them.
        device: where it runs.
    """

    name: str
    real: str
    phantom: str
    preset: str
    settings: tuple[str, ...]
    device: torch.device

    @cached_property
    def _source(self) -> tuple[Stream, bool]:
        try:
            return load_stream(self.real), False
        except InputError:
            return load_stream(self.phantom, phantom=True), True

    @property
    def stream(self) -> Stream:
        """The stream measured on."""
        return self._source[0]

    @property
    def task(self) -> Task:
        """The last task, whose files every library can read as they are."""
        return self.stream.tasks[-1]

    @cached_property
    def plan(self) -> Plan:
        """Grid and patch."""
        return self.stream.plan(self.preset)

    @cached_property
    def prepared(self) -> dict[str, Prepared]:
        """The prepared cases."""
        return prepare_cases(self.stream.cases, self.plan, cache_root())

    def config(self, strategy: str, out: Path, precision: str) -> RunConfig:
        """A run of ``clbench run`` that does not end by itself."""
        stream, phantom = self._source
        return make_config(
            stream=stream.name,
            strategy=strategy,
            settings=[*self.settings, f"training.steps={MANY}"],
            preset=self.preset,
            phantom=phantom,
            device=self.device.type,
            precision=precision,
            predictions="none",
            out=out,
        )

    @cached_property
    def training(self) -> Training:
        """Training values."""
        return self.config("naive", Path(), "float32").training_for(self.plan.dims)

    @cached_property
    def channels(self) -> int:
        """Of the images."""
        return channel_count(self.stream.cases[0])

    def network(self) -> nn.Module:
        """The network that ``clbench run`` would build."""
        network: nn.Module = build_network(
            "unet",
            plan=self.plan,
            in_channels=self.channels,
            classes=1 + max(self.stream.labels.values()),
            base_features=self.training.base_features,
            max_features=self.training.max_features,
            deep_supervision=self.training.deep_supervision,
            seed=0,
        )
        return network.to(self.device)

    def batch(self) -> tuple[Tensor, Tensor]:
        """The first training batch, on the device."""
        patches = self.benchmark(1).train_stream[0].patches
        x, y, _ = Batches(patches, self.training.batch_size)[0]
        return x.to(self.device), y.to(self.device)

    def benchmark(self, steps: int) -> object:
        """The stream's experiences, of ``steps`` steps each."""
        return make_benchmark(
            self.stream, self.prepared, Sampling(self.plan, 0, steps, self.training.batch_size, self.training.augment)
        )

    def wait(self) -> None:
        """Until the device is idle."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()


def workloads(device: torch.device, size: str) -> dict[str, Workload]:
    """``2d`` and ``3d``: preset cpu as it is, and nnU-Net's network on the hippocampus with fewer patches per step.

    Args:
        device: where to measure.
        size: ``small`` for processors, ``full`` for GPUs, where the 2-D network is nnU-Net's as well.
    """
    wide = ("training.deep_supervision=true", "training.base_features=32", "training.max_features=320")
    plain = Workload("2d", "acdc-groups", "prostate-sites", "cpu", (), device)
    large = Workload("3d", "hippocampus-shifts", "hippocampus-sites", "cpu", (*wide, "training.batch_size=2"), device)
    if size == "full":
        plain = replace(plain, settings=(*wide, "training.batch_size=32"))
        large = replace(large, settings=(*wide, "training.batch_size=9"))
    return {"2d": plain, "3d": large}
