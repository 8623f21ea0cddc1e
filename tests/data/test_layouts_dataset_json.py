"""The two layouts described by dataset.json: Decathlon and nnU-Net raw."""

from __future__ import annotations

import json

import pytest

from clbench.data.case import Trap
from clbench.data.layouts import LAYOUTS
from clbench.data.nifti import read_case
from clbench.errors import InputError

LABELS = {"anterior": 1, "posterior": 2}


def decathlon(root, labels=LABELS, **options):
    return LAYOUTS["decathlon"].read(root, labels, options)


def nnunet(root, labels=LABELS, **options):
    return LAYOUTS["nnunet"].read(root, labels, options)


def describe(root, **changes):
    """Change entries of dataset.json; None removes one."""
    path = root / "dataset.json"
    content = {**json.loads(path.read_text()), **changes} if path.exists() else changes
    path.write_text(json.dumps({key: value for key, value in content.items() if value is not None}))


def touch(path):
    path.parent.mkdir(exist_ok=True)
    path.touch()


@pytest.fixture
def task(tmp_path):
    """A Decathlon task of two cases, as empty files."""
    for name in ("a_1", "b_2"):
        touch(tmp_path / "imagesTr" / f"{name}.nii.gz")
        touch(tmp_path / "labelsTr" / f"{name}.nii.gz")
    touch(tmp_path / "imagesTs" / "c_3.nii.gz")
    pairs = [{"image": f"./imagesTr/{name}.nii.gz", "label": f"./labelsTr/{name}.nii.gz"} for name in ("b_2", "a_1")]
    describe(tmp_path, labels={"0": "background", "1": "Anterior", "2": "Posterior"}, training=pairs)
    return tmp_path


@pytest.fixture
def dataset(tmp_path):
    """An nnU-Net 2 data set of two cases with two channels, as empty files."""
    for name in ("a_1", "b_2"):
        touch(tmp_path / "imagesTr" / f"{name}_0000.nii.gz")
        touch(tmp_path / "imagesTr" / f"{name}_0001.nii.gz")
        touch(tmp_path / "labelsTr" / f"{name}.nii.gz")
    describe(
        tmp_path,
        channel_names={"0": "T2", "1": "ADC"},
        labels={"background": 0, "posterior": 1, "anterior": 2},
        numTraining=2,
        file_ending=".nii.gz",
    )
    return tmp_path


def test_decathlon_cases_are_the_listed_pairs_sorted(task):
    cases = decathlon(task).cases
    assert [(case.case_id, case.patient_id) for case in cases] == [("a_1", "a_1"), ("b_2", "b_2")]
    assert cases[0].images == (task / "imagesTr" / "a_1.nii.gz",)
    assert cases[0].label_values == {0: 0, 1: 1, 2: 2}
    assert (cases[0].channel, cases[0].group) == (None, "")


def test_decathlon_channel_and_group_reach_every_case(task):
    assert {(case.channel, case.group) for case in decathlon(task, channel=0, group="MSD").cases} == {(0, "MSD")}


def test_labels_merge_by_rename(task):
    listing = decathlon(task, {"hippocampus": 1}, rename={"Anterior": "hippocampus", "posterior": "hippocampus"})
    assert listing.cases[0].label_values == {0: 0, 1: 1, 2: 1}


@pytest.mark.parametrize(
    "path", ["../a.nii.gz", "/etc/a.nii.gz", "imagesTr/../../a.nii.gz", "..\\a.nii.gz", "C:/a.nii"]
)
@pytest.mark.parametrize("key", ["image", "label"])
def test_a_listed_path_cannot_leave_the_data_set(task, path, key):
    pair = {"image": "imagesTr/a_1.nii.gz", "label": "labelsTr/a_1.nii.gz", key: path}
    describe(task, training=[pair])
    with pytest.raises(InputError, match="leaves the data set"):
        decathlon(task)


@pytest.mark.parametrize(
    ("training", "message"),
    [
        (None, "needs 'training'"),
        ([], "needs 'training'"),
        (["imagesTr/a_1.nii.gz"], "is no pair of 'image' and 'label'"),
        ([{"image": "imagesTr/a_1.nii.gz"}], "is no pair of 'image' and 'label'"),
        ([{"image": "imagesTr/x.nii.gz", "label": "labelsTr/a_1.nii.gz"}], "lists imagesTr/x.nii.gz, which is not"),
        ([{"image": "dataset.json", "label": "labelsTr/a_1.nii.gz"}], "'dataset.json' is not a .nii"),
    ],
)
def test_a_wrong_list_of_pairs_is_told(task, training, message):
    describe(task, training=training)
    with pytest.raises(InputError, match=message):
        decathlon(task)


def test_a_pair_or_mask_listed_twice_is_refused(task):
    pair = {"image": "imagesTr/a_1.nii.gz", "label": "labelsTr/a_1.nii.gz"}
    describe(task, training=[pair, pair])
    with pytest.raises(InputError, match="lists the image a_1 twice"):
        decathlon(task)
    describe(task, training=[pair, {**pair, "image": "imagesTr/b_2.nii.gz"}])
    with pytest.raises(InputError, match=r"lists the mask a_1\.nii\.gz twice"):
        decathlon(task)


def test_a_mask_that_no_pair_lists_is_named(task):
    touch(task / "labelsTr" / "extra.nii.gz")
    with pytest.raises(InputError, match=r"extra\.nii\.gz: mask is not listed in dataset\.json"):
        decathlon(task)


def test_macos_twins_are_ignored(task):
    touch(task / "labelsTr" / "._a_1.nii.gz")
    assert decathlon(task).traps == (Trap("macos-files", "labelsTr", "1 file named ._* ignored"),)


def test_trap_decathlon_another_count_than_promised_is_told(task):
    describe(task, numTraining=20)
    (trap,) = decathlon(task).traps
    assert (trap.kind, trap.where) == ("case-count-differs", "dataset.json")
    assert trap.action.startswith("numTraining says 20, 2 found and used")


def test_trap_decathlon_one_channel_of_several_is_told(task):
    describe(task, modality={"0": "T2", "1": "ADC"})
    assert decathlon(task).traps == ()
    told = Trap("several-channels", "dataset.json", "channel 1 (ADC) of 2 read")
    assert decathlon(task, channel=1).traps == (told,)


def test_trap_nnunet_one_channel_of_several_is_told(dataset):
    assert nnunet(dataset).traps == ()
    assert [trap.kind for trap in nnunet(dataset, channel=1).traps] == ["several-channels"]


def test_a_file_name_that_cannot_be_a_case_id_is_refused(task):
    (task / "imagesTr" / "a_1.nii.gz").rename(task / "imagesTr" / "a 1.nii.gz")
    describe(task, training=[{"image": "imagesTr/a 1.nii.gz", "label": "labelsTr/a_1.nii.gz"}])
    with pytest.raises(InputError, match="'a 1' cannot be a case id"):
        decathlon(task)


@pytest.mark.parametrize(
    ("content", "message"),
    [("{", "not valid JSON"), ("[]", "must hold a JSON object"), ("[" * 100_000, "not valid JSON"), ("{}", "'labels'")],
)
@pytest.mark.parametrize("read", [decathlon, nnunet])
def test_a_damaged_description_is_told(tmp_path, read, content, message):
    (tmp_path / "dataset.json").write_text(content)
    with pytest.raises(InputError, match=message):
        read(tmp_path)


@pytest.mark.parametrize("read", [decathlon, nnunet])
def test_a_missing_description_is_named(tmp_path, read):
    with pytest.raises(InputError, match=r"dataset\.json: cannot be read \(No such file"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ({"background": 0, "whole": [1, 2]}, "'whole' is a region of several values"),
        ({"background": 0, "anterior": -1}, "'anterior' has the value -1"),
        ({"background": 0, "anterior": 1.5}, "'anterior' has the value 1.5"),
        ({"background": 0, "anterior": True}, "'anterior' has the value True"),
        ({"one": "anterior"}, "'anterior' has the value 'one'"),
        ({"anterior": 1, "posterior": 1}, "'anterior' and 'posterior' have the same value 1"),
    ],
)
def test_wrong_label_tables_are_told(dataset, labels, message):
    describe(dataset, labels=labels)
    with pytest.raises(InputError, match=message):
        nnunet(dataset)


def test_nnunet_cases_have_one_image_file_per_channel(dataset):
    cases = nnunet(dataset).cases
    assert [case.case_id for case in cases] == ["a_1", "b_2"]
    assert [path.name for path in cases[0].images] == ["a_1_0000.nii.gz", "a_1_0001.nii.gz"]
    assert cases[0].label_values == {0: 0, 1: 2, 2: 1}


def test_nnunet_version_1_descriptions_are_read_too(dataset):
    modern = nnunet(dataset)
    labels = {"0": "background", "1": "posterior", "2": "anterior"}
    describe(dataset, channel_names=None, modality={"0": "T2", "1": "ADC"}, labels=labels, file_ending=None)
    assert nnunet(dataset) == modern


def test_nnunet_one_channel_can_be_chosen(dataset):
    assert [path.name for path in nnunet(dataset, channel=1).cases[0].images] == ["a_1_0001.nii.gz"]
    with pytest.raises(InputError, match="has channels 0 to 1, not channel 2"):
        nnunet(dataset, channel=2)


@pytest.mark.parametrize(
    ("lost", "message"),
    [
        ("labelsTr/a_1.nii.gz", "image a_1 has no mask"),
        ("imagesTr/a_1_0001.nii.gz", r"a_1_0001 is missing \(2 channels expected\)"),
    ],
)
def test_nnunet_a_missing_file_is_named(dataset, lost, message):
    (dataset / lost).unlink()
    with pytest.raises(InputError, match=message):
        nnunet(dataset)


@pytest.mark.parametrize(
    ("added", "message"),
    [
        ("labelsTr/z.nii.gz", "mask has no image z_0000"),
        ("imagesTr/a_1_0002.nii.gz", r"a_1_0002 is not in dataset\.json"),
        ("imagesTr/a_1.nii.gz", "does not end in a channel"),
    ],
)
def test_nnunet_a_file_too_many_is_named(dataset, added, message):
    touch(dataset / added)
    with pytest.raises(InputError, match=message):
        nnunet(dataset)


def test_nnunet_another_count_than_promised_is_a_trap(dataset):
    describe(dataset, numTraining=20)
    assert [trap.kind for trap in nnunet(dataset).traps] == ["case-count-differs"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [({"file_ending": ".png"}, r"file_ending is '\.png'"), ({"dataset": {}}, "under 'dataset'")],
)
def test_nnunet_forms_that_are_not_read_are_refused(dataset, changes, message):
    describe(dataset, **changes)
    with pytest.raises(InputError, match=message):
        nnunet(dataset)


@pytest.mark.data
def test_the_real_hippocampus_copy_is_read(real_data):
    listing = decathlon(real_data / "msd" / "Task04_Hippocampus")
    assert len(listing.cases) == 200
    floats = next(case for case in listing.cases if case.case_id == "hippocampus_003")
    raw = read_case(floats)
    assert set(raw.mask.ravel().tolist()) == {0, 1, 2}
    assert raw.spacing_mm == (1.0, 1.0, 1.0)
