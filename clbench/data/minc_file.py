"""One MINC file from bytes to voxels, through nibabel."""

from __future__ import annotations

from math import prod
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
from nibabel.filebasedimages import ImageFileError
from nibabel.minc1 import MincError
from numpy.typing import NDArray

from clbench.data.nifti_file import GZIP_MAX_RATIO, MAX_VOXELS, Decoded, require_memory
from clbench.errors import InputError, unreadable

SUFFIX = ".mnc"
_DAMAGED = (ImageFileError, MincError, LookupError, ValueError, TypeError, AttributeError, AssertionError, EOFError)
_TOO_LARGE = (ArithmeticError, MemoryError)


def decode_minc(path: Path) -> Decoded:
    """Read a MINC 1 image (netCDF), or a MINC 2 image (HDF5) where h5py is installed.

    Args:
        path: ``.mnc``.

    Returns:
        The voxels in the order of the file, commonly z, y, x, scaled to real values; the affine says which is which.

    Raises:
        InputError: the file is missing, damaged, without three axes in space, or MINC 2 without h5py.
    """
    try:
        image = nibabel.load(path)
        claimed = prod(image.shape) * np.dtype(image.header.get_data_dtype()).itemsize
        if claimed > path.stat().st_size * GZIP_MAX_RATIO:
            raise ValueError(f"its header promises {claimed} bytes")
        require_memory(path, claimed)
        array, affine = np.asarray(image.dataobj), np.asarray(image.affine, dtype=np.float64)
        zooms = [float(size) for size in image.header.get_zooms()]
        stored = np.dtype(image.header.get_data_dtype())
    except ImportError:
        raise InputError(f"{path}: is MINC 2; install h5py to read it, or convert it to MINC 1") from None
    except InputError:
        raise
    except (*_DAMAGED, *_TOO_LARGE) as error:  # nibabel trusts the file; what it raises depends on where it breaks
        reason = " ".join(str(error).split()) or type(error).__name__
        raise InputError(f"{path}: no readable MINC file ({reason}); copy or download it again") from None
    except OSError as error:
        raise unreadable(path, error) from None
    _check(path, array, affine, zooms)
    x, y, z = zooms
    return Decoded(array, stored, affine, (x, y, z))


def _check(path: Path, array: NDArray[Any], affine: NDArray[np.float64], zooms: list[float]) -> None:
    if array.ndim != 3 or array.dtype.kind not in "iuf" or not 0 < array.size <= MAX_VOXELS:
        raise InputError(f"{path}: holds {array.dtype} voxels of the shape {array.shape}; convert it to one 3-D volume")
    usable = bool(np.isfinite(affine).all()) and abs(float(np.linalg.det(affine[:3, :3]))) > 1e-9 * prod(zooms)
    if not (usable and min(zooms) > 0):
        raise InputError(f"{path}: header has an affine that cannot be inverted; repair its steps and directions")
