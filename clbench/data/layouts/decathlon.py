"""Medical Segmentation Decathlon: image and mask pairs listed in dataset.json."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clbench.data.case import Case, Listing
from clbench.data.layouts import dataset_json
from clbench.data.layouts.files import inside, macos_trap, nifti_files, nifti_stem
from clbench.data.layouts.gathering import complete, gathering
from clbench.data.layouts.labels import map_labels
from clbench.data.layouts.patients import several_cases_trap, with_patients
from clbench.errors import InputError


def read(root: Path, labels: Mapping[str, int], options: Mapping[str, Any]) -> Listing:
    """List the training pairs, named after the image's stem; each its own patient unless ``patient`` is given.

    Args:
        root: folder that holds dataset.json.
        labels: the stream's labels, matched by name.
        options: ``rename``; ``channel`` of 4-D images; ``group`` put on every case; ``patient``, see
            ``patients.with_patients``.

    Raises:
        InputError: dataset.json is damaged or lists a file that is missing or outside, a mask is not listed, a label
            has no counterpart, or ``patient`` does not fit a name.

    Source: Simpson et al. 2019, arXiv 1902.09063.
    """
    content = dataset_json.load(root)
    path = root / dataset_json.NAME
    values = map_labels(dataset_json.raw_labels(content, path), labels, options.get("rename", {}), path)
    cases: dict[str, Case] = {}
    problems: list[str] = []
    for image, mask in _pairs(content, root, path, problems):
        with gathering(problems):
            stem = nifti_stem(image.name, path)
            if stem in cases:
                raise InputError(f"{path}: lists the image {stem} twice")
            group, channel = options.get("group", ""), options.get("channel")
            cases[stem] = Case(stem, stem, (image,), mask, values, group=group, channel=channel)
    with gathering(problems):
        _check_masks_listed(content, cases, root, problems)
    with gathering(problems):
        cases = {case.case_id: case for case in with_patients(cases.values(), options, path)}
    folders = sorted({file.parent for case in cases.values() for file in (*case.images, case.mask)})
    traps = [trap for folder in folders for trap in macos_trap(folder, root)]
    traps += dataset_json.traps(content, len(cases), options.get("channel"))
    traps += several_cases_trap(cases.values(), options, dataset_json.NAME)
    return complete(cases.values(), traps, problems)


def _pairs(content: Mapping[str, Any], root: Path, path: Path, problems: list[str]) -> list[tuple[Path, Path]]:
    listed = content.get("training")
    if not isinstance(listed, list) or not listed:
        raise InputError(f"{path}: needs 'training', a list of image and label pairs")
    pairs = []
    for entry in listed:
        names = [entry.get(key) if isinstance(entry, dict) else None for key in ("image", "label")]
        if not all(isinstance(name, str) for name in names):
            problems.append(f"{path}: training entry {entry!r} is no pair of 'image' and 'label'")
            continue
        files: list[Path] = []
        for name in names:
            with gathering(problems):
                files.append(inside(root, str(name), path))
        pairs += [(files[0], files[1])] if len(files) == len(names) else []
    return pairs


def _check_masks_listed(content: Mapping[str, Any], cases: Mapping[str, Case], root: Path, problems: list[str]) -> None:
    """A mask on disk that no pair names is a sign of a cut or mixed-up download; a mask named twice of a slip."""
    masks: set[Path] = set()
    for case in cases.values():
        if case.mask in masks:
            problems.append(f"{root / dataset_json.NAME}: lists the mask {case.mask.name} twice")
        masks.add(case.mask)
    entries = [entry for entry in content["training"] if isinstance(entry, dict)]
    listed = {root / name for entry in entries for name in entry.values() if isinstance(name, str)}
    for folder in sorted({mask.parent for mask in masks}):
        extra = [file for file in nifti_files(folder).values() if file not in listed]
        problems += [f"{file}: mask is not listed in {dataset_json.NAME}; list it or move it away" for file in extra]
