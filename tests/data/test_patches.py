"""Patches: a pure function of (seed, task, step, slot), with a third of them on foreground."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from clbench.data import patches
from clbench.data.augment import AugmentParams, ChannelParams
from clbench.data.case import Case
from clbench.data.patches import PatchDataset, PatchSampler, PoolEntry
from clbench.data.prepare import prepare_cases
from clbench.seeding import forked_rng
from clbench.streams.stream import Plan

FLAT = Plan(2, (0.0, 0.0, 0.0), (8, 8))
SOLID = Plan(3, (0.0, 0.0, 0.0), (8, 8, 4), mirror_axes=(0, 1, 2), rotation_deg=30.0)


@pytest.fixture(scope="module")
def pools(tmp_path_factory):
    """Four cases with two channels, prepared for 2-D and for 3-D; labels 1 and 2 in slices 2 to 4 of 8 only."""
    import nibabel as nib

    root = tmp_path_factory.mktemp("patches")
    cases = []
    for number in range(4):
        rng = np.random.default_rng(number)
        labels = np.zeros((20, 16, 8), dtype=np.uint8)
        labels[11:16, 9:14, 2:5], labels[12:14, 10:12, 3] = 1, 2
        files = [root / f"{number}_{name}.nii" for name in ("first", "second", "mask")]
        for path, array in zip(files, (labels * 10.0, rng.normal(size=labels.shape), labels), strict=True):
            nib.save(nib.Nifti1Image(array.astype(np.float32), np.diag([1, 1, 3, 1])), path)
        cases.append(Case(f"c{number}", f"p{number}", tuple(files[:2]), files[2], {1: 1, 2: 2}))
    return {plan.dims: list(prepare_cases(cases, plan, root / "cache").values()) for plan in (FLAT, SOLID)}


@pytest.fixture
def make(pools):
    def make(plan=FLAT, labels=(1, 2), batch_size=6, seed=0, task_index=1, **options):
        pool = [PoolEntry(prepared, labels) for prepared in pools[plan.dims]]
        return PatchSampler(pool, plan, seed, task_index, batch_size, **options)

    return make


def same(one, other):
    return one.case_id == other.case_id and torch.equal(one.image, other.image) and torch.equal(one.mask, other.mask)


@pytest.mark.parametrize("plan", [FLAT, SOLID])
def test_shapes_and_types(make, plan):
    patch = make(plan)(0, 0)
    assert patch.image.shape == (2, *plan.patch_size)
    assert patch.mask.shape == plan.patch_size
    assert (patch.image.dtype, patch.mask.dtype) == (torch.float32, torch.uint8)


@pytest.mark.parametrize("plan", [FLAT, SOLID])
def test_the_order_of_asking_does_not_matter(make, plan):
    places = [(step, slot) for step in range(8) for slot in range(6)]
    forwards = {place: make(plan)(*place) for place in places}
    sampler = make(plan)
    assert all(same(sampler(*place), forwards[place]) for place in reversed(places))


@pytest.mark.parametrize("plan", [FLAT, SOLID])
def test_threads_asking_at_once_get_the_same_patches(make, plan):
    sampler = make(plan)
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda number: sampler(*divmod(number, 6)), range(60)))
    assert all(same(patch, sampler(*divmod(number, 6))) for number, patch in enumerate(together))


def test_the_order_of_the_pool_does_not_matter(make):
    sampler = make()
    turned = PatchSampler(sampler.pool[::-1], FLAT, 0, 1, 6)
    assert all(same(sampler(step, 0), turned(step, 0)) for step in range(10))


@pytest.mark.parametrize("what", [{"seed": 1}, {"task_index": 2}, {"purpose": "replay"}])
def test_other_names_draw_other_patches(make, what):
    sampler, other = make(), make(**what)
    assert sum(same(sampler(step, 0), other(step, 0)) for step in range(20)) < 3


def test_steps_and_slots_draw_other_patches(make):
    sampler = make()
    assert len({sampler(step, slot).image.numpy().tobytes() for step in range(5) for slot in range(6)}) > 27


def test_cases_are_equally_likely(make):
    sampler = make(augment=False)
    drawn = [sampler(step, 0).case_id for step in range(800)]
    assert all(150 < drawn.count(f"c{number}") < 250 for number in range(4))


@pytest.mark.parametrize(("batch_size", "forced"), [(2, 1), (6, 2), (8, 3), (12, 4), (16, 5)])
def test_the_last_third_of_a_batch_shows_foreground(make, batch_size, forced):
    sampler = make(batch_size=batch_size, augment=False)
    shown = [[bool(sampler(step, slot).mask.any()) for slot in range(batch_size)] for step in range(30)]
    always = np.all(shown, axis=0)
    assert always[-forced:].all()
    assert not always[:-forced].any()


def test_a_batch_of_one_is_forced_at_a_third_of_the_steps(make):
    def share(fraction):
        sampler = make(batch_size=1, augment=False, labels=(2,), foreground_fraction=fraction)
        return np.mean([bool((sampler(step, 0).mask == 2).any()) for step in range(600)])

    by_chance = share(0.0)
    assert by_chance < 0.3
    assert share(1 / 3) == pytest.approx(1 / 3 + 2 / 3 * by_chance, abs=0.08)


def test_every_annotated_label_is_aimed_at_equally_often(make):
    sampler = make(batch_size=1, augment=False, foreground_fraction=1.0)
    small = np.mean([bool((sampler(step, 0).mask == 2).any()) for step in range(300)])
    assert small > 0.6  # label 2 is in one slice of eight


def test_labels_that_are_not_annotated_are_background(make):
    sampler = make(labels=(2,), augment=True)
    values = {int(value) for step in range(40) for value in sampler(step, 5).mask.unique()}
    assert values == {0, 2}


def test_a_case_without_the_annotated_labels_is_drawn_all_the_same(make):
    assert not any(make(labels=(3,))(step, 5).mask.any() for step in range(10))


def test_without_augmentation_a_patch_is_a_piece_of_the_volume(make):
    sampler = make(SOLID, augment=False)
    for step in range(10):
        patch = sampler(step, 0)
        prepared = next(entry.prepared for entry in sampler.pool if entry.prepared.case.case_id == patch.case_id)
        pieces = np.lib.stride_tricks.sliding_window_view(prepared.image[1].astype(np.float32), SOLID.patch_size)
        ((x, y, z),) = np.argwhere((pieces == patch.image[1].numpy()).all((3, 4, 5)))
        assert np.array_equal(prepared.mask[x : x + 8, y : y + 8, z : z + 4], patch.mask)


def test_places_are_the_same_with_and_without_augmentation(make, monkeypatch):
    monkeypatch.setattr(patches, "draw", lambda *_: AugmentParams(channels=(ChannelParams(),) * 2))
    assert all(same(make(augment=True)(step, 4), make(augment=False)(step, 4)) for step in range(10))


@pytest.mark.parametrize("plan", [replace(FLAT, patch_size=(30, 11)), replace(SOLID, patch_size=(8, 21, 12))])
def test_volumes_smaller_than_the_patch_are_centered_in_zeros(make, plan):
    patch = make(plan, augment=False)(0, 5)
    assert patch.image.shape == (2, *plan.patch_size)
    inside = patch.image[1].numpy() != 0
    for axis, (size, limit) in enumerate(zip(plan.patch_size, (20, 16, 8), strict=False)):
        used = np.flatnonzero(inside.any(tuple(other for other in range(plan.dims) if other != axis)))
        before = max(size - limit, 0) // 2
        assert (used[0], used[-1]) == (before, before + min(size, limit) - 1)


@pytest.mark.parametrize("plan", [FLAT, SOLID])
def test_image_and_mask_are_turned_and_mirrored_together(make, plan, monkeypatch):
    """The first channel is the mask itself, so it must stay so under any spatial change."""
    drawn = patches.draw
    plain = {"noise_std": 0.0, "channels": (ChannelParams(),) * 2}
    monkeypatch.setattr(patches, "draw", lambda *args: replace(drawn(*args), **plain))
    sampler, changed = make(plan), 0
    for step in range(60):
        patch = sampler(step, 5)
        levels = patch.image[0].numpy()
        if len(np.unique(patch.mask)) < 2:
            continue
        assert np.corrcoef(levels.ravel(), patch.mask.numpy().ravel())[0, 1] > 0.75
        changed += len(np.unique(levels)) > 3
    assert changed > 5


def test_an_empty_pool_is_refused():
    with pytest.raises(ValueError, match="at least one case"):
        PatchSampler([], FLAT, 0, 1, 2)


def test_a_data_set_reads_slot_after_slot(make):
    sampler = make()
    data = PatchDataset(sampler, steps=5, first_step=3)
    x, y, task_label = data[6 + 2]
    patch = sampler(4, 2)
    assert len(data) == 30
    assert torch.equal(x, patch.image)
    assert torch.equal(y, patch.mask.long())
    assert (y.dtype, task_label) == (torch.int64, 0)
    with pytest.raises(IndexError):
        data[30]


@pytest.mark.parametrize("plan", [FLAT, SOLID])
def test_workers_do_not_change_the_batches(make, plan):
    data = PatchDataset(make(plan), steps=4)
    alone = list(DataLoader(data, batch_size=6, generator=torch.Generator()))
    helped = list(DataLoader(data, batch_size=6, num_workers=2, generator=torch.Generator()))
    for one, other in zip(alone, helped, strict=True):
        assert all(map(torch.equal, one, other))


def test_global_random_streams_are_left_alone(make):
    with forked_rng(0):
        expected = np.random.random(), torch.rand(()).item()  # noqa: NPY002
    with forked_rng(0):
        make()(0, 0)
        assert (np.random.random(), torch.rand(()).item()) == expected  # noqa: NPY002
