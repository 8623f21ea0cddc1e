"""HarP: the harmonized hippocampal protocol's 135 ADNI scans, MINC images and one NIfTI mask per side."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from clbench.data.case import Case, Listing, Trap
from clbench.data.layouts.files import entries, macos_trap, nifti_files
from clbench.data.layouts.gathering import IncompleteError, complete, gathering
from clbench.data.layouts.labels import one_label
from clbench.data.layouts.sides import LETTERS, SIDES, side_case
from clbench.errors import InputError, unknown

SUBSETS = ("100", "35")
# scans whose _L mask outlines the right hippocampus and whose _R mask the left one
SWAPPED = frozenset(
    {"ADNI_007_S_1304_74384", "ADNI_016_S_4121_280306", "ADNI_029_S_4279_265980", "ADNI_136_S_0429_109839"}
)
_SCAN = r"(?P<scan>(?P<patient>adni_\d+_s_\d+)_\d+)"
_IMAGE = re.compile(_SCAN + r"(_.*)?\.mnc", re.IGNORECASE)
_MASK = re.compile(_SCAN + r"_(?P<side>[lr])", re.IGNORECASE)


def read(root: Path, labels: Mapping[str, int], options: Mapping[str, Any]) -> Listing:
    """List two cases per scan, left and right; the patient is the ADNI subject, the group the side.

    Each case is a crop of the whole head, found through the header of each file: MINC images commonly run z, y, x and
    NIfTI masks x, y, z. A left hippocampus is kept as it lies; see ``side_case``. Masks hold {k, k + 1}, where k need
    not be 0 or even an integer: the smallest value is background. Sides are those of the anatomy; four scans have them
    swapped in the names of their masks.

    Taken for granted, since the collection is not open: image names begin with the scan's name, such as
    ``ADNI_007_S_1304_74384_ACPC.mnc``; masks are ``<scan>_L.nii`` and ``<scan>_R.nii``; headers state the orientation
    truly. Where one does not, the crop cuts off labeled voxels, which is an error and never passes unseen.

    Args:
        root: folder that holds ``100``, ``35``, ``Labels_100_NIFTI`` and ``Labels_35_NIFTI``.
        labels: the stream's single label.
        options: ``subsets`` lists the subsets to read; both when absent.

    Raises:
        InputError: other than one label, an unknown or missing subset, or an image or mask without its partner.

    Source: Boccardi et al. 2015, Alzheimer's & Dementia 11(2):175-183; hippocampal-protocol.net.
    """
    values = one_label(labels, root)
    cases: list[Case] = []
    traps: list[Trap] = []
    problems: list[str] = []
    for subset in options.get("subsets", SUBSETS):
        if subset not in SUBSETS:
            raise unknown("HarP subset", subset, SUBSETS)
        with gathering(problems):
            images, masks = _folders(root, (subset, f"Labels_{subset}_NIFTI"))
            found = _scans(images, masks, values, problems)
            cases += found
            traps += [*macos_trap(images, root), *macos_trap(masks, root), *_traps(found, images, root)]
    return complete(cases, traps, problems)


def _folders(root: Path, names: Iterable[str]) -> list[Path]:
    found: list[Path] = []
    problems: list[str] = []
    for name in names:
        with gathering(problems):
            found.append(_folder(root, name))
    if problems:
        raise IncompleteError(problems)
    return found


def _folder(root: Path, name: str) -> Path:
    found = [path for path in entries(root) if path.is_dir() and path.name.casefold() == name.casefold()]
    if not found:
        raise InputError(f"{root}: no folder {name}; complete the download")
    return found[0]


def _scans(image_folder: Path, mask_folder: Path, values: Mapping[int, int], problems: list[str]) -> list[Case]:
    images, masks = _images(image_folder, problems), _masks(mask_folder)
    cases = []
    for scan, image in images.items():
        for side in SIDES:
            letter = LETTERS[side] if scan not in SWAPPED else LETTERS[_other(side)]
            mask = masks.pop((scan, letter), None)
            if mask is None:
                lacks = f"{scan}_{letter.upper()} in {mask_folder.name}"
                problems.append(f"{image}: has no mask {lacks}; complete the download")
                continue
            case = side_case(scan, scan.rpartition("_")[0], side, image, mask, values)
            cases.append(replace(case, mask_from_minimum=True))
    lone = masks.values()
    problems += [f"{mask}: mask has no image in {image_folder.name}; complete the download" for mask in lone]
    return cases


def _images(folder: Path, problems: list[str]) -> dict[str, Path]:
    """Scan -> image."""
    found: dict[str, Path] = {}
    for path in entries(folder):
        if path.suffix.lower() != ".mnc":
            continue
        match = _IMAGE.fullmatch(path.name)
        if match is None:
            problems.append(f"{path}: image name is not like ADNI_007_S_1304_74384_ACPC.mnc; rename it")
            continue
        twin = found.setdefault(match["scan"].upper(), path)
        if twin != path:
            problems.append(f"{path}: same scan as {twin.name}; keep one of them")
    if not found:
        raise InputError(f"{folder}: holds no ADNI_*.mnc image; complete the download")
    return found


def _masks(folder: Path) -> dict[tuple[str, str], Path]:
    """Scan and letter of the side -> mask."""
    matches = ((_MASK.fullmatch(stem), path) for stem, path in nifti_files(folder).items())
    return {(match["scan"].upper(), match["side"].lower()): path for match, path in matches if match}


def _other(side: str) -> str:
    return next(other for other in SIDES if other != side)


def _traps(cases: list[Case], folder: Path, root: Path) -> list[Trap]:
    where = folder.relative_to(root).as_posix()
    order = "MINC images and NIfTI masks order their axes differently; each brought to RAS by its own header"
    scans = sorted({case.case_id.rpartition("_")[0] for case in cases} & SWAPPED)
    swapped = [Trap("swapped-sides", f"{where}/{scan}", "mask _L read as right, mask _R as left") for scan in scans]
    return [Trap("axis-order-differs", where, order), *swapped]
