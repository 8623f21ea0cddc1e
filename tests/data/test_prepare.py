"""Prepared cases: what is stored, when it is reused, and what happens when something is broken or in the way."""

from dataclasses import replace
from multiprocessing.reduction import ForkingPickler

import nibabel as nib
import numpy as np
import pytest

from clbench.data import prepare
from clbench.data.case import Case
from clbench.data.prepare import cache_key, prepare_case, prepare_cases
from clbench.data.shifts import apply_shift
from clbench.errors import InputError
from clbench.streams.stream import Plan

KEEP = Plan(3, (0.0, 0.0, 0.0), (8, 8, 8))
COARSE = Plan(3, (2.0, 2.0, 2.0), (8, 8, 8))
SLICES = Plan(2, (0.0, 0.0, 0.0), (8, 8))


@pytest.fixture
def make_case(tmp_path, write_nifti):
    """Write a case of blobs; ``seed`` changes it, ``affine`` places it."""

    def make(case_id="a", seed=0, shape=(10, 9, 6), channels=1, affine=None):
        rng = np.random.default_rng(seed)
        images = tuple(
            write_nifti(tmp_path / f"{case_id}_{number}.nii.gz", rng.normal(7, 3, shape).astype(np.float32), affine)
            for number in range(channels)
        )
        labels = np.zeros(shape, dtype=np.uint8)
        labels[2:6, 2:6, 1:4], labels[4:6, 4:6, 2:5] = 1, 2
        mask = write_nifti(tmp_path / f"{case_id}_mask.nii.gz", labels, affine)
        return Case(case_id, case_id, images, mask, {1: 1, 2: 2})

    return make


def reoriented(case, tmp_path, codes):
    """The same case stored in another orientation."""

    def turn(path):
        image = nib.load(path)
        wanted = nib.orientations.axcodes2ornt(codes)
        turned = image.as_reoriented(nib.orientations.ornt_transform(nib.io_orientation(image.affine), wanted))
        nib.save(turned, tmp_path / f"{codes}_{path.name}")
        return tmp_path / f"{codes}_{path.name}"

    return replace(case, images=tuple(turn(path) for path in case.images), mask=turn(case.mask))


def arrays(prepared):
    return np.array(prepared.image), np.array(prepared.mask)


def test_every_channel_has_mean_0_and_standard_deviation_1(make_case, tmp_path):
    found = prepare_case(make_case(channels=2), COARSE, tmp_path / "cache").image
    assert found.shape == (2, 5, 4, 6)
    assert found.astype(np.float64).mean((1, 2, 3)) == pytest.approx(0, abs=1e-3)
    assert found.astype(np.float64).std((1, 2, 3)) == pytest.approx(1, abs=1e-3)


def test_a_kept_grid_keeps_the_voxels(make_case, tmp_path):
    case = make_case()
    raw = nib.load(case.images[0]).get_fdata()
    prepared = prepare_case(case, KEEP, tmp_path / "cache")
    assert prepared.image[0] == pytest.approx((raw - raw.mean()) / raw.std(), abs=2e-3)
    assert np.array_equal(prepared.mask, nib.load(case.mask).get_fdata())
    assert prepared.spacing_mm == (1.0, 1.0, 2.0)
    assert prepared.labels_present == (1, 2)


def test_slices_are_contiguous_on_disk_and_read_only(make_case, tmp_path):
    prepared = prepare_case(make_case(channels=2), SLICES, tmp_path / "cache")
    assert prepared.image[..., 2].flags.f_contiguous
    assert prepared.mask[..., 2].flags.f_contiguous
    with pytest.raises(ValueError, match="read-only"):
        prepared.image[0, 0, 0, 0] = 1


@pytest.mark.parametrize("codes", ["LPS", "LAS", "PIR", "SRA"])
@pytest.mark.parametrize("shift", ["", "blur-low-resolution", "bias-field"])
def test_the_orientation_of_the_file_does_not_matter(make_case, tmp_path, codes, shift):
    case = replace(make_case(), shift=shift)
    turned = reoriented(case, tmp_path, codes)
    for plan in (COARSE, SLICES):
        image, mask = arrays(prepare_case(case, plan, tmp_path / "cache"))
        turned_image, turned_mask = arrays(prepare_case(turned, plan, tmp_path / "cache"))
        assert np.array_equal(image, turned_image)
        assert np.array_equal(mask, turned_mask)


def test_a_shift_is_applied_before_normalization(make_case, tmp_path):
    case = replace(make_case(), shift="rician-noise")
    raw = nib.load(case.images[0]).get_fdata(dtype=np.float32)
    shifted = apply_shift("rician-noise", raw, "a")
    found = prepare_case(case, KEEP, tmp_path / "cache").image[0]
    assert found == pytest.approx((shifted - shifted.mean()) / shifted.std(), abs=3e-3)


def test_foreground_lists_the_voxels_of_each_label(make_case, tmp_path):
    prepared = prepare_case(make_case(), KEEP, tmp_path / "cache")
    for label in prepared.labels_present:
        found = prepared.foreground(label)
        assert found.dtype == np.int16
        assert sorted(map(tuple, found)) == sorted(map(tuple, np.argwhere(prepared.mask == label)))


def test_much_foreground_is_thinned_evenly(make_case, tmp_path, monkeypatch):
    monkeypatch.setattr(prepare, "MOST_FOREGROUND", 10)
    prepared = prepare_case(make_case(), KEEP, tmp_path / "cache")
    found = prepared.foreground(1)
    assert found.shape == (10, 3)
    assert (prepared.mask[tuple(found.T)] == 1).all()
    assert (found[:, 2].min(), found[:, 2].max()) == (1, 3)


def test_the_second_time_nothing_is_read(make_case, tmp_path, monkeypatch):
    case = make_case()
    first = prepare_case(case, KEEP, tmp_path / "cache")
    monkeypatch.setattr(prepare, "read_case", None)
    assert prepare_case(case, KEEP, tmp_path / "cache") == first


def test_cases_with_the_same_bytes_share_a_folder_but_not_across_shifts(make_case):
    one, other = make_case("a"), make_case("b")
    assert cache_key(one, KEEP) == cache_key(other, KEEP)
    shifted = replace(one, shift="bias-field"), replace(other, shift="bias-field")
    assert len({cache_key(case, KEEP) for case in (one, *shifted)}) == 3


def test_whatever_changes_the_content_changes_the_key(make_case):
    case = make_case()
    changed = [make_case("b", seed=1), make_case("c", channels=2), replace(case, label_values={1: 1, 2: 1})]
    keys = {cache_key(one, plan) for one in (case, *changed) for plan in (KEEP, COARSE, SLICES)}
    assert len(keys) == 12
    assert cache_key(case, replace(KEEP, patch_size=(4, 4, 4), mirror_axes=())) in keys


@pytest.mark.parametrize("damage", ["cut", "swapped", "no-meta", "bad-meta", "no-foreground"])
def test_a_damaged_folder_is_made_anew(make_case, tmp_path, damage):
    case = make_case()
    prepared = prepare_case(case, KEEP, tmp_path / "cache")
    image, mask = arrays(prepared)
    if damage == "cut":
        path = prepared.folder / "image.npy"
        path.write_bytes(path.read_bytes()[:-10])
    elif damage == "swapped":
        (prepared.folder / "image.npy").write_bytes((prepared.folder / "mask.npy").read_bytes())
    elif damage == "bad-meta":
        (prepared.folder / "meta.json").write_text("{")
    else:
        (prepared.folder / {"no-meta": "meta.json", "no-foreground": "foreground_2.npy"}[damage]).unlink()
    again = prepare_case(case, KEEP, tmp_path / "cache")
    assert np.array_equal(again.image, image)
    assert np.array_equal(again.mask, mask)
    assert again.labels_present == (1, 2)
    assert [path.name for path in again.folder.parent.iterdir()] == [again.folder.name]


def test_what_was_killed_half_way_never_counts(make_case, tmp_path, monkeypatch):
    case = make_case()

    def killed(*_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(prepare, "_publish", killed)
        with pytest.raises(KeyboardInterrupt):
            prepare_case(case, KEEP, tmp_path / "cache")
    assert not list((tmp_path / "cache").rglob("*.npy"))
    assert prepare_case(case, KEEP, tmp_path / "cache").labels_present == (1, 2)


def test_who_comes_second_uses_what_is_there(make_case, tmp_path):
    """Two that prepare the same case at once: the loser of the race throws its own copy away."""
    case = make_case()
    winner = prepare_case(case, KEEP, tmp_path / "cache")
    made = (winner.folder / "image.npy").stat()
    prepare._store(winner.folder, *prepare._prepare(case, KEEP))
    assert (winner.folder / "image.npy").stat().st_ino == made.st_ino
    assert [path.name for path in winner.folder.parent.iterdir()] == [winner.folder.name]


def test_threads_do_not_change_the_result(make_case, tmp_path):
    cases = [make_case(f"c{number}", seed=number // 2) for number in range(6)]
    alone = prepare_cases(cases, COARSE, tmp_path / "one")
    together = prepare_cases(cases, COARSE, tmp_path / "many", workers=4)
    assert list(alone) == list(together) == [case.case_id for case in cases]
    for case_id, prepared in alone.items():
        assert all(map(np.array_equal, arrays(prepared), arrays(together[case_id])))


def test_a_prepared_case_is_cheap_to_send(make_case, tmp_path):
    prepared = prepare_case(make_case(), KEEP, tmp_path / "cache")
    arrays(prepared)
    sent = bytes(ForkingPickler.dumps(prepared))
    assert len(sent) < 2000
    assert np.array_equal(ForkingPickler.loads(sent).mask, prepared.mask)


def test_an_empty_mask_is_a_case_like_any_other(make_case, tmp_path):
    case = replace(make_case(), label_values={1: 0, 2: 0})
    assert prepare_case(case, COARSE, tmp_path / "cache").labels_present == ()


def test_a_constant_image_is_refused_by_name(make_case, tmp_path, write_nifti):
    case = make_case()
    write_nifti(case.images[0], np.full((10, 9, 6), 0.1, dtype=np.float32))
    for plan in (KEEP, COARSE):
        with pytest.raises(InputError, match=r"a_0\.nii\.gz: .*constant"):
            prepare_case(case, plan, tmp_path / "cache")


def test_an_absurd_spacing_is_refused_by_name(make_case, tmp_path):
    case = make_case(affine=np.diag([1e6, 1e6, 1e6, 1.0]))
    with pytest.raises(InputError, match=r"a_0\.nii\.gz: .*check the header"):
        prepare_case(case, COARSE, tmp_path / "cache")


def test_a_cache_that_cannot_be_written_is_named(make_case, tmp_path):
    (tmp_path / "cache").write_text("a file, not a folder")
    with pytest.raises(InputError, match="CLBENCH_CACHE"):
        prepare_case(make_case(), KEEP, tmp_path / "cache")


def test_a_cache_that_vanishes_is_named(make_case, tmp_path):
    prepared = prepare_case(make_case(), KEEP, tmp_path / "cache")
    (prepared.folder / "mask.npy").unlink()
    with pytest.raises(InputError, match="run again"):
        prepared.mask  # noqa: B018


@pytest.mark.parametrize("workers", [0, 3])
def test_the_first_case_that_fails_is_reported(make_case, tmp_path, workers):
    cases = [make_case(name, seed=number) for number, name in enumerate("abcd")]
    for name in "bd":
        (tmp_path / f"{name}_mask.nii.gz").unlink()
    with pytest.raises(InputError, match=r"b_mask\.nii\.gz"):
        prepare_cases(cases, KEEP, tmp_path / "cache", workers)


@pytest.mark.data
def test_real_cases_come_back_on_their_native_grid(real_data, tmp_path):
    folder = real_data / "acdc" / "training" / "patient001"
    mask = min(folder.glob("*_gt.nii.gz"))
    case = Case("p1", "p1", (mask.with_name(mask.name.replace("_gt", "")),), mask, {1: 1, 2: 2, 3: 3})
    prepared = prepare_case(case, SLICES, tmp_path / "cache")
    scores = (prepared.mask == np.arange(4)[:, None, None, None]).astype(np.float32)
    assert np.array_equal(prepared.geometry.to_native(scores), np.asarray(nib.load(mask).dataobj))
