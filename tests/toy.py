"""Toy streams: three tiny tasks as real NIfTI in nnU-Net folders, and runs on them that take a second or two."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel
import numpy as np

from clbench.config import RunConfig, make_config

SHAPE = (20, 20, 4)
TINY = ("training.steps=4", "training.batch_size=2", "training.base_features=4", "training.max_features=8")

_CARD = """
name = "toy"
version = 1
kind = "{kind}"
title = "A bright disc with a rim"
labels = {{ disc = 1, rim = 2, spot = 3 }}
{data}
[plan.default]
dims = 2
spacing_mm = [0.0, 0.0, 0.0]
patch_size = [16, 16]
"""


def write_dataset(folder: Path, cases: int, contrast: float, seed: int) -> None:
    """An nnU-Net raw data set of discs with a rim and a spot."""
    (folder / "imagesTr").mkdir(parents=True)
    (folder / "labelsTr").mkdir()
    rng = np.random.default_rng(seed)
    for number in range(cases):
        mask = _mask(rng)
        image = contrast * mask + rng.normal(0, 0.3, SHAPE)
        nibabel.save(
            nibabel.Nifti1Image(image.astype(np.float32), np.eye(4)), folder / "imagesTr" / f"case{number}_0000.nii.gz"
        )
        nibabel.save(nibabel.Nifti1Image(mask, np.eye(4)), folder / "labelsTr" / f"case{number}.nii.gz")
    description = {
        "channel_names": {"0": "MRI"},
        "labels": {"background": 0, "disc": 1, "rim": 2, "spot": 3},
        "file_ending": ".nii.gz",
        "numTraining": cases,
    }
    (folder / "dataset.json").write_text(json.dumps(description))


def _mask(rng: np.random.Generator) -> np.ndarray:
    x, y, _ = np.meshgrid(*(np.arange(size) for size in SHAPE), indexing="ij")
    center = rng.uniform(8, 12, 2)
    distance = np.hypot(x - center[0], y - center[1])
    mask = np.zeros(SHAPE, np.uint8)
    mask[distance < 6] = 2
    mask[distance < 4.5] = 1
    mask[distance < 1.5] = 3
    return mask


def write_domain_stream(root: Path, tasks: int = 3) -> Path:
    """Data under ``root`` and a domain-incremental card; returns the card's path."""
    text = _CARD.format(kind="domain", data="")
    for number in range(1, tasks + 1):
        write_dataset(root / f"Dataset{number:03d}_Site", 4, contrast=1.5 - number, seed=number)
        text += f'\n[[tasks]]\nname = "site{number}"\n'
        text += f'data = {{ layout = "nnunet", roots = ["Dataset{number:03d}_Site"], marker = "dataset.json" }}\n'
    card = root / "toy.toml"
    card.write_text(text)
    return card


def write_class_stream(root: Path) -> Path:
    """Data under ``root`` and a class-incremental card; returns the card's path."""
    write_dataset(root / "Dataset001_All", 5, contrast=1.0, seed=9)
    data = '\n[data]\nlayout = "nnunet"\nroots = ["Dataset001_All"]\nmarker = "dataset.json"\n'
    text = _CARD.format(kind="class", data=data)
    for label in ("disc", "rim", "spot"):
        text += f'\n[[tasks]]\nname = "{label}"\nlabels = ["{label}"]\n'
    card = root / "toy.toml"
    card.write_text(text)
    return card


def toy_config(card: Path, out: Path, strategy: str = "naive", settings: tuple[str, ...] = (), **fields) -> RunConfig:
    """A run of a second or two on a toy stream."""
    values = {"preset": "smoke", "device": "cpu", "precision": "float32", "data": card.parent, "out": out, **fields}
    return make_config(stream=str(card), strategy=strategy, settings=[*TINY, *settings], **values)
