"""nnU-Net v2: its own trainer on the same cases, with the workload's patch, batch and network in its plans."""

from __future__ import annotations

import contextlib
import io
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import torch

from benchmarks.speed.workload import Workload
from clbench.data.nifti import read_case

NUMBER = 999
CASES = 12
"""Enough for its five folds; the time of a step does not depend on how many there are."""


def installed() -> bool:
    """Whether the extra ``[nnunet]`` is there."""
    return find_spec("nnunetv2") is not None


class NNUNet:
    """``nnUNetTrainer.train_step`` on batches of its own loader.

    Its loader works in this process, as clbench's does on a processor: workers would draw batches in advance while
    others are measured.
    """

    def __init__(self, trainer: Any) -> None:
        self.trainer = trainer

    def steps(self, count: int) -> None:
        """Draw a batch and train on it."""
        for _ in range(count):
            self.trainer.train_step(next(self.trainer.dataloader_train))


@contextmanager
def nnunet(workload: Workload) -> Iterator[NNUNet]:
    """A trainer that is ready to train; its folders are removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="clbench-nnunet-") as folder:
        root = Path(folder)
        for name in ("raw", "preprocessed", "results"):
            (root / name).mkdir()
            os.environ[f"nnUNet_{name}"] = str(root / name)
        os.environ["nnUNet_n_proc_DA"] = str(torch.get_num_threads())  # planning takes it for a number of threads
        os.environ.setdefault("nnUNet_compile", "f")
        dataset = f"Dataset{NUMBER}_Speed"
        _write_raw(workload, root / "raw" / dataset)
        with contextlib.redirect_stdout(io.StringIO()):
            yield NNUNet(_trainer(workload, root / "preprocessed" / dataset))


def _write_raw(workload: Workload, folder: Path) -> None:
    (folder / "imagesTr").mkdir(parents=True)
    (folder / "labelsTr").mkdir()
    cases = workload.task.train[:CASES]
    for number, case in enumerate(cases):
        raw = read_case(case)
        for channel, image in enumerate(raw.image):
            _save(image.astype(np.float32), raw.affine, folder / "imagesTr" / f"case{number:03d}_{channel:04d}.nii.gz")
        _save(raw.mask, raw.affine, folder / "labelsTr" / f"case{number:03d}.nii.gz")
    description = {
        "channel_names": {str(channel): "MRI" for channel in range(workload.channels)},
        "labels": {"background": 0, **dict(workload.stream.labels)},
        "file_ending": ".nii.gz",
        "numTraining": len(cases),
    }
    (folder / "dataset.json").write_text(json.dumps(description))


def _save(voxels: np.ndarray[Any, Any], affine: np.ndarray[Any, Any], path: Path) -> None:
    image = nibabel.Nifti1Image(voxels, affine)
    image.set_sform(affine, 1)
    image.set_qform(affine, 1)
    nibabel.save(image, path)


def _trainer(workload: Workload, preprocessed: Path) -> Any:
    from nnunetv2.experiment_planning.plan_and_preprocess_api import extract_fingerprints, plan_experiments, preprocess
    from nnunetv2.run.run_training import get_trainer_from_args

    configuration = f"{'2d' if workload.plan.dims == 2 else '3d_fullres'}"
    extract_fingerprints([NUMBER], num_processes=1, check_dataset_integrity=False)
    plan_experiments([NUMBER])
    plans = json.loads((preprocessed / "nnUNetPlans.json").read_text())
    _adopt(workload, plans["configurations"][configuration])
    (preprocessed / "nnUNetPlans.json").write_text(json.dumps(plans))
    preprocess([NUMBER], configurations=(configuration,), num_processes=(1,))
    os.environ["nnUNet_n_proc_DA"] = "0"
    trainer = get_trainer_from_args(str(NUMBER), configuration, 0, device=workload.device)
    trainer.enable_deep_supervision = workload.training.deep_supervision
    trainer.initialize()
    trainer.dataloader_train, _ = trainer.get_dataloaders()
    trainer.set_deep_supervision_enabled(workload.training.deep_supervision)
    trainer.network.train()
    return trainer


def _adopt(workload: Workload, plan: dict[str, Any]) -> None:
    """Write the workload's patch, batch and network into a configuration of its plans."""
    topology = workload.network().topology
    values = workload.training
    stages = topology.pools + 1
    reverse = (lambda numbers: list(numbers)[::-1]) if workload.plan.dims == 3 else list  # its axes are z, y, x
    plan["patch_size"] = reverse(workload.plan.patch_size)
    plan["batch_size"] = values.batch_size
    plan["architecture"]["arch_kwargs"].update(
        n_stages=stages,
        features_per_stage=[min(values.base_features * 2**stage, values.max_features) for stage in range(stages)],
        kernel_sizes=[reverse(kernel) for kernel in topology.kernels],
        strides=[reverse(stride) for stride in topology.strides],
        n_conv_per_stage=[2] * stages,
        n_conv_per_stage_decoder=[2] * (stages - 1),
    )
