"""Every bad input ends with exit code 2 and one line that names file and remedy, and leaves nothing half-written."""

import json
import re
import shutil

import numpy as np
import pytest

import tiny_trees
from command_line import clbench, run_words

SITE, HEART, HIPPOCAMPUS, TOY = "prostate-sites", "acdc-groups", "hippocampus-classes", "toy.toml"
PATIENT = "acdc/training/patient002/patient002_frame08"
IMAGE, MASK = "Dataset001_All/imagesTr/case2_0000.nii.gz", "Dataset001_All/labelsTr/case2.nii.gz"


def run(stream, root, tmp_path, *more, **fields):
    """Run on a tree; a card is named by its path."""
    name = root / stream if stream.endswith(".toml") else stream
    return clbench(*run_words(name, root, tmp_path / "runs", *more, **fields))


def assert_refused(answer, *expected):
    assert answer.code == 2
    assert answer.out == ""
    assert len(answer.complaints) == 1, answer.err
    for text in ("clbench: ", *expected):
        assert text in answer.complaints[0]


def assert_nothing_half_written(tmp_path):
    """No run folder, and every entry of the cache whole."""
    assert not (tmp_path / "runs").exists()
    entries = list((tmp_path / "cache").glob("prepared/*/*"))
    assert all((entry / "meta.json").is_file() for entry in entries)
    assert not [entry for entry in entries if entry.name.startswith(".")]


def remove(path):
    shutil.rmtree(path) if path.is_dir() else path.unlink()


def cut(path):
    path.write_bytes(path.read_bytes()[:-40])


def change(path, edit):
    """Edit the voxels of a NIfTI file."""
    tiny_trees.save(path, edit(tiny_trees.load(path)))


def with_nan(array):
    array[2, 3, 1] = np.nan
    return array


def with_value_9(array):
    array[2, 3, 1] = 9
    return array


def extra(path):
    """One more file beside a sound one of the same kind."""
    shutil.copy(next(path.parent.glob("*.nii.gz")), path)


def edit(name, old, new):
    def write(root):
        text = (root / name).read_text()
        assert old in text
        (root / name).write_text(text.replace(old, new, 1))

    return write


# stream, what is wrong, how it comes about, what the line says
BROKEN = [
    (SITE, "missing site", lambda r: remove(r / "prostate/HK"), ["/prostate: ", "site HK", "complete the download"]),
    (SITE, "missing first site", lambda r: remove(r / "prostate/RUNMC"), ["RUNMC", "/prostate", "Get it from http"]),
    (SITE, "site without images", lambda r: [*map(remove, (r / "prostate/UCL").iterdir())], ["UCL has no CaseNN"]),
    (SITE, "missing mask", lambda r: remove(r / "prostate/HK/Case01_segmentation.nii.gz"),
     ["HK/Case01.nii.gz", "download"]),
    (SITE, "extra mask", lambda r: remove(r / "prostate/BMC/Case01.nii.gz"),
     ["Case01_Segmentation.nii.gz", "download"]),
    (SITE, "truncated", lambda r: cut(r / "prostate/HK/Case02.nii.gz"), ["HK/Case02.nii.gz: truncated", "again"]),
    (HEART, "missing mask", lambda r: remove(r / f"{PATIENT}_gt.nii.gz"), ["patient002_frame08_gt.nii.gz", "download"]),
    (HEART, "missing image", lambda r: remove(r / f"{PATIENT}.nii.gz"), ["patient002_frame08.nii.gz", "download"]),
    (HEART, "extra mask", lambda r: extra(r / f"{PATIENT[:-2]}05_gt.nii.gz"), ["frame05_gt.nii.gz", "move it away"]),
    (HEART, "missing Info.cfg", lambda r: remove(r / "acdc/training/patient002/Info.cfg"), ["patient002/Info.cfg"]),
    (HEART, "unknown label", lambda r: change(r / f"{PATIENT}_gt.nii.gz", with_value_9),
     ["frame08_gt", "value 9", "repair"]),
    (HEART, "empty task", lambda r: [remove(r / f"acdc/training/patient{n:03d}") for n in (7, 8, 9)],
     ["task DCM of stream acdc-groups is empty", "complete the data"]),
    (HEART, "two patients", lambda r: remove(r / "acdc/training/patient001"), ["task NOR", "2 patients", "add some"]),
    (HIPPOCAMPUS, "missing mask", lambda r: remove(r / "Task04_Hippocampus/labelsTr/hippocampus_001.nii.gz"),
     ["dataset.json", "labelsTr/hippocampus_001.nii.gz", "complete the download"]),
    (HIPPOCAMPUS, "extra mask", lambda r: extra(r / "Task04_Hippocampus/labelsTr/hippocampus_009.nii.gz"),
     ["hippocampus_009.nii.gz", "list it or move it away"]),
    (HIPPOCAMPUS, "no JSON", lambda r: (r / "Task04_Hippocampus/dataset.json").write_text("{"),
     ["dataset.json", "JSON"]),
    (TOY, "missing mask", lambda r: remove(r / MASK), ["case2_0000.nii.gz", "no mask", "add the mask"]),
    (TOY, "extra mask", lambda r: remove(r / IMAGE), ["labelsTr/case2.nii.gz", "no image", "add the image"]),
    (TOY, "truncated image", lambda r: cut(r / IMAGE), ["case2_0000.nii.gz: truncated", "download it again"]),
    (TOY, "truncated mask", lambda r: cut(r / MASK), ["labelsTr/case2.nii.gz: truncated", "download it again"]),
    (TOY, "no NIfTI", lambda r: (r / IMAGE).write_text("<html>"), ["case2_0000.nii.gz", "not a single-file NIfTI"]),
    (TOY, "other shape", lambda r: change(r / MASK, lambda a: a[1:]), ["case2.nii.gz", "(19, 20, 4)", "one grid"]),
    (TOY, "NaN", lambda r: change(r / IMAGE, with_nan), ["case2_0000.nii.gz: 1 voxels are NaN", "repair the file"]),
    (TOY, "constant image", lambda r: change(r / IMAGE, np.ones_like), ["case2_0000.nii.gz", "constant", "repair"]),
    (TOY, "unknown label", lambda r: change(r / MASK, with_value_9), ["case2.nii.gz", "value 9", "repair the mask"]),
    (TOY, "fractions", lambda r: change(r / MASK, lambda a: a / np.float32(2)), ["case2.nii.gz", "not integers"]),
    (TOY, "label never shown", lambda r: [change(p, lambda a: a % 3) for p in (r / MASK).parent.iterdir()],
     ["task spot of stream toy is empty", "labelsTr/case", "correct the masks"]),
    (TOY, "no such group", edit(TOY, 'name = "rim"', 'name = "rim"\ngroup = "x"'),
     ["task rim of stream toy is empty", "'x'"]),
    (TOY, "no TOML", lambda r: (r / TOY).write_text("name = "), ["toy.toml", "not valid TOML"]),
    (TOY, "unknown key", edit(TOY, "version = 1", "version = 1\nverison = 2"),
     ["toy.toml", "unknown key 'verison'", "did you mean version"]),
    (TOY, "unknown key of a task", edit(TOY, "[[tasks]]", "[[tasks]]\ngrup = 'x'"), ["'grup'; did you mean group"]),
    (TOY, "unknown layout", edit(TOY, '"nnunet"', '"nnunett"'), ["unknown layout 'nnunett'", "did you mean nnunet"]),
    (TOY, "a patient that is no expression", edit(TOY, "marker =", "patient = '('\nmarker ="),
     ["toy.toml", "data.patient", "no regular expression", "write such as"]),
    (TOY, "a patient without group", edit(TOY, "marker =", "patient = 'case'\nmarker ="),
     ["toy.toml", "has no group", "put brackets around"]),
    (TOY, "a patient that fits no name", edit(TOY, "marker =", "patient = '(p)_.*'\nmarker ="),
     ["labelsTr: patient = '(p)_.*'", "does not match case case0 and 4 more", "correct the expression"]),
    (TOY, "data elsewhere", edit(TOY, "Dataset001_All", "Dataset002_All"),
     ["looked for 'dataset.json'", "Dataset002_All"]),
    (TOY, "out of the root", edit(TOY, "Dataset001_All", "../x"), ["toy.toml", "leaves the data root"]),
    (TOY, "small patch", edit(TOY, "patch_size = [16, 16]", "patch_size = [18, 18]"),
     ["patch_size (18, 18)", "use (20, 20)"]),
    ("domain/toy.toml", "other channels", lambda r: _two_channels(r / "domain/Dataset002_Site"),
     ["1 (", "2 (", "channel"]),
]  # fmt: skip


def _two_channels(folder):
    for image in list((folder / "imagesTr").iterdir()):
        shutil.copy(image, str(image).replace("_0000", "_0001"))
    description = json.loads((folder / "dataset.json").read_text())
    (folder / "dataset.json").write_text(json.dumps({**description, "channel_names": {"0": "T1", "1": "T2"}}))


@pytest.mark.parametrize(
    ("stream", "spoil", "expected"), [pytest.param(s, b, e, id=f"{s}: {what}") for s, what, b, e in BROKEN]
)
def test_bad_data_are_refused_before_anything_is_written(stream, spoil, expected, make_tree, tmp_path):
    root = make_tree(stream)
    spoil(root)
    data = root / "domain" if stream.startswith("domain") else root
    answer = clbench(*run_words(root / stream if "toml" in stream else stream, data, tmp_path / "runs"))
    assert_refused(answer, *expected)
    assert_nothing_half_written(tmp_path)


def test_several_bad_cases_are_all_listed_by_the_run_and_by_the_check(make_tree, tmp_path):
    root = make_tree(TOY)
    cut(root / IMAGE)
    change(root / MASK.replace("case2", "case4"), with_value_9)
    answer = run(TOY, root, tmp_path)
    assert answer.code == 2
    listed = [re.search(r"case\d\S*: \w+", line) for line in answer.complaints[:2]]
    assert [found[0] for found in listed] == ["case2_0000.nii.gz: truncated", "case4.nii.gz: mask"]
    assert answer.complaints[2:] == [
        "clbench: 2 of 5 cases cannot be used; mend them, or leave them out with --exclude-bad"
    ]
    assert_nothing_half_written(tmp_path)
    check = clbench("data", "check", root / TOY, "--data", root)
    assert check.code == 1
    assert check.err == ""
    problems = check.out.splitlines()[-3:]
    assert problems[0] == "problems: 2"
    assert [re.search(r"case\d\S*: \w+", line)[0] for line in problems[1:]] == [
        "case2_0000.nii.gz: truncated",
        "case4.nii.gz: mask",
    ]


def test_mended_data_run_at_once_and_sound_cases_are_not_checked_again(make_tree, tmp_path):
    root = make_tree(TOY)
    sound = (root / IMAGE).read_bytes()
    cut(root / IMAGE)
    assert run(TOY, root, tmp_path).code == 2
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache" / "checked").rglob("*.json")}
    assert len(before) == 5
    (root / IMAGE).write_bytes(sound)
    assert run(TOY, root, tmp_path).code == 0
    after = {path: path.stat().st_mtime_ns for path in (tmp_path / "cache" / "checked").rglob("*.json")}
    assert len(after) == 6
    assert before.items() <= after.items()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--data", "nowhere"], ["data root nowhere is not a folder", "--data DIR", "CLBENCH_DATA", "--phantom"]),
        (["--data", ""], ["data of stream prostate-sites not found", "looked for 'RUNMC'", "--phantom"]),
        (["--stream", "prostate-site"], ["unknown stream 'prostate-site'", "did you mean prostate-sites"]),
        (["--stream", "prostate-sites@7"], ["version 1", "prostate-sites@1"]),
        (["--stream", "my/card.toml"], ["no card file at my/card.toml", "clbench list"]),
        (["--strategy", "segrek"], ["unknown strategy 'segrek'", "did you mean segreg"]),
        (["--strategy", "ewc+ewk"], ["unknown strategy 'ewk'", "ewc"]),
        (["--strategy", "joint+ewc"], ["joint", "ewc", "use one of them"]),
        (["--network", "unett"], ["unknown network 'unett'", "did you mean unet"]),
        (["--preset", "smok"], ["unknown preset 'smok'", "did you mean smoke"]),
        (["--precision", "float16"], ["precision", "'bfloat16'"]),
        (["--predictions", "last"], ["predictions", "'final'"]),
        (["--device", "gpu"], ["device", "'cuda'"]),
        (["--seed", "-1"], ["seed", "greater than or equal to 0"]),
        (["--workers", "-1"], ["workers", "greater than or equal to 0"]),
        (["--sead", "1"], ["No such option: --sead", "--seed"]),
        (["--strategy", "ewc", "--set", "ewc.wieght=1"], ["unknown option of ewc 'wieght'", "did you mean weight"]),
        (["--strategy", "ewc", "--set", "ewc.weight=high"], ["ewc.weight", "'high'"]),
        (["--strategy", "ewc", "--set", "ewc.weight=-1"], ["ewc.weight", "greater than or equal to 0"]),
        (["--strategy", "ewc", "--set", "ewc.weight=inf"], ["ewc.weight", "finite"]),
        (["--set", "ewc.weight=1"], ["unknown section of --set 'ewc'", "training"]),
        (["--set", "training.stepz=1"], ["unknown training setting 'stepz'", "did you mean steps"]),
        (["--set", "training.steps=0"], ["training.steps", "greater than or equal to 1"]),
        (["--set", "training.learning_rate=inf"], ["training.learning_rate", "finite"]),
        (["--set", "training.steps"], ["training.steps", "part.option=value"]),
    ],
    ids=" ".join,
)  # fmt: skip
def test_a_wrong_word_is_refused_with_what_would_be_right(words, expected, sound_trees, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert_refused(clbench(*run_words(SITE, sound_trees(SITE), tmp_path / "runs", *words)), *expected)
    assert_nothing_half_written(tmp_path)


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--network", "unett"], "unknown network 'unett'; did you mean unet"),
        (["--strategy", "nave"], "unknown strategy 'nave'; did you mean naive"),
        (["--preset", "smok"], "unknown preset 'smok'; did you mean smoke"),
        (["--order", "foo"], "order 'foo' of stream acdc-groups is neither a list such as 2,1,3"),
        (["--order", "1,1,2,3,4"], "must name each of its 5 tasks once"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_a_wrong_word_is_told_where_there_are_no_data_either(words, expected, tmp_path):
    answer = clbench("run", "--stream", HEART, "--strategy", "naive", "--out", tmp_path / "runs", *words)
    assert_refused(answer, expected)


def test_no_data_root_at_all_says_where_to_get_the_data(tmp_path):
    answer = clbench("run", "--stream", HEART, "--strategy", "naive", "--out", tmp_path / "runs")
    assert_refused(
        answer, "no data root for stream acdc-groups", "--data DIR or set CLBENCH_DATA", "https://", "licence"
    )
    assert_nothing_half_written(tmp_path)


@pytest.mark.parametrize(
    "command", [["data", "check"], ["run", "--strategy", "naive", "--stream"]], ids=["check", "run"]
)
def test_a_stream_without_a_phantom_says_so(command, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert_refused(clbench(*command, HEART, "--phantom"), "has no phantom", "--data DIR")


@pytest.mark.parametrize("place", ["out", "cache"])
def test_a_file_in_the_way_is_named(place, make_tree, tmp_path, monkeypatch):
    root = make_tree(TOY)
    (tmp_path / "file").touch()
    if place == "cache":
        monkeypatch.setenv("CLBENCH_CACHE", str(tmp_path / "file"))
    out = tmp_path / ("file" if place == "out" else "runs")
    hint = "choose another --out" if place == "out" else "set CLBENCH_CACHE to another folder"
    assert_refused(clbench(*run_words(root / TOY, root, out)), str(tmp_path / "file"), hint)
    assert not (tmp_path / "runs").exists()


def contents(folder):
    """Every file of a folder with its bytes and time."""
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in folder.rglob("*") if path.is_file()}


@pytest.fixture(params=["complete", "incomplete"])
def earlier(request, make_tree, tmp_path):
    """Data and the folder of an earlier run on them, with or without its end."""
    root = make_tree(TOY)
    assert run(TOY, root, tmp_path).code == 0
    (folder,) = (path.parent for path in (tmp_path / "runs").rglob("run.json"))
    if request.param == "incomplete":
        (folder / "summary.json").unlink()
    return root, folder


def test_a_folder_of_a_run_on_other_data_is_refused_and_not_touched(earlier, tmp_path):
    root, folder = earlier
    change(root / IMAGE, lambda array: array + 1)
    before = contents(folder)
    shutil.rmtree(tmp_path / "cache")
    answer = run(TOY, root, tmp_path)
    assert_refused(answer, str(folder), "other data (fingerprint", "choose another --out or remove that folder")
    assert contents(folder) == before
    assert not (tmp_path / "cache" / "prepared").exists()  # nothing was prepared for a run that could not be


def test_a_folder_of_a_run_with_other_settings_is_refused_and_not_touched(earlier, tmp_path):
    root, folder = earlier
    content = json.loads((folder / "run.json").read_text())
    content["config"]["resolved"]["training"]["steps"] = 7
    (folder / "run.json").write_text(json.dumps(content))
    before = contents(folder)
    assert_refused(run(TOY, root, tmp_path), str(folder), "other settings (training)", "choose another --out")
    assert contents(folder) == before


def test_a_folder_that_is_in_use_is_refused_as_a_failure(make_tree, tmp_path):
    from clbench.runfolder import lock

    root = make_tree(TOY)
    assert run(TOY, root, tmp_path).code == 0
    (folder,) = (path.parent for path in (tmp_path / "runs").rglob("run.json"))
    (folder / "summary.json").unlink()
    (folder / "lock").write_text(json.dumps({"host": "elsewhere", "pid": 1, "started": ""}))
    answer = run(TOY, root, tmp_path)
    assert answer.code == 1
    assert f"{folder} is being written by process 1 on elsewhere" in answer.complaints[0]
    assert (folder / lock.FILE_NAME).exists()
