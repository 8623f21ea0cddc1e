"""Tiny data sets in the public layouts: three patients per task, volumes of a few hundred voxels."""

from __future__ import annotations

import json
from pathlib import Path

import nibabel
import numpy as np

SHAPE = (12, 12, 4)
SITES = ("RUNMC", "BMC", "I2CVB", "UCL", "BIDMC", "HK")
GROUPS = ("NOR", "MINF", "DCM", "HCM", "RV")
PATIENTS = 3


def save(path: Path, array: np.ndarray, affine: np.ndarray | None = None) -> None:
    """Write a NIfTI file, its folder included."""
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(array, np.eye(4) if affine is None else affine), path)


def load(path: Path) -> np.ndarray:
    """The voxels of a NIfTI file, in memory."""
    return np.asarray(nibabel.load(path).dataobj).copy()


def pair(image: Path, mask: Path, labels: int, seed: int) -> None:
    """An image of noise and a mask with the labels side by side."""
    values = np.zeros(SHAPE, np.uint8)
    for label in range(1, labels + 1):
        values[1 + 2 * label : 3 + 2 * label, 4:8, 1:3] = label
    noise = np.random.default_rng(seed).normal(100, 20, SHAPE)
    save(image, (noise + 50 * values).astype(np.float32))
    save(mask, values)


def prostate(root: Path) -> Path:
    """Six sites with the published traps: zones and a capital S at two of them, no Case01 at BIDMC."""
    for number, site in enumerate(SITES):
        cases = (0, 2, 3) if site == "BIDMC" else range(PATIENTS)
        for case in cases:
            suffix = "_Segmentation" if site == "BMC" else "_segmentation"
            stem = root / "prostate" / site / f"Case{case:02d}"
            zones = 2 if site in ("RUNMC", "BMC") else 1
            pair(Path(f"{stem}.nii.gz"), Path(f"{stem}{suffix}.nii.gz"), zones, 10 * number + case)
    return root


def acdc(root: Path) -> Path:
    """Two frames of each patient of each disease group."""
    for number in range(PATIENTS * len(GROUPS)):
        patient = f"patient{number + 1:03d}"
        folder = root / "acdc" / "training" / patient
        for frame in (1, 8):
            stem = folder / f"{patient}_frame{frame:02d}"
            pair(Path(f"{stem}.nii.gz"), Path(f"{stem}_gt.nii.gz"), 3, 2 * number + frame)
        (folder / "Info.cfg").write_text(f"ED: 1\nES: 8\nGroup: {GROUPS[number // PATIENTS]}\nNbFrame: 30\n")
    return root


def hippocampus(root: Path) -> Path:
    """Decathlon task 4 with four pairs in its dataset.json."""
    folder = root / "Task04_Hippocampus"
    names = [f"hippocampus_{number:03d}" for number in range(PATIENTS + 1)]
    for number, name in enumerate(names):
        pair(folder / "imagesTr" / f"{name}.nii.gz", folder / "labelsTr" / f"{name}.nii.gz", 2, number)
    training = [{"image": f"./imagesTr/{n}.nii.gz", "label": f"./labelsTr/{n}.nii.gz"} for n in names]
    labels = {"0": "background", "1": "Anterior", "2": "Posterior"}
    content = {"modality": {"0": "MRI"}, "labels": labels, "training": training}
    (folder / "dataset.json").write_text(json.dumps(content))
    return root


def decathlon_prostate(root: Path) -> Path:
    """Decathlon task 5 with three pairs: images are 4-D, noise and then -7 throughout; masks tell two zones."""
    folder = root / "Task05_Prostate"
    names = [f"prostate_{number:02d}" for number in (0, 1, 4)]
    for number, name in enumerate(names):
        image, mask = (folder / kind / f"{name}.nii.gz" for kind in ("imagesTr", "labelsTr"))
        pair(image, mask, 2, 100 + number)
        volume = load(image)
        save(image, np.stack([volume, np.full_like(volume, -7)], axis=-1))
    training = [{"image": f"./imagesTr/{n}.nii.gz", "label": f"./labelsTr/{n}.nii.gz"} for n in names]
    labels = {"0": "background", "1": "PZ", "2": "TZ"}
    content = {"modality": {"0": "T2", "1": "ADC"}, "labels": labels, "training": training}
    (folder / "dataset.json").write_text(json.dumps(content))
    return root
