"""Dryad (MNI-HISUB25): 25 healthy subjects in MNI space with hippocampal subfields per side."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clbench.data.case import Case, Listing, Trap
from clbench.data.layouts.files import entries, macos_trap, nifti_files
from clbench.data.layouts.gathering import complete, gathering
from clbench.data.layouts.labels import one_label
from clbench.data.layouts.sides import LETTERS, SIDES, side_case
from clbench.errors import InputError

_SUBJECT = re.compile(r"s(?P<number>\d+)", re.IGNORECASE)


def read(root: Path, labels: Mapping[str, int], options: Mapping[str, Any]) -> Listing:
    """List two cases per subject, left and right; the group is the side.

    Each case is a crop of the whole head at 1 mm; a left hippocampus is kept as it lies, see ``side_case``. The
    subfields (1 subiculum, 2 CA1-3, 3 CA4 and dentate gyrus) become one label. The high-resolution and T2-weighted
    files beside them are not used.

    Args:
        root: folder that holds the subjects' folders, ``s01`` to ``s25``.
        labels: the stream's single label.
        options: none.

    Raises:
        InputError: other than one label, no subject, or a subject without its image or a mask.

    Source: Kulaga-Yoskovitz et al. 2015, Scientific Data 2:150059; doi 10.5061/dryad.gc72v.
    """
    values = one_label(labels, root)
    folders = [path for path in entries(root) if path.is_dir() and _SUBJECT.fullmatch(path.name)]
    if not folders:
        raise InputError(f"{root}: holds no subject folder such as s01; point to the folder that does")
    cases: list[Case] = []
    traps: list[Trap] = list(macos_trap(root, root))
    problems: list[str] = []
    for folder in folders:
        with gathering(problems):
            cases += _subject(folder, values, problems)
            traps += macos_trap(folder, root)
    return complete(cases, (*traps, *_gaps(folders)), problems)


def _subject(folder: Path, values: Mapping[int, int], problems: list[str]) -> list[Case]:
    name = folder.name.lower()
    files = {stem.lower(): path for stem, path in nifti_files(folder).items()}
    image: Path | None = None
    with gathering(problems):
        image = _needed(files, f"{name}_t1w_standard_defaced_mni", folder)
    cases = []
    for side in SIDES:
        with gathering(problems):
            mask = _needed(files, f"{name}_hippolabels_t1w_standard_{LETTERS[side]}_mni", folder)
            if image is not None:
                cases.append(side_case(name, name, side, image, mask, values))
    return cases


def _needed(files: Mapping[str, Path], stem: str, folder: Path) -> Path:
    if stem not in files:
        published = re.sub(r"(_[lr])?_mni$", lambda end: end[0].upper(), stem)
        raise InputError(f"{folder}: {published}.nii.gz is missing; complete the download")
    return files[stem]


def _gaps(folders: list[Path]) -> list[Trap]:
    """Subjects that the numbering skips."""
    numbers = {int(folder.name[1:]) for folder in folders}
    action = "went on without it; check that the download is complete"
    return [
        Trap("missing-case-number", f"s{number:02d}", action)
        for number in range(1, max(numbers))
        if number not in numbers
    ]
