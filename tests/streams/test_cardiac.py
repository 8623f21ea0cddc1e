"""The two cardiac streams: the same patients, in tasks by vendor or by centre."""

from __future__ import annotations

import pytest

from clbench.errors import InputError
from clbench.streams.load import load_stream
from clbench.streams.stream import SPLITS

VENDOR_OF = {1: "A", 2: "B", 3: "B", 4: "C", 5: "D"}


@pytest.fixture
def root(tmp_path):
    """Four patients per centre, without voxels, where the download puts them."""
    dataset = tmp_path / "mnms" / "OpenDataset"
    rows = ["External code,Vendor,Centre,ED,ES"]
    for centre, vendor in VENDOR_OF.items():
        for number, name in enumerate(["Training/Labeled", "Validation", "Testing", "Testing"]):
            code = f"P{centre}{number}"
            folder = dataset / name / code
            folder.mkdir(parents=True)
            (folder / f"{code}_sa.nii.gz").touch()
            (folder / f"{code}_sa_gt.nii.gz").touch()
            rows.append(f"{code},{vendor},{centre},0,9")
    (dataset / "211230_M&Ms_Dataset_information_diagnosis_opendataset.csv").write_text("\n".join(rows))
    return tmp_path


@pytest.mark.parametrize(
    ("name", "sizes"),
    [
        ("cardiac-vendors", {"A-Siemens": 8, "B-Philips": 16, "C-GE": 8, "D-Canon": 8}),
        ("cardiac-centres", {f"centre-{number}": 8 for number in VENDOR_OF}),
    ],
)
def test_every_patient_is_in_the_task_of_its_vendor_or_centre_with_both_frames(root, name, sizes):
    stream = load_stream(name, data=root)
    assert {task.name: sum(len(task.split(split)) for split in SPLITS) for task in stream.tasks} == sizes
    for task in stream.tasks:
        for split in SPLITS:
            cases = task.split(split)
            assert len(cases) == 2 * len({case.patient_id for case in cases}) > 0
    assert len({case.patient_id for case in stream.cases}) == 20


def test_what_the_cards_say_fits_the_layout(monkeypatch):
    monkeypatch.delenv("CLBENCH_DATA", raising=False)
    for name in ("cardiac-vendors", "cardiac-centres"):
        with pytest.raises(InputError, match=r"no data root.*ub\.edu/mnms.*--phantom"):
            load_stream(name, data="")


def test_a_wrong_option_in_a_card_is_named(root, tmp_path):
    from clbench.streams.card import card_text

    card = tmp_path / "mine.toml"
    for old, new, message in [
        ('group_by = "vendor"', 'group_by = "scanner"', "unknown group_by 'scanner'"),
        ("group_by =", "groupby =", "unknown layout option 'groupby'; did you mean group_by"),
    ]:
        card.write_text(card_text("cardiac-vendors").replace(old, new))
        with pytest.raises(InputError, match=message):
            load_stream(str(card), data=root)
