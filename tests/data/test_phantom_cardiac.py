"""The cardiac phantom: true to the M&Ms layout, the same every time, hearts that beat, vendors that differ."""

from __future__ import annotations

import hashlib
import random
from dataclasses import replace

import nibabel as nib
import numpy as np
import pytest

from clbench.data import phantom
from clbench.data.check import inspect_cases
from clbench.data.layouts import LAYOUTS
from clbench.data.nifti import read_case
from clbench.data.phantom.cardiac import UNLABELED, patients, scan, write, write_patient, write_table
from clbench.data.phantom.scanners import SCANNERS
from clbench.data.phantom.shapes import Grid
from clbench.data.phantom.thorax import (
    CAVITY,
    MYOCARDIUM,
    REPETITION_MS,
    RIGHT_CAVITY,
    Heart,
    Thorax,
    draw_heart,
    spoiled,
    steady_state,
)
from clbench.seeding import numpy_generator

LABELS = {"lv": 1, "myocardium": 2, "rv": 3}
EVERYONE = patients()
FIRST = {scanner.centre: next(p for p in EVERYONE if p.scanner == scanner and p.labeled) for scanner in SCANNERS}
centres = pytest.mark.parametrize("centre", list(FIRST))


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """One labeled patient of every centre, and one unlabeled."""
    folder = tmp_path_factory.mktemp("cardiac")
    for name in ("Training/Labeled", "Validation", "Testing"):
        (folder / name).mkdir(parents=True)
    some = (*FIRST.values(), next(patient for patient in EVERYONE if not patient.labeled))
    for patient in some:
        write_patient(folder, patient)
    write_table(folder, some)
    return folder


@pytest.fixture
def listing(root):
    return LAYOUTS["mnms"].read(root, LABELS, {"group_by": "centre"})


@pytest.fixture(scope="module")
def scans():
    """Centre -> image and labels of its first patient, frames in the order of the heartbeat."""
    found = {}
    for centre, patient in FIRST.items():
        image, mask = scan(patient)
        found[centre] = np.roll(image, -patient.ed, -1), np.roll(mask, -patient.ed, -1)
    return found


def files(root, patient):
    return sorted((root / patient.folder / patient.code).iterdir())  # the image, then the mask


def sha256(*paths):
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()


# --- files and layout


def test_every_centre_is_read_by_the_adapter_of_the_public_layout(listing):
    assert {case.group for case in listing.cases} == {"1", "2", "3", "4", "5"}
    assert {case.case_id for case in listing.cases} == {f"{p.code}_{f}" for p in FIRST.values() for f in ("ED", "ES")}
    for case in listing.cases:
        raw = read_case(case)
        grid = FIRST[int(case.group)].scanner.grid
        assert raw.image.shape == (1, *grid.shape)
        assert set(np.unique(raw.mask)) == {0, 1, 2, 3}
        np.testing.assert_allclose(raw.spacing_mm, grid.spacing_mm, rtol=1e-6)


def test_the_planted_traps_are_found_and_nothing_else_is_wrong(listing):
    assert {trap.kind for trap in listing.traps} == {
        "dated-table",
        "4d-series",
        "label-order",
        "unlabeled-patients",
        "missing-frames",
    }
    findings = inspect_cases(listing.cases)
    assert findings.problems == ()
    assert {trap.kind for trap in findings.traps} == {"intensity-scales-differ"}


def test_masks_are_filled_at_end_diastole_and_end_systole_only(root):
    for patient in (*FIRST.values(), *(p for p in EVERYONE if not p.labeled)):
        if not (root / patient.folder / patient.code).exists():
            continue
        image, mask = (nib.load(path) for path in files(root, patient))
        assert image.shape == mask.shape == (*patient.scanner.grid.shape, 4)
        filled = {int(frame) for frame in np.unique(mask.get_fdata().nonzero()[3])}
        assert filled == ({patient.ed, patient.es} if patient.labeled else set())


def test_every_vendor_and_centre_can_be_split_into_train_val_and_test():
    for scanner in SCANNERS:
        labeled = [patient for patient in EVERYONE if patient.scanner == scanner and patient.labeled]
        assert len(labeled) >= 8
    assert {patient.scanner.vendor for patient in EVERYONE} == set("ABCD")
    assert len({patient.code for patient in EVERYONE}) == sum(sum(s.folders.values()) for s in SCANNERS) == 44


def test_some_series_start_elsewhere_than_at_end_diastole():
    starts = [patient.ed for patient in EVERYONE]
    assert 0.5 < np.mean([start == 0 for start in starts]) < 1.0
    assert any(patient.es < patient.ed for patient in EVERYONE)


def test_the_bytes_are_those_that_version_2_wrote(root):
    """When this fails on purpose, raise the phantom's version and note it under Numbers in the CHANGELOG."""
    assert phantom.PHANTOMS["mnms"].version == 2
    found = {centre: sha256(*files(root, patient))[:16] for centre, patient in FIRST.items()}
    assert found == {
        1: "ff3de09d991f9c54",
        2: "511472271363ee82",
        3: "48b383ff2a4c43c3",
        4: "9a7f1d1e3247cc9b",
        5: "8f7bfb970d00ef3c",
    }


def test_equal_seeds_give_equal_bytes_whatever_else_was_drawn(tmp_path, root):
    np.random.seed(1)  # noqa: NPY002 (the global stream must not matter)
    random.seed(1)
    write_patient(tmp_path, FIRST[5])
    assert sha256(*files(tmp_path, FIRST[5])) == sha256(*files(root, FIRST[5]))


def test_another_seed_gives_other_patients():
    assert not {patient.code for patient in patients(1)} & {patient.code for patient in EVERYONE}
    assert not np.array_equal(scan(FIRST[5], seed=1)[1], scan(FIRST[5])[1])


# --- looks


def milliliters(mask, scanner, label):
    return float((mask == label).sum() * np.prod(scanner.grid.spacing_mm) / 1000)


@centres
def test_cavities_and_muscle_have_the_size_of_a_heart_and_the_heart_beats(scans, centre):
    scanner, (_, mask) = FIRST[centre].scanner, scans[centre]
    ed, es = mask[..., 0], mask[..., 2]
    assert 35 < milliliters(ed, scanner, CAVITY) < 200
    assert 35 < milliliters(ed, scanner, RIGHT_CAVITY) < 220
    assert 50 < milliliters(ed, scanner, MYOCARDIUM) < 200
    for label in (CAVITY, RIGHT_CAVITY):
        assert milliliters(es, scanner, label) < 0.9 * milliliters(ed, scanner, label)
    assert milliliters(es, scanner, MYOCARDIUM) == pytest.approx(milliliters(ed, scanner, MYOCARDIUM), rel=0.3)


@centres
def test_the_heart_is_whole_in_the_picture_with_unlabeled_slices_above_it(scans, centre):
    for frame in (0, 2):
        x, y, z = scans[centre][1][..., frame].nonzero()
        width, height, slices = FIRST[centre].scanner.grid.shape
        assert x.min() > 0
        assert x.max() < width - 1
        assert y.min() > 0
        assert y.max() < height - 1
        assert z.max() < slices - 1
        assert np.unique(z).size >= 3


@centres
def test_blood_is_brighter_than_muscle_but_where_it_is_saturated(scans, centre):
    image, mask = scans[centre]
    scanner = FIRST[centre].scanner
    for frame in (0, 2):
        cavity, muscle, right = (
            image[..., frame][mask[..., frame] == label].mean() for label in (CAVITY, MYOCARDIUM, RIGHT_CAVITY)
        )
        if scanner.spoiled:
            assert muscle > 1.15 * max(cavity, right)
        else:
            assert cavity > 1.15 * muscle
            assert right > 1.1 * muscle or scanner.banding >= 0.6  # a deep band may run through the right one alone


def test_no_two_vendors_show_the_heart_in_the_same_light(scans):
    """Mean and noise of blood and muscle after the usual normalization tell every pair of vendors apart."""
    looks = {}
    for centre in (1, 2, 4, 5):
        image, mask = (series[..., 0] for series in scans[centre])
        normalized = (image.astype(float) - image.mean()) / image.std()
        rough = np.diff(normalized, axis=0)[mask[1:] == CAVITY].std()
        looks[centre] = np.array([*(normalized[mask == label].mean() for label in (1, 2, 3)), rough])
    distances = [np.abs(looks[a] - looks[b]).max() for a in looks for b in looks if a < b]
    assert min(distances) > 0.15


# --- building blocks

GRID = Grid((60, 60, 8), (3.0, 3.0, 10.0))
HEART = Heart((12, 0), (0, 0), 27, 24, 9, 75, 0.3, 1.0, 10, (-40, 70), 1.0)


def frame(contraction, heart=HEART):
    signal = steady_state(50, 1.0)
    return Thorax(numpy_generator(0, "tissue"), heart, GRID, signal).frame(contraction)


def test_the_wall_closes_around_the_cavity_below_the_valves():
    _, labels = frame(0.0)
    cavity = np.pad(labels == CAVITY, 1)
    for axis in (0, 1):
        for step in (-1, 1):
            neighbors = np.roll(cavity, step, axis)[1:-1, 1:-1, 1:-1]
            assert set(np.unique(labels[neighbors])) <= {CAVITY, MYOCARDIUM}


def test_a_wide_ventricle_that_hardly_contracts_keeps_its_volume():
    failing = replace(HEART, radius=30.0, shortening=0.12)
    share = {}
    for name, heart in (("healthy", HEART), ("failing", failing)):
        volumes = [(frame(contraction, heart)[1] == CAVITY).sum() for contraction in (0.0, 1.0)]
        share[name] = volumes[1] / volumes[0]
    assert share["healthy"] < 0.5 < share["failing"]


def test_frames_share_their_surroundings():
    first, last = frame(0.0)[0], frame(1.0)[0]
    assert np.array_equal(first[:5], last[:5])
    assert not np.array_equal(first, last)


def test_papillary_muscles_are_dark_and_labeled_as_cavity():
    picture, labels = frame(0.0)
    signal = steady_state(50, 1.0)
    middle = labels[..., 4] == CAVITY
    dark = picture[..., 4][middle] < (signal["blood"] + signal["myocardium"]) / 2
    assert 0.02 < dark.mean() < 0.4


def test_steady_state_signal_depends_on_t2_over_t1_and_the_flip_angle():
    assert steady_state(90, 1.0)["blood"] == pytest.approx(0.95 / (1 + 1500 / 230))
    ratio = {flip: steady_state(flip, 1.0)["blood"] / steady_state(flip, 1.0)["myocardium"] for flip in (20, 40, 60)}
    assert 1.0 < ratio[20] < ratio[40] < ratio[60] < 4.0
    assert steady_state(40, 0.5)["fat"] == pytest.approx(0.5 * steady_state(40, 1.0)["fat"])


def test_patients_differ_and_stay_within_what_hearts_do():
    hearts = [draw_heart(numpy_generator(0, "heart", number)) for number in range(200)]
    assert all(15 < heart.radius < 38 for heart in hearts)
    assert all(5 < heart.wall < 18 for heart in hearts)
    assert all(0.05 < heart.shortening < 0.55 for heart in hearts)
    assert np.std([heart.radius for heart in hearts]) > 2


@pytest.mark.slow
def test_the_whole_phantom_has_its_patients_and_its_macos_file(tmp_path):
    write(tmp_path)
    listing = LAYOUTS["mnms"].read(tmp_path / "OpenDataset", LABELS, {})
    assert len(listing.cases) == 2 * 42
    assert len(list((tmp_path / "OpenDataset" / UNLABELED).iterdir())) == 2
    assert "macos-files" in {trap.kind for trap in listing.traps}
    assert inspect_cases(listing.cases).problems == ()


def test_spoiled_signal_is_that_of_saturated_blood_and_at_the_ernst_angle_the_largest():
    signal = spoiled(90, 1.0)
    assert signal["blood"] == pytest.approx(0.95 * (1 - np.exp(-REPETITION_MS / 1500)))
    ernst = np.rad2deg(np.arccos(np.exp(-REPETITION_MS / 1500)))
    assert spoiled(ernst, 1.0)["blood"] > max(spoiled(ernst + step, 1.0)["blood"] for step in (-2, 2))
    assert spoiled(25, 1.0)["myocardium"] > 1.15 * spoiled(25, 1.0)["blood"]
    assert spoiled(25, 0.5)["fat"] == pytest.approx(0.5 * spoiled(25, 1.0)["fat"])
