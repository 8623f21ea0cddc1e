"""Check: reads every voxel of every case and lists all problems and voxel-level traps at once."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from clbench.data.case import Case, Trap
from clbench.data.findings import CaseFindings, Fault, Oddity, Scale, remembered
from clbench.data.nifti import Volume, assemble, read_case_mask, read_volume
from clbench.errors import InputError

SCALES_DIFFER = 10.0  # from this ratio of their maxima on, images do not share a scale
LEAST_SPACING_MM, MOST_SPACING_MM = 0.01, 50.0
HEADER_ROUNDING_MM = 1e-6  # below this, image and mask headers are the same number written twice


@dataclass(frozen=True)
class Problem:
    """Why a case cannot be used.

    Attributes:
        case_id: the case.
        file: the file at fault.
        what: what is wrong and how to mend it, without the file's name.
        kind: the same in a word or two, which tell nothing of names and places.
    """

    case_id: str
    file: Path
    what: str
    kind: str = field(default="", compare=False)


@dataclass(frozen=True)
class Findings:
    """What a check found, in the order of the case ids."""

    problems: tuple[Problem, ...]
    traps: tuple[Trap, ...]


def check_cases(cases: Iterable[Case], workers: int = 0) -> list[Problem]:
    """Every problem of every case; see ``inspect_cases``, which also gives the traps."""
    return list(inspect_cases(cases, workers).problems)


def inspect_cases(cases: Iterable[Case], workers: int = 0, cache: Path | None = None) -> Findings:
    """Read all cases in parallel and collect what is wrong and what is odd.

    Args:
        cases: each case id is checked once.
        workers: threads; 0 takes up to eight, one per processor. Each holds one case in memory.
        cache: folder that remembers what was found by the files' content; None reads every case.

    Returns:
        Problems (a case that training would refuse, has an absurd spacing, shows no label, or has the voxels of
        another one) and traps that only voxels and headers show: ``two-zone-labels``, ``float-mask``,
        ``mask-offset``, ``mask-header-differs``, ``spacing-disagrees``, ``intensity-scales-differ`` and, where it is no
        fault, ``empty-mask``.

    Raises:
        RunError: the cache's disk is full or fails.
    """
    unique = {case.case_id: case for case in cases}
    ordered = [unique[case_id] for case_id in sorted(unique)]
    with ThreadPoolExecutor(max_workers=workers or min(8, os.cpu_count() or 1)) as pool:
        found = list(pool.map(lambda case: remembered(case, cache, _look), ordered))
    root = _common_folder(ordered)
    problems: list[Problem] = []
    traps: dict[Trap, None] = {}  # frames of one 4-D file share its header's traps
    first: dict[str, Case] = {}
    for case, of_case in zip(ordered, found, strict=True):
        files = (*case.images, case.mask)
        problems += [Problem(case.case_id, files[fault.file], fault.what, fault.kind) for fault in of_case.faults]
        for odd in of_case.oddities:
            traps[Trap(odd.kind, os.path.relpath(files[odd.file], root), odd.action)] = None
        twin = first.setdefault(of_case.voxels, case) if of_case.voxels else case
        if twin is not case:
            what = f"has the same voxels as case {twin.case_id}: one may be learned and the other tested; remove one"
            problems.append(Problem(case.case_id, case.images[0], what, "same voxels as another case"))
    return Findings(tuple(problems), (*traps, *_scale_trap([scale for one in found for scale in one.scales])))


def _common_folder(cases: Iterable[Case]) -> Path:
    folders = [str(file.parent) for case in cases for file in (*case.images, case.mask)]
    return Path(os.path.commonpath(folders)) if folders else Path()


def _scale_trap(scales: Sequence[Scale]) -> tuple[Trap, ...]:
    """A trap when the largest values of the images lie far apart."""
    tops = sorted(scale.top for scale in scales if scale.top > 0)
    if not tops or tops[-1] < SCALES_DIFFER * tops[0]:
        return ()
    types = ", ".join(sorted({scale.stored_as for scale in scales}))
    action = f"largest values from {tops[0]:.3g} to {tops[-1]:.3g}, stored as {types}; each is normalized on its own"
    return (Trap("intensity-scales-differ", f"{len(scales)} images", action),)


def _look(case: Case) -> CaseFindings:
    """Read a case and say what is wrong and odd about it."""
    faults: list[Fault] = []
    images = [_try_image(case, path, faults) for path in case.images]
    mask = _try_mask(case, faults)
    usable = [image for image in images if image is not None]
    scales = tuple(Scale(float(image.array.max()), str(image.stored_dtype)) for image in usable)
    if mask is None or len(usable) < len(images):
        return CaseFindings(tuple(faults), scales=scales)
    voxels = ""
    try:
        voxels = _voxel_hash(assemble(case, usable, mask).image)
    except InputError as error:
        faults.append(_fault(case, case.mask, error, "image and mask do not fit"))
    return CaseFindings(tuple(faults), tuple(_oddities(case, usable[0], mask)), voxels, scales)


def _voxel_hash(image: NDArray[np.float32]) -> str:
    """Of values and shape; how a file packs or names them does not matter."""
    digest = hashlib.sha256(str(image.shape).encode())
    digest.update(np.ascontiguousarray(image).data)
    return digest.hexdigest()


def _try_image(case: Case, path: Path, faults: list[Fault]) -> Volume | None:
    try:
        volume = read_volume(path, case.channel)
    except InputError as error:
        faults.append(_fault(case, path, error, "image cannot be used"))
        return None
    at = case.images.index(path)
    if volume.array.min() == volume.array.max():
        faults.append(Fault(at, "image is constant; remove the case or repair the file", "constant image"))
    if not all(LEAST_SPACING_MM <= size <= MOST_SPACING_MM for size in volume.spacing_mm):
        spacing = " x ".join(f"{size:g}" for size in volume.spacing_mm)
        faults.append(
            Fault(
                at,
                f"has voxels of {spacing} mm, which no scanner gives; repair the header's spacing or unit",
                "absurd spacing",
            )
        )
    return volume


def _try_mask(case: Case, faults: list[Fault]) -> Volume | None:
    try:
        mask = read_case_mask(case)
    except InputError as error:
        faults.append(_fault(case, case.mask, error, "mask cannot be used"))
        return None
    if not case.may_be_empty and not mask.array.any():
        faults.append(
            Fault(
                len(case.images),
                "mask is empty; label the case, remove it, or allow empty_masks in the card",
                "empty mask",
            )
        )
    return mask


def _fault(case: Case, path: Path, error: InputError, kind: str) -> Fault:
    """Messages of the readers start with the file at fault, which has a field of its own here."""
    text, files = str(error), (*case.images, case.mask)
    file = next((file for file in files if text.startswith(f"{file}: ")), path)
    return Fault(files.index(file), text.removeprefix(f"{file}: "), kind)


def _oddities(case: Case, image: Volume, mask: Volume) -> list[Oddity]:
    found = {
        "float-mask": _float_mask(mask),
        "mask-offset": f"background is {mask.offset:.9g}; subtracted" if mask.offset else "",
        "two-zone-labels": _merged_labels(case, mask),
        "empty-mask": "" if mask.array.any() or not case.may_be_empty else "no labeled voxel; used as it is",
        "mask-header-differs": _header_difference(image, mask),
    }
    odd = [Oddity(kind, len(case.images), action) for kind, action in found.items() if action]
    if not np.allclose(np.linalg.norm(image.affine[:3, :3], axis=0), image.spacing_mm, rtol=1e-3):
        action = "affine and voxel spacing of the header disagree; the spacing is used"
        odd.append(Oddity("spacing-disagrees", 0, action))
    return odd


def _float_mask(mask: Volume) -> str:
    return "stored as floats; rounded to integers" if mask.stored_dtype.kind == "f" else ""


def _merged_labels(case: Case, mask: Volume) -> str:
    """What was merged when two mask values become the same label of the stream."""
    raw = [int(value) for value in np.unique(mask.array) if case.label_values.get(int(value), 0)]
    if len({case.label_values[value] for value in raw}) == len(raw):
        return ""
    return f"values {', '.join(str(value) for value in raw)} merged into one label"


def _header_difference(image: Volume, mask: Volume) -> str:
    """How far the mask's header moves a corner of the grid away from the image's."""
    if image.array.shape != mask.array.shape:
        return ""
    corners = np.array(np.meshgrid(*[(0, size - 1) for size in image.array.shape], [1], indexing="ij")).reshape(4, -1)
    moved = ((mask.affine - image.affine) @ corners)[:3]
    distance_mm = float(np.linalg.norm(moved, axis=0).max())
    if distance_mm <= HEADER_ROUNDING_MM:
        return ""
    return f"mask header is off by up to {distance_mm:.2g} mm; the image's geometry is used"
