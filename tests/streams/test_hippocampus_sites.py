"""hippocampus-sites over its three layouts: ids, patients and splits, on tiny trees and on the real Decathlon part."""

from __future__ import annotations

import json

import pytest

from clbench.data.check import inspect_cases
from clbench.errors import InputError
from clbench.streams.card import card_text, parse_card
from clbench.streams.load import load_stream
from clbench.streams.stream import SPLITS


@pytest.fixture
def root(tmp_path):
    """Four patients per data set as empty files: loading a stream opens none."""
    files = []
    for number in range(4):
        scan, subject, stem = f"ADNI_002_S_000{number}_100{number}", f"s0{number + 1}", f"hippocampus_00{number}"
        files += [f"HarP/100/{scan}.mnc", *(f"HarP/Labels_100_NIFTI/{scan}_{side}.nii" for side in "LR")]
        files.append(f"Dryad/{subject}/{subject}_t1w_standard_defaced_MNI.nii.gz")
        files += [f"Dryad/{subject}/{subject}_hippolabels_t1w_standard_{side}_MNI.nii.gz" for side in "LR"]
        files += [f"Task04_Hippocampus/{folder}/{stem}.nii.gz" for folder in ("imagesTr", "labelsTr")]
    files += ["HarP/35/ADNI_003_S_0001_1.mnc", *(f"HarP/Labels_35_NIFTI/ADNI_003_S_0001_1_{side}.nii" for side in "LR")]
    for name in files:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    pairs = [
        {"image": f"./imagesTr/hippocampus_00{n}.nii.gz", "label": f"./labelsTr/hippocampus_00{n}.nii.gz"}
        for n in range(4)
    ]
    content = {"labels": {"0": "background", "1": "Anterior", "2": "Posterior"}, "training": pairs}
    (tmp_path / "Task04_Hippocampus" / "dataset.json").write_text(json.dumps(content))
    return tmp_path


def test_the_order_is_harp_dryad_decathlon_with_one_label(root):
    stream = load_stream("hippocampus-sites", data=root)
    assert [task.name for task in stream.tasks] == ["HarP", "Dryad", "Decathlon"]
    assert stream.labels == {"hippocampus": 1}
    assert [sum(len(task.split(split)) for split in SPLITS) for task in stream.tasks] == [10, 8, 4]
    assert stream.plan("smoke") == load_stream("hippocampus-sites", data=root).plan("default")
    shifts = parse_card(card_text("hippocampus-shifts"), "hippocampus-shifts")
    assert parse_card(card_text("hippocampus-sites"), "hippocampus-sites").plan == shifts.plan


def test_both_sides_of_a_patient_stay_together(root):
    for task in load_stream("hippocampus-sites", data=root).tasks[:2]:
        for split in SPLITS:
            cases = task.split(split)
            assert cases
            assert len(cases) == 2 * len({case.patient_id for case in cases})


def test_case_ids_are_unique_over_the_three_data_sets(root):
    stream = load_stream("hippocampus-sites", data=root)
    assert len(stream.cases) == 22


@pytest.mark.parametrize("lost", ["HarP", "Dryad", "Task04_Hippocampus"])
def test_a_missing_data_set_says_where_it_looked_and_how_to_get_it(root, lost):
    (root / lost).rename(root / "elsewhere")
    with pytest.raises(InputError, match=r"hippocampus-sites not found: looked for .*Get it from .*--phantom"):
        load_stream("hippocampus-sites", data=root)


@pytest.mark.data
def test_the_real_decathlon_part_is_read_with_its_labels_merged(real_data, root):
    (root / "Task04_Hippocampus").rename(root / "unused")
    (root / "msd").symlink_to(real_data / "msd")
    task = load_stream("hippocampus-sites", data=root).tasks[2]
    assert tuple(len(task.split(split)) for split in SPLITS) == (140, 20, 40)
    findings = inspect_cases(task.test)
    assert not findings.problems
    assert {"two-zone-labels"} <= {trap.kind for trap in findings.traps}
