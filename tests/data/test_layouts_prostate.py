"""The six-site prostate layout as published, traps included."""

from __future__ import annotations

import pytest

from clbench.data.case import Trap
from clbench.data.layouts import LAYOUTS
from clbench.data.layouts.prostate import SITES
from clbench.errors import InputError

LABELS = {"prostate": 1}


def read(root, **options):
    return LAYOUTS["prostate-saml"].read(root, LABELS, options)


@pytest.fixture
def root(tmp_path):
    """All six sites with three cases each (Case00, Case01, Case02) as empty files: a listing opens none."""
    for site in SITES:
        (tmp_path / site).mkdir()
        for number in (0, 2) if site == "BIDMC" else range(3):
            ending = "Segmentation" if site == "BMC" else "segmentation"
            (tmp_path / site / f"Case{number:02d}.nii.gz").touch()
            (tmp_path / site / f"Case{number:02d}_{ending}.nii.gz").touch()
    return tmp_path


def test_every_site_is_a_group_and_every_case_a_patient(root):
    cases = read(root).cases
    assert [case.case_id for case in cases] == sorted(case.case_id for case in cases)
    assert len(cases) == 17
    assert {case.group for case in cases} == set(SITES)
    first = next(case for case in cases if case.case_id == "RUNMC/Case00")
    assert first.patient_id == first.case_id
    assert first.images == (root / "RUNMC" / "Case00.nii.gz",)
    assert first.mask == root / "RUNMC" / "Case00_segmentation.nii.gz"


def test_every_nonzero_mask_value_becomes_the_one_label(root):
    values = read(root).cases[0].label_values
    assert (values[0], values[1], values[2]) == (0, 1, 1)


def test_the_published_oddities_are_listed_as_traps(root):
    assert read(root).traps == (
        Trap("capital-segmentation", "BMC", "3 masks named _Segmentation read as _segmentation"),
        Trap("missing-case-number", "BIDMC/Case01", "as published; none expected"),
    )


def test_a_gap_that_was_not_published_asks_to_check_the_download(root):
    (root / "UCL" / "Case01.nii.gz").unlink()
    (root / "UCL" / "Case01_segmentation.nii.gz").unlink()
    trap = next(trap for trap in read(root).traps if trap.where == "UCL/Case01")
    assert "check that the download is complete" in trap.action


def test_macos_twins_are_ignored_and_told(root):
    (root / "HK" / "._Case00.nii.gz").touch()
    (root / "HK" / "._Case00_segmentation.nii.gz").touch()
    assert Trap("macos-files", "HK", "2 files named ._* ignored") in read(root).traps
    assert len(read(root).cases) == 17


def test_names_are_found_whatever_their_case(root):
    (root / "UCL").rename(root / "ucl")
    (root / "ucl" / "Case00.nii.gz").rename(root / "ucl" / "CASE00.NII.GZ")
    assert "UCL/Case00" in {case.case_id for case in read(root).cases}


def test_hcrudb_is_read_as_i2cvb(root):
    (root / "I2CVB").rename(root / "HCRUDB")
    listing = read(root)
    assert Trap("site-alias", "HCRUDB", "read as I2CVB") in listing.traps
    assert {case.case_id for case in listing.cases if case.group == "I2CVB"} == {f"I2CVB/Case{n:02d}" for n in range(3)}


def test_a_site_under_both_of_its_names_is_refused(root):
    (root / "HCRUDB").mkdir()
    with pytest.raises(InputError, match="I2CVB is there twice, as HCRUDB and I2CVB"):
        read(root)


def test_a_missing_site_is_named(root):
    (root / "HK").rename(root / "elsewhere")
    with pytest.raises(InputError, match="no folder for site HK"):
        read(root)
    assert {case.group for case in read(root, sites=("UCL", "BMC")).cases} == {"UCL", "BMC"}


def test_an_unknown_site_or_option_is_refused(root):
    with pytest.raises(InputError, match="unknown prostate site 'RUMC'; did you mean RUNMC"):
        read(root, sites=("RUMC",))
    with pytest.raises(InputError, match="unknown layout option 'site'; did you mean sites"):
        read(root, site="UCL")


@pytest.mark.parametrize(
    ("lost", "message"),
    [
        ("Case01_segmentation.nii.gz", r"Case01\.nii\.gz: has no mask"),
        ("Case01.nii.gz", r"Case01_segmentation\.nii\.gz: has no image"),
    ],
)
def test_an_image_or_mask_alone_is_named(root, lost, message):
    (root / "UCL" / lost).unlink()
    with pytest.raises(InputError, match=message):
        read(root)


@pytest.mark.parametrize("twin", ["Case01.nii", "Case1.nii.gz", "case01.nii.gz"])
def test_two_files_for_one_case_are_refused(root, twin):
    (root / "UCL" / twin).touch()
    with pytest.raises(InputError, match="same case"):
        read(root)


def test_a_site_folder_without_cases_is_named(root):
    for path in (root / "UCL").iterdir():
        path.unlink()
    with pytest.raises(InputError, match=r"UCL: site UCL has no CaseNN\.nii\.gz"):
        read(root)


def test_a_missing_root_is_named(tmp_path):
    with pytest.raises(InputError, match="nowhere: folder cannot be listed"):
        read(tmp_path / "nowhere")


def test_a_stream_with_two_labels_is_refused(root):
    with pytest.raises(InputError, match="hold one label, the stream has 2: pz, tz"):
        LAYOUTS["prostate-saml"].read(root, {"pz": 1, "tz": 2})
