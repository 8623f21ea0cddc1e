"""Check: all problems at once, and the traps that only voxels and headers show."""

from __future__ import annotations

import gzip
import struct
from dataclasses import replace

import numpy as np
import pytest

from clbench.data import check
from clbench.data.case import Case, Trap
from clbench.data.check import Problem, check_cases, inspect_cases
from clbench.data.layouts import LAYOUTS


@pytest.fixture
def make_case(tmp_path, write_nifti, image, mask):
    """A sound case, or one with another image, mask or mask header."""

    def make(name, *, image=image, mask=mask, mask_affine=None, labels=None):
        files = (
            write_nifti(tmp_path / f"{name}.nii.gz", image),
            write_nifti(tmp_path / f"{name}_gt.nii.gz", mask, mask_affine),
        )
        return Case(name, name, files[:1], files[1], labels or {0: 0, 1: 1, 2: 2})

    return make


def test_sound_cases_have_no_problems_and_no_traps(make_case, image):
    findings = inspect_cases([make_case("b"), make_case("a", image=image + 1)])
    assert (findings.problems, findings.traps) == ((), ())


def test_every_problem_of_every_case_is_listed_in_order(make_case, image, mask):
    cases = [
        make_case("d-constant", image=np.ones_like(image)),
        make_case("c-shape", mask=mask[1:]),
        make_case("b-unknown", mask=mask * 3),
        make_case("a-both", image=np.where(image == 7, np.nan, image), mask=mask + 0.5),
        make_case("e-sound"),
    ]
    assert check_cases(cases) == [
        Problem("a-both", cases[3].images[0], "1 voxels are NaN or infinite; repair the file"),
        Problem(
            "a-both",
            cases[3].mask,
            "mask values are not integers, such as 0.5; it needs label values; save it without interpolation",
        ),
        Problem(
            "b-unknown",
            cases[2].mask,
            "mask holds the unknown value 3, 6; known values: 0, 1, 2; repair the mask or add the label",
        ),
        Problem(
            "c-shape", cases[1].mask, "has the shape (3, 5, 6), but c-shape.nii.gz has (4, 5, 6); put both on one grid"
        ),
        Problem("d-constant", cases[0].images[0], "image is constant; remove the case or repair the file"),
    ]


def test_findings_do_not_depend_on_the_number_of_threads_or_the_order(make_case, mask):
    cases = [make_case(f"case{n}", mask=mask * (1 + n % 3)) for n in range(6)]
    assert inspect_cases(cases, workers=1) == inspect_cases(cases[::-1], workers=4)


def test_zone_labels_that_become_one_label_are_a_trap(make_case):
    case = make_case("a", labels={0: 0, 1: 1, 2: 1})
    assert inspect_cases([case]).traps == (Trap("two-zone-labels", "a_gt.nii.gz", "values 1, 2 merged into one label"),)


def test_labels_left_out_of_a_stream_are_not_merged(make_case):
    assert inspect_cases([make_case("a", labels={0: 0, 1: 0, 2: 0})]).traps == ()


def test_a_mask_stored_as_floats_is_a_trap(make_case, mask):
    assert [trap.kind for trap in inspect_cases([make_case("a", mask=mask.astype("f4"))]).traps] == ["float-mask"]


def test_an_empty_mask_is_a_problem_or_where_it_is_allowed_a_trap(make_case, mask):
    case = make_case("a", mask=mask * 0)
    assert [problem.what for problem in check_cases([case])] == [
        "mask is empty; label the case, remove it, or allow empty_masks in the card"
    ]
    findings = inspect_cases([replace(case, may_be_empty=True)])
    assert (findings.problems, [trap.kind for trap in findings.traps]) == ((), ["empty-mask"])


@pytest.mark.parametrize("size", [0.001, 80.0])
def test_a_spacing_that_no_scanner_gives_is_a_problem(make_case, write_nifti, image, mask, tmp_path, size):
    affine = np.diag([1.0, 1.0, size, 1.0])
    files = [write_nifti(tmp_path / f"{name}.nii.gz", array, affine) for name, array in (("i", image), ("m", mask))]
    (problem,) = check_cases([Case("a", "a", (files[0],), files[1], {1: 1, 2: 2})])
    assert problem.what.startswith(f"has voxels of 1 x 1 x {size:g} mm, which no scanner gives")


def test_the_same_voxels_under_two_names_are_a_problem_however_they_are_stored(make_case, write_nifti, image, tmp_path):
    cases = [make_case("a"), make_case("b", image=image.astype(np.float64)), make_case("c", image=image + 1)]
    twin = cases[1]
    write_nifti(twin.images[0], image.astype(np.int16), dtype=np.int16)
    (problem,) = check_cases(cases)
    assert (problem.case_id, problem.file) == ("b", twin.images[0])
    assert problem.what.startswith("has the same voxels as case a: one may be learned and the other tested")


def test_what_was_found_is_remembered_by_content(make_case, image, tmp_path, monkeypatch):
    cases = [make_case("a"), make_case("b", image=np.ones_like(image))]
    first = inspect_cases(cases, cache=tmp_path / "cache")
    assert len(first.problems) == 1
    with monkeypatch.context() as patch:
        patch.setattr(check, "read_volume", lambda *_: pytest.fail("read again"))
        assert inspect_cases(cases, cache=tmp_path / "cache") == first
    make_case("b", image=image * 2)
    assert inspect_cases(cases, cache=tmp_path / "cache").problems == ()


@pytest.mark.parametrize("damage", ["", "{", "[]", '{"faults": [1]}', '{"faults": [], "oddities": 3, "voxels": ""}'])
def test_a_damaged_memory_is_looked_up_anew(make_case, tmp_path, damage):
    cases = [make_case("a")]
    first = inspect_cases(cases, cache=tmp_path / "cache")
    (file,) = (tmp_path / "cache").rglob("*.json")
    file.write_text(damage)
    assert inspect_cases(cases, cache=tmp_path / "cache") == first


def test_a_mask_header_that_differs_is_a_trap_that_says_by_how_much(make_case):
    affine = np.diag([1.0, 1.0, 2.1, 1.0])
    traps = inspect_cases([make_case("a", mask_affine=affine)]).traps
    assert traps == (
        Trap("mask-header-differs", "a_gt.nii.gz", "mask header is off by up to 0.5 mm; the image's geometry is used"),
    )


def test_a_header_whose_affine_and_spacing_disagree_is_a_trap(make_case):
    case = make_case("a")
    content = bytearray(gzip.decompress(case.images[0].read_bytes()))
    content[80:92] = struct.pack("<fff", 0.5, 0.5, 0.5)  # pixdim
    case.images[0].write_bytes(gzip.compress(content))
    findings = inspect_cases([case])
    assert [(trap.kind, trap.where) for trap in findings.traps] == [("spacing-disagrees", "a.nii.gz")]


@pytest.mark.parametrize(("factor", "met"), [(9.9, False), (10.0, True), (1e6, True)])
def test_images_whose_numbers_lie_tenfold_apart_are_a_trap(make_case, image, factor, met):
    findings = inspect_cases([make_case("a", image=image), make_case("b", image=image * factor)])
    assert [trap.kind for trap in findings.traps] == ["intensity-scales-differ"] * met


def test_the_scale_trap_says_how_far_and_in_which_types(make_case, image):
    cases = [make_case("a", image=image.astype("u1")), make_case("b", image=1000 * image)]
    (trap,) = inspect_cases(cases).traps
    assert (trap.kind, trap.where) == ("intensity-scales-differ", "2 images")
    assert trap.action == "largest values from 119 to 1.19e+05, stored as float32, uint8; each is normalized on its own"


def test_no_cases_are_no_findings():
    assert check_cases([]) == []


@pytest.mark.data
def test_the_real_hippocampus_copy_is_sound_but_for_its_float_mask(real_data):
    labels = {"anterior": 1, "posterior": 2}
    cases = LAYOUTS["decathlon"].read(real_data / "msd" / "Task04_Hippocampus", labels).cases
    findings = inspect_cases(cases)
    assert findings.problems == ()
    assert [(trap.kind, trap.where) for trap in findings.traps] == [
        ("float-mask", "labelsTr/hippocampus_003.nii.gz"),
        ("intensity-scales-differ", "200 images"),
    ]
    assert "stored as float32, uint8" in findings.traps[-1].action


@pytest.mark.data
def test_the_real_acdc_copy_is_sound(real_data):
    labels = {"rv": 1, "myocardium": 2, "lv": 3}
    assert check_cases(LAYOUTS["acdc"].read(real_data / "acdc" / "training", labels).cases) == []
