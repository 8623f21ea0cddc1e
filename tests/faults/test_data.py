"""Faulty data, from the command line: all problems at once, or left out and recorded."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import nibabel
import numpy as np
import pytest

from clbench.errors import DataError
from clbench.runfolder import read_run
from clbench.streams.load import load_stream
from clbench.streams.soundness import sound_stream, without_cases
from command_line import clbench, run_words
from killing import run_of
from toy import write_dataset, write_domain_stream


@pytest.fixture(autouse=True)
def _own_surroundings(tmp_path, monkeypatch):
    monkeypatch.setenv("CLBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("CLBENCH_DATA", raising=False)


@pytest.fixture
def card(tmp_path):
    """Two tasks of eight cases each, so that one more or less leaves no split empty."""
    made = write_domain_stream(tmp_path / "data", tasks=2)
    for number in (1, 2):
        folder = tmp_path / "data" / f"Dataset{number:03d}_Site"
        for path in sorted(folder.rglob("*.nii.gz")):
            path.unlink()
        for part in ("imagesTr", "labelsTr"):
            (folder / part).rmdir()
        write_dataset(folder, 12, contrast=1.5 - number, seed=number)
    return made


def train_case(card, position=0, task=0):
    return load_stream(str(card), data=card.parent).tasks[task].train[position]


def save(path, array, affine=None):
    nibabel.save(nibabel.Nifti1Image(array, np.eye(4) if affine is None else affine), path)


def spoil(card):
    """One fault of each kind; case id -> what is said of it."""
    cases = [train_case(card, n, task) for task in (0, 1) for n in range(4)]
    image, mask = (np.asarray(nibabel.load(path).dataobj) for path in (cases[0].images[0], cases[0].mask))
    cases[0].images[0].write_bytes(cases[0].images[0].read_bytes()[:-50])
    save(cases[1].mask, mask[1:])
    save(cases[2].images[0], np.where(image > 0.5, np.nan, image).astype("f4"))
    save(cases[3].images[0], np.ones_like(image))
    save(cases[4].mask, mask * 0)
    save(cases[5].mask, (mask + 0.5).astype("f4"))
    save(cases[6].mask, np.where(mask == 3, 9, mask).astype("u1"))
    save(cases[7].images[0], image, np.diag([1.0, 1.0, 400.0, 1.0]))
    said = [
        "truncated",
        "one grid",
        "NaN",
        "constant",
        "mask is empty",
        "not integers",
        "unknown value 9",
        "no scanner",
    ]
    return {case.case_id: what for case, what in zip(cases, said, strict=True)}


def test_a_run_lists_every_problem_of_every_case_at_once(card, tmp_path):
    faults = spoil(card)
    answer = clbench(*run_words(card, card.parent, tmp_path / "runs"))
    assert answer.code == 2
    assert len(answer.complaints) == len(faults) + 1
    for case_id, what in faults.items():
        dataset, _, name = case_id.partition("/")
        assert [line for line in answer.complaints if dataset in line and f"/{name}" in line and what in line], case_id
    assert answer.complaints[-1].endswith(
        "8 of 24 cases cannot be used; mend them, or leave them out with --exclude-bad"
    )
    assert not (tmp_path / "runs").exists()
    check = clbench("data", "check", card, "--data", card.parent)
    assert check.code == 1
    assert "problems: 8" in check.out


def test_what_is_missing_is_listed_at_once_with_what_is_wrong_elsewhere(card, tmp_path):
    """Files that lack a partner in both data sets, a data set that is gone, and a case that is damaged."""
    card.write_text(
        f"{card.read_text()}\n[[tasks]]\nname = 'site3'\n"
        'data = { layout = "nnunet", roots = ["Dataset003_Site"], marker = "dataset.json" }\n'
    )
    one, two = (tmp_path / "data" / f"Dataset00{number}_Site" for number in (1, 2))
    (one / "labelsTr" / "case4.nii.gz").unlink()
    (one / "labelsTr" / "case7.nii.gz").unlink()
    (two / "imagesTr" / "case1_0000.nii.gz").unlink()
    cut = two / "imagesTr" / "case3_0000.nii.gz"
    cut.write_bytes(cut.read_bytes()[:-50])
    said = [
        f"{one}/imagesTr/case4_0000.nii.gz: image case4 has no mask in labelsTr; add the mask or remove the image",
        f"{one}/imagesTr/case7_0000.nii.gz: image case7 has no mask in labelsTr; add the mask or remove the image",
        f"{two}/labelsTr/case1.nii.gz: mask has no image case1_0000 in imagesTr; add the image or remove the mask",
        f"data of stream toy not found: looked for 'dataset.json' in {tmp_path}/data/Dataset003_Site. "
        "Correct --data or the roots of the card",
        f"{cut}: truncated gzip file; copy or download it again",
        "5 problems of the data; mend them all, then give the same command again",
    ]
    for words in (run_words(card, card.parent, tmp_path / "runs"), ("data", "check", card, "--data", card.parent)):
        answer = clbench(*words)
        assert answer.code == 2
        assert answer.complaints == [f"clbench: {line}" for line in said]
    assert clbench(*run_words(card, card.parent, tmp_path / "runs", "--exclude-bad")).code == 2
    assert not (tmp_path / "runs").exists()


def test_every_patient_in_two_splits_is_listed(card):
    card.write_text(
        card.read_text().replace("Dataset002_Site", "Dataset001_Site").replace('"site2"', '"site2"\npart = [1, 2]')
    )
    with pytest.raises(DataError) as found:
        load_stream(str(card), data=card.parent)
    *lines, _ = str(found.value).split("\n")
    assert len(lines) > 1
    assert all("is in split" in line for line in lines)


def test_a_suite_leaves_faulty_cases_out_where_it_says_so(card, tmp_path):
    from clbench.suite.fit import fit_data
    from clbench.suite.plan import plan_suite

    case = train_case(card)
    case.mask.write_bytes(b"no image")
    training = "training = { steps = 4, batch_size = 2, base_features = 4, max_features = 8 }"
    block = f'[[block]]\nstreams = ["toy.toml"]\nstrategies = ["naive"]\npreset = "smoke"\n{training}\n'
    suite = card.with_name("suite.toml")
    out = tmp_path / "runs"
    for more, code in (("", 2), ("exclude_bad = true\nanonymize = true\n", 0)):
        suite.write_text(block + more)
        (planned,) = plan_suite(suite, out=out, data=card.parent, device="cpu")
        answer = clbench(*planned.words()[:-1], planned.words()[-1], "--threads", "1")
        assert answer.code == code, answer.err
    run = read_run(planned.path)
    assert set(run.stream.excluded.values()) == {"mask cannot be used"}
    assert run.stream.anonymized
    case.mask.write_bytes(b"another one")
    (planned,) = plan_suite(suite, out=out, data=card.parent, device="cpu")
    assert planned.state == "complete"
    assert fit_data([planned]) == [False]  # left to its own command, which looks at the data
    assert clbench(*planned.words(), "--threads", "1").code == 0


def test_faulty_cases_can_be_left_out_and_are_recorded(card, tmp_path):
    faults = spoil(card)
    before = load_stream(str(card), data=card.parent)
    answer = clbench(*run_words(card, card.parent, tmp_path / "runs", "--exclude-bad", "--predictions", "all"))
    assert answer.code == 0, answer.err
    assert len([line for line in answer.complaints if line.startswith("warning: case")]) == len(faults)
    run = read_run(run_of(tmp_path / "runs"))
    assert run.stream.excluded.keys() == faults.keys()
    assert set(run.stream.excluded.values()) == {
        *("image cannot be used", "mask cannot be used", "image and mask do not fit"),
        *("constant image", "empty mask", "absurd spacing"),
    }
    for task, kept in zip(before.tasks, run.stream.tasks, strict=True):
        for split in ("train", "val", "test"):
            expected = [case.case_id for case in task.split(split) if case.case_id not in faults]
            assert list(kept.cases[split]) == expected
    answer = clbench("verify", tmp_path / "runs", "--data", card.parent, "--stream", card)
    assert (answer.code, answer.err) == (0, "")
    assert answer.out.startswith("verified")


def test_a_run_without_faults_is_the_same_with_and_without_the_option(card, tmp_path):
    assert clbench(*run_words(card, card.parent, tmp_path / "1")).code == 0
    assert clbench(*run_words(card, card.parent, tmp_path / "2", "--exclude-bad")).code == 0
    one, two = (read_run(run_of(tmp_path / name)) for name in "12")
    assert (one.path.name, one.stream, one.rows) == (two.path.name, two.stream, two.rows)
    assert "excluded" not in json.loads((two.path / "run.json").read_text())["stream"]


def test_leaving_cases_out_changes_the_fingerprint(card):
    from clbench.recording import stream_record

    stream = load_stream(str(card), data=card.parent)
    fewer = without_cases(stream, {stream.tasks[0].train[0].case_id: "constant image"})
    assert stream_record(fewer).fingerprint != stream_record(stream).fingerprint
    assert stream_record(stream).excluded == {}


def test_one_scan_under_two_names_is_a_leak(card, tmp_path):
    stream = load_stream(str(card), data=card.parent)
    learned, tested = stream.tasks[0].train[0], stream.tasks[1].test[0]
    image = nibabel.load(learned.images[0])
    save(tested.images[0], np.asarray(image.dataobj).astype("f8"))
    answer = clbench(*run_words(card, card.parent, tmp_path / "runs"))
    assert answer.code == 2
    assert f"has the same voxels as case {learned.case_id}: one may be learned and the other tested" in answer.err


def test_a_split_that_nothing_is_left_of_is_named(card):
    stream = load_stream(str(card), data=card.parent)
    with pytest.raises(ValueError, match=r"task site1 of stream toy has no sound case in split test"):
        without_cases(stream, {case.case_id: "x" for case in stream.tasks[0].test})
    with pytest.raises(ValueError, match="has no case nobody to leave out"):
        without_cases(stream, {"nobody": "x"})


def test_the_second_look_at_the_same_data_reads_no_voxel(card, tmp_path, monkeypatch):
    stream = load_stream(str(card), data=card.parent)
    sound_stream(stream, tmp_path / "cache")
    monkeypatch.setattr("clbench.data.check.read_volume", lambda *_: pytest.fail("read again"))
    assert sound_stream(stream, tmp_path / "cache") is stream


def test_one_problem_is_one_line_with_the_way_out(card, tmp_path):
    case = train_case(card)
    case.mask.write_bytes(b"no image")
    with pytest.raises(DataError, match=r"not a single-file NIfTI .* \(or leave the case out with --exclude-bad\)$"):
        sound_stream(load_stream(str(card), data=card.parent), tmp_path / "cache")


UNREADABLE = """
import os, sys
os.setgroups([]); os.setgid(65534); os.setuid(65534)
sys.path[:0] = {path!r}
from command_line import clbench
answer = clbench("data", "check", {card!r}, "--data", {data!r})
print(answer.code, answer.out, answer.err)
"""


def test_a_file_that_may_not_be_read_is_told(card, tmp_path):
    case = train_case(card)
    case.mask.chmod(0)
    cache = tmp_path / "cache"
    cache.mkdir(mode=0o777)
    if os.getuid() == 0:  # who may read everything; ask as somebody else
        for folder in (tmp_path, *tmp_path.parents):
            if folder != folder.parent and not folder.stat().st_mode & 0o001:
                pytest.skip("the folder of these tests is closed to others")
        script = UNREADABLE.format(path=[*map(os.path.abspath, sys.path)], card=str(card), data=str(card.parent))
        cache.chmod(0o777)
        found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
        if "Permission" in found.stderr or "ModuleNotFound" in found.stderr:
            pytest.skip("others cannot start Python here")
        said, code = found.stdout, int(found.stdout.split()[0])
    else:
        answer = clbench("data", "check", card, "--data", card.parent)
        said, code = answer.out, answer.code
    assert code == 1
    assert f"{case.mask.name}: cannot be read (Permission denied); make it readable" in said
