"""The M&Ms layout: a table, 4-D series in four folders, two frames per patient, vendors and centres."""

from __future__ import annotations

import numpy as np
import pytest

from clbench.data.case import Trap
from clbench.data.check import inspect_cases
from clbench.data.layouts import LAYOUTS
from clbench.data.layouts.gathering import IncompleteError
from clbench.data.nifti import read_case
from clbench.errors import InputError

LABELS = {"lv": 1, "myocardium": 2, "rv": 3}
TABLE = "211230_M&Ms_Dataset_information_diagnosis_opendataset.csv"
HEADER = ",External code,VendorName,Vendor,Centre,ED,ES,Age,Pathology,Sex,Height,Weight"
ROWS = (
    "0,A0S9V9,Siemens,A,1,0,2,38,HCM,M,171.0,75.0",
    "1,B2D9O2,Philips,B,2,1,0,,NOR,F,,",
    "2,C5M4S2,GE,C,4,,,57,NOR,M,,",  # unlabeled
    "3,D1R0Y5,Canon,D,5,0,1,22,DCM,F,160.0,",
)
FOLDERS = {
    "A0S9V9": "Training/Labeled",
    "B2D9O2": "Validation",
    "C5M4S2": "Training/Unlabeled",
    "D1R0Y5": "Testing",
}
FRAMES = {"A0S9V9": (0, 2), "B2D9O2": (1, 0), "D1R0Y5": (0, 1)}


def read(root, labels=LABELS, **options):
    return LAYOUTS["mnms"].read(root, labels, options)


def write_table(root, *rows, name=TABLE, header=HEADER):
    for old in root.glob("*.csv"):
        old.unlink()
    (root / name).write_text("\n".join([header, *rows]) + "\n", encoding="utf-8")


def series(frames):
    """Image (6, 5, 4, 3) whose value tells the frame, and a mask that is empty but at the frames given."""
    image = np.arange(120, dtype=np.int16).reshape(6, 5, 4)[..., None] + 1000 * np.arange(3, dtype=np.int16)
    image[-1, -1, -1] += sum(
        (7 * frame + 1) * place for place, frame in enumerate(frames)
    )  # other frames, other voxels
    mask = np.zeros(image.shape, np.uint8)
    for frame in frames:
        mask[1 + frame, 1:4, 1:3, frame] = (1, 2, 3)[frame]
    return image, mask


@pytest.fixture
def root(tmp_path, write_nifti):
    """Four patients: one per vendor, the GE one unlabeled."""
    for code, folder in FOLDERS.items():
        image, mask = series(FRAMES.get(code, ()))
        write_nifti(tmp_path / folder / code / f"{code}_sa.nii.gz", image)
        write_nifti(tmp_path / folder / code / f"{code}_sa_gt.nii.gz", mask)
    write_table(tmp_path, *ROWS)
    return tmp_path


def test_each_labeled_patient_gives_two_cases_at_the_frames_of_the_table(root):
    listed = [(case.case_id, case.patient_id, case.channel) for case in read(root).cases]
    assert listed == [
        ("A0S9V9_ED", "A0S9V9", 0),
        ("A0S9V9_ES", "A0S9V9", 2),
        ("B2D9O2_ED", "B2D9O2", 1),
        ("B2D9O2_ES", "B2D9O2", 0),
        ("D1R0Y5_ED", "D1R0Y5", 0),
        ("D1R0Y5_ES", "D1R0Y5", 1),
    ]


@pytest.mark.parametrize(
    ("options", "groups"), [({}, "ABD"), ({"group_by": "vendor"}, "ABD"), ({"group_by": "centre"}, "125")]
)
def test_cases_are_grouped_by_vendor_or_by_centre(root, options, groups):
    assert [case.group for case in read(root, **options).cases] == [group for group in groups for _ in range(2)]


def test_another_grouping_is_refused(root):
    with pytest.raises(InputError, match="unknown group_by 'center'; did you mean centre"):
        read(root, group_by="center")


def test_image_and_mask_are_read_at_the_same_frame(root):
    for case in read(root).cases:
        image, mask = series(FRAMES[case.patient_id])
        raw = read_case(case)
        np.testing.assert_array_equal(raw.image[0], image[..., case.channel])
        np.testing.assert_array_equal(raw.mask, mask[..., case.channel])
        assert raw.mask.any()


def test_labels_are_mapped_by_name_not_by_number(root):
    acdc = {"rv": 1, "myocardium": 2, "lv": 3}
    assert read(root, acdc).cases[0].label_values == {0: 0, 1: 3, 2: 2, 3: 1}
    merged = {"rv": "background", "lv": "ventricle", "myocardium": "ventricle"}
    assert read(root, {"ventricle": 1}, rename=merged).cases[0].label_values == {0: 0, 1: 1, 2: 1, 3: 0}


def test_a_raw_label_without_counterpart_is_an_error(root):
    with pytest.raises(InputError, match=r"labels 'myocardium', 'rv' are not in the stream"):
        read(root, {"lv": 1})


# --- traps


def test_every_trap_is_named(root):
    write_table(root, ROWS[0].replace(",0,2,", ",0.0,2.0,"), *ROWS[1:])
    (root / "201014_M&Ms_Dataset_Information_-_opendataset.csv").write_text("an older release")
    (root / "Validation" / "B2D9O2" / "._B2D9O2_sa.nii.gz").touch()
    everywhere = "Training/Labeled, Validation, Testing"
    assert read(root).traps == (
        Trap("dated-table", TABLE, "read as the table of patients, whatever its date"),
        Trap(
            "several-tables",
            TABLE,
            "latest one taken instead of 201014_M&Ms_Dataset_Information_-_opendataset.csv",
        ),
        Trap("decimal-frames", TABLE, "1 row writes frame numbers as decimals; read as whole numbers"),
        Trap("4d-series", everywhere, "frames ED and ES of 3 patients read as two cases each"),
        Trap("label-order", everywhere, "1 lv, 2 myocardium, 3 rv, unlike ACDC; mapped by name"),
        Trap("unlabeled-patients", "Training/Unlabeled", "1 patient skipped; their masks are empty"),
        Trap("missing-frames", TABLE, "1 unlabeled patient has no ED or ES; not needed"),
        Trap("macos-files", "Validation/B2D9O2", "1 file named ._* ignored"),
    )


@pytest.mark.parametrize(
    "name",
    [
        "201014_M&Ms_Dataset_Information_-_opendataset.csv",
        "20301231_M&Ms_Dataset_information_diagnosis_opendataset.csv",
        "M&Ms_Dataset_information.CSV",
    ],
)
def test_the_table_is_found_under_any_date(root, name):
    write_table(root, *ROWS, name=name)
    listing = read(root)
    assert len(listing.cases) == 6
    assert Trap("dated-table", name, "read as the table of patients, whatever its date") in listing.traps


def test_columns_may_come_in_any_order_with_a_byte_order_mark(root):
    header = "\ufeffES,ED,centre,External code ,VENDOR"
    write_table(root, "2,0,1,A0S9V9,a", "0,1,2,B2D9O2,B", "nan,NaN,4,C5M4S2,C", "1,0,5.0,D1R0Y5,D", header=header)
    assert [(case.channel, case.group) for case in read(root, group_by="centre").cases[::2]] == [
        (0, "1"),
        (1, "2"),
        (0, "5"),
    ]


def test_folder_and_file_names_ignore_case(root):
    (root / "Validation").rename(root / "validation")
    folder = root / "Testing" / "D1R0Y5"
    (folder / "D1R0Y5_sa_gt.nii.gz").rename(folder / "D1R0Y5_SA_GT.nii.gz")
    assert len(read(root).cases) == 6


def test_unlabeled_patients_need_no_files_and_no_row(root):
    (root / "Training" / "Unlabeled" / "C5M4S2" / "C5M4S2_sa_gt.nii.gz").unlink()
    write_table(root, *ROWS[:2], ROWS[3])
    assert len(read(root).cases) == 6


def test_a_mask_that_is_empty_at_a_labeled_frame_is_found_by_the_check(root):
    write_table(root, ROWS[0].replace(",0,2,", ",1,2,"), *ROWS[1:])
    (problem,) = inspect_cases(read(root).cases).problems
    assert problem.case_id == "A0S9V9_ED"
    assert "mask is empty" in problem.what


# --- mistakes


@pytest.mark.parametrize("lost", ["Training/Labeled", "Validation", "Testing"])
def test_a_missing_folder_is_named(root, lost):
    (root / lost).rename(root / "elsewhere")
    with pytest.raises(InputError, match=f"no folder {lost}; complete the download"):
        read(root)


def test_a_missing_table_is_named(root):
    next(root.glob("*.csv")).unlink()
    with pytest.raises(InputError, match=r"no YYMMDD_M&Ms_Dataset_information_\*\.csv"):
        read(root)


@pytest.mark.parametrize("lost", ["A0S9V9_sa.nii.gz", "A0S9V9_sa_gt.nii.gz"])
def test_a_missing_file_is_named(root, lost):
    (root / "Training" / "Labeled" / "A0S9V9" / lost).unlink()
    with pytest.raises(InputError, match=lost.replace(".", r"\.")):
        read(root)


def test_all_missing_files_rows_and_folders_are_told_at_once(root):
    for name in ("A0S9V9_sa.nii.gz", "A0S9V9_sa_gt.nii.gz"):
        (root / "Training" / "Labeled" / "A0S9V9" / name).unlink()
    write_table(root, *(row for row in ROWS if "D1R0Y5" not in row), "4,E1,GE,C,4,0,1,,,,,")
    with pytest.raises(IncompleteError) as incomplete:
        read(root)
    assert [line.partition(": ")[2] for line in incomplete.value.problems] == [
        "has no row for the patients D1R0Y5; take the complete table",
        "lists patients that have no folder: E1; complete the download or delete their rows",
        "A0S9V9_sa.nii.gz is missing; complete the download",
        "A0S9V9_sa_gt.nii.gz is missing; complete the download",
    ]
    assert [case.case_id for case in incomplete.value.cases] == ["B2D9O2_ED", "B2D9O2_ES"]


def test_all_wrong_rows_and_lost_folders_are_told_at_once(root):
    write_table(root, *replaced(",A,1,0,2", ",E,1,0,2"), ROWS[1])
    (root / "Testing").rename(root / "elsewhere")
    with pytest.raises(IncompleteError) as incomplete:
        read(root)
    assert len(incomplete.value.problems) == 3, incomplete.value.problems


def replaced(old, new):
    return tuple(row.replace(old, new) for row in ROWS)


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (ROWS[1:3], "has no row for the patients A0S9V9, D1R0Y5; take the complete table"),
        ((*ROWS, "4,E1,GE,C,4,0,1,,,,,"), "lists patients that have no folder: E1; complete the download or delete"),
        ((*ROWS, ROWS[0]), "patient A0S9V9 is there twice"),
        (replaced(",A,1,0,2", ",A,1,,2"), "labeled patient A0S9V9 has no frame number ED; fill it in"),
        (replaced(",A,1,0,2", ",A,1,NaN,"), "labeled patient A0S9V9 has no frame number ED and ES"),
        (replaced(",A,1,0,2", ",A,1,2,2"), "ED and ES of patient A0S9V9 are both frame 2"),
        (replaced(",A,1,0,2", ",A,1,-1,2"), "patient A0S9V9 has ED '-1', expected a frame number from 0"),
        (replaced(",A,1,0,2", ",A,1,0,2.5"), "patient A0S9V9 has ES '2.5'"),
        (replaced(",A,1,0,2", ",E,1,0,2"), "patient A0S9V9 has the vendor 'E', expected one of A, B, C, D"),
        (replaced(",A,1,0,2", ",A,,0,2"), "patient A0S9V9 has the centre '', expected a number"),
        (replaced("A0S9V9", "../A0"), "'../A0' cannot be a case id"),
    ],
)
def test_a_wrong_table_is_told(root, rows, message):
    write_table(root, *rows)
    with pytest.raises(InputError, match=message) as error:
        read(root)
    assert TABLE in str(error.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"External code,Vendor,ED\n", "has no column Centre, ES"),
        (b"", "has no column External code, Vendor, Centre, ED, ES"),
        (b"\xff\xfe\x00", "cannot be read"),
    ],
)
def test_a_file_that_is_no_such_table_is_told(root, content, message):
    (root / TABLE).write_bytes(content)
    with pytest.raises(InputError, match=message):
        read(root)


@pytest.mark.parametrize("folder", ["Testing", "Training/Unlabeled"])
def test_a_patient_in_two_folders_is_refused(root, folder):
    (root / folder / "A0S9V9").mkdir()
    with pytest.raises(InputError, match="A0S9V9: patient is in Training/Labeled too; keep one"):
        read(root)


def test_a_frame_beyond_the_series_is_found_by_the_check(root):
    write_table(root, ROWS[0].replace(",0,2,", ",0,9,"), *ROWS[1:])
    problems = inspect_cases(read(root).cases).problems
    assert {problem.case_id for problem in problems} == {"A0S9V9_ES"}
    assert all("not channel 9" in problem.what for problem in problems)


def test_a_mask_of_another_series_is_found_by_the_check(root, write_nifti):
    _, mask = series((0, 1))
    write_nifti(root / "Testing" / "D1R0Y5" / "D1R0Y5_sa_gt.nii.gz", mask[..., :2])
    problems = inspect_cases(read(root).cases).problems
    assert [problem.case_id for problem in problems] == ["D1R0Y5_ED", "D1R0Y5_ES"]
    assert "has 2 volumes, but D1R0Y5_sa.nii.gz has 3" in problems[0].what
