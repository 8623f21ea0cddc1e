"""Readers of strangers' files: whatever the bytes, a value or one clear line, never a traceback, a hang or a bomb."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hostile_readers import READERS, survives, warm_up

INPUTS_OF_EACH = 10_000
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
def test_any_bytes_at_all_are_read_or_refused(name, tmp_path_factory):
    reader, folder = READERS[name], tmp_path_factory.mktemp("reader")
    warm_up(reader, folder)

    @settings(max_examples=30)
    @given(st.binary(max_size=700) | st.text().map(str.encode))
    def check(content):
        survives(reader, content, folder)

    check()


@pytest.mark.slow
@pytest.mark.parametrize("name", READERS)
def test_a_coverage_guided_fuzzer_finds_nothing(name, tmp_path, capsys):
    pytest.importorskip("atheris", reason="no atheris for this platform")
    script = Path(__file__).with_name("fuzz.py")
    command = [sys.executable, str(script), name, str(INPUTS_OF_EACH), str(tmp_path)]
    found = subprocess.run(command, capture_output=True, text=True, timeout=3600)
    with capsys.disabled():
        sys.stdout.write(f"\n{found.stdout.strip()}\n")
    crashes = [path.name for path in tmp_path.iterdir() if path.name.startswith(("crash", "timeout", "oom", "slow"))]
    assert found.returncode == 0, found.stderr[-3000:]
    assert not crashes
    assert f"{INPUTS_OF_EACH} inputs" in found.stdout
