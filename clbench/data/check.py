"""Check: reads every voxel of every case and lists all problems and voxel-level traps at once."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from clbench.data.case import Case, Trap
from clbench.data.nifti import Volume, assemble, read_case_mask, read_volume
from clbench.errors import InputError

SCALES_DIFFER = 10.0  # from this ratio of their maxima on, images do not share a scale
HEADER_ROUNDING_MM = 1e-6  # below this, image and mask headers are the same number written twice


@dataclass(frozen=True)
class Problem:
    """Why a case cannot be used.

    Attributes:
        case_id: the case.
        file: the file at fault.
        what: what is wrong and how to mend it, without the file's name.
    """

    case_id: str
    file: Path
    what: str


@dataclass(frozen=True)
class Findings:
    """What a check found, in the order of the case ids."""

    problems: tuple[Problem, ...]
    traps: tuple[Trap, ...]


@dataclass(frozen=True)
class _Scale:
    """The largest value of an image and the type it is stored as."""

    top: float
    stored_as: str


def check_cases(cases: Iterable[Case], workers: int = 0) -> list[Problem]:
    """Every problem of every case; see ``inspect_cases``, which also gives the traps."""
    return list(inspect_cases(cases, workers).problems)


def inspect_cases(cases: Iterable[Case], workers: int = 0) -> Findings:
    """Read all cases in parallel and collect what is wrong and what is odd.

    Args:
        cases: each case id is checked once.
        workers: threads; 0 takes up to eight, one per processor. Each holds one case in memory.

    Returns:
        Problems (a case that training would refuse) and traps that only voxels and headers show: ``two-zone-labels``,
        ``float-mask``, ``mask-offset``, ``mask-header-differs``, ``spacing-disagrees``, ``empty-mask`` and
        ``intensity-scales-differ``.
    """
    unique = {case.case_id: case for case in cases}
    ordered = [unique[case_id] for case_id in sorted(unique)]
    root = _common_folder(ordered)
    with ThreadPoolExecutor(max_workers=workers or min(8, os.cpu_count() or 1)) as pool:
        found = list(pool.map(lambda case: _inspect(case, root), ordered))
    problems = tuple(problem for one, _ in found for problem in one.problems)
    traps = {trap: None for one, _ in found for trap in one.traps}  # frames of one 4-D file share its header's traps
    scales = [scale for _, some in found for scale in some]
    return Findings(problems, (*traps, *_scale_trap(scales)))


def _common_folder(cases: Iterable[Case]) -> Path:
    folders = [str(file.parent) for case in cases for file in (*case.images, case.mask)]
    return Path(os.path.commonpath(folders)) if folders else Path()


def _scale_trap(scales: Sequence[_Scale]) -> tuple[Trap, ...]:
    """A trap when the largest values of the images lie far apart."""
    tops = sorted(scale.top for scale in scales if scale.top > 0)
    if not tops or tops[-1] < SCALES_DIFFER * tops[0]:
        return ()
    types = ", ".join(sorted({scale.stored_as for scale in scales}))
    action = f"largest values from {tops[0]:.3g} to {tops[-1]:.3g}, stored as {types}; each is normalized on its own"
    return (Trap("intensity-scales-differ", f"{len(scales)} images", action),)


def _inspect(case: Case, root: Path) -> tuple[Findings, list[_Scale]]:
    problems: list[Problem] = []
    images = [_try_image(case, path, problems) for path in case.images]
    mask = _try_mask(case, problems)
    usable = [image for image in images if image is not None]
    scales = [_Scale(float(image.array.max()), str(image.stored_dtype)) for image in usable]
    if mask is None or len(usable) < len(images):
        return Findings(tuple(problems), ()), scales
    try:
        assemble(case, usable, mask)
    except InputError as error:
        problems.append(_problem(case, case.mask, error))
    return Findings(tuple(problems), tuple(_traps(case, usable[0], mask, root))), scales


def _try_image(case: Case, path: Path, problems: list[Problem]) -> Volume | None:
    try:
        volume = read_volume(path, case.channel)
    except InputError as error:
        problems.append(_problem(case, path, error))
        return None
    if volume.array.min() == volume.array.max():
        problems.append(Problem(case.case_id, path, "image is constant; remove the case or repair the file"))
    return volume


def _try_mask(case: Case, problems: list[Problem]) -> Volume | None:
    try:
        return read_case_mask(case)
    except InputError as error:
        problems.append(_problem(case, case.mask, error))
        return None


def _problem(case: Case, path: Path, error: InputError) -> Problem:
    """Messages of the readers start with the file at fault, which has a field of its own here."""
    text = str(error)
    file = next((file for file in (*case.images, case.mask) if text.startswith(f"{file}: ")), path)
    return Problem(case.case_id, file, text.removeprefix(f"{file}: "))


def _traps(case: Case, image: Volume, mask: Volume, root: Path) -> list[Trap]:
    where = os.path.relpath(case.mask, root)
    found = {
        "float-mask": _float_mask(mask),
        "mask-offset": f"background is {mask.offset:.9g}; subtracted" if mask.offset else "",
        "two-zone-labels": _merged_labels(case, mask),
        "empty-mask": "" if mask.array.any() else "no labeled voxel; used as it is",
        "mask-header-differs": _header_difference(image, mask),
    }
    traps = [Trap(kind, where, action) for kind, action in found.items() if action]
    if not np.allclose(np.linalg.norm(image.affine[:3, :3], axis=0), image.spacing_mm, rtol=1e-3):
        action = "affine and voxel spacing of the header disagree; the spacing is used"
        traps.append(Trap("spacing-disagrees", os.path.relpath(case.images[0], root), action))
    return traps


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
