"""From cards and data roots to streams."""

import pytest

from clbench.errors import InputError
from clbench.streams.load import load_stream
from clbench.streams.stream import SPLITS
from toy import write_class_stream, write_dataset, write_domain_stream

REAL = {
    "acdc-groups": {"NOR": (20, 2, 6), "HCM": (20, 2, 6), "RV": (20, 2, 6), "MINF": (20, 2, 6), "DCM": (20, 2, 6)},
    "acdc-classes": {"rv": (98, 14, 28), "myocardium": (98, 14, 28), "lv": (98, 14, 28)},
    "hippocampus-classes": {"anterior": (140, 20, 40), "posterior": (140, 20, 40)},
    "hippocampus-shifts": {
        "original": (31, 5, 9),
        "bias-field": (24, 3, 7),
        "blur-low-resolution": (29, 4, 8),
        "rician-noise": (29, 4, 8),
        "gamma-inversion": (27, 4, 8),
    },
}


@pytest.fixture
def no_data(monkeypatch):
    monkeypatch.delenv("CLBENCH_DATA", raising=False)


def patients(task, split):
    return {case.patient_id for case in task.split(split)}


def check_splits(stream):
    for task in stream.tasks:
        assert all(task.split(split) for split in SPLITS)
    tested = {patient for task in stream.tasks for patient in patients(task, "test")}
    trained = {patient for task in stream.tasks for split in ("train", "val") for patient in patients(task, split)}
    assert not tested & trained


@pytest.mark.data
@pytest.mark.parametrize("name", REAL)
def test_real_streams_have_the_published_cases_and_clean_splits(real_data, name):
    stream = load_stream(name, data=real_data)
    sizes = {task.name: tuple(len(task.split(split)) for split in SPLITS) for task in stream.tasks}
    assert sizes == REAL[name]
    check_splits(stream)


@pytest.mark.data
def test_a_patients_frames_stay_together(real_data):
    for task in load_stream("acdc-groups", data=real_data).tasks:
        for split in SPLITS:
            assert len(task.split(split)) == 2 * len(patients(task, split))


@pytest.mark.parametrize("write", [write_domain_stream, write_class_stream])
def test_toy_streams_have_clean_splits(tmp_path, write):
    stream = load_stream(str(write(tmp_path)), data=tmp_path)
    check_splits(stream)
    assert stream == load_stream(str(tmp_path / "toy.toml"), data=tmp_path)


def test_splits_of_a_task_do_not_depend_on_other_tasks(tmp_path):
    three = load_stream(str(write_domain_stream(tmp_path / "a", tasks=3)), data=tmp_path / "a")
    two = load_stream(str(write_domain_stream(tmp_path / "b", tasks=2)), data=tmp_path / "b")
    for first, second in zip(three.tasks, two.tasks, strict=False):
        for split in SPLITS:
            assert [case.case_id for case in first.split(split)] == [case.case_id for case in second.split(split)]


def test_case_ids_of_several_data_sets_stay_apart(tmp_path):
    stream = load_stream(str(write_domain_stream(tmp_path)), data=tmp_path)
    assert len(stream.cases) == 12
    assert stream.cases[0].case_id == "Dataset001_Site/case0"


def test_the_data_root_comes_from_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("CLBENCH_DATA", str(tmp_path))
    assert len(load_stream(str(write_class_stream(tmp_path))).cases) == 5


def test_missing_data_root_says_what_to_do(no_data):
    with pytest.raises(InputError, match=r"no data root .*--data DIR or set CLBENCH_DATA.*SAML.*licence.*--phantom"):
        load_stream("prostate-sites")


def test_data_root_that_is_no_folder_is_named(tmp_path):
    with pytest.raises(InputError, match="nowhere is not a folder"):
        load_stream("acdc-groups", data=tmp_path / "nowhere")


def test_wrong_data_root_says_where_it_looked(tmp_path):
    with pytest.raises(InputError, match=r"looked for 'patient\*' in .*acdc/training.*Get it from"):
        load_stream("acdc-groups", data=tmp_path)


def test_a_stream_without_phantom_says_so(no_data):
    with pytest.raises(InputError, match="has no phantom"):
        load_stream("acdc-groups", phantom=True)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('roots = ["Dataset001_All"]', 'roots = ["Dataset002_All"]', "looked for 'dataset.json'"),
        ('layout = "nnunet"', 'layout = "nnunett"', "unknown layout 'nnunett'; did you mean nnunet"),
        ('name = "disc"', 'name = "disc"\ngroup = "nobody"', "task disc of stream toy is empty: no case of group"),
        ('name = "disc"', 'name = "disc"\nshift = "blurr"', "unknown shift 'blurr'"),
        ('name = "disc"', 'name = "disc"\npart = [1, 400]', "task disc of stream toy"),
    ],
)
def test_a_card_that_does_not_fit_the_data_is_named(tmp_path, old, new, message):
    card = write_class_stream(tmp_path)
    card.write_text(card.read_text().replace(old, new))
    with pytest.raises(InputError, match=message):
        load_stream(str(card), data=tmp_path)


def test_two_tasks_may_not_mean_different_images_by_one_case(tmp_path):
    card = write_class_stream(tmp_path)
    text = card.read_text().replace('kind = "class"', 'kind = "domain"')
    for label, shift in (("disc", ""), ("rim", "gamma-inversion"), ("spot", "")):
        text = text.replace(f'labels = ["{label}"]', f'shift = "{shift}"')
    card.write_text(text)
    with pytest.raises(InputError, match=r"tasks disc and rim .* read different images or labels as case case0"):
        load_stream(str(card), data=tmp_path)


def test_a_test_patient_of_one_task_may_not_train_another(tmp_path):
    write_dataset(tmp_path / "Dataset001_All", 30, contrast=1.0, seed=1)
    card = tmp_path / "leak.toml"
    card.write_text(
        'name = "leak"\nversion = 1\nkind = "domain"\ntitle = "x"\nlabels = { disc = 1, rim = 2, spot = 3 }\n'
        '[data]\nlayout = "nnunet"\nroots = ["Dataset001_All"]\n'
        "[plan.default]\ndims = 2\nspacing_mm = [0.0, 0.0, 0.0]\npatch_size = [16, 16]\n"
        '[[tasks]]\nname = "all"\n[[tasks]]\nname = "half"\npart = [1, 2]\n'
    )
    with pytest.raises(InputError, match=r"patient .* is in split \w+ of task all and in \w+ of task half"):
        load_stream(str(card), data=tmp_path)


def test_folders_of_the_same_name_stay_apart(tmp_path):
    for site in ("a", "b"):
        write_dataset(tmp_path / site / "raw", 4, contrast=1.0, seed=1)
    card = tmp_path / "two.toml"
    text = write_domain_stream(tmp_path / "other", tasks=2).read_text()
    text = text.replace('"Dataset001_Site"', '"a/raw"').replace('"Dataset002_Site"', '"b/raw"')
    card.write_text(text)
    assert len(load_stream(str(card), data=tmp_path).cases) == 8


FRAMES = [f"patient{number:03d}_frame{frame:02d}" for number in range(1, 11) for frame in (1, 12)]


def write_frames(root, patient=""):
    """nnU-Net's ACDC: two frames of each of ten patients; returns a card with that ``patient``."""
    write_dataset(root / "Dataset027_ACDC", len(FRAMES), contrast=1.0, seed=1)
    for number, name in enumerate(FRAMES):
        for folder, channel in (("imagesTr", "_0000"), ("labelsTr", "")):
            path = root / "Dataset027_ACDC" / folder / f"case{number}{channel}.nii.gz"
            path.rename(path.with_name(f"{name}{channel}.nii.gz"))
    given = f"patient = '{patient}'\n" if patient else ""
    card = root / "frames.toml"
    card.write_text(
        'name = "frames"\nversion = 1\nkind = "domain"\ntitle = "x"\nlabels = { disc = 1, rim = 2, spot = 3 }\n'
        f'[data]\nlayout = "nnunet"\nroots = ["Dataset027_ACDC"]\n{given}'
        "[plan.default]\ndims = 2\nspacing_mm = [0.0, 0.0, 0.0]\npatch_size = [16, 16]\n"
        '[[tasks]]\nname = "all"\n'
    )
    return card


def split_patients_of(stream):
    """Split -> the patients that the case names tell."""
    (task,) = stream.tasks
    return {split: {case.case_id.split("_")[0] for case in task.split(split)} for split in SPLITS}


def test_frames_of_a_patient_stay_together_where_the_card_says_whose_they_are(tmp_path):
    stream = load_stream(str(write_frames(tmp_path, r"(patient\d+)_frame\d+")), data=tmp_path)
    found = split_patients_of(stream)
    assert {split: len(names) for split, names in found.items()} == {"train": 7, "val": 1, "test": 2}
    assert not found["train"] & found["test"]
    assert not found["val"] & (found["train"] | found["test"])
    assert not stream.traps


def test_without_it_they_are_torn_apart_and_the_traps_say_so(tmp_path):
    stream = load_stream(str(write_frames(tmp_path)), data=tmp_path)
    found = split_patients_of(stream)
    assert found["train"] & found["test"]
    (trap,) = stream.traps
    assert trap.kind == "cases-of-one-patient"
    assert all(text in trap.action for text in ("patient001_frame01 and patient001_frame12", "set patient in the card"))


def test_parts_of_a_data_set_take_whole_patients(tmp_path):
    card = write_frames(tmp_path, r"(patient\d+)_frame\d+")
    text = card.read_text().replace('name = "all"\n', 'name = "one"\npart = [1, 2]\n[[tasks]]\nname = "two"\n')
    card.write_text(text + "part = [2, 2]\n")
    check_splits(load_stream(str(card), data=tmp_path))


def test_the_patient_of_a_card_is_part_of_the_identity_and_not_of_what_is_read(tmp_path):
    from clbench.data.fingerprint import fingerprint

    plain = load_stream(str(write_frames(tmp_path / "a")), data=tmp_path / "a")
    grouped = load_stream(str(write_frames(tmp_path / "b", r"(patient\d+)_frame\d+")), data=tmp_path / "b")
    assert fingerprint(plain.cases) == fingerprint(grouped.cases)  # the card's text has its own place in the hash
    assert [case.reading() for case in grouped.cases] == [{}] * len(FRAMES)


def test_a_patient_that_does_not_fit_the_names_is_one_problem(tmp_path):
    with pytest.raises(InputError, match=r"labelsTr: patient = .* does not match case patient001_frame01 and 19 more"):
        load_stream(str(write_frames(tmp_path, r"(pat\d+)_frame\d+")), data=tmp_path)


def test_layouts_that_know_their_patients_take_no_expression(tmp_path):
    card = write_frames(tmp_path, "(.+)")
    card.write_text(card.read_text().replace('"nnunet"', '"acdc"'))
    with pytest.raises(InputError, match="unknown layout option 'patient'"):
        load_stream(str(card), data=tmp_path)
