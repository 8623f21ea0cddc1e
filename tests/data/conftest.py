"""Tiny NIfTI files for the tests of everything that reads them."""

from __future__ import annotations

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest


@pytest.fixture
def write_nifti():
    """Write an array as NIfTI: float images by default, on a 1 x 1 x 2 mm RAS grid."""

    def write(path: Path, array, affine=None, *, dtype=None, kind=nib.Nifti1Image) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        array = np.asarray(array, dtype=dtype)
        nib.save(kind(array, np.diag([1.0, 1.0, 2.0, 1.0]) if affine is None else affine), path)
        return path

    return write


@pytest.fixture
def image():
    """(4, 5, 6) float32 without two equal voxels."""
    return np.arange(120, dtype=np.float32).reshape(4, 5, 6)


@pytest.fixture
def mask():
    """(4, 5, 6) uint8 with the values 0, 1, 2."""
    labels = np.zeros((4, 5, 6), dtype=np.uint8)
    labels[1:3, 1:4, 2:4] = 1
    labels[2, 2:4, 3] = 2
    return labels
