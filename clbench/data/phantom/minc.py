"""MINC 1 files, as the MINC tools write them: netCDF with one variable per axis and z, y, x order."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.io import netcdf_file

AXES = ("zspace", "yspace", "xspace")


def minc_bytes(
    array: NDArray[np.uint8], start_mm: tuple[float, float, float], spacing_mm: tuple[float, float, float], top: float
) -> bytes:
    """The bytes of a MINC 1 file.

    Args:
        array: (X, Y, Z) uint8, axes to the right, anterior and superior.
        start_mm: where the first voxel lies, x, y, z.
        spacing_mm: voxel size along x, y, z.
        top: real value of the stored 255; 0 stands for 0.
    """
    buffer = io.BytesIO()
    file = netcdf_file(buffer, "w")
    sizes = dict(zip(AXES, array.shape[::-1], strict=True))
    for name, start, step in zip(AXES, start_mm[::-1], spacing_mm[::-1], strict=True):
        file.createDimension(name, sizes[name])
        axis = file.createVariable(name, "i", ())
        cosines = np.array([float(name == other) for other in AXES[::-1]])
        _describe(axis, vartype="dimension____", spacing="regular__")
        _describe(axis, start=float(start), step=float(step), direction_cosines=cosines)
    for name, value in (("image-max", top), ("image-min", 0.0)):
        limits = file.createVariable(name, "d", AXES[:1])
        _describe(limits, vartype="var_attribute")
        limits[:] = np.full(sizes["zspace"], value)
    image = file.createVariable("image", "b", AXES)
    _describe(image, vartype="group________", complete="true_", signtype="unsigned", valid_range=np.array([0.0, 255.0]))
    image[:] = np.ascontiguousarray(array.T).view(np.int8)
    file.flush()
    content = buffer.getvalue()
    file.close()
    return content


def _describe(variable: Any, **attributes: Any) -> None:
    for name, value in {"varid": "MINC standard variable", **attributes}.items():
        setattr(variable, name, value)
