"""The fingerprint changes with everything that changes voxels, and with nothing else."""

from __future__ import annotations

import hashlib
import os
import shutil
from dataclasses import replace

import pytest

from clbench.data.case import Case
from clbench.data.fingerprint import file_sha256, fingerprint
from clbench.errors import InputError

PINNED = "ce9d51f0cf56d9129f0607cf1136cf5f7b961d2f6936f4a97d67f1831eb5944f"


@pytest.fixture
def cases(tmp_path):
    found = []
    for name in "abcdef":
        files = tmp_path / f"{name}.nii.gz", tmp_path / f"{name}_gt.nii.gz"
        for file in files:
            file.write_bytes(file.name.encode())
        found.append(Case(name, name, files[:1], files[1], {0: 0, 1: 1}))
    return found


def test_it_is_64_hex_digits_whatever_the_order_or_repetition(cases):
    first = fingerprint(cases)
    assert len(bytes.fromhex(first)) == 32
    assert fingerprint(cases[::-1]) == fingerprint([*cases, cases[0]]) == first


def test_it_is_the_same_in_every_process_and_version(cases):
    """Runs carry it; a change here separates all later results from all earlier ones."""
    assert fingerprint(cases) == PINNED


def test_it_does_not_depend_on_where_the_files_lie(cases, tmp_path):
    first = fingerprint(cases)
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    there = []
    for case in cases:
        files = [shutil.copy(file, moved / f"renamed_{file.name}") for file in (case.images[0], case.mask)]
        there.append(replace(case, images=(files[0],), mask=files[1]))
    assert fingerprint(there) == first


@pytest.mark.parametrize(
    "change",
    [{"case_id": "c"}, {"shift": "bias-field"}, {"channel": 0}, {"label_values": {0: 0, 1: 2}}],
    ids=lambda change: next(iter(change)),
)
def test_it_changes_with_each_thing_that_decides_the_voxels(cases, change):
    assert fingerprint([replace(cases[0], **change), *cases[1:]]) != fingerprint(cases)


@pytest.mark.parametrize("which", ["image", "mask"])
def test_it_changes_with_one_byte_of_a_file(cases, which):
    first = fingerprint(cases)
    file = cases[0].images[0] if which == "image" else cases[0].mask
    file.write_bytes(file.read_bytes()[:-1] + b"!")
    os.utime(file, ns=(1, 1))
    assert fingerprint(cases) != first


def test_image_and_mask_are_not_interchangeable(cases):
    swapped = replace(cases[0], images=(cases[0].mask,), mask=cases[0].images[0])
    assert fingerprint([swapped]) != fingerprint(cases[:1])


def test_a_file_hash_is_sha256_and_a_missing_file_is_named(cases, tmp_path):
    assert file_sha256(cases[0].mask) == hashlib.sha256(b"a_gt.nii.gz").hexdigest()
    with pytest.raises(InputError, match=r"nowhere: no such file; copy or download it again"):
        file_sha256(tmp_path / "nowhere")
