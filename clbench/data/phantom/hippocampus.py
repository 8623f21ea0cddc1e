"""The procedural twins of the three hippocampus data sets: same files, same traps, invented patients."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clbench.data.phantom.files import nifti_bytes, write_macos_twin, write_nifti
from clbench.data.phantom.minc import minc_bytes
from clbench.data.phantom.shapes import Array, Grid
from clbench.data.phantom.sparse import sparse_gzip, write_with_holes
from clbench.data.phantom.temporal_lobe import Triple, draw_hippocampus, paint_side, t1_weighted
from clbench.data.phantom.texture import bias_field, blur, rician
from clbench.seeding import numpy_generator

HEAD = (197, 233, 189)  # the MNI grid at 1 mm that HarP and Dryad share
START_MM = (-98.0, -134.0, -72.0)
BLOCK_START = {"L": (45, 74, 36), "R": (97, 74, 36)}  # what is drawn of a head: each crop and 4 mm around it
BLOCK_GRID = Grid((52, 72, 72), (1.0, 1.0, 1.0))
BLOCK_ORIGIN = {"L": (-26.0, 0.0, 0.0), "R": (26.0, 0.0, 0.0)}
SIGN = {"L": -1.0, "R": 1.0}
FAR_MM = 50.0  # from the midline to the temporal bone


@dataclass(frozen=True)
class Site:
    """How one data set was scanned and written.

    Attributes:
        name: of the task.
        recovery_ms: recovery time; a longer one lowers the contrast between the tissues.
        gamma: exponent of the contrast curve; below 1 lifts the dark tissues.
        noise: standard deviation in each receive channel, relative to white matter.
        bias: standard deviation of the logarithm of the smooth receive field.
        shade: logarithm of the sensitivity at the temporal bone relative to the midline, as head coils with many
            elements near the skull leave it.
        blur_mm: point spread, full width at half maximum.
        atrophy: largest atrophy of a patient, in [0, 1].
        scale: stored number for signal 1.
    """

    name: str
    recovery_ms: float
    gamma: float
    noise: float
    bias: float
    shade: float
    blur_mm: float
    atrophy: float
    scale: float


HARP = Site(
    name="HarP", recovery_ms=400, gamma=1.1, noise=0.025, bias=0.06, shade=0.0, blur_mm=0.9, atrophy=0.25, scale=700
)
DRYAD = Site(
    name="Dryad", recovery_ms=700, gamma=1.3, noise=0.03, bias=0.15, shade=1.5, blur_mm=0.7, atrophy=0.0, scale=450
)
DECATHLON = Site(
    name="Decathlon",
    recovery_ms=1100,
    gamma=0.75,
    noise=0.09,
    bias=0.3,
    shade=-0.9,
    blur_mm=2.0,
    atrophy=0.3,
    scale=1.0,
)
SITES = (HARP, DRYAD, DECATHLON)

# subset -> scans; two of them are among the four that have left and right swapped
SCANS = {
    "100": (
        "ADNI_007_S_1304_74384",
        "ADNI_901_S_9001_900001",
        "ADNI_901_S_9002_900002",
        "ADNI_902_S_9003_900003",
        "ADNI_902_S_9005_900005",
    ),
    "35": ("ADNI_136_S_0429_109839", "ADNI_903_S_9004_900004", "ADNI_903_S_9006_900006"),
}
SWAPPED = ("ADNI_007_S_1304_74384", "ADNI_136_S_0429_109839")
OFFSETS = {("ADNI_901_S_9001_900001", "L"): 26896.988, ("ADNI_903_S_9004_900004", "R"): 1.0}
SUBJECTS = tuple(f"s{number:02d}" for number in range(1, 9))
CASES = tuple(f"hippocampus_{number:03d}" for number in (1, 3, 4, 6, 8, 11, 17, 19, 20, 23, 25, 26))
FLOAT_MASKS = ("hippocampus_008", "hippocampus_020")


def write(root: Path, seed: int = 0) -> None:
    """Write ``harp``, ``dryad`` and ``msd/Task04_Hippocampus``.

    Fewer patients than the originals (8, 8 and 12 instead of 135, 25 and 260) on grids of the same size; of a head only
    the surroundings of the two hippocampi are drawn, all else is 0. Traps: two scans with swapped sides, masks
    {k, k + 1} and MINC beside NIfTI (HarP); subfield labels and a macOS ``._`` file (Dryad); sides mixed, float masks
    and images of any number type and scale (Decathlon).

    Args:
        root: an existing folder.
        seed: equal seeds give equal bytes.
    """
    write_harp(root / "harp", seed)
    write_dryad(root / "dryad", seed)
    write_decathlon(root / "msd" / "Task04_Hippocampus", seed)


def write_harp(root: Path, seed: int = 0) -> None:
    """Write MINC images and NIfTI masks of both subsets."""
    for subset, scans in SCANS.items():
        images, masks = root / subset, root / f"Labels_{subset}_NIFTI"
        images.mkdir(parents=True)
        masks.mkdir()
        for scan in scans:
            write_scan(images, masks, scan, seed)


def write_scan(images: Path, masks: Path, scan: str, seed: int = 0) -> None:
    """Write one HarP scan: the head and a mask per side."""
    head, parts, _ = _head(HARP, scan, seed)
    top = float(np.percentile(head[head > 0], 99.9))
    stored = np.rint(np.clip(head / top, 0, 1) * 255).astype(np.uint8)
    write_with_holes(images / f"{scan}_ACPC.mnc", minc_bytes(stored, START_MM, (1.0, 1.0, 1.0), top))
    other = {"L": "R", "R": "L"}
    for side, mask in parts.items():
        letter = other[side] if scan in SWAPPED else side
        content = nifti_bytes((mask > 0).astype(np.uint8), _affine(), OFFSETS.get((scan, letter), 0.0))
        write_with_holes(masks / f"{scan}_{letter}.nii", content)


def write_dryad(root: Path, seed: int = 0) -> None:
    """Write the subjects' folders."""
    for subject in SUBJECTS:
        folder = root / subject
        folder.mkdir(parents=True)
        write_subject(folder, subject, seed)
    write_macos_twin(root / SUBJECTS[0] / f"{SUBJECTS[0]}_t1w_standard_defaced_MNI.nii.gz")


def write_subject(folder: Path, subject: str, seed: int = 0) -> None:
    """Write one Dryad subject: the head and the subfields per side."""
    head, _, subfields = _head(DRYAD, subject, seed)
    image = np.rint(np.clip(head, 0, 32767)).astype(np.int16)
    content = sparse_gzip(nifti_bytes(image, _affine()))
    (folder / f"{subject}_t1w_standard_defaced_MNI.nii.gz").write_bytes(content)
    for side, mask in subfields.items():
        content = sparse_gzip(nifti_bytes(mask, _affine()))
        (folder / f"{subject}_hippolabels_t1w_standard_{side}_MNI.nii.gz").write_bytes(content)


def write_decathlon(root: Path, seed: int = 0) -> None:
    """Write dataset.json and the training pairs."""
    for folder in ("imagesTr", "labelsTr"):
        (root / folder).mkdir(parents=True)
    for case in CASES:
        write_pair(root, case, seed)
    files = [{"image": f"./imagesTr/{case}.nii.gz", "label": f"./labelsTr/{case}.nii.gz"} for case in CASES]
    content = {
        "name": "Hippocampus",
        "description": "procedural twin",
        "tensorImageSize": "3D",
        "modality": {"0": "MRI"},
        "labels": {"0": "background", "1": "Anterior", "2": "Posterior"},
        "numTraining": len(files),
        "numTest": 0,
        "training": files,
        "test": [],
    }
    (root / "dataset.json").write_text(json.dumps(content, indent=1), encoding="utf-8")


def write_pair(root: Path, case: str, seed: int = 0) -> None:
    """Write one Decathlon pair, cropped around a hippocampus of either side."""
    rng = numpy_generator(seed, "phantom", "hippocampus", DECATHLON.name, case, "crop")
    side = "LR"[int(rng.integers(2))]
    shape = (int(rng.integers(34, 39)), int(rng.integers(49, 55)), int(rng.integers(36, 42)))
    shift = rng.normal(0.0, 1.0, 3)
    origin = (26.5 * SIGN[side] + shift[0], shift[1], -7.0 + shift[2])
    image, parts, _ = scan_side(DECATHLON, case, side, Grid(shape, (1.0, 1.0, 1.0)), origin, seed)
    affine = np.eye(4)
    affine[:3, 3] = 1.0
    if rng.uniform() < 0.4:
        stored: NDArray[Any] = np.rint(255 * image / image.max()).astype(np.uint8)
    else:
        stored = (image * 10.0 ** rng.uniform(2.0, 6.0)).astype(np.float32)
    write_nifti(root / "imagesTr" / f"{case}.nii.gz", stored, affine)
    mask = parts.astype(np.float32) if case in FLOAT_MASKS else parts
    write_nifti(root / "labelsTr" / f"{case}.nii.gz", mask, affine)


def scan_side(
    site: Site, patient: str, side: str, grid: Grid, origin: Triple, seed: int = 0
) -> tuple[Array, NDArray[np.uint8], NDArray[np.uint8]]:
    """One side of one patient in one site's scanner.

    Args:
        site: where.
        patient: name; patients of different sites have nothing in common.
        side: ``L`` or ``R``.
        grid: voxels.
        origin: middle of the grid in the anatomy, in mm.
        seed: of the whole phantom.

    Returns:
        The image (X, Y, Z) float64 in the site's scale, the parts and the subfields (X, Y, Z) uint8.
    """
    names = ("phantom", "hippocampus", site.name, patient)
    scanner = numpy_generator(seed, *names, "scanner")  # the same for both sides
    gain, gamma = site.scale * np.exp(scanner.normal(0.0, 0.2)), site.gamma * scanner.normal(1.0, 0.05)
    rng = numpy_generator(seed, *names, side)
    anatomy = draw_hippocampus(rng, SIGN[side], site.atrophy * scanner.uniform())
    picture, parts, subfields = paint_side(rng, anatomy, grid, origin, t1_weighted(site.recovery_ms))
    seen = blur(np.maximum(picture, 0.0) ** gamma, grid, site.blur_mm, axes=(0, 1, 2))
    outward = SIGN[side] * (grid.coordinates[0] + origin[0]) / FAR_MM
    field = bias_field(rng, grid, site.bias) * np.exp(site.shade * (outward - 0.5))
    image = rician(rng, seen * field, site.noise)
    return gain * image, parts, subfields


def _head(
    site: Site, patient: str, seed: int
) -> tuple[NDArray[np.float32], dict[str, NDArray[np.uint8]], dict[str, NDArray[np.uint8]]]:
    """The whole head with both sides, and parts and subfields by side, all (X, Y, Z) in Fortran order."""
    head = np.zeros(HEAD, dtype=np.float32, order="F")
    parts, subfields = ({side: np.zeros(HEAD, dtype=np.uint8, order="F") for side in BLOCK_START} for _ in range(2))
    for side, start in BLOCK_START.items():
        block = tuple(slice(first, first + size) for first, size in zip(start, BLOCK_GRID.shape, strict=True))
        found = scan_side(site, patient, side, BLOCK_GRID, BLOCK_ORIGIN[side], seed)
        head[block], parts[side][block], subfields[side][block] = found
    return head, parts, subfields


def _affine() -> NDArray[np.float64]:
    affine = np.eye(4)
    affine[:3, 3] = START_MM
    return affine
