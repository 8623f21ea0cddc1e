"""The phantom of the seventh prostate site: Decathlon's layout, two channels, the six sites untouched beside it."""

from __future__ import annotations

import hashlib
import json

import nibabel as nib
import numpy as np
import pytest
from scipy import ndimage

from clbench.data.check import inspect_cases
from clbench.data.layouts import LAYOUTS
from clbench.data.nifti import read_case
from clbench.data.phantom import PHANTOMS, prostate, prostate_decathlon
from clbench.data.phantom.prostate_decathlon import scan_channels, write_pair
from clbench.data.phantom.sites import DECATHLON, SITES
from clbench.streams.load import load_stream

OPTIONS = {"rename": {"PZ": "prostate", "TZ": "prostate"}, "channel": 0}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """The whole Decathlon folder."""
    folder = tmp_path_factory.mktemp("phantom") / "Task05_Prostate"
    prostate_decathlon.write_decathlon(folder)
    return folder


@pytest.fixture
def listing(root):
    return LAYOUTS["decathlon"].read(root, {"prostate": 1}, OPTIONS)


def test_the_adapter_of_the_public_layout_reads_it(listing):
    assert [case.case_id for case in listing.cases] == [f"prostate_{n:02d}" for n in (0, 1, 2, 4, 6, 7, 10, 13, 14, 16)]
    raw = read_case(listing.cases[0])
    assert raw.image.shape == (1, *DECATHLON.grid.shape)
    assert set(np.unique(raw.mask)) == {0, 1}
    np.testing.assert_allclose(raw.spacing_mm, DECATHLON.grid.spacing_mm, rtol=1e-6)


def test_the_planted_traps_are_found_and_no_problem(listing):
    findings = inspect_cases(listing.cases[:3])
    assert not findings.problems
    assert {trap.kind for trap in findings.traps} == {"two-zone-labels"}
    assert {(trap.kind, trap.where) for trap in listing.traps} == {
        ("macos-files", "imagesTr"),
        ("several-channels", "dataset.json"),
    }


def test_files_are_those_of_decathlon(root):
    content = json.loads((root / "dataset.json").read_text())
    assert content["modality"] == {"0": "T2", "1": "ADC"}
    assert content["labels"] == {"0": "background", "1": "PZ", "2": "TZ"}
    image, mask = (nib.load(root / folder / "prostate_00.nii.gz") for folder in ("imagesTr", "labelsTr"))
    assert image.shape == (*DECATHLON.grid.shape, 2)
    assert mask.shape == DECATHLON.grid.shape
    assert set(np.unique(np.asanyarray(mask.dataobj))) == {0, 1, 2}
    np.testing.assert_array_equal(image.affine, mask.affine)


def test_the_bytes_are_those_that_version_2_wrote(root):
    """When this fails on purpose, raise the phantom's version and note it under Numbers in the CHANGELOG."""
    assert PHANTOMS["prostate-7sites"].version == 2
    files = [root / folder / "prostate_00.nii.gz" for folder in ("imagesTr", "labelsTr")]
    assert hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:16] == "3e6929225b49262d"


def test_a_case_does_not_depend_on_those_before_it(root, tmp_path):
    for folder in ("imagesTr", "labelsTr"):
        (tmp_path / folder).mkdir()
    write_pair(tmp_path, 4)
    for folder in ("imagesTr", "labelsTr"):
        name = f"{folder}/prostate_04.nii.gz"
        assert (tmp_path / name).read_bytes() == (root / name).read_bytes()


def test_both_channels_show_the_same_gland_in_the_contrast_they_should():
    image, zones = scan_channels(0)
    inside = ndimage.binary_erosion(zones > 0, np.ones((5, 5, 1)))  # away from the fat, which diffusion blurs in
    for channel in (0, 1):
        seen = image[..., channel]
        assert seen[inside & (zones == 1)].mean() > 1.1 * seen[inside & (zones == 2)].mean()
    fat = image[40:70, :3, zones.shape[2] // 2].mean(axis=(0, 1))  # fat, in front of the muscle
    gland = image[zones > 0].mean(axis=0)
    assert fat[1] / gland[1] < 0.5 * fat[0] / gland[0]  # suppressed in diffusion


def test_no_other_site_shows_the_gland_in_this_light():
    looks = []
    for site in (*SITES, DECATHLON):
        image, zones = prostate.scan(site, site.numbers[2])
        normalized = (image.astype(float) - image.mean()) / image.std()
        rough = np.diff(normalized, axis=0)[zones[1:] > 0].std()
        looks.append(np.array([normalized[zones > 0].mean(), normalized[zones > 0].std(), rough]))
    assert min(np.abs(look - looks[-1]).max() for look in looks[:-1]) > 0.1


@pytest.mark.slow
def test_the_whole_phantom_holds_the_six_sites_byte_for_byte_and_loads_as_a_stream(tmp_path, monkeypatch):
    monkeypatch.setenv("CLBENCH_CACHE", str(tmp_path / "cache"))
    stream = load_stream("prostate-7sites", phantom=True)
    assert len(stream.cases) == 62
    assert stream.key == "prostate-7sites@1+phantom"
    (tmp_path / "six").mkdir()
    prostate.write(tmp_path / "six")
    six = {path.relative_to(tmp_path / "six"): path.read_bytes() for path in (tmp_path / "six").rglob("*.nii.gz")}
    beside = tmp_path / "cache" / "phantom" / "prostate-7sites-v2" / "prostate"
    assert six == {path.relative_to(beside): path.read_bytes() for path in beside.rglob("*.nii.gz")}
