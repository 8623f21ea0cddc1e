"""Crops: the same anatomy whatever the order and direction of a file's axes."""

from __future__ import annotations

from itertools import permutations, product

import nibabel as nib
import numpy as np
import pytest

from clbench.data.case import Case
from clbench.data.crop import crop_ras
from clbench.data.fingerprint import fingerprint
from clbench.data.nifti import read_case
from clbench.data.plan import Plan
from clbench.data.prepare import cache_key, prepare_case
from clbench.errors import InputError

BOX = ((1, 3), (2, 5), (0, 4))
PLAN = Plan(3, (0.0, 0.0, 0.0), (8, 8, 8))


@pytest.fixture
def make_case(tmp_path, write_nifti, image, mask):
    def make(crop=BOX, mask=mask, **changes):
        files = write_nifti(tmp_path / "a.nii.gz", image), write_nifti(tmp_path / "a_gt.nii.gz", mask)
        return Case("a", "a", files[:1], files[1], {0: 0, 1: 1, 2: 2}, crop=crop, **changes)

    return make


@pytest.mark.parametrize("axes", [*permutations(range(3))])
@pytest.mark.parametrize("signs", [*product((1, -1), repeat=3)])
def test_a_box_holds_the_same_anatomy_for_every_order_of_the_axes(image, axes, signs):
    ras = nib.Nifti1Image(image, np.array([[1.0, 0, 0, 7], [0, 1.5, 0, -3], [0, 0, 2, 4], [0, 0, 0, 1]]))
    turned = ras.as_reoriented(np.array([axes, signs], dtype=float).T)
    spacing = turned.header.get_zooms()
    array, affine, spacing_mm = crop_ras(np.asarray(turned.dataobj), turned.affine, spacing, BOX)
    np.testing.assert_array_equal(array, image[1:3, 2:5, 0:4])
    np.testing.assert_allclose(affine, ras.slicer[1:3, 2:5, 0:4].affine)
    assert spacing_mm == (1.0, 1.5, 2.0)


@pytest.mark.parametrize("box", [((0, 5), (0, 5), (0, 6)), ((-1, 2), (0, 5), (0, 6)), ((2, 2), (0, 5), (0, 6))])
def test_a_box_that_does_not_fit_is_named(image, box):
    with pytest.raises(InputError, match=r"has \(4, 5, 6\) voxels in RAS order, too few for the crop"):
        crop_ras(image, np.eye(4), (1.0, 1.0, 1.0), box)


def test_a_case_is_cropped_with_its_mask(make_case, image, mask):
    mask[:, :2] = 0
    mask[:, :, 4:] = 0
    raw = read_case(make_case(mask=mask))
    np.testing.assert_array_equal(raw.image[0], image[1:3, 2:5, 0:4])
    np.testing.assert_array_equal(raw.mask, mask[1:3, 2:5, 0:4])
    np.testing.assert_allclose(raw.affine[:3, 3], [1, 2, 0])


def test_labeled_voxels_outside_the_crop_are_an_error(make_case):
    with pytest.raises(InputError, match=r"a_gt\.nii\.gz: \d+ labeled voxels lie outside the crop 1:3 x 2:5 x 0:4"):
        read_case(make_case())


def test_a_crop_that_does_not_fit_names_the_file(make_case):
    with pytest.raises(InputError, match=r"a\.nii\.gz: has \(4, 5, 6\) voxels"):
        read_case(make_case(crop=((0, 9), (0, 5), (0, 6))))


@pytest.mark.parametrize("offset", [1, 26896.988, -3])
def test_a_mask_can_be_read_from_its_minimum(make_case, mask, offset):
    case = make_case(crop=None, mask=mask.astype(np.float32) + np.float32(offset), mask_from_minimum=True)
    np.testing.assert_array_equal(read_case(case).mask, mask)


def test_what_is_read_of_the_files_is_part_of_fingerprint_and_cache(make_case):
    whole = ((0, 4), (0, 5), (0, 6))
    cases = [make_case(None), make_case(whole), make_case(((0, 4), (0, 4), (0, 6)))]
    cases.append(make_case(None, mask_from_minimum=True))
    assert len({fingerprint([case]) for case in cases}) == 4
    assert len({cache_key(case, PLAN) for case in cases}) == 4


def test_the_native_grid_of_a_cropped_case_is_the_crop(make_case, tmp_path):
    prepared = prepare_case(make_case(((0, 3), (0, 5), (1, 5))), PLAN, tmp_path)
    assert prepared.geometry.native_shape == (3, 5, 4)
    scores = np.zeros((2, 3, 5, 4), dtype=np.float32)
    assert prepared.geometry.to_native(scores).shape == (3, 5, 4)
