"""nnU-Net raw data sets, version 1 and 2: dataset.json, imagesTr and labelsTr."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from clbench.data.case import Case, Listing
from clbench.data.layouts import dataset_json
from clbench.data.layouts.files import macos_trap, nifti_files, safe_id
from clbench.data.layouts.gathering import complete, gathering
from clbench.data.layouts.labels import map_labels
from clbench.data.layouts.patients import several_cases_trap, with_patients
from clbench.errors import InputError

_CHANNEL = re.compile(r"(?P<case>.+)_(?P<channel>\d{4})")
ENDINGS = (".nii.gz", ".nii")


def read(root: Path, labels: Mapping[str, int], options: Mapping[str, Any]) -> Listing:
    """List the training cases, with one image file per channel; each its own patient unless ``patient`` is given.

    Args:
        root: the DatasetNNN_Name folder.
        labels: the stream's labels, matched by name.
        options: ``rename``; ``channel`` takes only this channel's file; ``group`` put on every case; ``patient``, see
            ``patients.with_patients``.

    Raises:
        InputError: dataset.json is damaged, an image, channel or mask is missing or too many, a label has no
            counterpart, or ``patient`` does not fit a name.

    Source: Isensee et al. 2021, Nature Methods 18:203-211; dataset format of nnU-Net 2.
    """
    content = dataset_json.load(root)
    path = root / dataset_json.NAME
    values = map_labels(dataset_json.raw_labels(content, path), labels, options.get("rename", {}), path)
    channels = _wanted_channels(_channel_count(content, path), options.get("channel"), path)
    problems: list[str] = []
    images, masks = _pairs(root, _channel_count(content, path), problems)
    cases = []
    for name in sorted(images.keys() & masks.keys()):
        with gathering(problems):
            files = tuple(images[name][channel] for channel in channels)
            safe_id(name, masks[name])
            cases.append(Case(name, name, files, masks[name], values, group=options.get("group", "")))
    with gathering(problems):
        cases = with_patients(cases, options, root / "labelsTr")
    traps = [trap for folder in ("imagesTr", "labelsTr") for trap in macos_trap(root / folder, root)]
    traps += dataset_json.traps(content, len(cases), options.get("channel"))
    traps += several_cases_trap(cases, options, "labelsTr")
    return complete(cases, traps, problems)


def _channel_count(content: Mapping[str, Any], path: Path) -> int:
    if "dataset" in content:
        raise InputError(
            f"{path}: lists its files under 'dataset', which is not read; put them in imagesTr and labelsTr"
        )
    ending = content.get("file_ending", ENDINGS[0])
    if ending not in ENDINGS:
        raise InputError(f"{path}: file_ending is {ending!r}; only {' and '.join(ENDINGS)} can be read")
    key = "channel_names" if "channel_names" in content else "modality"
    return len(dataset_json.table(content, key, path))


def _wanted_channels(count: int, channel: int | None, path: Path) -> tuple[int, ...]:
    if channel is None:
        return tuple(range(count))
    if not 0 <= channel < count:
        raise InputError(f"{path}: has channels 0 to {count - 1}, not channel {channel}")
    return (channel,)


def _pairs(root: Path, count: int, problems: list[str]) -> tuple[dict[str, dict[int, Path]], dict[str, Path]]:
    """Case -> channel -> file, and case -> mask; a case that lacks something is in one of them at most."""
    images: dict[str, dict[int, Path]] = {}
    masks: dict[str, Path] = {}
    with gathering(problems):
        masks = nifti_files(root / "labelsTr")
        if not masks:
            raise InputError(f"{root / 'labelsTr'}: holds no mask; complete the download")
    before = len(problems)
    with gathering(problems):
        images = _images(root / "imagesTr", problems)
    if masks and (images or len(problems) == before):  # else the partner of every file would be missed
        problems += _without_partner(images, masks)
    for case, files in list(images.items()):
        if wrong := sorted(files.keys() ^ set(range(count))):
            problems += [_channel_problem(root / "imagesTr", case, channel, files, count) for channel in wrong]
            del images[case]
    return images, masks


def _images(folder: Path, problems: list[str]) -> dict[str, dict[int, Path]]:
    """Case -> channel -> file."""
    found: dict[str, dict[int, Path]] = {}
    for stem, path in nifti_files(folder).items():
        match = _CHANNEL.fullmatch(stem)
        if match is None:
            problems.append(f"{path}: image name does not end in a channel such as _0000; rename it")
        else:
            found.setdefault(match["case"], {})[int(match["channel"])] = path
    return found


def _channel_problem(folder: Path, case: str, channel: int, files: Mapping[int, Path], count: int) -> str:
    problem = "is not in dataset.json" if channel in files else "is missing"
    mend = "remove it" if channel in files else "complete the download"
    return f"{folder}: channel file {case}_{channel:04d} {problem} ({count} channels expected); {mend}"


def _without_partner(images: Mapping[str, Mapping[int, Path]], masks: Mapping[str, Path]) -> Iterator[str]:
    for name in sorted(images.keys() ^ masks.keys()):
        if name in images:
            image = images[name][min(images[name])]
            yield f"{image}: image {name} has no mask in labelsTr; add the mask or remove the image"
        else:
            yield f"{masks[name]}: mask has no image {name}_0000 in imagesTr; add the image or remove the mask"
