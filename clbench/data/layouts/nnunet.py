"""nnU-Net raw data sets, version 1 and 2: dataset.json, imagesTr and labelsTr."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clbench.data.case import Case, Listing
from clbench.data.layouts import dataset_json
from clbench.data.layouts.files import macos_trap, nifti_files, safe_id
from clbench.data.layouts.labels import map_labels
from clbench.errors import InputError

_CHANNEL = re.compile(r"(?P<case>.+)_(?P<channel>\d{4})")
ENDINGS = (".nii.gz", ".nii")


def read(root: Path, labels: Mapping[str, int], options: Mapping[str, Any]) -> Listing:
    """List the training cases; one case per patient, with one image file per channel.

    Args:
        root: the DatasetNNN_Name folder.
        labels: the stream's labels, matched by name.
        options: ``rename``; ``channel`` takes only this channel's file; ``group`` put on every case.

    Raises:
        InputError: dataset.json is damaged, an image, channel or mask is missing or too many, or a label has no
            counterpart.

    Source: Isensee et al. 2021, Nature Methods 18:203-211; dataset format of nnU-Net 2.
    """
    content = dataset_json.load(root)
    path = root / dataset_json.NAME
    values = map_labels(dataset_json.raw_labels(content, path), labels, options.get("rename", {}), path)
    channels = _wanted_channels(_channel_count(content, path), options.get("channel"), path)
    masks = nifti_files(root / "labelsTr")
    images = _images(root / "imagesTr", _channel_count(content, path))
    _check_partners(images, masks, root)
    cases = []
    for name in sorted(masks):
        files = tuple(images[name][channel] for channel in channels)
        safe_id(name, masks[name])
        cases.append(Case(name, name, files, masks[name], values, group=options.get("group", "")))
    traps = [trap for folder in ("imagesTr", "labelsTr") for trap in macos_trap(root / folder, root)]
    traps += dataset_json.traps(content, len(cases), options.get("channel"))
    return Listing(tuple(cases), tuple(traps))


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


def _images(folder: Path, count: int) -> dict[str, dict[int, Path]]:
    """Case -> channel -> file; every case has all ``count`` channels."""
    found: dict[str, dict[int, Path]] = {}
    for stem, path in nifti_files(folder).items():
        match = _CHANNEL.fullmatch(stem)
        if match is None:
            raise InputError(f"{path}: image name does not end in a channel such as _0000; rename it")
        found.setdefault(match["case"], {})[int(match["channel"])] = path
    for case, files in found.items():
        for channel in sorted(files.keys() ^ set(range(count))):
            problem = "is not in dataset.json" if channel in files else "is missing"
            mend = "remove it" if channel in files else "complete the download"
            raise InputError(
                f"{folder}: channel file {case}_{channel:04d} {problem} ({count} channels expected); {mend}"
            )
    return found


def _check_partners(images: Mapping[str, Mapping[int, Path]], masks: Mapping[str, Path], root: Path) -> None:
    if not masks:
        raise InputError(f"{root / 'labelsTr'}: holds no mask; complete the download")
    for name in sorted(images.keys() ^ masks.keys()):
        if name in images:
            image = images[name][min(images[name])]
            raise InputError(f"{image}: image {name} has no mask in labelsTr; add the mask or remove the image")
        raise InputError(f"{masks[name]}: mask has no image {name}_0000 in imagesTr; add the image or remove the mask")
