"""Medical Segmentation Decathlon: image and mask pairs listed in dataset.json."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clbench.data.case import Case, Listing
from clbench.data.layouts import dataset_json
from clbench.data.layouts.files import inside, macos_trap, nifti_files, nifti_stem
from clbench.data.layouts.labels import map_labels
from clbench.errors import InputError


def read(root: Path, labels: Mapping[str, int], options: Mapping[str, Any]) -> Listing:
    """List the training pairs; one case per patient, named after the image's stem.

    Args:
        root: folder that holds dataset.json.
        labels: the stream's labels, matched by name.
        options: ``rename``; ``channel`` of 4-D images; ``group`` put on every case.

    Raises:
        InputError: dataset.json is damaged or lists a file that is missing or outside, a mask is not listed, or a
            label has no counterpart.

    Source: Simpson et al. 2019, arXiv 1902.09063.
    """
    content = dataset_json.load(root)
    path = root / dataset_json.NAME
    values = map_labels(dataset_json.raw_labels(content, path), labels, options.get("rename", {}), path)
    cases: dict[str, Case] = {}
    for image, mask in _pairs(content, root, path):
        stem = nifti_stem(image.name, path)
        if stem in cases:
            raise InputError(f"{path}: lists the image {stem} twice")
        group, channel = options.get("group", ""), options.get("channel")
        cases[stem] = Case(stem, stem, (image,), mask, values, group=group, channel=channel)
    _check_masks_listed(cases, path)
    folders = sorted({file.parent for case in cases.values() for file in (*case.images, case.mask)})
    traps = [trap for folder in folders for trap in macos_trap(folder, root)]
    traps += dataset_json.traps(content, len(cases), options.get("channel"))
    return Listing(tuple(cases[stem] for stem in sorted(cases)), tuple(traps))


def _pairs(content: Mapping[str, Any], root: Path, path: Path) -> list[tuple[Path, Path]]:
    listed = content.get("training")
    if not isinstance(listed, list) or not listed:
        raise InputError(f"{path}: needs 'training', a list of image and label pairs")
    pairs = []
    for entry in listed:
        names = [entry.get(key) if isinstance(entry, dict) else None for key in ("image", "label")]
        if not all(isinstance(name, str) for name in names):
            raise InputError(f"{path}: training entry {entry!r} is no pair of 'image' and 'label'")
        image, mask = (inside(root, str(name), path) for name in names)
        pairs.append((image, mask))
    return pairs


def _check_masks_listed(cases: Mapping[str, Case], path: Path) -> None:
    """A mask on disk that no pair names is a sign of a cut or mixed-up download; a mask named twice of a slip."""
    listed: set[Path] = set()
    for case in cases.values():
        if case.mask in listed:
            raise InputError(f"{path}: lists the mask {case.mask.name} twice")
        listed.add(case.mask)
    for folder in sorted({mask.parent for mask in listed}):
        extra = [file for file in nifti_files(folder).values() if file not in listed]
        extra = [file for file in extra if file not in {image for case in cases.values() for image in case.images}]
        if extra:
            raise InputError(f"{extra[0]}: mask is not listed in {path.name}; list it or move it away")
