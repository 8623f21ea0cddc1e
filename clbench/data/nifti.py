"""Raw volumes: images and masks from NIfTI or MINC files, and both together as a case on one grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from numpy.typing import NDArray

from clbench.data.case import Case
from clbench.data.crop import Box, crop_ras
from clbench.data.minc_file import SUFFIX, decode_minc
from clbench.data.nifti_file import Decoded, decode, decode_header
from clbench.errors import InputError

ROUNDING = 1e-3  # a float mask may miss its integer by this much
COSINE_ROUNDING = 0.99  # axes closer than 8 degrees point the same way, whatever letter they round to


@dataclass(frozen=True, eq=False)
class Volume:
    """One file on its native grid.

    Attributes:
        array: (X, Y, Z), float32 for an image, int32 for a mask; axis order as in the file.
        affine: (4, 4) float64, voxel indices to mm in RAS+.
        spacing_mm: voxel size along x, y, z.
        stored_dtype: dtype of the voxels on disk.
        offset: what was subtracted from the stored values; 0 but for masks read from their minimum.
        volumes: length of the file's fourth axis; 1 for a 3-D file.
    """

    array: NDArray[Any]
    affine: NDArray[np.float64]
    spacing_mm: tuple[float, float, float]
    stored_dtype: np.dtype[Any]
    offset: float = 0.0
    volumes: int = 1


@dataclass(frozen=True, eq=False)
class RawCase:
    """A case on its native grid; the geometry is the first image's.

    Attributes:
        image: (C, X, Y, Z) float32.
        mask: (X, Y, Z) uint8, stream label values.
        affine: (4, 4) float64, voxel indices to mm in RAS+.
        spacing_mm: voxel size along x, y, z.
    """

    image: NDArray[np.float32]
    mask: NDArray[np.uint8]
    affine: NDArray[np.float64]
    spacing_mm: tuple[float, float, float]


@dataclass(frozen=True, eq=False)
class Truth:
    """What a prediction is compared with; the geometry is the first image's.

    Attributes:
        mask: (X, Y, Z) uint8, stream label values.
        affine: (4, 4) float64, voxel indices to mm in RAS+.
        spacing_mm: voxel size along x, y, z.
    """

    mask: NDArray[np.uint8]
    affine: NDArray[np.float64]
    spacing_mm: tuple[float, float, float]


def read_volume(path: Path, channel: int | None = None) -> Volume:
    """Read an image as float32.

    Args:
        path: ``.nii`` or ``.nii.gz``, NIfTI-1 or NIfTI-2; or ``.mnc``.
        channel: index on the last axis of a 4-D file, from 0; None for a 3-D file, whose further axes may only
            have length 1.

    Raises:
        InputError: the file is missing or damaged, has other than three axes, lacks the channel, or holds NaN or
            infinite voxels.
    """
    decoded = _decoded(path)
    array = _three_axes(path, decoded.array, channel)
    with np.errstate(over="ignore"):  # what overflows becomes infinite and is refused below
        voxels = np.asarray(array, dtype=np.float32)
    bad = voxels.size - int(np.count_nonzero(np.isfinite(voxels)))
    if bad:
        raise InputError(f"{path}: {bad} voxels are NaN or infinite; repair the file")
    return _volume(voxels, decoded)


def read_mask(path: Path, channel: int | None = None, *, from_minimum: bool = False) -> Volume:
    """Read a label mask as int32.

    Args:
        path: ``.nii`` or ``.nii.gz``; floats within 1e-3 of an integer are rounded to it.
        channel: index on the last axis of a 4-D file, such as a frame of a cine series; a 3-D mask, which goes with
            every channel, ignores it.
        from_minimum: subtract the smallest value, which is the background, first; it need not be an integer.

    Raises:
        InputError: the file is missing or damaged, has other than three axes, or holds values that are no label.
    """
    decoded = _decoded(path)
    array = _three_axes(path, decoded.array, channel if _volumes(decoded.array) > 1 else None)
    offset = float(array.min()) if from_minimum else 0.0
    if offset:
        array = array - array.dtype.type(offset)
    if array.dtype.kind == "f":
        array = _rounded(path, array, max(ROUNDING, 4 * float(np.spacing(np.float32(offset)))))
    limits = np.iinfo(np.int32)
    if array.min() < limits.min or array.max() > limits.max:
        raise InputError(
            f"{path}: mask values from {array.min()} to {array.max()} are no label values; repair the file"
        )
    return replace(_volume(array.astype(np.int32), decoded), offset=offset)


def read_case(case: Case) -> RawCase:
    """Read image and mask of a case and put them on one grid.

    Args:
        case: its ``label_values`` translate the mask, its ``crop`` says which part of the files is the case.

    Returns:
        The case in stream label values. Where the mask's header differs in position or spacing only, the image's
        geometry is taken.

    Raises:
        InputError: a file cannot be read, shapes or orientations differ, the mask holds an unknown value, or the crop
            cuts off labeled voxels.
    """
    images = [read_volume(path, case.channel) for path in case.images]
    return assemble(case, images, read_case_mask(case))


def read_truth(case: Case) -> Truth:
    """The case without the voxels of its images, whose headers alone are read: a fraction of the time of ``read_case``.

    Raises:
        InputError: as ``read_case``, but for damage in the images' voxels.
    """
    headers = [decode_minc(path) if path.suffix.lower() == SUFFIX else decode_header(path) for path in case.images]
    images = [
        _volume(_three_axes(path, header.array, case.channel), header)
        for path, header in zip(case.images, headers, strict=True)
    ]
    raw = assemble(case, images, read_case_mask(case))
    return Truth(raw.mask, raw.affine, raw.spacing_mm)


def read_case_mask(case: Case) -> Volume:
    """The mask of a case as ``read_mask`` reads it, in raw values."""
    return read_mask(case.mask, case.channel, from_minimum=case.mask_from_minimum)


def channel_count(case: Case) -> int:
    """Channels of the case's image, without reading it: every image file gives one."""
    return len(case.images)


def assemble(case: Case, images: Sequence[Volume], mask: Volume) -> RawCase:
    """The case from its files, already read: ``images`` in the order of ``case.images``.

    Raises:
        InputError: shapes or orientations differ, the mask holds an unknown value, or the crop cuts off labeled
            voxels.
    """
    if case.crop is not None:
        images = [_cropped(path, volume, case.crop) for path, volume in zip(case.images, images, strict=True)]
        mask = _cropped_mask(case.mask, mask, case.crop)
    first = images[0]
    for path, volume in zip((*case.images[1:], case.mask), (*images[1:], mask), strict=True):
        _check_same_grid(case.images[0], first, path, volume)
    image = np.stack([volume.array for volume in images])
    return RawCase(image, _stream_labels(case, mask.array), first.affine, first.spacing_mm)


def _cropped(path: Path, volume: Volume, box: Box) -> Volume:
    try:
        array, affine, spacing_mm = crop_ras(volume.array, volume.affine, volume.spacing_mm, box)
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    return replace(volume, array=array, affine=affine, spacing_mm=spacing_mm)


def _cropped_mask(path: Path, mask: Volume, box: Box) -> Volume:
    cropped = _cropped(path, mask, box)
    lost = int(np.count_nonzero(mask.array)) - int(np.count_nonzero(cropped.array))
    if lost:
        where = " x ".join(f"{start}:{stop}" for start, stop in box)
        raise InputError(
            f"{path}: {lost} labeled voxels lie outside the crop {where} (RAS); "
            "check that the file belongs to this side and that its header states its orientation"
        )
    return cropped


def _decoded(path: Path) -> Decoded:
    return decode_minc(path) if path.suffix.lower() == SUFFIX else decode(path)


def _volume(array: NDArray[Any], decoded: Decoded) -> Volume:
    volumes = _volumes(decoded.array)
    return Volume(array, decoded.affine, decoded.spacing_mm, decoded.stored_dtype, volumes=volumes)


def _volumes(array: NDArray[Any]) -> int:
    return array.shape[3] if array.ndim > 3 else 1


def _three_axes(path: Path, array: NDArray[Any], channel: int | None) -> NDArray[Any]:
    if channel is None:
        while array.ndim > 3 and array.shape[-1] == 1:
            array = array[..., 0]
        hint = "; choose a volume of the last axis with 'channel'" if array.ndim == 4 else ""
        if array.ndim != 3:
            raise InputError(
                f"{path}: has the shape {array.shape}, expected three axes{hint or '; save one volume per file'}"
            )
        return array
    if array.ndim != 4:
        raise InputError(
            f"{path}: has the shape {array.shape}, but channel {channel} needs a fourth axis; leave 'channel' out"
        )
    if not 0 <= channel < array.shape[3]:
        raise InputError(f"{path}: has channels 0 to {array.shape[3] - 1}, not channel {channel}")
    return array[..., channel]


def _rounded(path: Path, array: NDArray[Any], tolerance: float) -> NDArray[Any]:
    """A float mask with its values rounded to integers."""
    if not np.isfinite(array).all():
        raise InputError(f"{path}: mask holds NaN or infinite values; repair the file")
    whole: NDArray[Any] = np.rint(array)
    far = np.abs(array - whole) > tolerance
    if far.any():
        values = np.unique(array[far])
        raise InputError(
            f"{path}: mask values are not integers, such as {values[0]:.6g}; it needs label values; "
            "save it without interpolation"
        )
    return whole


def _check_same_grid(first_path: Path, first: Volume, path: Path, other: Volume) -> None:
    if other.array.shape != first.array.shape:
        raise InputError(
            f"{path}: has the shape {other.array.shape}, but {first_path.name} has {first.array.shape}; "
            "put both on one grid"
        )
    if other.volumes > 1 and other.volumes != first.volumes:
        raise InputError(
            f"{path}: has {other.volumes} volumes, but {first_path.name} has {first.volumes}; "
            "take image and mask of the same series"
        )
    if not _same_orientation(first.affine, other.affine):
        ours, theirs = ("".join(nibabel.aff2axcodes(affine)) for affine in (first.affine, other.affine))
        raise InputError(f"{path}: is oriented {theirs}, but {first_path.name} is {ours}; reorient one of them")


def _same_orientation(first: NDArray[np.float64], other: NDArray[np.float64]) -> bool:
    """Same axis codes, or axes that differ by rounding only (an oblique axis may round to either code)."""
    one, two = (affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0) for affine in (first, other))
    close = bool(((one * two).sum(0) > COSINE_ROUNDING).all())
    return close or nibabel.aff2axcodes(first) == nibabel.aff2axcodes(other)


def _stream_labels(case: Case, raw: NDArray[np.int32]) -> NDArray[np.uint8]:
    """The mask in stream label values, by table."""
    values = np.unique(raw)
    known = {0: 0, **case.label_values}
    strange = [int(value) for value in values if int(value) not in known]
    if strange:
        raise InputError(
            f"{case.mask}: mask holds the unknown value {_listed(strange)}; known values: {_listed(sorted(known))}; "
            "repair the mask or add the label"
        )
    table = np.array([known[int(value)] for value in values], dtype=np.uint8)
    return table[np.searchsorted(values, raw)]


def _listed(values: Sequence[int]) -> str:
    return ", ".join(str(value) for value in values[:10]) + (", ..." if len(values) > 10 else "")
