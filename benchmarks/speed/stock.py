"""Stock: Avalanche's Naive over MONAI's CacheDataset and PyTorch's DataLoader, as their tutorials write it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from avalanche.benchmarks import benchmark_from_datasets
from avalanche.benchmarks.utils import AvalancheDataset, DataAttribute
from avalanche.core import SupervisedPlugin
from avalanche.evaluation.metrics import loss_metrics
from avalanche.logging import TextLogger
from avalanche.training.plugins import EvaluationPlugin
from avalanche.training.supervised import Naive
from monai.data import CacheDataset
from monai.losses import DiceCELoss
from monai.transforms import (
    Compose,
    EnsureChannelFirstd,
    EnsureTyped,
    LoadImaged,
    NormalizeIntensityd,
    Orientationd,
    RandAdjustContrastd,
    RandFlipd,
    RandGaussianNoised,
    RandGaussianSmoothd,
    RandRotated,
    RandScaleIntensityd,
    RandSpatialCropd,
    RandZoomd,
    ResizeWithPadOrCropd,
    Spacingd,
    SqueezeDimd,
)
from torch import Tensor
from torch.utils.data import Dataset

from benchmarks.speed.measure import Gated
from benchmarks.speed.training import optimizer
from benchmarks.speed.workload import Workload

KEYS = ("image", "label")
MODES = ("bilinear", "nearest")


class Pairs(Dataset[tuple[Tensor, Tensor, int]]):
    """MONAI's dictionaries as the tuples Avalanche wants, the list of cases repeated to a long epoch."""

    def __init__(self, cached: CacheDataset, length: int) -> None:
        self.cached, self.length = cached, length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, int]:
        item = self.cached[index % len(self.cached)]
        return item["image"].as_tensor(), item["label"].as_tensor().long(), 0


def transforms(workload: Workload) -> Compose:
    """The same preparation and the same kinds of augmentation as clbench, with MONAI's own transforms."""
    plan = workload.plan
    box = (*plan.patch_size, 1) if plan.dims == 2 else tuple(plan.patch_size)
    spacing = tuple(step or -1.0 for step in plan.spacing_mm)
    flat = [SqueezeDimd(KEYS, dim=-1)] if plan.dims == 2 else []
    angle = torch.pi * plan.rotation_deg / 180
    turns = {"range_x": angle} if plan.dims == 2 else {f"range_{axis}": angle for axis in "xyz"}
    return Compose(
        [
            LoadImaged(KEYS),
            EnsureChannelFirstd(KEYS),
            Orientationd(KEYS, axcodes="RAS", labels=(("L", "R"), ("P", "A"), ("I", "S"))),
            Spacingd(KEYS, pixdim=spacing, mode=MODES),
            NormalizeIntensityd("image"),
            EnsureTyped(KEYS),
            ResizeWithPadOrCropd(KEYS, tuple(max(side, 1) if side > 1 else -1 for side in box)),
            RandSpatialCropd(KEYS, roi_size=box, random_size=False),
            *flat,
            RandRotated(KEYS, prob=0.2, mode=MODES, **turns),
            RandZoomd(KEYS, prob=0.2, min_zoom=0.7, max_zoom=1.4, mode=MODES),
            RandGaussianNoised("image", prob=0.1, std=0.1),
            RandGaussianSmoothd("image", prob=0.2),
            RandScaleIntensityd("image", prob=0.15, factors=0.25),
            RandAdjustContrastd("image", prob=0.3, gamma=(0.7, 1.5)),
            *(RandFlipd(KEYS, prob=0.5, spatial_axis=axis) for axis in plan.mirror_axes),
        ]
    )


class _Pause(SupervisedPlugin):
    def __init__(self, pause: Callable[[], None]) -> None:
        super().__init__()
        self.pause = pause

    def after_training_iteration(self, strategy: Any, **_: Any) -> None:
        self.pause()


def stock(workload: Workload) -> Gated:
    """The training loop of such a script, in float32, which is all that Avalanche offers."""

    def loop(pause: Callable[[], None]) -> None:
        values, task = workload.training, workload.task
        files = [{"image": str(case.images[0]), "label": str(case.mask)} for case in task.train]
        length = 50_000 * values.batch_size
        pairs = Pairs(CacheDataset(files, transforms(workload), num_workers=0, progress=False), length)
        network = workload.network()
        loss = DiceCELoss(include_background=False, to_onehot_y=True, softmax=True, batch=True)
        strategy = Naive(
            model=network,
            optimizer=optimizer(network, workload),
            criterion=lambda output, target: loss(_finest(output), target),
            train_mb_size=values.batch_size,
            train_epochs=1,
            device=workload.device,
            plugins=[_Pause(pause)],
            evaluator=EvaluationPlugin(loss_metrics(minibatch=True), loggers=[TextLogger(open("/dev/null", "w"))]),  # noqa: SIM115, PTH123
        )
        labels = DataAttribute([0] * length, "targets_task_labels")
        dataset = AvalancheDataset([pairs], data_attributes=[labels])
        strategy.train(benchmark_from_datasets(train=[dataset]).train_stream[0], eval_streams=[])

    return Gated(loop)


def _finest(output: Tensor | list[Tensor]) -> Tensor:
    return output if isinstance(output, Tensor) else output[0]
