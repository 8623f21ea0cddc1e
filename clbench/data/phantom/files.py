"""NIfTI files whose bytes depend on nothing but what they hold."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
from numpy.typing import NDArray

_BLOCK = 65535  # most bytes in a stored deflate block


def write_nifti(path: Path, array: NDArray[Any], affine: NDArray[np.float64]) -> None:
    """Write a ``.nii.gz`` file.

    Args:
        path: its folder must exist.
        array: (X, Y, Z), of a type NIfTI knows; stored without scaling.
        affine: (4, 4) voxel index to RAS millimetres.
    """
    image = nib.Nifti1Image(array, affine)
    image.header.set_slope_inter(1, 0)
    image.set_qform(affine, code=1)
    image.set_sform(affine, code=1)
    image.header.set_xyzt_units("mm")
    path.write_bytes(stored_gzip(image.to_bytes()))


def stored_gzip(data: bytes) -> bytes:
    """A gzip file that holds the data uncompressed.

    Compressed bytes differ between zlib builds, and with them the fingerprint of the phantom that results carry;
    stored blocks are the same everywhere, and noisy images hardly shrink anyway.
    """
    header = b"\x1f\x8b\x08\x00" + struct.pack("<I", 0) + b"\x00\xff"
    blocks = []
    for start in range(0, max(len(data), 1), _BLOCK):
        chunk = data[start : start + _BLOCK]
        last = start + _BLOCK >= len(data)
        blocks.append(struct.pack("<BHH", int(last), len(chunk), len(chunk) ^ 0xFFFF) + chunk)
    return header + b"".join(blocks) + struct.pack("<II", zlib.crc32(data), len(data) & 0xFFFFFFFF)
