"""Splits: quotas, stability and independence."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clbench.data.splits import partition, split_patients
from clbench.errors import InputError

patients = st.sets(st.text("abcdef0123456789", min_size=1, max_size=8), min_size=3, max_size=60)


@given(patients, st.text(max_size=10))
def test_every_patient_gets_one_split_and_every_split_a_patient(ids, salt):
    found = split_patients(ids, salt)
    counts = {name: list(found.values()).count(name) for name in ("train", "val", "test")}
    assert set(found) == ids
    assert min(counts.values()) >= 1
    assert counts["test"] == max(1, (20 * len(ids) + 50) // 100)
    assert counts["val"] == max(1, (10 * len(ids) + 50) // 100)


@pytest.mark.parametrize(
    ("count", "train", "val", "test"), [(3, 1, 1, 1), (10, 7, 1, 2), (14, 10, 1, 3), (30, 21, 3, 6)]
)
def test_quotas_of_the_published_site_sizes(count, train, val, test):
    found = list(split_patients([f"p{number}" for number in range(count)], "salt").values())
    assert (found.count("train"), found.count("val"), found.count("test")) == (train, val, test)


@given(patients)
def test_order_and_repetition_do_not_matter(ids):
    assert split_patients(sorted(ids), "s") == split_patients(sorted(ids, reverse=True) * 2, "s")


def test_the_salt_moves_patients():
    ids = [f"p{number}" for number in range(40)]
    assert split_patients(ids, "stream@1/A") != split_patients(ids, "stream@2/A")


def test_splits_never_change():
    """Published results rest on these."""
    found = split_patients([f"patient{number:03}" for number in range(1, 11)], "acdc-groups@1/NOR")
    assert [patient for patient, split in found.items() if split == "test"] == ["patient003", "patient009"]
    assert [patient for patient, split in found.items() if split == "val"] == ["patient007"]
    assert [partition(f"hippocampus_{number:03}", 5, "hippocampus-shifts@1") for number in range(8)] == [
        3,
        0,
        0,
        4,
        0,
        2,
        3,
        0,
    ]


def test_two_patients_cannot_be_split():
    with pytest.raises(InputError, match="2 patients"):
        split_patients(["a", "b", "a"], "s")


def test_parts_are_about_equally_large_and_in_range():
    found = [partition(f"p{number}", 5, "s") for number in range(2000)]
    assert set(found) == set(range(5))
    assert all(340 < found.count(part) < 460 for part in range(5))


def test_a_part_of_nothing_is_refused():
    with pytest.raises(ValueError, match="at least 1"):
        partition("p", 0, "s")
