"""The procedural twin of Decathlon task 5, the prostate in two channels, beside the six sites."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clbench.data.phantom import prostate
from clbench.data.phantom.files import scanner_affine, write_macos_twin, write_nifti
from clbench.data.phantom.shapes import Array
from clbench.data.phantom.sites import DECATHLON
from clbench.data.phantom.texture import blur, rician
from clbench.seeding import numpy_generator

# apparent diffusion coefficient in 10^-6 mm^2/s; fat is suppressed
DIFFUSION: Mapping[str, float] = {
    "fat": 120.0,
    "muscle": 1250.0,
    "marrow": 350.0,
    "cortex": 80.0,
    "urine": 2900.0,
    "wall": 1350.0,
    "stool": 500.0,
    "air": 20.0,
    "vein": 1900.0,
    "vesicle": 1850.0,
    "peripheral": 1650.0,
    "transition": 1250.0,
    "stroma": 1050.0,
    "lesion": 750.0,
}
DIFFUSION_BLUR_MM, DIFFUSION_NOISE = 3.2, 90.0  # echo-planar images are coarse; the map is stored on the T2 grid


def write(root: Path, seed: int = 0) -> None:
    """Write ``prostate``, byte for byte the six sites of the other prostate phantom, and ``msd/Task05_Prostate``.

    Args:
        root: an existing folder.
        seed: equal seeds give equal bytes.
    """
    (root / "prostate").mkdir()
    prostate.write(root / "prostate", seed)
    write_decathlon(root / "msd" / "Task05_Prostate", seed)


def write_decathlon(root: Path, seed: int = 0) -> None:
    """Write dataset.json and the training pairs.

    Fewer and coarser cases than the original (10 instead of 32). Traps: images are 4-D with T2 and diffusion as
    channels, masks tell two zones, case numbers have gaps, a macOS ``._`` file.
    """
    for folder in ("imagesTr", "labelsTr"):
        (root / folder).mkdir(parents=True)
    cases = [_case(number) for number in DECATHLON.numbers]
    for number in DECATHLON.numbers:
        write_pair(root, number, seed)
    write_macos_twin(root / "imagesTr" / f"{cases[0]}.nii.gz")
    content = {
        "name": "PROSTATE",
        "description": "procedural twin",
        "tensorImageSize": "4D",
        "modality": {"0": "T2", "1": "ADC"},
        "labels": {"0": "background", "1": "PZ", "2": "TZ"},
        "numTraining": len(cases),
        "numTest": 0,
        "training": [{"image": f"./imagesTr/{case}.nii.gz", "label": f"./labelsTr/{case}.nii.gz"} for case in cases],
        "test": [],
    }
    (root / "dataset.json").write_text(json.dumps(content, indent=1), encoding="utf-8")


def write_pair(root: Path, number: int, seed: int = 0) -> None:
    """Write the image and the mask of one case."""
    image, zones = scan_channels(number, seed)
    affine = scanner_affine(DECATHLON.grid, DECATHLON.tilt_deg)
    write_nifti(root / "imagesTr" / f"{_case(number)}.nii.gz", image, affine)
    write_nifti(root / "labelsTr" / f"{_case(number)}.nii.gz", zones, affine)


def scan_channels(number: int, seed: int = 0) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
    """One patient in both channels.

    Args:
        number: which case.
        seed: of the whole phantom.

    Returns:
        T2 and diffusion (X, Y, Z, 2) float32, and the gland's zones (X, Y, Z) uint8, peripheral 1, transition 2.
    """
    weighted, zones = prostate.scan(DECATHLON, number, seed)
    channels = [weighted.astype(np.float32), _diffusion(number, seed).astype(np.float32)]
    return np.stack(channels, axis=-1), zones


def _diffusion(number: int, seed: int) -> Array:
    picture, _, _ = prostate.paint_patient(DECATHLON, number, DIFFUSION, seed)
    rng = numpy_generator(seed, "phantom", "prostate-decathlon", number, "diffusion")
    seen = blur(np.maximum(picture, 0.0), DECATHLON.grid, DIFFUSION_BLUR_MM)
    return np.rint(rician(rng, seen, DIFFUSION_NOISE))


def _case(number: int) -> str:
    return f"prostate_{number:02d}"
