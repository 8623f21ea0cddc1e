"""One NIfTI file from bytes to voxels: refuses what is damaged before it allocates or guesses."""

from __future__ import annotations

import gzip
import io
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, BinaryIO, Literal

import numpy as np
from nibabel import Nifti1Header, Nifti2Header
from nibabel.spatialimages import HeaderDataError
from numpy.typing import NDArray

from clbench.errors import InputError, unreadable

MAX_VOXELS = 2**31
GZIP_MAX_RATIO = 1032  # the densest that deflate can pack
MOST_TRAILING = 2**20  # bytes after the last voxel; a bomb goes on for ever
MEMORY_SHARE = 0.25  # of the machine's memory for one file as it is stored; it is held as float32, too
_HEADER_BYTES = {Nifti1Header: 348, Nifti2Header: 540}
_ORDERS: tuple[Literal["little", "big"], ...] = ("little", "big")
_MM_PER_UNIT = {1: 1e3, 3: 1e-3}  # meter and micron in the header's code; anything else is mm


@dataclass(frozen=True, eq=False)
class Decoded:
    """What one file holds.

    Attributes:
        array: voxels as stored, after the header's slope and intercept; any real dtype, 2 to 7 axes.
        stored_dtype: dtype of the voxels on disk.
        affine: (4, 4) float64, voxel indices to mm in RAS+.
        spacing_mm: voxel size along x, y, z from the header's pixdim.
    """

    array: NDArray[Any]
    stored_dtype: np.dtype[Any]
    affine: NDArray[np.float64]
    spacing_mm: tuple[float, float, float]


def decode(path: Path) -> Decoded:
    """Read a single-file NIfTI-1 or NIfTI-2 image, plain or gzipped, whole and checksum included.

    Raises:
        InputError: the file is missing, truncated, corrupt, not NIfTI, claims more than 2**31 voxels, stores
            complex or color voxels, or has a geometry that cannot be used.
    """
    with _opened(path) as stream:
        header = _header(path, stream)
        start = _HEADER_BYTES[type(header)]
        end = _image_end(path, header)
        if end > path.stat().st_size * (GZIP_MAX_RATIO if isinstance(stream, gzip.GzipFile) else 1):
            raise InputError(f"{path}: truncated, its header promises {end} bytes; copy or download it again")
        content = bytes(start) + _read_to_end(stream, end - start)
        if len(content) > end:
            raise InputError(f"{path}: goes on behind its last voxel; it is damaged, copy or download it again")
        if len(content) < end:
            raise InputError(f"{path}: truncated at {len(content)} of {end} bytes; copy or download it again")
        affine, spacing_mm = _geometry(path, header)
        with np.errstate(all="ignore"):  # what a damaged slope overflows becomes infinite, which no reader accepts
            array = np.asarray(header.data_from_fileobj(io.BytesIO(content)))
    return Decoded(array, header.get_data_dtype(), affine, spacing_mm)


def decode_header(path: Path) -> Decoded:
    """As ``decode``, for a file that was read whole before: only its header is, and its voxels are zeros.

    The zeros take no memory.
    """
    with _opened(path) as stream:
        header = _header(path, stream)
        _image_end(path, header)
        voxels = np.broadcast_to(np.zeros((), header.get_data_dtype()), header.get_data_shape())
        return Decoded(voxels, header.get_data_dtype(), *_geometry(path, header))


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO | gzip.GzipFile]:
    """The file's bytes, unpacked; what reading them raises becomes one line."""
    with _readable(path), path.open("rb") as file:
        zipped = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        yield gzip.GzipFile(fileobj=file) if zipped else file


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Turn whatever the layers below raise into one line that names the file."""
    try:
        yield
    except IsADirectoryError:
        raise InputError(f"{path}: is a folder, expected a NIfTI file; put the file in its place") from None
    except EOFError:
        raise InputError(f"{path}: truncated gzip file; copy or download it again") from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise InputError(f"{path}: corrupt gzip file ({error}); copy or download it again") from None
    except InputError:
        raise
    except (HeaderDataError, LookupError, ValueError, ArithmeticError) as error:
        # what nibabel and NumPy raise depends on which field is damaged
        raise InputError(f"{path}: broken NIfTI header ({' '.join(str(error).split())}); repair the file") from None
    except OSError as error:
        raise unreadable(path, error) from None


def _header(path: Path, stream: BinaryIO | gzip.GzipFile) -> Any:
    """The header, told NIfTI-1 from NIfTI-2 by its own size field; nothing in it is repaired on the way."""
    start = stream.read(4)
    size = next((n for n in (348, 540) for order in _ORDERS if start == n.to_bytes(4, order)), 0)
    block = start + stream.read(max(size - 4, 0))
    magic = {348: block[344:347], 540: block[4:7]}.get(size, b"")
    if magic not in (b"n+1", b"n+2") or len(block) < size:
        raise InputError(f"{path}: not a single-file NIfTI image (.nii or .nii.gz); convert it")
    return (Nifti1Header if size == 348 else Nifti2Header)(block, check=False)


def _image_end(path: Path, header: Any) -> int:
    """Bytes up to the last voxel, from the header alone."""
    shape, dtype, offset = header.get_data_shape(), header.get_data_dtype(), float(header["vox_offset"])
    if dtype.kind not in "iuf":
        raise InputError(f"{path}: stores {dtype} voxels; only real numbers can be read, convert it")
    if not shape or min(shape) < 1:
        raise InputError(f"{path}: header claims the empty shape {shape}; it is damaged")
    if prod(shape) > MAX_VOXELS:
        raise InputError(f"{path}: header claims the shape {shape}, more than {MAX_VOXELS} voxels; it is damaged")
    if not _HEADER_BYTES[type(header)] <= offset <= MAX_VOXELS:
        raise InputError(f"{path}: header claims that voxels start at byte {offset:g}; it is damaged")
    voxels: int = prod(shape)
    end = int(offset) + voxels * int(dtype.itemsize)
    require_memory(path, end)
    return end


def require_memory(path: Path, size: int) -> None:
    """Refuse a file before it fills the memory of the machine.

    Raises:
        InputError: it needs more bytes than a quarter of the memory.
    """
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if size > MEMORY_SHARE * memory:
        raise InputError(
            f"{path}: header claims {size / 2**30:.1f} GiB, too much for {memory / 2**30:.0f} GiB of memory; "
            "if it is not damaged, split it or use a machine with more"
        )


def _read_to_end(stream: BinaryIO | gzip.GzipFile, size: int) -> bytes:
    """The next ``size`` bytes; the rest is read too, since gzip checks its checksum at the end only.

    One byte too many comes back when more than ``MOST_TRAILING`` bytes follow.
    """
    content = stream.read(max(size, 0))
    rest = len(stream.read(MOST_TRAILING)) if len(content) == size else 0
    return content + b"\0" if rest == MOST_TRAILING and stream.read(1) else content


def _geometry(path: Path, header: Any) -> tuple[NDArray[np.float64], tuple[float, float, float]]:
    scale = _MM_PER_UNIT.get(int(header["xyzt_units"]) % 8, 1.0)
    zooms = np.abs(np.asarray(header["pixdim"][1:4], dtype=np.float64)) * scale
    if not (np.isfinite(zooms).all() and (zooms > 0).all()):
        raise InputError(f"{path}: header has the voxel spacing {zooms.tolist()}; it must be positive, repair it")
    with np.errstate(all="ignore"):  # what overflows is not finite, which is refused
        affine = np.asarray(header.get_best_affine(), dtype=np.float64).copy()
        affine[:3] *= scale
        volume = abs(np.linalg.det(affine[:3, :3])) if np.isfinite(affine).all() else 0.0
    if not volume > 1e-9 * prod(zooms):
        raise InputError(f"{path}: header has an affine that cannot be inverted; repair its sform or qform")
    # pixdim is float32: 1.2 would come out as 1.2000000476837158
    return affine, (_tidy(zooms[0]), _tidy(zooms[1]), _tidy(zooms[2]))


def _tidy(value: float) -> float:
    """The shortest decimal number that is the same float32."""
    return float(str(np.float32(value)))
