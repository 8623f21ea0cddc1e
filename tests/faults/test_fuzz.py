"""Readers of strangers' files: whatever the bytes, a value or one clear line, never a traceback, a hang or a bomb."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path
from random import Random

import nibabel
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hostile_readers import READERS, survives, warm_up

INPUTS_OF_EACH, INPUTS_OF_RUNS = 12_000, 1_200
LEAST_OUTCOMES = {
    "card": 10,
    "suite": 10,
    "run.json": 8,
    "nifti": 5,
    "nifti.gz": 5,
    "safetensors": 1,
    "state.json": 2,
    "cost.json": 2,
    "train.csv": 2,
}
edits = st.lists(
    st.tuples(st.sampled_from(["set", "cut", "insert", "repeat"]), st.floats(0, 1), st.binary(min_size=1, max_size=8)),
    max_size=6,
)


def edited(seed: bytes, changes) -> bytes:
    """A sound file with some bytes changed, cut out, put in or repeated."""
    content = bytearray(seed)
    for how, where, new in changes:
        at = int(where * len(content))
        if how == "set":
            content[at : at + len(new)] = new
        elif how == "cut":
            del content[at : at + 37 * len(new)]
        elif how == "insert":
            content[at:at] = new
        else:
            content[at:at] = content[at : at + 50] * len(new)
    return bytes(content)


@pytest.mark.parametrize("name", READERS)
def test_a_file_with_damaged_places_is_read_or_refused(name, tmp_path_factory):
    reader, folder = READERS[name], tmp_path_factory.mktemp("reader")
    warm_up(reader, folder)

    @settings(max_examples=60)
    @given(st.sampled_from(reader.seeds), edits)
    def check(seed, changes):
        survives(reader, edited(seed, changes), folder)

    check()


@pytest.mark.parametrize("name", READERS)
def test_a_file_that_says_something_else_is_read_or_refused_for_many_reasons(name, tmp_path):
    """Mutations that keep a file's form get past its parser: else the fuzzer would only ever see that refuse them."""
    reader, found = READERS[name], set()
    warm_up(reader, tmp_path)
    for number in range(60):
        rng = Random(number)
        found.add(survives(reader, reader.mutate(rng.choice(reader.seeds), rng), tmp_path))
    assert len(found) >= LEAST_OUTCOMES.get(name, 3), found


@pytest.mark.parametrize("name", READERS)
def test_any_bytes_at_all_are_read_or_refused(name, tmp_path_factory):
    reader, folder = READERS[name], tmp_path_factory.mktemp("reader")
    warm_up(reader, folder)

    @settings(max_examples=30)
    @given(st.binary(max_size=700) | st.text().map(str.encode))
    def check(content):
        survives(reader, content, folder)

    check()


FOUND = {
    "a cost file with infinite seconds": ("cost.json", b"2.0", b"-Infinity"),
    "seconds that no float holds": ("cost.json", b"2.0", b"9" * 400),
    "seconds whose sum would overflow": ("cost.json", b"2.0", b"1e308"),
    "a seed that is infinite": ("run.json", b'"seed": 0,\n "regime"', b'"seed": Infinity,\n "regime"'),
    "options that are text": ("run.json", b'"options": {\n    "naive": {}\n   }', b'"options": "naive"'),
    "a version of the numbers that is text": ("run.json", b'"precision"', b'"numbers": "2", "precision"'),
    "a score whose mean would overflow": ("cases.csv", b",0.050000", b",1e308"),
    "a file name too long for any disk": ("summary.json", b'"hashes": {', b'"hashes": {"' + b"a" * 300 + b'": "",'),
    "a case id too long for any disk": ("run.json", b'"A/0"', b'"A/' + b"0" * 300 + b'"'),
    "a checkpoint whose cost names no task": ("state.json", b'"task": 1, "seconds"', b'"task": "x", "seconds"'),
}
"""What mutations of sound files found: tracebacks, or warnings of overflow, where there now is a refusal."""


def test_a_cost_file_whose_stages_are_a_number_says_nothing(tmp_path):
    reader = READERS["cost.json"]
    assert survives(reader, reader.seeds[0].replace(b'"stages": [', b'"stages": 1, "x": ['), tmp_path) == "read"


def test_an_affine_that_overflows_is_refused_without_a_warning(tmp_path):
    header = nibabel.Nifti2Header.from_fileobj(io.BytesIO(READERS["nifti"].seeds[2]), check=False)
    header["srow_x"], header["sform_code"], header["xyzt_units"] = 1e308, 1, 1  # meters, which become mm
    content = header.binaryblock + READERS["nifti"].seeds[2][540:]
    assert "affine that cannot be inverted" in survives(READERS["nifti"], content, tmp_path)


@pytest.mark.parametrize(("name", "old", "new"), FOUND.values(), ids=FOUND)
def test_what_was_found_is_refused(name, old, new, tmp_path):
    reader = READERS[name]
    sound = reader.seeds[0]
    assert survives(reader, sound, tmp_path) == "read"
    assert old in sound, sound
    how = survives(reader, sound.replace(old, new, 1), tmp_path)
    assert any(words in how for words in ("is damaged", "is not one of", "not as it was"))


@pytest.mark.slow
@pytest.mark.parametrize("name", READERS)
def test_a_coverage_guided_fuzzer_finds_nothing(name, tmp_path, capsys):
    pytest.importorskip("atheris", reason="no atheris for this platform")
    script = Path(__file__).with_name("fuzz.py")
    inputs = INPUTS_OF_RUNS if READERS[name].whole_run else INPUTS_OF_EACH
    command = [sys.executable, str(script), name, str(inputs), str(tmp_path)]
    found = subprocess.run(command, capture_output=True, text=True, timeout=3600)
    with capsys.disabled():
        sys.stdout.write(f"\n{found.stdout.strip()}\n")
    crashes = [path.name for path in (tmp_path / name).iterdir() if path.is_file()]
    assert found.returncode == 0, found.stderr[-3000:]
    assert not crashes
    assert f"{inputs} inputs" in found.stdout
