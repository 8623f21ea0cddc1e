"""Splits: which patients train, validate and test, by a stable hash that no other task can move."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Literal

from clbench.errors import InputError
from clbench.wording import counted

Split = Literal["train", "val", "test"]
FEWEST_PATIENTS = 3


def split_patients(patient_ids: Iterable[str], salt: str) -> dict[str, Split]:
    """Split patients into 20 % test, 10 % val and the rest train, each rounded half up and at least one patient.

    Patients are ordered by SHA-256 of ``salt/patient``; the first are test, the next val. The result depends on nothing
    but the set of patients and the salt: not on their order, their number of cases or on other tasks.

    Args:
        patient_ids: repeated ids count once.
        salt: stream key and task selection, such as ``"acdc-groups@1/NOR"``.

    Returns:
        Patient -> split, sorted by patient.

    Raises:
        InputError: fewer than three patients.
    """
    patients = set(patient_ids)
    if len(patients) < FEWEST_PATIENTS:
        raise InputError(
            f"{counted(len(patients), 'patient')} cannot be split into train, val and test; "
            f"add some, {FEWEST_PATIENTS} are needed"
        )
    ordered = sorted(patients, key=lambda patient: (_digest(f"{salt}/{patient}"), patient))
    tests, vals = _share(len(ordered), 20), _share(len(ordered), 10)
    found: dict[str, Split] = dict.fromkeys(ordered, "train")
    found.update(dict.fromkeys(ordered[: tests + vals], "val"))
    found.update(dict.fromkeys(ordered[:tests], "test"))
    return dict(sorted(found.items()))


def partition(patient_id: str, parts: int, salt: str) -> int:
    """The part, 0 to ``parts - 1``, that a patient belongs to; parts are equally likely, not equally large.

    Raises:
        ValueError: ``parts`` is not positive.
    """
    if parts < 1:
        raise ValueError(f"parts must be at least 1, not {parts}")
    return int.from_bytes(_digest(f"part/{salt}/{patient_id}"), "big") % parts


def _share(count: int, percent: int) -> int:
    return max(1, (count * percent + 50) // 100)


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()
