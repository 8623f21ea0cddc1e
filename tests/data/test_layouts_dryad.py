"""Dryad (MNI-HISUB25) as published, traps included."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest

from clbench.data.case import Trap
from clbench.data.check import inspect_cases
from clbench.data.layouts import LAYOUTS
from clbench.data.layouts.gathering import IncompleteError
from clbench.data.nifti import read_case
from clbench.errors import InputError

LABELS = {"hippocampus": 1}
GRID = (197, 233, 189)


def read(root):
    return LAYOUTS["dryad"].read(root, LABELS)


@pytest.fixture
def root(tmp_path):
    """Two subjects as empty files, with the high-resolution files that are not used."""
    for subject in ("s01", "s02"):
        (tmp_path / subject).mkdir()
        for name in (
            "t1w_standard_defaced_MNI",
            "t1w_hires_defaced_MNI",
            "t2w_hires_defaced_MNI",
            *(f"hippolabels_{kind}_{letter}_MNI" for kind in ("t1w_standard", "hres") for letter in "LR"),
        ):
            (tmp_path / subject / f"{subject}_{name}.nii.gz").touch()
    return tmp_path


def test_every_subject_gives_two_cases_of_one_patient(root):
    listing = read(root)
    assert [case.case_id for case in listing.cases] == ["s01_left", "s01_right", "s02_left", "s02_right"]
    case = listing.cases[1]
    assert (case.patient_id, case.group) == ("s01", "right")
    assert case.images == (root / "s01" / "s01_t1w_standard_defaced_MNI.nii.gz",)
    assert case.mask == root / "s01" / "s01_hippolabels_t1w_standard_R_MNI.nii.gz"
    assert (case.crop, case.mask_from_minimum) == (((97, 145), (78, 142), (40, 104)), False)
    assert listing.traps == ()


def test_trap_macos_files_are_ignored_and_told(root):
    (root / "s02" / "._s02_t1w_standard_defaced_MNI.nii.gz").touch()
    assert read(root).traps == (Trap("macos-files", "s02", "1 file named ._* ignored"),)


def test_trap_missing_subject_asks_to_check_the_download(root):
    (root / "s02").rename(root / "gone")
    (root / "s03").mkdir()
    for path in (root / "gone").iterdir():
        path.rename(root / "s03" / path.name.replace("s02", "s03"))
    assert [(trap.kind, trap.where) for trap in read(root).traps] == [("missing-case-number", "s02")]


def test_all_missing_files_are_told_at_once(root):
    lost = ("s01_hippolabels_t1w_standard_R_MNI", "s02_t1w_standard_defaced_MNI", "s02_hippolabels_t1w_standard_L_MNI")
    for name in lost:
        (root / name[:3] / f"{name}.nii.gz").unlink()
    with pytest.raises(IncompleteError) as incomplete:
        read(root)
    assert incomplete.value.problems == tuple(
        f"{root / name[:3]}: {name}.nii.gz is missing; complete the download" for name in lost
    )
    assert [case.case_id for case in incomplete.value.cases] == ["s01_left"]


@pytest.mark.parametrize("lost", ["s02_t1w_standard_defaced_MNI.nii.gz", "s02_hippolabels_t1w_standard_L_MNI.nii.gz"])
def test_a_missing_file_is_named_as_published(root, lost):
    (root / "s02" / lost).unlink()
    with pytest.raises(InputError, match=f"s02: {lost} is missing; complete the download"):
        read(root)


def test_a_root_without_subjects_is_named(tmp_path):
    with pytest.raises(InputError, match="holds no subject folder such as s01"):
        read(tmp_path)


def test_trap_subfields_are_merged_and_told(root):
    affine = np.eye(4)
    affine[:3, 3] = (-98, -134, -72)
    image = np.random.default_rng(0).integers(1, 200, GRID, dtype=np.uint8)
    mask = np.zeros(GRID, dtype=np.uint8)
    mask[60:66, 90:130, 50:70] = np.repeat([1, 2, 3], 2)[:, None, None]
    for name, array in (("t1w_standard_defaced", image), ("hippolabels_t1w_standard_L", mask)):
        nib.save(nib.Nifti1Image(array, affine), root / "s01" / f"s01_{name}_MNI.nii.gz")
    case = read(root).cases[0]
    raw = read_case(case)
    box = (slice(49, 97), slice(78, 142), slice(40, 104))
    np.testing.assert_array_equal(raw.image[0], image[box])
    np.testing.assert_array_equal(raw.mask, mask[box] > 0)
    actions = {trap.kind: trap.action for trap in inspect_cases([case]).traps}
    assert actions == {"two-zone-labels": "values 1, 2, 3 merged into one label"}
