"""Memory patches: stateless, cut from the entries remembered, with the labels of their own task."""

import numpy as np
import pytest

from clbench.data.memory import JoinedPatches, MemoryEntry, MemoryPatches, MemorySampler, label_bits
from clbench.data.prepare import prepare_cases
from clbench.streams.load import load_stream
from toy import write_class_stream


@pytest.fixture(scope="module")
def toy(tmp_path_factory):
    folder = tmp_path_factory.mktemp("memory")
    stream = load_stream(str(write_class_stream(folder)), data=folder)
    plan = stream.plan("default")
    prepared = prepare_cases(stream.cases, plan, folder / "cache")
    return plan, [prepared[case_id] for case_id in sorted(prepared)]


def sampler(toy, groups, **options):
    values = {"seed": 3, "task_index": 2, "batch_size": 6, "augment": False, **options}
    return MemorySampler(groups, toy[0], **values)


def whole(toy, positions, labels=(1, 2, 3)):
    return [MemoryEntry(toy[1][position], labels) for position in positions]


def test_a_patch_is_a_pure_function_of_its_numbers(toy):
    first, second = (sampler(toy, [whole(toy, [0, 1, 2])], augment=True) for _ in range(2))
    forward = [first(step, slot) for step in range(2) for slot in range(6)]
    backward = [second(step, slot) for step in (1, 0) for slot in reversed(range(6))][::-1]
    assert all(a.image.equal(b.image) and a.mask.equal(b.mask) for a, b in zip(forward, backward, strict=True))


def test_another_purpose_draws_other_patches(toy):
    one, other = (sampler(toy, [whole(toy, [0, 1, 2])], purpose=name) for name in ("replay", "agem"))
    assert any(not one(0, slot).image.equal(other(0, slot).image) for slot in range(6))


def test_groups_are_equally_likely_whatever_their_size(toy):
    rare, common = whole(toy, [0]), whole(toy, [1, 2, 3])
    draw = sampler(toy, [rare, common])
    found = [draw(step, slot).case_id for step in range(100) for slot in range(6)]
    share = np.mean([case_id == rare[0].prepared.case.case_id for case_id in found])
    assert abs(share - 0.5) < 4 * np.sqrt(0.25 / 600)


@pytest.mark.parametrize("level", [0, 2])
def test_an_entry_of_one_slice_shows_that_slice(toy, level):
    prepared = toy[1][0]
    draw = sampler(toy, [[MemoryEntry(prepared, (1, 2, 3), level)]])
    image = prepared.image[0, :, :, level].astype(np.float32)
    windows = {image[x : x + 16, y : y + 16].tobytes() for x in range(5) for y in range(5)}
    for slot in range(6):
        assert draw(0, slot).image.numpy()[0].tobytes() in windows


def test_forced_slots_of_a_slice_show_foreground_of_that_slice(toy):
    draw = sampler(toy, [[MemoryEntry(toy[1][0], (3,), 1)]])
    assert all((draw(step, slot).mask == 3).any() for step in range(20) for slot in (4, 5))


def test_labels_of_other_tasks_are_background(toy):
    patches = MemoryPatches(sampler(toy, [whole(toy, [0, 1], labels=(2,))]), steps=5)
    assert len(patches) == 30
    for index in range(30):
        _, mask, bits = patches[index]
        assert set(mask.unique().tolist()) <= {0, 2}
        assert bits == 0b100


def test_memories_side_by_side_keep_their_slots(toy):
    one, two = (MemoryPatches(sampler(toy, [whole(toy, [case])], batch_size=case + 1), 3) for case in (0, 1))
    joined = JoinedPatches([one, two])
    assert (len(joined), joined.batch_size) == (9, 3)
    for step in range(3):
        expected = [one[step], two[2 * step], two[2 * step + 1]]
        assert all(joined[3 * step + slot][0].equal(expected[slot][0]) for slot in range(3))


def test_nothing_to_draw_from_is_refused(toy):
    for groups in ([], [[]]):
        with pytest.raises(ValueError, match="at least one entry in every group"):
            sampler(toy, groups)
    with pytest.raises(IndexError, match="item 18 of 18"):
        MemoryPatches(sampler(toy, [whole(toy, [0])]), 3)[18]


def test_bits_name_labels():
    assert label_bits((1, 3)) == 0b1010
