"""What the tests of faults share: a case of two tiny files."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest

from clbench.data.case import Case


@pytest.fixture
def write_case(tmp_path):
    """A case of one image and a mask, each a NIfTI file."""

    def write(name: str = "a", seed: int = 0) -> Case:
        rng = np.random.default_rng(seed)
        image, mask = rng.normal(size=(8, 8, 3)).astype("f4"), rng.integers(0, 3, (8, 8, 3)).astype("u1")
        files = [tmp_path / f"{name}.nii.gz", tmp_path / f"{name}_gt.nii.gz"]
        for path, array in zip(files, (image, mask), strict=True):
            nibabel.save(nibabel.Nifti1Image(array, np.eye(4)), path)
        return Case(name, name, (files[0],), files[1], {1: 1, 2: 2})

    return write
