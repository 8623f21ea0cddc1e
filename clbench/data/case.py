"""Case: one labelled volume, as an adapter found it on disk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Case:
    """One labelled volume of one patient.

    Attributes:
        case_id: unique within its stream; letters, digits, ``-``, ``_``, ``.`` and ``/`` only.
        patient_id: unique within its stream; splits never separate the cases of one patient.
        images: one NIfTI file per channel, or a single file.
        mask: NIfTI file on the same grid as the images.
        label_values: raw mask value -> stream label value (0 is background and always maps to 0). A raw value that
            is missing here is an error when the mask is read.
        group: what tasks select cases by: a site, a vendor, a disease group; ``""`` when the layout has none.
        channel: which volume of a 4-D image file to use (last axis), or None for a 3-D file; a mask with the same
            fourth axis is read at the same place.
        shift: name of the acquisition shift that is applied to the image when it is prepared, or ``""``.
        crop: ``(start, stop)`` voxels along x, y and z that are kept, counted after each file's axes are brought to
            RAS+ order and direction by its own header; None keeps the whole volume as the file orders it. Every
            labeled voxel must lie inside.
        mask_from_minimum: the mask's smallest value is its background and is subtracted first.
        may_be_empty: whether a mask without any label is no fault.
    """

    case_id: str
    patient_id: str
    images: tuple[Path, ...]
    mask: Path
    label_values: Mapping[int, int] = field(hash=False)
    group: str = ""
    channel: int | None = None
    shift: str = ""
    crop: tuple[tuple[int, int], tuple[int, int], tuple[int, int]] | None = None
    mask_from_minimum: bool = False
    may_be_empty: bool = False

    def reading(self) -> dict[str, Any]:
        """How the files are read beyond what every layout needs, JSON-able: only what differs from the default."""
        reading: dict[str, Any] = {}
        if self.crop is not None:
            reading["crop"] = [list(bounds) for bounds in self.crop]
        if self.mask_from_minimum:
            reading["mask_from_minimum"] = True
        return reading


@dataclass(frozen=True)
class Trap:
    """A known oddity of a public data set that an adapter met and dealt with.

    Attributes:
        kind: short name, such as ``"capital-segmentation"``.
        where: file or folder, relative to the data root.
        action: what was done about it.
    """

    kind: str
    where: str
    action: str


@dataclass(frozen=True)
class Listing:
    """What an adapter found under one root: the cases, sorted by case_id, and the traps it met."""

    cases: tuple[Case, ...]
    traps: tuple[Trap, ...] = ()
