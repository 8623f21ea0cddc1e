"""ACDC short-axis cine MRI: one folder per patient, with an end-diastolic and an end-systolic frame."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from clbench.data.case import Case, Listing, Trap
from clbench.data.layouts.files import entries, macos_trap, nifti_files
from clbench.data.layouts.gathering import complete, gathering
from clbench.data.layouts.labels import map_labels
from clbench.data.nifti_file import decode_header
from clbench.errors import InputError
from clbench.wording import counted

RAW_LABELS = {0: "background", 1: "rv", 2: "myocardium", 3: "lv"}
SPACING_LOST = "every header says 1 x 1 x 1 mm: the spacing was lost, and distances in mm mean nothing"
_PATIENT = re.compile(r"patient\d+", re.IGNORECASE)


def read(root: Path, labels: Mapping[str, int], options: Mapping[str, Any]) -> Listing:
    """List two cases per patient, grouped by the diagnosis in ``Info.cfg``.

    Args:
        root: folder that holds the patientNNN folders.
        labels: the stream's labels; raw names are ``rv`` (cavity), ``myocardium`` and ``lv`` (cavity).
        options: ``rename``.

    Raises:
        InputError: no patients, an unreadable Info.cfg, a frame or its mask missing, a mask too many, or a label
            without counterpart.

    Source: Bernard et al. 2018, IEEE TMI 37(11):2514-2525.
    """
    values = map_labels(RAW_LABELS, labels, options.get("rename", {}), root)
    folders = [path for path in entries(root) if path.is_dir() and _PATIENT.fullmatch(path.name)]
    if not folders:
        raise InputError(f"{root}: holds no patientNNN folder; point to the folder that does, such as training/")
    cases: list[Case] = []
    traps: list[Trap] = list(macos_trap(root, root))
    problems: list[str] = []
    for folder in folders:
        with gathering(problems):
            cases += _patient(folder, values, problems)
            traps += macos_trap(folder, root)
    return complete(cases, (*traps, *([] if problems else _spacing_trap(cases))), problems)


def _spacing_trap(cases: Sequence[Case]) -> list[Trap]:
    """A trap when every header has the spacing of a file that was written without one; no scan of ACDC is isotropic.

    Published files end the search at the first one, and so does a file that cannot be read: the check names it.
    """
    try:
        lost = all(decode_header(case.mask).spacing_mm == (1.0, 1.0, 1.0) for case in cases)
    except InputError:
        return []
    return [Trap("spacing-lost", counted(len(cases), "case"), SPACING_LOST)] if lost else []


def _patient(folder: Path, values: Mapping[int, int], problems: list[str]) -> list[Case]:
    info_file = folder / "Info.cfg"
    info = _info(info_file)
    patient = folder.name.lower()
    frames, group = [_frame(info, key, info_file) for key in ("ED", "ES")], _entry(info, "Group", info_file)
    if frames[0] == frames[1]:
        raise InputError(f"{info_file}: ED and ES are both frame {frames[0]}; correct one")
    files = {stem.lower(): path for stem, path in nifti_files(folder).items()}
    cases = []
    for frame in frames:
        name = f"{patient}_frame{frame:02d}"
        missing = [stem for stem in (name, f"{name}_gt") if stem not in files]
        problems += [f"{folder}: {stem}.nii.gz is missing; complete the download" for stem in missing]
        if not missing:
            cases.append(Case(name, patient, (files[name],), files[f"{name}_gt"], values, group=group))
    named = {f"{patient}_frame{frame:02d}_gt" for frame in frames}
    extra = [path for stem, path in files.items() if stem.endswith("_gt") and stem not in named]
    problems += [f"{path}: mask is of no frame that Info.cfg names; correct that or move it away" for path in extra]
    return cases


def _info(path: Path) -> dict[str, str]:
    """The ``key: value`` lines of Info.cfg, keys in lower case."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path}: cannot be read ({getattr(error, 'strerror', None) or 'not text'}); copy or download it again"
        ) from None
    pairs = (line.partition(":") for line in lines if ":" in line)
    return {key.strip().lower(): value.strip() for key, _, value in pairs}


def _entry(info: Mapping[str, str], key: str, path: Path) -> str:
    if not info.get(key.lower()):
        raise InputError(f"{path}: has no line '{key}: ...'; copy or download it again")
    return info[key.lower()]


def _frame(info: Mapping[str, str], key: str, path: Path) -> int:
    text = _entry(info, key, path)
    if not (text.isascii() and text.isdigit()):
        raise InputError(f"{path}: {key} is '{text}', expected a frame number")
    return int(text)
