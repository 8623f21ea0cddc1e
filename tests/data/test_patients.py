"""The patient in a case's name: how a card finds it, and when a check says that it should."""

from __future__ import annotations

from pathlib import Path

import pytest

from clbench.data.case import Case
from clbench.data.layouts.patients import patient_pattern, several_cases_trap, with_patients
from clbench.errors import InputError

WHERE = Path("labelsTr")


def cases(*names):
    return [Case(name, name, (Path(name),), Path(name), {1: 1}) for name in names]


def patients(pattern, *names):
    return [case.patient_id for case in with_patients(cases(*names), {"patient": pattern}, WHERE)]


@pytest.mark.parametrize(
    "pattern",
    [
        r"(patient\d+)_frame\d+",
        r"(.+)_frame.+",
        r"(?P<patient>patient\d+)_(frame)(\d+)",
        r"(?P<who>patient\d+)_(?:frame|f)\d+",
    ],
)
def test_the_group_of_the_expression_is_the_patient(pattern):
    assert patients(pattern, "patient001_frame01", "patient001_frame12", "patient002_frame01") == [
        *["patient001", "patient001", "patient002"]
    ]


def test_without_the_option_each_case_is_a_patient():
    assert with_patients(cases("a_1", "a_2"), {}, WHERE) == cases("a_1", "a_2")


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("(patient", r"is no regular expression \(missing \)"),
        ("*", "is no regular expression"),
        (r"patient\d+", "has no group; put brackets around"),
        (r"(?:patient)\d+", "has no group"),
        (r"(a)(b)", r"has 2 groups; name that of the patient \(\?P<patient>\.\.\.\)"),
    ],
)
def test_an_expression_that_finds_no_patient_is_told(pattern, message):
    with pytest.raises(InputError, match=message):
        patient_pattern(pattern)


def test_names_that_do_not_match_are_told_in_one_line():
    with pytest.raises(
        InputError, match=r"^labelsTr: patient = .* does not match case a1_2x and 1 more; correct"
    ) as told:
        patients(r"(a\d)_\d", "a1_1", "b1", "a1_2x")
    assert "\n" not in str(told.value)


@pytest.mark.parametrize("pattern", [r"(x?)a_.+", r"(x)?a_.+", r"a(_.+)?b?_1", r"a_1(.*)"])
def test_an_empty_patient_is_told(pattern):
    with pytest.raises(InputError, match="for the patient of case a_1; correct the expression"):
        patients(pattern, "a_1")


def warned(*names, **options):
    return [trap.action.split(" look like ")[0] for trap in several_cases_trap(cases(*names), options, "labelsTr")]


@pytest.mark.parametrize(
    "names",
    [
        ("patient001_frame01", "patient001_frame12", "patient002_frame01", "patient002_frame10"),
        ("A0S9V9_ED", "A0S9V9_ES", "B3_ED", "B3_ES"),
        ("A0S9V9_sa_ed", "A0S9V9_sa_es", "B3_sa_ed"),
        ("p1-visit1", "p1-visit2", "p2-visit1"),
        ("sub-01_ses-1", "sub-01_ses-2", "sub-02_ses-1"),
        ("case7_tp_1", "case7_tp_2", "case8"),
        ("s01_L", "s01_R", "s02_L", "s02_R"),
        ("p01_1", "p01_2", "p02_1", "p02_2"),
        ("BraTS-GLI-00005-000", "BraTS-GLI-00005-001", "BraTS-GLI-00006-000", "BraTS-GLI-00008-000"),
        ("Pat_03_baseline", "Pat_03_followup", "Pat_04_baseline"),
    ],
)
def test_names_that_look_like_several_cases_of_a_patient_are_named(names):
    assert warned(*names) == [f"warning: {names[0]} and {names[1]}"]
    assert warned(*names, patient="(.+)") == []


USUAL = {
    **{"hippocampus": "hippocampus_{:03d}", "la": "la_{:03d}", "prostate": "prostate_{:02d}", "kits": "case_{:05d}"},
    **{"brats": "BRATS_{:03d}", "brats21": "BraTS2021_{:05d}", "liver": "liver_{}", "volume": "volume-{}"},
    **{"vessel": "hepaticvessel_{:03d}", "amos": "amos_{:04d}", "amos22": "amos22_{:04d}", "total": "s{:04d}"},
    **{"flare": "FLARE22_Tr_{:04d}", "promise": "Case{:02d}", "task": "Task04_{:03d}", "scan": "lung_scan_{:03d}"},
    **{"dated scan": "lung2019_scan_{:03d}", "toothfairy": "ToothFairy2F_{:03d}", "lidc": "LIDC-IDRI-{:04d}"},
    **{"nsclc": "LUNG1-{:03d}", "toy": "case{}", "hospital": "p{:02d}", "patient": "patient{:03d}", "bids": "sub-{}"},
    **{"patient number": "patient_{:03d}", "left": "left_{}", "frame": "frame_{}", "number": "{}", "run": "x1_run_{}"},
}


@pytest.mark.parametrize("pattern", USUAL.values(), ids=USUAL)
def test_usual_names_are_not_named(pattern):
    assert warned(*(pattern.format(number) for number in range(1, 30))) == []


def test_cases_of_sites_are_not_taken_for_cases_of_patients():
    assert warned(*(f"site{site}_{number:03d}" for site in (1, 2, 3) for number in range(20))) == []
    assert warned(*(f"{site}_{number:02d}" for site in ("BMC", "I2CVB", "UCL") for number in range(20))) == []
