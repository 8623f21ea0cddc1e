"""The procedural twin of the M&Ms data set: same files, same traps, invented patients."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from clbench.data.phantom.files import nifti_bytes, scanner_affine, write_macos_twin, write_nifti
from clbench.data.phantom.scanners import SCANNERS, Scanner
from clbench.data.phantom.shapes import Array, Grid
from clbench.data.phantom.sparse import sparse_gzip
from clbench.data.phantom.texture import bias_field, blur, rician
from clbench.data.phantom.thorax import Thorax, draw_heart, spoiled, steady_state
from clbench.seeding import numpy_generator

TABLE = "211230_M&Ms_Dataset_information_diagnosis_opendataset.csv"
COLUMNS = ("", "External code", "VendorName", "Vendor", "Centre", "ED", "ES", "Age", "Pathology", "Sex")
UNLABELED = "Training/Unlabeled"
CONTRACTION = (0.0, 0.6, 1.0, 0.4)  # over one heartbeat, from end diastole
SYSTOLE = 2  # where it is 1
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"


@dataclass(frozen=True)
class Patient:
    """A row of the table.

    Attributes:
        code: name of the folder; such codes mix letters and digits.
        folder: under ``OpenDataset``.
        scanner: where the patient was scanned.
        ed, es: frames of end diastole and end systole.
    """

    code: str
    folder: str
    scanner: Scanner
    ed: int
    es: int

    @property
    def labeled(self) -> bool:
        """Whether the masks hold anything."""
        return self.folder != UNLABELED


def write(root: Path, seed: int = 0) -> None:
    """Write ``OpenDataset``.

    Fewer patients than the original (42 labeled instead of 320), four frames instead of about 25, coarser voxels, a
    narrower field of view; same names and same traps: a table with a date in its name, 4-D series with masks at two
    frames only, a series that does not start at end diastole, empty masks under ``Training/Unlabeled``, a macOS ``._``
    file.

    Args:
        root: an existing folder.
        seed: equal seeds give equal bytes.
    """
    dataset = root / "OpenDataset"
    everyone = patients(seed)
    for patient in everyone:
        write_patient(dataset, patient, seed)
    write_table(dataset, everyone)
    first = everyone[0]
    write_macos_twin(dataset / first.folder / first.code / f"{first.code}_sa.nii.gz")


def patients(seed: int = 0) -> tuple[Patient, ...]:
    """Everyone in the table, sorted by code."""
    found: dict[str, Patient] = {}
    for scanner in SCANNERS:
        names = [folder for folder, count in scanner.folders.items() for _ in range(count)]
        for number, folder in enumerate(names):
            rng = numpy_generator(seed, "phantom", "mnms", scanner.centre, number, "row")
            code = "".join(rng.choice(list(_LETTERS), 6))
            ed = int(rng.choice(len(CONTRACTION), p=[0.7, 0.1, 0.1, 0.1]))
            found[code] = Patient(code, folder, scanner, ed, (ed + SYSTOLE) % len(CONTRACTION))
    return tuple(found[code] for code in sorted(found))


def write_table(dataset: Path, everyone: tuple[Patient, ...]) -> None:
    """Write the table; unlabeled patients have no frames in it."""
    with (dataset / TABLE).open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for number, patient in enumerate(everyone):
            scanner = patient.scanner
            frames = (patient.ed, patient.es) if patient.labeled else ("", "")
            writer.writerow(
                [number, patient.code, scanner.vendor_name, scanner.vendor, scanner.centre, *frames, "", "NOR", ""]
            )


def write_patient(dataset: Path, patient: Patient, seed: int = 0) -> None:
    """Write the series and its mask into the patient's folder, which is made."""
    folder = dataset / patient.folder / patient.code
    folder.mkdir(parents=True)
    image, mask = scan(patient, seed)
    affine = scanner_affine(patient.scanner.grid, patient.scanner.tilt_deg)
    write_nifti(folder / f"{patient.code}_sa.nii.gz", image, affine)
    (folder / f"{patient.code}_sa_gt.nii.gz").write_bytes(sparse_gzip(nifti_bytes(mask, affine)))


def scan(patient: Patient, seed: int = 0) -> tuple[NDArray[Any], NDArray[np.uint8]]:
    """One patient's series.

    Args:
        patient: who, and in which scanner; patients with different codes have nothing in common.
        seed: of the whole phantom.

    Returns:
        The image (X, Y, Z, T) of the scanner's dtype, and the labels (X, Y, Z, T) uint8, empty but at ED and ES.
    """
    names, scanner = ("phantom", "mnms", patient.code), patient.scanner
    heart = draw_heart(numpy_generator(seed, *names, "patient"))
    signal = (spoiled if scanner.spoiled else steady_state)(scanner.flip_deg, scanner.fat)
    thorax = Thorax(numpy_generator(seed, *names, "tissue"), heart, scanner.grid, signal)
    pictures, labels = zip(*(thorax.frame(contraction) for contraction in CONTRACTION), strict=True)
    series = [picture / signal["blood"] for picture in pictures]
    image = _acquire(numpy_generator(seed, *names, "scanner"), scanner, series)
    mask = np.stack(labels, axis=-1)
    annotated = (0, SYSTOLE) if patient.labeled else ()
    mask[..., [frame for frame in range(len(CONTRACTION)) if frame not in annotated]] = 0
    return np.roll(image, patient.ed, axis=-1), np.roll(mask, patient.ed, axis=-1)


def _acquire(rng: np.random.Generator, scanner: Scanner, series: list[Array]) -> NDArray[Any]:
    """Contrast curve, point spread, receive field, noise and number scale of a scanner."""
    gamma, gain = scanner.gamma * rng.normal(1.0, 0.05), scanner.scale * np.exp(rng.normal(0.0, 0.25))
    field = bias_field(rng, scanner.grid, scanner.bias) * _bands(rng, scanner.grid, scanner.banding)
    seen = [blur(np.maximum(picture, 0.0) ** gamma, scanner.grid, scanner.blur_mm) for picture in series]
    noisy = np.stack([rician(rng, picture * field, scanner.noise) for picture in seen], axis=-1)
    stored: NDArray[Any] = np.clip(np.rint(gain * noisy), 0, 32767).astype(scanner.dtype)
    return stored


def _bands(rng: np.random.Generator, grid: Grid, depth: float) -> Array:
    """Dark bands about 90 mm apart where the field is off resonance, 1 between them."""
    angle, phase = rng.uniform(0.0, np.pi), rng.uniform(0.0, np.pi)
    x, y, z = grid.coordinates
    wave = np.sin(np.pi * (np.cos(angle) * x + np.sin(angle) * y + 0.3 * z) / 90.0 + phase)
    return np.asarray(1.0 - depth * np.exp(-((wave / 0.25) ** 2)))
