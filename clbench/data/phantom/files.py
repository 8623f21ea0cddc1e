"""NIfTI files whose bytes depend on nothing but what they hold."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

from clbench.data.phantom.shapes import Grid

Affine = NDArray[np.float64]

_BLOCK = 65535  # most bytes in a stored deflate block


def write_nifti(path: Path, array: NDArray[Any], affine: NDArray[np.float64]) -> None:
    """Write a ``.nii.gz`` file.

    Args:
        path: its folder must exist.
        array: (X, Y, Z) or (X, Y, Z, channels), of a type NIfTI knows; stored without scaling.
        affine: (4, 4) voxel index to RAS millimetres.
    """
    path.write_bytes(stored_gzip(nifti_bytes(array, affine)))


def nifti_bytes(array: NDArray[Any], affine: NDArray[np.float64], intercept: float = 0.0) -> bytes:
    """The bytes of an uncompressed NIfTI-1 file.

    Args:
        array: (X, Y, Z), of a type NIfTI knows; stored as it is.
        affine: (4, 4) voxel index to RAS millimetres.
        intercept: what readers add to the stored numbers.
    """
    image = nib.Nifti1Image(array, affine)
    image.header.set_slope_inter(1, 0)
    image.set_qform(affine, code=1)
    image.set_sform(affine, code=1)
    image.header.set_xyzt_units("mm")
    content: bytes = image.to_bytes()
    if not intercept:
        return content
    at = 116  # of scl_inter in the header; nibabel would subtract it from the array first
    return content[:at] + struct.pack("<f", intercept) + content[at + 4 :]


def stored_gzip(data: bytes) -> bytes:
    """A gzip file that holds the data uncompressed.

    Compressed bytes differ between zlib builds, and with them the fingerprint of the phantom that results carry;
    stored blocks are the same everywhere, and noisy images hardly shrink anyway.
    """
    header = b"\x1f\x8b\x08\x00" + struct.pack("<I", 0) + b"\x00\xff"
    return header + stored_blocks(data, last=True) + gzip_trailer(zlib.crc32(data), len(data))


def stored_blocks(data: bytes, *, last: bool = False) -> bytes:
    """Deflate blocks that hold the data uncompressed; ``last`` ends the stream."""
    blocks = []
    for start in range(0, max(len(data), 1), _BLOCK):
        chunk = data[start : start + _BLOCK]
        final = last and start + _BLOCK >= len(data)
        blocks.append(struct.pack("<BHH", int(final), len(chunk), len(chunk) ^ 0xFFFF) + chunk)
    return b"".join(blocks)


def gzip_trailer(checksum: int, size: int) -> bytes:
    """The last eight bytes of a gzip file: CRC-32 and length of the data."""
    return struct.pack("<II", checksum, size & 0xFFFFFFFF)


def scanner_affine(grid: Grid, tilt_deg: float = 0.0) -> Affine:
    """Voxel to RAS millimetres: x runs to the left, y to the back, as scanners write; the origin is in the middle.

    Args:
        grid: voxels.
        tilt_deg: of the slices about the x axis.
    """
    tilt = np.deg2rad(tilt_deg)
    to_ras = np.diag([-1.0, -1.0, 1.0])
    rotation = np.array([[1, 0, 0], [0, np.cos(tilt), -np.sin(tilt)], [0, np.sin(tilt), np.cos(tilt)]])
    affine = np.eye(4)
    affine[:3, :3] = to_ras @ rotation @ np.diag(grid.spacing_mm)
    affine[:3, 3] = -affine[:3, :3] @ ((np.array(grid.shape) - 1) / 2)
    return affine


def write_macos_twin(path: Path) -> None:
    """Write the ``._`` file that macOS leaves beside a file on foreign disks."""
    path.with_name(f"._{path.name}").write_bytes(b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X        ")
