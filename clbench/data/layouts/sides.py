"""Left and right hippocampus on the 1 mm MNI grid of 197 x 233 x 189 voxels that HarP and Dryad share."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from clbench.data.case import Case
from clbench.data.crop import Box

SIDES = ("left", "right")
LETTERS = {"left": "l", "right": "r"}
# published bounds that hold every mask of both data sets; x, y, z in RAS+ voxels
CROPS: dict[str, Box] = {
    "left": ((49, 97), (78, 142), (40, 104)),
    "right": ((97, 145), (78, 142), (40, 104)),
}


def side_case(name: str, patient: str, side: str, image: Path, mask: Path, values: Mapping[int, int]) -> Case:
    """One hippocampus as a case of its own.

    A left hippocampus is kept as it lies, not mirrored onto the right: the crops of the Decathlon mix both sides and
    do not say which is which, so mirroring here alone would add a difference between the tasks that no scanner made;
    scores stay those of voxels as they are on disk; and a network that mirrors in augmentation sees both sides anyway.

    Args:
        name: of the scan; the case id is ``<name>_<side>``.
        patient: both sides of a patient stay in one split.
        side: ``left`` or ``right``; the case's group.
        image: whole head.
        mask: of this side, on the same voxels.
        values: raw mask value -> stream label value.
    """
    crop = CROPS[side]
    return Case(f"{name}_{side}", patient, (image,), mask, values, group=side, crop=crop)
