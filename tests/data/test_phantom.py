"""The prostate phantom: true to the public layout, the same every time, different at every site."""

import gzip
import hashlib
import json
import random
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from clbench.data import phantom
from clbench.data.check import inspect_cases
from clbench.data.layouts import LAYOUTS
from clbench.data.nifti import read_case
from clbench.data.phantom import PhantomSpec, ensure, is_whole
from clbench.data.phantom.files import stored_gzip, write_nifti
from clbench.data.phantom.prostate import scan, write, write_case
from clbench.data.phantom.shapes import Grid, coverage, ellipsoid, paint, shell
from clbench.data.phantom.sites import SITES
from clbench.data.phantom.texture import bias_field, endorectal_field, rician, smooth_noise
from clbench.seeding import numpy_generator

BY_NAME = {site.name: site for site in SITES}
site_names = pytest.mark.parametrize("name", list(BY_NAME))


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    """The first case of every site."""
    folder = tmp_path_factory.mktemp("phantom")
    for site in SITES:
        (folder / site.name).mkdir()
        write_case(folder, site, site.numbers[0])
    return folder


@pytest.fixture
def listing(root):
    return LAYOUTS["prostate-saml"].read(root, {"prostate": 1}, {})


def sha256(*paths: Path) -> str:
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()


# --- files and layout


def test_every_site_is_read_by_the_adapter_of_the_public_layout(listing):
    assert {case.group for case in listing.cases} == set(BY_NAME)
    for case in listing.cases:
        raw = read_case(case)
        site = BY_NAME[case.group]
        assert raw.image.shape == (1, *site.grid.shape)
        assert set(np.unique(raw.mask)) == {0, 1}
        np.testing.assert_allclose(raw.spacing_mm, site.grid.spacing_mm, rtol=1e-6)


def test_masks_of_runmc_and_bmc_hold_two_zones_and_bmc_writes_a_capital_s(root):
    assert not (root / "BMC" / "Case00_segmentation.nii.gz").exists()
    for name in BY_NAME:
        ending = "_Segmentation" if name == "BMC" else "_segmentation"
        mask = nib.load(root / name / f"Case00{ending}.nii.gz").get_fdata()
        assert set(np.unique(mask)) == ({0, 1, 2} if name in ("RUNMC", "BMC") else {0, 1})


def test_check_finds_no_problem_and_the_planted_traps(listing):
    findings = inspect_cases(listing.cases)
    assert not findings.problems
    assert findings.traps[-1].kind == "intensity-scales-differ"
    kinds = {(trap.kind, trap.where.split("/")[-2]) for trap in findings.traps[:-1]}
    assert {("two-zone-labels", "RUNMC"), ("two-zone-labels", "BMC")} <= kinds
    assert {name for kind, name in kinds if kind == "mask-header-differs"} == {"I2CVB", "UCL", "BIDMC"}


@site_names
def test_every_site_can_be_split_into_train_val_and_test(name):
    assert len(BY_NAME[name].numbers) >= 8
    assert (1 in BY_NAME[name].numbers) == (name != "BIDMC")


@site_names
def test_fields_of_view_are_those_of_a_pelvis(name):
    grid = BY_NAME[name].grid
    in_plane = [size * step for size, step in zip(grid.shape[:2], grid.spacing_mm[:2], strict=True)]
    assert all(145 <= length <= 180 for length in in_plane)
    assert 35 <= grid.shape[2] * grid.spacing_mm[2] <= 52


def test_the_bytes_are_those_that_version_2_wrote(root):
    """When this fails on purpose, raise the phantom's version and note it under Numbers in the CHANGELOG."""
    assert phantom.PHANTOMS["prostate-saml"].version == 2
    files = {name: sorted((root / name).iterdir()) for name in BY_NAME}  # the image, then the mask
    found = {name: sha256(*files[name])[:16] for name in BY_NAME}
    assert found == {
        "RUNMC": "6465354d846a1022",
        "BMC": "48b0fd8887b04a8f",
        "I2CVB": "c30cecfb220b5f06",
        "UCL": "6e12181ad8d69396",
        "BIDMC": "d06d40a049f50f96",
        "HK": "2cdafc4d6a0792da",
    }


def test_equal_seeds_give_equal_bytes_whatever_else_was_drawn(tmp_path, root):
    site = BY_NAME["HK"]
    (tmp_path / "HK").mkdir()
    np.random.seed(1)  # noqa: NPY002 (the global stream must not matter)
    random.seed(1)
    write_case(tmp_path, site, 0)
    for file in ("Case00.nii.gz", "Case00_segmentation.nii.gz"):
        assert sha256(tmp_path / "HK" / file) == sha256(root / "HK" / file)


def test_another_seed_and_another_number_give_other_patients():
    site = BY_NAME["HK"]
    masks = [scan(site, 0)[1], scan(site, 1)[1], scan(site, 0, seed=1)[1]]
    assert not any(np.array_equal(one, two) for one, two in [masks[:2], masks[1:], masks[::2]])


def test_stored_gzip_is_a_gzip_file_for_any_length():
    for length in (0, 1, 65535, 65536, 200_000):
        data = bytes(range(256)) * (length // 256) + b"x" * (length % 256)
        assert gzip.decompress(stored_gzip(data)) == data


def test_written_nifti_comes_back(tmp_path):
    array = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    affine = np.diag([-1.5, -1.25, 3.0, 1.0])
    write_nifti(tmp_path / "a.nii.gz", array, affine)
    image = nib.load(tmp_path / "a.nii.gz")
    np.testing.assert_array_equal(np.asanyarray(image.dataobj), array)
    np.testing.assert_allclose(image.affine, affine)
    assert image.get_data_dtype() == np.int16


# --- looks


@pytest.fixture(scope="module")
def scans():
    return {site.name: scan(site, site.numbers[2]) for site in SITES}


@site_names
def test_the_gland_has_the_size_and_the_zones_of_a_gland(scans, name):
    _, zones = scans[name]
    milliliters = (zones > 0).sum() * np.prod(BY_NAME[name].grid.spacing_mm) / 1000
    assert 10 < milliliters < 110
    assert 0.1 < (zones == 2).sum() / (zones > 0).sum() < 0.75
    x, y, z = zones.nonzero()
    for indices, size in zip((x, y), zones.shape, strict=False):
        assert indices.min() > 0
        assert indices.max() < size - 1
    assert np.unique(z).size >= 5


def test_the_peripheral_zone_is_brighter_than_the_transition_zone_at_every_site(scans):
    for image, zones in scans.values():
        assert image[zones == 1].mean() > 1.1 * image[zones == 2].mean()


def test_no_two_sites_show_the_gland_in_the_same_light(scans):
    """Mean, spread and noise of the gland after the usual normalization tell every pair of sites apart."""
    looks = {}
    for name, (image, zones) in scans.items():
        normalized = (image.astype(float) - image.mean()) / image.std()
        rough = np.diff(normalized, axis=0)[zones[1:] > 0].std()
        looks[name] = np.array([normalized[zones > 0].mean(), normalized[zones > 0].std(), rough])
    names = list(looks)
    distances = [np.abs(looks[a] - looks[b]).max() for i, a in enumerate(names) for b in names[i + 1 :]]
    assert min(distances) > 0.1


@pytest.mark.parametrize("name", ["BMC", "BIDMC", "HK"])
def test_an_endorectal_coil_makes_the_back_of_the_gland_the_brightest(name):
    grid = BY_NAME[name].grid
    field = endorectal_field(grid, (0.0, 35.0, 0.0), BY_NAME[name].coil, 17.0)
    middle = field[grid.shape[0] // 2, :, grid.shape[2] // 2]
    assert np.all(np.diff(middle[: int(middle.argmax())]) > 0)
    assert abs(grid.axes[1][middle.argmax()] - 35.0) <= grid.spacing_mm[1]
    assert field.max() == pytest.approx(1 + BY_NAME[name].coil, rel=0.05)


# --- building blocks

GRID = Grid((30, 24, 20), (1.0, 1.5, 2.0))


def test_the_distance_to_a_sphere_is_exact_on_every_voxel_size():
    x, y, z = GRID.coordinates
    expected = np.sqrt((x - 1) ** 2 + y**2 + z**2) - 7.0
    np.testing.assert_allclose(ellipsoid(GRID, (1.0, 0.0, 0.0), (7.0, 7.0, 7.0)), expected, atol=1e-9)


def test_an_ellipsoid_holds_the_volume_it_should():
    inside = coverage(ellipsoid(GRID, (0, 0, 0), (10.0, 8.0, 12.0), 30.0), 1.5).sum() * 3.0
    assert inside == pytest.approx(4 / 3 * np.pi * 10 * 8 * 12, rel=0.02)


def test_rotation_runs_from_x_towards_y():
    distance = ellipsoid(GRID, (0, 0, 0), (12.0, 2.0, 12.0), 45.0)
    x, y, _ = GRID.coordinates
    assert distance[(np.abs(x - y) < 0.6) & (np.abs(x) < 6) & (GRID.coordinates[2] ** 2 < 2)].max() < 0
    assert distance[np.argmin(np.abs(GRID.axes[0] - 5)), np.argmin(np.abs(GRID.axes[1] + 5)), 10] > 0


def test_a_shell_is_as_thick_as_asked_and_lies_inside():
    distance = np.linspace(-10, 10, 2001)
    wall = distance[shell(distance, 3.0) < 0]
    assert wall.min() == pytest.approx(-3.0, abs=0.02)
    assert wall.max() == pytest.approx(0.0, abs=0.02)


def test_painting_covers_inside_and_leaves_outside():
    canvas = np.full(GRID.shape, 2.0)
    distance = ellipsoid(GRID, (0, 0, 0), (6.0, 6.0, 6.0))
    paint(canvas, distance, 5.0, 1.0, opacity=0.5)
    assert np.all(canvas[distance < -0.5] == 3.5)
    assert np.all(canvas[distance > 0.5] == 2.0)


@pytest.mark.parametrize("length", [1.0, 3.0, (1.0, 1.0, 4.0)])
def test_smooth_noise_has_unit_variance(length):
    fields = [smooth_noise(numpy_generator(0, "noise", i), GRID, length) for i in range(30)]
    assert np.std(fields) == pytest.approx(1.0, abs=0.1)
    assert np.mean(fields) == pytest.approx(0.0, abs=0.1)


def test_longer_noise_is_smoother():
    rough, smooth = (smooth_noise(numpy_generator(0, "n"), GRID, length) for length in (1.5, 6.0))
    assert np.diff(smooth, axis=0).std() < 0.5 * np.diff(rough, axis=0).std()


def test_the_bias_field_has_the_strength_asked_for():
    field = bias_field(numpy_generator(0, "b"), GRID, 0.3)
    assert np.log(field).std() == pytest.approx(0.3)
    assert np.all(bias_field(numpy_generator(0, "b"), GRID, 0.0) == 1.0)


def test_rician_noise_without_signal_is_rayleigh():
    noise = rician(numpy_generator(0, "r"), np.zeros((40, 40, 40)), 2.0)
    assert noise.mean() == pytest.approx(2.0 * np.sqrt(np.pi / 2), rel=0.02)
    assert noise.std() == pytest.approx(2.0 * np.sqrt(2 - np.pi / 2), rel=0.02)


# --- the cache


@pytest.fixture
def tiny(monkeypatch):
    """A registered phantom of one file; returns how often it was built."""
    built = []

    def write_tiny(folder: Path) -> None:
        built.append(folder)
        (folder / "site").mkdir()
        (folder / "site" / "file").write_text("12345")

    monkeypatch.setitem(phantom.PHANTOMS, "tiny", PhantomSpec(3, write_tiny))
    return built


def test_a_phantom_is_built_once(tiny, tmp_path):
    first, second = ensure("tiny", tmp_path / "new"), ensure("tiny", tmp_path / "new")
    assert first == second == tmp_path / "new" / "phantom" / "tiny-v3"
    assert (first / "site" / "file").read_text() == "12345"
    assert len(tiny) == 1
    assert [path.name for path in first.parent.iterdir()] == ["tiny-v3"]


@pytest.mark.parametrize(
    "damage", ["delete a file", "truncate a file", "no manifest", "broken manifest", "wrong manifest"]
)
def test_a_damaged_phantom_is_built_again(tiny, tmp_path, damage):
    root = ensure("tiny", tmp_path)
    if damage == "delete a file":
        (root / "site" / "file").unlink()
    elif damage == "truncate a file":
        (root / "site" / "file").write_text("1")
    elif damage == "no manifest":
        (root / phantom.MANIFEST).unlink()
    else:
        (root / phantom.MANIFEST).write_text("{" if damage == "broken manifest" else json.dumps(["site/file"]))
    assert (ensure("tiny", tmp_path) / "site" / "file").read_text() == "12345"
    assert is_whole(root)
    assert len(tiny) == 2


def test_a_build_that_fails_leaves_nothing(monkeypatch, tmp_path):
    def fail(folder: Path) -> None:
        (folder / "half").write_text("x")
        raise KeyboardInterrupt

    monkeypatch.setitem(phantom.PHANTOMS, "tiny", PhantomSpec(1, fail))
    with pytest.raises(KeyboardInterrupt):
        ensure("tiny", tmp_path)
    assert not list((tmp_path / "phantom").iterdir())


def test_a_faster_process_wins(monkeypatch, tmp_path):
    def write_late(folder: Path) -> None:
        (folder / "file").write_text("mine")
        theirs = tmp_path / "phantom" / "tiny-v1"
        theirs.mkdir()
        (theirs / "file").write_text("them")
        (theirs / phantom.MANIFEST).write_text('{"file": 4}')

    monkeypatch.setitem(phantom.PHANTOMS, "tiny", PhantomSpec(1, write_late))
    assert (ensure("tiny", tmp_path) / "file").read_text() == "them"


def test_a_cache_that_cannot_be_written_is_the_users_mistake(tiny, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ValueError, match=r"cannot write the phantom.*CLBENCH_CACHE"):
        ensure("tiny", tmp_path / "file")


def test_an_unknown_layout_is_named(tmp_path):
    with pytest.raises(ValueError, match="unknown phantom 'prostate-saml2'; did you mean prostate-saml"):
        ensure("prostate-saml2", tmp_path)


@pytest.mark.slow
def test_the_whole_phantom_has_its_cases_and_its_macos_file(tmp_path):
    write(tmp_path)
    listing = LAYOUTS["prostate-saml"].read(tmp_path, {"prostate": 1}, {})
    assert len(listing.cases) == sum(len(site.numbers) for site in SITES) == 52
    found = {(trap.kind, trap.where) for trap in listing.traps}
    assert {("missing-case-number", "BIDMC/Case01"), ("capital-segmentation", "BMC")} <= found
    assert any(where.startswith("HK") for _, where in found)
