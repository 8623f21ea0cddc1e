"""The ACDC layout: Info.cfg, two frames per patient, labels by name."""

from __future__ import annotations

import nibabel
import numpy as np
import pytest

from clbench.data.case import Trap
from clbench.data.layouts import LAYOUTS
from clbench.data.nifti import read_case
from clbench.errors import InputError

LABELS = {"rv": 1, "myocardium": 2, "lv": 3}


def read(root, labels=LABELS, **options):
    return LAYOUTS["acdc"].read(root, labels, options)


def add_patient(root, number, group, frames=(1, 12)):
    folder = root / f"patient{number:03d}"
    folder.mkdir()
    (folder / "Info.cfg").write_text(f"ED: {frames[0]}\nES: {frames[1]}\nGroup: {group}\nHeight: 184.0\n")
    (folder / f"patient{number:03d}_4d.nii.gz").touch()
    for frame in frames:
        (folder / f"patient{number:03d}_frame{frame:02d}.nii.gz").touch()
        (folder / f"patient{number:03d}_frame{frame:02d}_gt.nii.gz").touch()
    return folder


@pytest.fixture
def root(tmp_path):
    add_patient(tmp_path, 1, "DCM")
    add_patient(tmp_path, 61, "NOR", (4, 10))
    (tmp_path / "MANDATORY_CITATION.md").touch()
    return tmp_path


def test_each_patient_gives_its_two_frames_under_its_diagnosis(root):
    listed = [(case.case_id, case.patient_id, case.group, case.mask.name) for case in read(root).cases]
    assert listed == [
        ("patient001_frame01", "patient001", "DCM", "patient001_frame01_gt.nii.gz"),
        ("patient001_frame12", "patient001", "DCM", "patient001_frame12_gt.nii.gz"),
        ("patient061_frame04", "patient061", "NOR", "patient061_frame04_gt.nii.gz"),
        ("patient061_frame10", "patient061", "NOR", "patient061_frame10_gt.nii.gz"),
    ]


def test_labels_are_mapped_by_name_not_by_number(root):
    assert read(root, {"lv": 1, "myocardium": 2, "rv": 3}).cases[0].label_values == {0: 0, 1: 3, 2: 2, 3: 1}


def test_labels_may_be_renamed_merged_or_left_out(root):
    rename = {"rv": "background", "lv": "ventricle", "myocardium": "ventricle"}
    assert read(root, {"ventricle": 1}, rename=rename).cases[0].label_values == {0: 0, 1: 0, 2: 1, 3: 1}


def test_a_raw_label_without_counterpart_is_an_error_and_no_silent_background(root):
    with pytest.raises(InputError, match=r"labels 'rv', 'myocardium' are not in the stream \(lv\); map each, such as"):
        read(root, {"lv": 1})


def test_a_rename_of_or_to_an_unknown_label_is_refused(root):
    with pytest.raises(InputError, match="unknown label to rename 'mio'"):
        read(root, rename={"mio": "lv"})
    with pytest.raises(InputError, match="unknown label to rename to 'myocard'; did you mean myocardium"):
        read(root, rename={"rv": "myocard"})


@pytest.mark.parametrize(
    ("info", "message"),
    [
        ("ED: 1\nES: 12\n", r"Info\.cfg: has no line 'Group"),
        ("ED: one\nES: 12\nGroup: DCM\n", "ED is 'one', expected a frame number"),
        ("ED: 1\nES: 1\nGroup: DCM\n", "both frame 1"),
        ("ED: 1\nES: 13\nGroup: DCM\n", r"patient001_frame13\.nii\.gz is missing"),
        ("\x00", "has no line 'ED"),
    ],
)
def test_a_wrong_info_file_is_told(root, info, message):
    (root / "patient001" / "Info.cfg").write_text(info)
    with pytest.raises(InputError, match=message):
        read(root)


@pytest.mark.parametrize("lost", ["Info.cfg", "patient001_frame12_gt.nii.gz", "patient001_frame01.nii.gz"])
def test_a_missing_file_is_named(root, lost):
    (root / "patient001" / lost).unlink()
    with pytest.raises(InputError, match=lost.replace(".", r"\.")):
        read(root)


def test_a_root_without_patients_is_refused(root):
    with pytest.raises(InputError, match="holds no patientNNN folder"):
        read(root.parent / root.name / "patient001")


def test_macos_twins_are_ignored(root):
    (root / "patient001" / "._patient001_frame01.nii.gz").touch()
    assert read(root).traps == (Trap("macos-files", "patient001", "1 file named ._* ignored"),)
    assert len(read(root).cases) == 4


@pytest.mark.data
def test_the_real_copy_has_seventy_patients_in_five_groups_of_fourteen(real_data):
    listing = read(real_data / "acdc" / "training")
    patients = {case.patient_id: case.group for case in listing.cases}
    assert len(listing.cases) == 140
    assert {group: list(patients.values()).count(group) for group in set(patients.values())} == dict.fromkeys(
        ("DCM", "HCM", "MINF", "NOR", "RV"), 14
    )
    raw = read_case(listing.cases[0])
    assert raw.image.shape[1:] == raw.mask.shape
    assert set(raw.mask.ravel().tolist()) == {0, 1, 2, 3}


def with_headers(root, spacings_mm):
    """The tree with real files: one spacing for every mask in turn."""
    masks = [case.mask for case in read(root).cases]
    for mask, spacing_mm in zip(masks, spacings_mm, strict=True):
        nibabel.save(nibabel.Nifti1Image(np.ones((4, 4, 2), np.uint8), np.diag([*spacing_mm, 1.0])), mask)
    return root


def test_a_copy_whose_every_header_has_unit_spacing_is_named_as_one_without_spacing(root):
    (trap,) = read(with_headers(root, [(1, 1, 1)] * 4)).traps
    assert (trap.kind, trap.where) == ("spacing-lost", "4 cases")
    assert trap.action.startswith("every header says 1 x 1 x 1 mm: the spacing was lost")


def test_one_header_with_a_spacing_shows_that_it_was_kept(root):
    assert read(with_headers(root, [(1, 1, 1)] * 3 + [(1.5, 1.5, 10)])).traps == ()


def test_a_mask_that_cannot_be_read_is_left_to_the_check(root):
    with_headers(root, [(1, 1, 1)] * 4)
    read(root).cases[1].mask.write_bytes(b"no header")
    assert read(root).traps == ()
