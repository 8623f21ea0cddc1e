"""HarP as published, traps included."""

from __future__ import annotations

import nibabel as nib
import numpy as np
import pytest

from clbench.data.case import Trap
from clbench.data.check import inspect_cases
from clbench.data.layouts import LAYOUTS
from clbench.data.layouts.gathering import IncompleteError
from clbench.data.layouts.harp import SWAPPED
from clbench.data.nifti import read_case
from clbench.data.phantom.minc import minc_bytes
from clbench.errors import InputError

LABELS = {"hippocampus": 1}
GRID = (197, 233, 189)
NORMAL, SWAP, LATE = "ADNI_002_S_0295_13408", "ADNI_029_S_4279_265980", "ADNI_136_S_0429_109839"
LEFT, RIGHT = (slice(49, 97), slice(78, 142), slice(40, 104)), (slice(97, 145), slice(78, 142), slice(40, 104))


def read(root, **options):
    return LAYOUTS["harp"].read(root, LABELS, options)


def by_id(listing):
    return {case.case_id: case for case in listing.cases}


@pytest.fixture
def root(tmp_path):
    """Three scans, two of them with swapped sides, as empty files: a listing opens none."""
    for subset, scans in {"100": (NORMAL, SWAP), "35": (LATE,)}.items():
        (tmp_path / subset).mkdir()
        (tmp_path / f"Labels_{subset}_NIFTI").mkdir()
        for scan in scans:
            (tmp_path / subset / f"{scan}_ACPC.mnc").touch()
            for letter in "LR":
                (tmp_path / f"Labels_{subset}_NIFTI" / f"{scan}_{letter}.nii").touch()
    return tmp_path


def test_every_scan_gives_two_cases_of_one_patient(root):
    listing = read(root)
    assert [case.case_id for case in listing.cases] == sorted(by_id(listing))
    assert len(listing.cases) == 6
    case = by_id(listing)[f"{NORMAL}_left"]
    assert (case.patient_id, case.group) == ("ADNI_002_S_0295", "left")
    assert case.images == (root / "100" / f"{NORMAL}_ACPC.mnc",)
    assert case.mask == root / "Labels_100_NIFTI" / f"{NORMAL}_L.nii"
    assert case.mask_from_minimum


def test_all_missing_files_and_folders_are_told_at_once(root):
    (root / "Labels_100_NIFTI" / f"{NORMAL}_L.nii").unlink()
    (root / "100" / f"{SWAP}_ACPC.mnc").unlink()
    (root / "35").rename(root / "elsewhere")
    (root / "Labels_35_NIFTI").rename(root / "elsewhere2")
    with pytest.raises(IncompleteError) as incomplete:
        read(root)
    masks = root / "Labels_100_NIFTI"
    assert incomplete.value.problems == (
        f"{root / '100' / f'{NORMAL}_ACPC.mnc'}: has no mask {NORMAL}_L in Labels_100_NIFTI; complete the download",
        *(f"{masks / f'{SWAP}_{side}.nii'}: mask has no image in 100; complete the download" for side in "LR"),
        f"{root}: no folder 35; complete the download",
        f"{root}: no folder Labels_35_NIFTI; complete the download",
    )
    assert [case.case_id for case in incomplete.value.cases] == [f"{NORMAL}_right"]


def test_crops_are_the_published_ones(root):
    cases = by_id(read(root))
    assert cases[f"{NORMAL}_left"].crop == ((49, 97), (78, 142), (40, 104))
    assert cases[f"{NORMAL}_right"].crop == ((97, 145), (78, 142), (40, 104))


def test_trap_swapped_sides_the_left_hippocampus_is_in_the_mask_called_right(root):
    assert len(SWAPPED) == 4
    listing = read(root)
    for scan, folder in ((SWAP, "100"), (LATE, "35")):
        assert by_id(listing)[f"{scan}_left"].mask.name == f"{scan}_R.nii"
        assert by_id(listing)[f"{scan}_right"].mask.name == f"{scan}_L.nii"
        assert Trap("swapped-sides", f"{folder}/{scan}", "mask _L read as right, mask _R as left") in listing.traps


def test_trap_axis_order_is_listed_per_subset(root):
    assert [trap.where for trap in read(root).traps if trap.kind == "axis-order-differs"] == ["100", "35"]


def test_trap_macos_files_are_ignored_and_told(root):
    (root / "100" / f"._{NORMAL}_ACPC.mnc").touch()
    assert Trap("macos-files", "100", "1 file named ._* ignored") in read(root).traps
    assert len(read(root).cases) == 6


def test_names_are_found_whatever_their_case(root):
    (root / "Labels_100_NIFTI").rename(root / "labels_100_nifti")
    (root / "100" / f"{NORMAL}_ACPC.mnc").rename(root / "100" / f"{NORMAL.lower()}.MNC")
    assert f"{NORMAL}_left" in by_id(read(root))


def test_one_subset_can_be_read_alone(root):
    assert len(read(root, subsets=("35",)).cases) == 2
    with pytest.raises(InputError, match="unknown HarP subset '10'"):
        read(root, subsets=("10",))


@pytest.mark.parametrize(
    ("lost", "message"),
    [
        (f"Labels_100_NIFTI/{NORMAL}_L.nii", f"{NORMAL}_ACPC.mnc: has no mask {NORMAL}_L in Labels_100_NIFTI"),
        (f"Labels_35_NIFTI/{LATE}_R.nii", f"{LATE}_ACPC.mnc: has no mask {LATE}_R"),
        (f"100/{NORMAL}_ACPC.mnc", f"{NORMAL}_L.nii: mask has no image in 100"),
        (f"35/{LATE}_ACPC.mnc", r"35: holds no ADNI_\*\.mnc image"),
    ],
)
def test_an_image_or_mask_alone_is_named(root, lost, message):
    (root / lost).unlink()
    with pytest.raises(InputError, match=message):
        read(root)


def test_a_missing_subset_is_named(root):
    (root / "35").rename(root / "36")
    with pytest.raises(InputError, match="no folder 35; complete the download"):
        read(root)


@pytest.mark.parametrize(
    ("extra", "message"),
    [(f"{NORMAL}.mnc", "same scan as"), ("brain.mnc", "image name is not like ADNI_007_S_1304_74384_ACPC.mnc")],
)
def test_an_image_too_many_is_named(root, extra, message):
    (root / "100" / extra).touch()
    with pytest.raises(InputError, match=message):
        read(root)


def test_a_stream_with_two_labels_is_refused(root):
    with pytest.raises(InputError, match="hold one label, the stream has 2"):
        LAYOUTS["harp"].read(root, {"anterior": 1, "posterior": 2})


# --- voxels


@pytest.fixture(scope="module")
def head():
    return np.random.default_rng(0).integers(0, 256, GRID, dtype=np.uint8)


@pytest.fixture(scope="module")
def outlines():
    """A box in the left crop and a smaller one in the right, by side."""
    left, right = np.zeros(GRID, dtype=np.uint8), np.zeros(GRID, dtype=np.uint8)
    left[60:80, 90:130, 50:70] = 1
    right[110:125, 95:125, 55:75] = 1
    return {"left": left, "right": right}


@pytest.fixture
def write_scan(root, head, outlines):
    """Fill a scan's files: MINC z, y, x; NIfTI x, y, z; ``first`` is the side in the _L mask."""

    def write(scan, first="left", offset=0.0, axes="RAS"):
        folder = "35" if scan == LATE else "100"
        content = minc_bytes(head, (-98.0, -134.0, -72.0), (1.0, 1.0, 1.0), top=1000.0)
        (root / folder / f"{scan}_ACPC.mnc").write_bytes(content)
        affine = np.eye(4)
        affine[:3, 3] = (-98, -134, -72)
        second = "right" if first == "left" else "left"
        for letter, side in (("L", first), ("R", second)):
            mask = outlines[side] if offset == 0 else (outlines[side] + np.float32(offset)).astype(np.float32)
            image = nib.Nifti1Image(mask, affine)
            target = nib.orientations.axcodes2ornt(axes)
            image.as_reoriented(nib.orientations.ornt_transform(nib.io_orientation(affine), target)).to_filename(
                root / f"Labels_{folder}_NIFTI" / f"{scan}_{letter}.nii"
            )
        return {case.group: case for case in read(root).cases if case.case_id.startswith(scan)}

    return write


def test_trap_axis_order_image_and_mask_come_out_on_one_grid(write_scan, head, outlines):
    cases = write_scan(NORMAL)
    for side, box in (("left", LEFT), ("right", RIGHT)):
        raw = read_case(cases[side])
        np.testing.assert_allclose(raw.image[0], head[box] * (1000 / 255), rtol=1e-5)
        np.testing.assert_array_equal(raw.mask, outlines[side][box])
    np.testing.assert_allclose(raw.affine[:3, 3], (97 - 98, 78 - 134, 40 - 72))


def test_a_mask_stored_in_another_orientation_comes_out_the_same(write_scan, outlines):
    np.testing.assert_array_equal(read_case(write_scan(NORMAL, axes="LPS")["left"]).mask, outlines["left"][LEFT])


def test_trap_swapped_sides_comes_out_right(write_scan, outlines):
    cases = write_scan(SWAP, first="right")
    for side, box in (("left", LEFT), ("right", RIGHT)):
        np.testing.assert_array_equal(read_case(cases[side]).mask, outlines[side][box])


def test_swapped_sides_that_are_not_on_the_list_are_an_error(write_scan):
    with pytest.raises(InputError, match="9000 labeled voxels lie outside the crop 49:97"):
        read_case(write_scan(NORMAL, first="right")["left"])


@pytest.mark.parametrize("offset", [1.0, 26896.988])
def test_trap_mask_offset_is_subtracted_and_told(write_scan, outlines, offset):
    case = write_scan(NORMAL, offset=offset)["right"]
    np.testing.assert_array_equal(read_case(case).mask, outlines["right"][RIGHT])
    traps = {trap.kind: trap.action for trap in inspect_cases([case]).traps}
    assert traps["mask-offset"] == f"background is {float(np.float32(offset)):.9g}; subtracted"
