"""Files from strangers are harmless: pickles, cards that leave their root, bombs, and text that others would obey."""

from __future__ import annotations

import ast
import gzip
import hashlib
import io
import json
import struct
import time
import tracemalloc
from importlib import import_module
from pathlib import Path

import nibabel
import numpy as np
import pytest

import tiny_trees
from clbench.data.layouts.files import nifti_files
from clbench.data.nifti import read_volume
from clbench.data.plan import Plan
from clbench.data.prepare import cache_key, prepare_case
from clbench.errors import InputError, RunError
from clbench.runfolder import checkpoint
from clbench.runfolder.reading import read_prediction
from clbench.streams.card import cards, parse_card
from clbench.streams.load import load_stream
from command_line import clbench, run_words
from source_tree import package_modules
from synthetic_runs import config, finished, stream_record
from toy import write_class_stream

pickle = import_module("pickle")  # to make what no module of clbench may read
CODE_RAN = Path("code-of-a-stranger-ran")


class Malicious:
    """Unpickling this writes a file."""

    def __reduce__(self):
        return (Path.touch, (CODE_RAN,))


@pytest.fixture(autouse=True)
def _own_surroundings(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CLBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("CLBENCH_DATA", raising=False)
    yield
    assert not CODE_RAN.exists()


# No pickle is ever loaded.

UNSAFE_MODULES = {"pickle", "cPickle", "dill", "cloudpickle", "shelve", "marshal", "joblib", "yaml"}
UNSAFE_CALLS = {"torch.load", "pd.read_pickle", "pandas.read_pickle", "eval", "exec", "__import__", "torch.jit.load"}


@pytest.mark.parametrize("module", package_modules(), ids=lambda module: module.name)
def test_no_module_can_run_code_from_a_file(module):
    for node in ast.walk(module.tree):
        if isinstance(node, (ast.Import, ast.ImportFrom)):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
            assert not {name.split(".")[0] for name in names} & UNSAFE_MODULES
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func)
            assert called not in UNSAFE_CALLS
            if called == "np.load":
                assert {word.arg: ast.unparse(word.value) for word in node.keywords}.get("allow_pickle") == "False"


def test_the_pickle_of_these_tests_would_run_code():
    pickle.loads(pickle.dumps(Malicious()))
    assert CODE_RAN.exists()
    CODE_RAN.unlink()


def test_a_pickle_in_the_place_of_a_checkpoint_is_refused(tmp_path):
    folder = tmp_path / "checkpoints" / "000001"
    folder.mkdir(parents=True)
    content = pickle.dumps(Malicious())
    (folder / "tensors.safetensors").write_bytes(content)
    state = {"tensors_sha256": hashlib.sha256(content).hexdigest(), "state": {"step": 1}}
    (folder / "state.json").write_text(json.dumps(state))
    with pytest.raises(RunError, match=r"no checkpoint under .* is whole"):
        checkpoint.load(folder.parent)


def stored(array):
    content = io.BytesIO()
    np.save(content, array)
    return content.getvalue()


def zip_bomb():
    """16 MiB of zeros in 16 kB, where one array is looked for."""
    content = io.BytesIO()
    np.savez_compressed(content, image=np.zeros(2**24, np.uint8))
    return content.getvalue()


def huge_array():
    """A header of 4 TiB and nothing behind it."""
    content = io.BytesIO()
    claimed = {"descr": "<f2", "fortran_order": False, "shape": (1, 2**20, 2**20, 2)}
    np.lib.format.write_array_header_1_0(content, claimed)
    return content.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        stored(np.array([Malicious()], dtype=object)),
        zip_bomb(),
        huge_array(),
    ],
    ids=["pickle", "zip", "huge shape"],
)
def test_what_is_no_array_in_the_cache_is_made_anew(tmp_path, write_case, content):
    case, plan = write_case(), Plan(2, (0.0, 0.0, 0.0), (8, 8))
    key = cache_key(case, plan)
    sound = prepare_case(case, plan, tmp_path / "cache").image.copy()
    path = tmp_path / "cache" / "prepared" / key[:2] / key / "image.npy"
    path.write_bytes(content)
    np.testing.assert_array_equal(prepare_case(case, plan, tmp_path / "cache").image, sound)


# Cards and links stay inside the root that the user named.


def card_with(old, new):
    text = cards()["acdc-groups"]
    assert old in text
    return text.replace(old, new, 1)


@pytest.mark.parametrize("root", ["../../etc", "/etc", "a/../../b", "..", "a\\b", "C:\\\\x"])
def test_a_card_cannot_name_a_folder_outside(root, tmp_path):
    card = write_class_stream(tmp_path / "data")
    card.write_text(card.read_text().replace("Dataset001_All", root.replace("\\", "\\\\")))
    answer = clbench(*run_words(card, card.parent, tmp_path / "runs"))
    assert answer.code == 2
    assert "leaves the data root" in answer.err


@pytest.mark.parametrize("stream", ["../../card.toml", "/etc/card.toml", "away/card.toml"])
def test_a_suite_cannot_name_a_card_outside_its_folder(stream, tmp_path):
    (tmp_path / "here").mkdir()
    write_class_stream(tmp_path / "elsewhere").rename(tmp_path / "elsewhere" / "card.toml")
    (tmp_path / "here" / "away").symlink_to(tmp_path / "elsewhere")
    suite = tmp_path / "here" / "suite.toml"
    suite.write_text(f'[[block]]\nstreams = ["{stream}"]\nstrategies = ["naive"]\n')
    answer = clbench("suite", suite, "--dry-run")
    assert answer.code == 2
    assert "leaves the folder of the suite file" in answer.err


@pytest.mark.parametrize("marker", ["../*", "/etc/passwd", "a/../../*"])
def test_a_marker_cannot_look_outside(marker):
    from clbench.streams.card import DataCard

    with pytest.raises(ValueError, match=r"leaves the data root|inside the folder"):
        DataCard(layout="acdc", marker=marker)


@pytest.fixture
def toy(tmp_path):
    card = write_class_stream(tmp_path / "data")
    return card, tmp_path / "data" / "Dataset001_All"


def load(card):
    return load_stream(str(card), data=card.parent)


def test_a_link_out_of_the_data_root_is_refused(toy, tmp_path):
    card, folder = toy
    image = folder / "imagesTr" / "case2_0000.nii.gz"
    image.rename(tmp_path / "elsewhere.nii.gz")
    image.symlink_to(tmp_path / "elsewhere.nii.gz")
    with pytest.raises(InputError, match=r"case2_0000\.nii\.gz: link that leads out of .*data"):
        load(card)


def test_links_inside_the_root_and_a_root_that_is_a_link_are_followed(toy, tmp_path):
    card, folder = toy
    image = folder / "imagesTr" / "case2_0000.nii.gz"
    image.rename(folder / "kept.nii.gz")
    image.symlink_to(folder / "kept.nii.gz")
    (tmp_path / "mounted").symlink_to(card.parent)
    assert len(load(tmp_path / "mounted" / card.name).cases) == 5


def test_a_data_set_that_the_user_linked_into_the_root_is_read(toy, tmp_path):
    card, folder = toy
    folder.rename(tmp_path / "disk2")
    folder.symlink_to(tmp_path / "disk2")
    assert len(load(card).cases) == 5


@pytest.mark.parametrize("target", ["itself", "nothing"])
def test_a_link_to_itself_or_to_nothing_is_a_faulty_case_and_no_missing_one(toy, target, tmp_path):
    """The splits stay as they are, and it can be left out like any other case that cannot be read."""
    card, folder = toy
    before = [case.case_id for case in load(card).cases]
    image = load(card).tasks[0].train[0].images[0]
    image.unlink()
    image.symlink_to(folder / "nothing" if target == "nothing" else image.name)
    assert [case.case_id for case in load(card).cases] == before
    answer = clbench(*run_words(card, card.parent, tmp_path / "runs"))
    assert answer.code == 2
    assert f"{image}: link to itself or to nothing; fetch the file it should lead to" in answer.err
    assert clbench(*run_words(card, card.parent, tmp_path / "runs", "--exclude-bad")).code == 0


@pytest.mark.parametrize("target", ["hippocampus_001.nii.gz", "nowhere.nii.gz"], ids=["loop", "dangling"])
def test_a_listed_link_to_itself_or_to_nothing_is_read_as_one(tmp_path, target):
    root = tiny_trees.hippocampus(tmp_path)
    image = root / "Task04_Hippocampus" / "imagesTr" / "hippocampus_001.nii.gz"
    image.unlink()
    image.symlink_to(target)
    answer = clbench("data", "check", "hippocampus-classes", "--data", root)
    assert answer.code == 1
    assert "hippocampus_001.nii.gz: link to itself or to nothing" in " ".join(answer.out.split())


def test_a_folder_that_is_a_link_to_itself_is_named(tmp_path):
    (tmp_path / "patient001").symlink_to("patient001")
    with pytest.raises(InputError, match="link to itself"):
        nifti_files(tmp_path)


def test_links_in_a_run_folder_are_not_followed(tmp_path):
    path = finished(tmp_path / "runs").path
    secret = tmp_path / "secret.nii.gz"
    prediction = next(path.rglob("*.nii.gz"))
    prediction.rename(secret)
    prediction.symlink_to(secret)
    with pytest.raises(InputError, match="a link"):
        read_prediction(prediction)
    answer = clbench("verify", path)
    assert answer.code == 1
    assert "is a link" in answer.out


# Bombs.


def header(shape, dtype_code=16, bits=32, kind=nibabel.Nifti1Header):
    made = kind()
    made.set_data_shape((2,) * len(shape))
    made.set_data_dtype(np.float32)
    block = bytearray(made.binaryblock)
    struct.pack_into(f"<{len(shape) + 1}h", block, 40, len(shape), *shape)
    struct.pack_into("<f", block, 108, 352.0)
    block[344:348] = b"n+1\0"
    return bytes(block) + bytes(4)


def peak_and_seconds(call):
    tracemalloc.start()
    begun = time.perf_counter()
    with pytest.raises(InputError) as refused:
        call()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return str(refused.value), peak, time.perf_counter() - begun


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
@pytest.mark.parametrize("shape", [(32767, 32767, 32767), (30000, 30000, 2), (2000, 2000, 100)])
def test_a_header_that_claims_more_than_its_file_can_hold_is_refused_before_anything_is_made_for_it(
    tmp_path, suffix, shape
):
    content = header(shape)
    (tmp_path / f"a{suffix}").write_bytes(gzip.compress(content) if suffix == ".nii.gz" else content)
    message, peak, _ = peak_and_seconds(lambda: read_volume(tmp_path / f"a{suffix}"))
    assert "header" in message
    assert peak < 2**21


def test_a_gzip_bomb_behind_a_small_image_is_not_unpacked(tmp_path):
    """64 MiB of zeros in 64 kB: what no header promises is given up after a megabyte."""
    path = tmp_path / "a.nii.gz"
    path.write_bytes(gzip.compress(header((4, 4, 4)) + bytes(256) + bytes(2**26)))
    message, peak, _ = peak_and_seconds(lambda: read_volume(path))
    assert "goes on behind its last voxel" in message
    assert peak < 2**24


def test_a_file_that_would_fill_the_memory_is_refused(tmp_path, monkeypatch):
    path = tmp_path / "a.nii.gz"
    path.write_bytes(gzip.compress(header((400, 400, 100)) + bytes(4 * 16_000_000)))
    monkeypatch.setattr("clbench.data.nifti_file.MEMORY_SHARE", 1e-6)
    message, peak, _ = peak_and_seconds(lambda: read_volume(path))
    assert "too much for" in message
    assert peak < 2**21


def test_a_prediction_that_claims_a_huge_shape_is_refused(tmp_path):
    path = tmp_path / "case.nii.gz"
    path.write_bytes(gzip.compress(header((20000, 20000, 20000))))
    with pytest.raises(InputError, match="is damaged: header claims"):
        read_prediction(path)


@pytest.mark.parametrize("text", ["[" * 100_000, "a." * 50_000 + "b = 1", "x = " + "{ a = " * 20_000])
def test_deep_cards_are_refused(text):
    with pytest.raises(InputError, match=r"not valid TOML"):
        parse_card(text, "deep")


# Text that browsers, spreadsheets, TeX or terminals would obey.

SCRIPT = "<script>alert(1)</script>"


@pytest.mark.parametrize("form", ["md", "csv", "tex"])
def test_a_run_named_as_a_script_or_a_formula_is_only_text_in_every_table(tmp_path, form):
    for number, name in enumerate((SCRIPT, "=cmd()|' /C calc'!A0", r"\input{/etc/passwd}", "a|b\x1b[2J")):
        path = finished(tmp_path / "runs" / str(number), config(seed=number)).path
        content = json.loads((path / "run.json").read_text())
        content["strategy"] = name
        (path / "run.json").write_text(json.dumps(content))
        summary = json.loads((path / "summary.json").read_text())
        summary["hashes"]["run.json"] = hashlib.sha256((path / "run.json").read_bytes()).hexdigest()
        (path / "summary.json").write_text(json.dumps(summary, indent=1))
        path.rename(path.with_name(SCRIPT.replace("/", "_")))
    answer = clbench("table", tmp_path / "runs", "--format", form)
    assert answer.code == 0, answer.err
    assert "\x1b" not in answer.out
    if form == "md":
        assert "<script" not in answer.out.replace("\\<", "")
    if form == "csv":
        assert not any(cell.startswith(("=", "+", "@")) for line in answer.out.splitlines() for cell in line.split(","))
    if form == "tex":
        shown = [line for line in answer.out.splitlines() if not line.startswith("%")]
        assert not any(r"\input" in line for line in shown)


@pytest.mark.parametrize("label", ["=cmd()", "+1", "-1", "@sum", "a\x1b[2Jb", " ", "a\nb"])
def test_a_label_that_others_would_obey_is_refused_in_cards_and_run_folders(label, tmp_path):
    card = write_class_stream(tmp_path / "data")
    text = (
        card.read_text().replace("disc = 1", f"{json.dumps(label)} = 1").replace('["disc"]', f"[{json.dumps(label)}]")
    )
    with pytest.raises(InputError, match=r"labels: label .* must be printable"):
        parse_card(text, "card")
    if label.strip():
        path = finished(tmp_path / "runs").path
        (path / "run.json").write_text((path / "run.json").read_text().replace('"organ"', json.dumps(label)))
        answer = clbench("table", tmp_path / "runs")
        assert answer.code == 0
        assert "must be printable and not begin with" in answer.out
        assert "\x1b" not in answer.out


def test_errors_cannot_steer_a_terminal(tmp_path):
    card = tmp_path / "a\x1b[2J\x07.toml"
    missing = clbench("run", "--stream", card, "--strategy", "naive")
    card.write_text(write_class_stream(tmp_path / "data").read_text())
    without_data = clbench("run", "--stream", card, "--strategy", "naive", "--data", tmp_path / "\x1b[2J")
    for answer, lines in ((missing, 1), (without_data, 2)):  # of which one tells what is looked for
        assert answer.code == 2
        assert len(answer.err.splitlines()) == lines
        assert all(line.isprintable() for line in answer.err.splitlines())


def test_a_stranger_cannot_name_a_file_outside_by_a_case_id(tmp_path):
    path = finished(tmp_path / "runs").path
    content = (path / "run.json").read_text().replace('"A/0"', '"../../x"')
    (path / "run.json").write_text(content)
    assert "case id '../../x' may hold only" in clbench("table", tmp_path / "runs").out
    assert stream_record().tasks[0].cases["test"] == ("A/0", "A/1")
