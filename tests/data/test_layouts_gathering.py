"""Everything that is missing of a data set is told at once, and what is there is found all the same."""

from __future__ import annotations

import json

import pytest

import tiny_trees
from clbench.data.layouts import LAYOUTS
from clbench.data.layouts.gathering import MEND, IncompleteError
from toy import write_dataset

HEART = {"rv": 1, "myocardium": 2, "lv": 3}


def problems(layout, root, labels):
    with pytest.raises(IncompleteError) as incomplete:
        LAYOUTS[layout].read(root, labels)
    *lines, last = str(incomplete.value).split("\n")
    assert tuple(lines) == incomplete.value.problems
    assert last == f"{len(lines)} problems of the data; {MEND}"
    return [line.replace(f"{root}/", "") for line in lines], [case.case_id for case in incomplete.value.cases]


def test_one_problem_is_one_line():
    assert str(IncompleteError(["a: is missing", "a: is missing"])) == "a: is missing"


def test_missing_sites_masks_and_images(tmp_path):
    root = tiny_trees.prostate(tmp_path) / "prostate"
    for name in ("UCL/Case00_segmentation.nii.gz", "UCL/Case01.nii.gz", "BMC/Case02_Segmentation.nii.gz"):
        (root / name).unlink()
    for site in ("HK", "I2CVB"):
        (root / site).rename(tmp_path / site)
    told, there = problems("prostate-saml", root, {"prostate": 1})
    assert told == [
        "BMC/Case02.nii.gz: has no mask CaseNN_segmentation.nii.gz beside it; complete the download",
        f"{root}: no folder for site I2CVB; complete the download",
        "UCL/Case00.nii.gz: has no mask CaseNN_segmentation.nii.gz beside it; complete the download",
        "UCL/Case01_segmentation.nii.gz: has no image CaseNN.nii.gz beside it; complete the download",
        f"{root}: no folder for site HK; complete the download",
    ]
    assert there == [
        *("BIDMC/Case00", "BIDMC/Case02", "BIDMC/Case03", "BMC/Case00", "BMC/Case01"),
        *("RUNMC/Case00", "RUNMC/Case01", "RUNMC/Case02", "UCL/Case02"),
    ]


def test_patients_without_a_frame_a_mask_or_their_description(tmp_path):
    root = tiny_trees.acdc(tmp_path) / "acdc" / "training"
    (root / "patient002" / "patient002_frame01.nii.gz").unlink()
    (root / "patient002" / "patient002_frame08_gt.nii.gz").unlink()
    (root / "patient005" / "Info.cfg").unlink()
    (root / "patient007" / "patient007_frame03_gt.nii.gz").touch()
    told, there = problems("acdc", root, HEART)
    assert told == [
        "patient002: patient002_frame01.nii.gz is missing; complete the download",
        "patient002: patient002_frame08_gt.nii.gz is missing; complete the download",
        "patient005/Info.cfg: cannot be read (No such file or directory); copy or download it again",
        "patient007/patient007_frame03_gt.nii.gz: mask is of no frame that Info.cfg names; correct that or move it "
        "away",
    ]
    assert len(there) == 2 * (15 - 2)


def test_pairs_of_a_list_that_are_not_there(tmp_path):
    root = tiny_trees.hippocampus(tmp_path) / "Task04_Hippocampus"
    (root / "imagesTr" / "hippocampus_000.nii.gz").unlink()
    (root / "labelsTr" / "hippocampus_002.nii.gz").rename(root / "labelsTr" / "hippocampus_009.nii.gz")
    content = json.loads((root / "dataset.json").read_text())
    content["training"] += ["x", content["training"][3]]
    (root / "dataset.json").write_text(json.dumps(content))
    told, there = problems("decathlon", root, {"anterior": 1, "posterior": 2})
    assert told == [
        "dataset.json: lists ./imagesTr/hippocampus_000.nii.gz, which is not there; complete the download",
        "dataset.json: lists ./labelsTr/hippocampus_002.nii.gz, which is not there; complete the download",
        "dataset.json: training entry 'x' is no pair of 'image' and 'label'",
        "dataset.json: lists the image hippocampus_003 twice",
        "labelsTr/hippocampus_009.nii.gz: mask is not listed in dataset.json; list it or move it away",
    ]
    assert there == ["hippocampus_001", "hippocampus_003"]


def test_images_without_masks_masks_without_images_and_missing_channels(tmp_path):
    root = tmp_path / "Dataset001_All"
    write_dataset(root, 5, contrast=1.0, seed=1)
    description = json.loads((root / "dataset.json").read_text())
    (root / "dataset.json").write_text(json.dumps({**description, "channel_names": {"0": "T1", "1": "T2"}}))
    for number in (0, 1, 2, 4):
        (root / "imagesTr" / f"case{number}_0001.nii.gz").touch()
    (root / "imagesTr" / "case5.nii.gz").touch()
    (root / "labelsTr" / "case0.nii.gz").unlink()
    for channel in ("0000", "0001"):
        (root / "imagesTr" / f"case1_{channel}.nii.gz").unlink()
    told, there = problems("nnunet", root, {"disc": 1, "rim": 2, "spot": 3})
    assert told == [
        "imagesTr/case5.nii.gz: image name does not end in a channel such as _0000; rename it",
        "imagesTr/case0_0000.nii.gz: image case0 has no mask in labelsTr; add the mask or remove the image",
        "labelsTr/case1.nii.gz: mask has no image case1_0000 in imagesTr; add the image or remove the mask",
        "imagesTr: channel file case3_0001 is missing (2 channels expected); complete the download",
    ]
    assert there == ["case2", "case4"]


@pytest.mark.parametrize("lost", ["imagesTr", "labelsTr"])
def test_a_missing_folder_is_one_problem_and_not_one_for_every_partner(tmp_path, lost):
    root = tmp_path / "Dataset001_All"
    write_dataset(root, 3, contrast=1.0, seed=1)
    (root / lost).rename(tmp_path / lost)
    with pytest.raises(IncompleteError, match=rf"{lost}: folder cannot be listed \(No such file") as incomplete:
        LAYOUTS["nnunet"].read(root, {"disc": 1, "rim": 2, "spot": 3})
    assert len(incomplete.value.problems) == 1
