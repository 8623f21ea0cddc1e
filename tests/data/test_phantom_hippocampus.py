"""The hippocampus phantom: three public layouts with their traps, the same every time, different at every site."""

import gzip
import hashlib
import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from clbench.data.check import inspect_cases
from clbench.data.layouts import LAYOUTS
from clbench.data.layouts.harp import SWAPPED
from clbench.data.nifti import read_case
from clbench.data.phantom import PHANTOMS, hippocampus
from clbench.data.phantom.hippocampus import DECATHLON, SITES, scan_side
from clbench.data.phantom.shapes import Grid
from clbench.data.phantom.sparse import sparse_gzip, write_with_holes

HIPPOCAMPUS = {"hippocampus": 1}
MERGED = {"Anterior": "hippocampus", "Posterior": "hippocampus"}
OFFSET_SCAN, SWAPPED_SCAN = "ADNI_901_S_9001_900001", "ADNI_136_S_0429_109839"
GRID = Grid((36, 50, 38), (1.0, 1.0, 1.0))


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """Two scans of HarP, one subject of Dryad, the whole Decathlon."""
    folder = tmp_path_factory.mktemp("phantom")
    for subset, scan in (("100", OFFSET_SCAN), ("35", SWAPPED_SCAN)):
        images, masks = folder / "harp" / subset, folder / "harp" / f"Labels_{subset}_NIFTI"
        images.mkdir(parents=True)
        masks.mkdir()
        hippocampus.write_scan(images, masks, scan)
    (folder / "dryad" / "s01").mkdir(parents=True)
    hippocampus.write_subject(folder / "dryad" / "s01", "s01")
    hippocampus.write_decathlon(folder / "decathlon")
    return folder


def listing(root, layout):
    return LAYOUTS[layout].read(root / layout, HIPPOCAMPUS, {"rename": MERGED} if layout == "decathlon" else {})


@pytest.fixture(scope="module")
def sides():
    return {site.name: scan_side(site, "somebody", "R", GRID, (26.5, 0.0, -7.0)) for site in SITES}


# --- files and layout


@pytest.mark.parametrize(("layout", "cases"), [("harp", 4), ("dryad", 2), ("decathlon", 12)])
def test_every_layout_is_read_by_its_adapter(root, layout, cases):
    found = listing(root, layout).cases
    assert len(found) == cases
    for case in found[:4]:
        raw = read_case(case)
        assert raw.image.shape[1:] == ((48, 64, 64) if case.crop else raw.mask.shape)
        assert set(np.unique(raw.mask)) == {0, 1}
        assert 1200 < raw.mask.sum() < 5500


@pytest.mark.parametrize(
    ("layout", "kinds"),
    [
        ("harp", {"mask-offset"}),
        ("dryad", {"two-zone-labels"}),
        ("decathlon", {"two-zone-labels", "float-mask", "intensity-scales-differ"}),
    ],
)
def test_check_finds_no_problem_and_the_planted_traps(root, layout, kinds):
    findings = inspect_cases(listing(root, layout).cases)
    assert not findings.problems
    assert {trap.kind for trap in findings.traps} == kinds


def test_trap_swapped_sides_is_planted_and_found(root):
    assert set(hippocampus.SWAPPED) <= SWAPPED
    assert {scan for scans in hippocampus.SCANS.values() for scan in scans} & SWAPPED == set(hippocampus.SWAPPED)
    mask = nib.load(root / "harp" / "Labels_35_NIFTI" / f"{SWAPPED_SCAN}_L.nii")
    x = np.nonzero(np.asarray(mask.dataobj))[0]
    assert x.min() >= 97  # on the right


def test_trap_mask_offset_is_no_whole_number(root):
    mask = nib.load(root / "harp" / "Labels_100_NIFTI" / f"{OFFSET_SCAN}_L.nii").get_fdata()
    np.testing.assert_allclose(np.unique(mask), [26896.988, 26897.988], atol=0.01)


def test_image_and_mask_of_harp_order_their_axes_differently(root):
    image = nib.load(root / "harp" / "100" / f"{OFFSET_SCAN}_ACPC.mnc")
    mask = nib.load(root / "harp" / "Labels_100_NIFTI" / f"{OFFSET_SCAN}_R.nii")
    assert (image.shape, mask.shape) == ((189, 233, 197), (197, 233, 189))
    assert image.get_data_dtype() == np.uint8


def test_dryad_holds_three_subfields_and_decathlon_two_parts(root):
    mask = nib.load(root / "dryad" / "s01" / "s01_hippolabels_t1w_standard_R_MNI.nii.gz")
    assert set(np.unique(mask.dataobj)) == {0, 1, 2, 3}
    stem = hippocampus.CASES[0]
    parts = np.asarray(nib.load(root / "decathlon" / "labelsTr" / f"{stem}.nii.gz").dataobj)
    assert set(np.unique(parts)) == {0, 1, 2}
    assert np.nonzero(parts == 1)[1].min() > np.nonzero(parts == 2)[1].mean()


def test_decathlon_images_differ_in_number_type_and_scale(root):
    images = [nib.load(path) for path in sorted((root / "decathlon" / "imagesTr").iterdir())]
    assert {image.get_data_dtype().name for image in images} == {"uint8", "float32"}
    tops = [float(np.max(image.dataobj)) for image in images]
    assert max(tops) > 1000 * min(tops)
    assert len(json.loads((root / "decathlon" / "dataset.json").read_text())["training"]) == 12


def test_the_bytes_are_those_that_version_1_wrote(root):
    """When this fails on purpose, raise the phantom's version and note it under Numbers in the CHANGELOG."""
    assert PHANTOMS["hippocampus"].version == 1
    found = {}
    for name in ("harp", "dryad", "decathlon"):
        digest = hashlib.sha256()
        for path in sorted(path for path in (root / name).rglob("*") if path.is_file()):
            digest.update(path.read_bytes())
        found[name] = digest.hexdigest()[:16]
    assert found == {"harp": "d42baf00b75a553d", "dryad": "0a8ab66ad705d5dd", "decathlon": "e66e667cf169ad32"}


def test_files_that_are_mostly_zeros_come_back(tmp_path):
    rng = np.random.default_rng(0)
    for length in (0, 1, 4095, 4096, 4097, 3 * 4096, 70_000, 300_001):
        data = bytearray(length)
        filled = slice(length // 2, min(length, length // 2 + 9000))
        data[filled] = rng.bytes(filled.stop - filled.start)
        assert gzip.decompress(sparse_gzip(bytes(data))) == data
        write_with_holes(tmp_path / "a", bytes(data))
        assert (tmp_path / "a").read_bytes() == data
    assert len(sparse_gzip(bytes(10**6))) < 10_000


# --- looks


def test_another_patient_side_and_seed_is_another_hippocampus():
    masks = [
        scan_side(DECATHLON, patient, side, GRID, (26.5 if side == "R" else -26.5, 0.0, -7.0), seed)[1]
        for patient, side, seed in (("a", "R", 0), ("b", "R", 0), ("a", "L", 0), ("a", "R", 1))
    ]
    assert not any(np.array_equal(one, two) for i, one in enumerate(masks) for two in masks[i + 1 :])


@pytest.mark.parametrize("name", [site.name for site in SITES])
def test_it_has_the_size_and_the_taper_of_a_hippocampus(sides, name):
    _, parts, subfields = sides[name]
    assert 1200 < (parts > 0).sum() < 5500
    np.testing.assert_array_equal(parts > 0, subfields > 0)
    across = (parts > 0).sum((0, 2))
    filled = np.nonzero(across)[0]
    assert 32 <= len(filled) <= 50
    head, tail = across[filled[-len(filled) // 3 :]].mean(), across[filled[: len(filled) // 3]].mean()
    assert head > 1.2 * tail
    z = [np.nonzero(parts[:, y])[1].mean() for y in (filled[3], filled[-4])]
    assert z[0] > z[1] + 4  # the tail lies higher


def test_no_two_sites_show_the_hippocampus_in_the_same_light(sides):
    """Mean and spread after the usual normalization, or noise, tell every pair of sites apart."""
    looks = {}
    for name, (image, parts, _) in sides.items():
        normalized = (image - image.mean()) / image.std()
        rough = np.diff(normalized, axis=0)[parts[1:] > 0].std()
        looks[name] = np.array([normalized[parts > 0].mean(), normalized[parts > 0].std(), rough])
    names = list(looks)
    assert min(np.abs(looks[a] - looks[b]).max() for i, a in enumerate(names) for b in names[i + 1 :]) > 0.1
