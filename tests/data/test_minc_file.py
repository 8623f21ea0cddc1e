"""MINC files: voxels in their real values, geometry by header, one clear line for every kind of damage."""

from __future__ import annotations

from importlib.util import find_spec

import numpy as np
import pytest

from clbench.data.minc_file import decode_minc
from clbench.data.nifti import read_volume
from clbench.data.phantom.minc import minc_bytes
from clbench.errors import InputError

START, STEP = (-98.0, -134.0, -72.0), (1.0, 2.0, 3.0)


@pytest.fixture
def array():
    return np.arange(24, dtype=np.uint8).reshape(2, 3, 4) * 10


@pytest.fixture
def path(tmp_path, array):
    path = tmp_path / "a.mnc"
    path.write_bytes(minc_bytes(array, START, STEP, top=510.0))
    return path


def test_a_minc_file_runs_z_y_x_and_says_so(path, array):
    decoded = decode_minc(path)
    np.testing.assert_allclose(decoded.array, 2.0 * array.T)
    np.testing.assert_allclose(decoded.affine @ [3, 2, 1, 1], [-97, -130, -63, 1])
    assert decoded.spacing_mm == (3.0, 2.0, 1.0)
    assert decoded.stored_dtype == np.uint8


def test_an_image_is_read_by_its_suffix(path, array):
    volume = read_volume(path)
    assert volume.array.dtype == np.float32
    np.testing.assert_allclose(volume.array, 2.0 * array.T)


@pytest.mark.parametrize("keep", [0, 3, 4, 40, 400, 900])
def test_a_truncated_file_is_named(path, keep):
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(InputError, match=r"a\.mnc: no readable MINC file .*copy or download it again"):
        decode_minc(path)


@pytest.mark.parametrize("lost", [b"image-max", b"regular__", b"direction_cosines", b"unsigned", b"zspace"])
def test_a_damaged_header_is_named_or_harmless(path, lost):
    path.write_bytes(path.read_bytes().replace(lost, b"?" * len(lost)))
    try:
        decode_minc(path)
    except InputError as error:
        assert str(error).startswith(f"{path}: ")  # noqa: PT017 (some damage has a default)


@pytest.mark.skipif(find_spec("h5py") is not None, reason="h5py is installed")
def test_minc_2_says_what_it_needs(tmp_path):
    path = tmp_path / "b.mnc"
    path.write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(2000))
    with pytest.raises(InputError, match=r"b\.mnc: is MINC 2; install h5py .* or convert it to MINC 1"):
        decode_minc(path)


def test_a_missing_file_and_a_folder_are_named(tmp_path):
    with pytest.raises(InputError, match=r"nowhere\.mnc: no such file"):
        decode_minc(tmp_path / "nowhere.mnc")
    (tmp_path / "folder.mnc").mkdir()
    with pytest.raises(InputError, match=r"folder\.mnc: "):
        decode_minc(tmp_path / "folder.mnc")


def test_a_singular_affine_is_named(path, tmp_path, array):
    path.write_bytes(minc_bytes(array, START, (1.0, 0.0, 1.0), top=1.0))
    with pytest.raises(InputError, match=r"a\.mnc: header has an affine that cannot be inverted"):
        decode_minc(path)
