"""Files of a run folder, read from strangers: whole, or refused by name."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clbench.errors import InputError
from clbench.runfolder import StreamRecord, read_run
from clbench.runfolder import files as run_files
from synthetic_runs import case_rows, finished, open_folder, stream_record


def test_a_write_that_fails_leaves_the_old_file(tmp_path):
    path = tmp_path / "a.json"
    run_files.write_json(path, {"a": 1})
    with pytest.raises(ValueError, match="JSON"):
        run_files.write_json(path, {"a": float("nan")})
    with pytest.raises(FileNotFoundError), run_files.replacing(path):
        pass
    assert run_files.read_json(path) == {"a": 1}
    assert list(tmp_path.iterdir()) == [path]


json_values = st.recursive(
    st.none() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(json_values)
def test_json_reads_back_as_written(content):
    assert json.loads(run_files.json_bytes(content)) == content


def test_short_lists_are_written_on_one_line():
    assert run_files.json_bytes({"R": [[1, 2], [3, None]]}) == b'{\n "R": [\n  [1, 2],\n  [3, null]\n ]\n}\n'


def indented_by_json(content):
    """The same format from the standard library's indentation, lists of plain values put on one line afterwards."""

    def on_one_line(found):
        line = "[" + " ".join(part.strip() for part in found[1].split("\n")) + "]"
        return line if len(line) <= 100 else found[0]

    text = json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False)
    return (re.sub(r"\[\n([^\[\]{}]*)\n *\]", on_one_line, text) + "\n").encode()


texts = st.text() | st.sampled_from(["[", "a]", "{", " , ", "\n", "ü" * 40])
scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | texts
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner) | st.dictionaries(texts, inner) | st.dictionaries(st.integers(), inner) | st.tuples(inner)
    ),
)


@given(values)
def test_json_is_indented_as_the_standard_library_would(content):
    assert run_files.json_bytes(content) == indented_by_json(content)


@pytest.mark.parametrize("content", [float("nan"), [float("inf")], {"a": float("nan")}, {"a": [[float("inf")]]}])
def test_json_has_no_nan(content):
    with pytest.raises(ValueError, match="not JSON compliant"):
        run_files.json_bytes(content)


@pytest.mark.parametrize("name", ["run.json", "summary.json"])
@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"schema_version": 1}', "[" * 100_000])
def test_damaged_json_is_named(tmp_path, name, content):
    path = finished(tmp_path).path
    (path / name).write_text(content)
    with pytest.raises(InputError, match=rf"{name.replace('.', '[.]')} is damaged"):
        read_run(path)


def test_a_folder_of_a_newer_schema_is_refused(tmp_path):
    path = finished(tmp_path).path
    content = json.loads((path / "run.json").read_text())
    (path / "run.json").write_text(json.dumps({**content, "schema_version": 99}))
    with pytest.raises(InputError, match="newer clbench"):
        read_run(path)


@pytest.mark.parametrize(
    "change",
    [
        {"regime": "sometimes"},
        {"seed": "x"},
        {"config": {}},
        {"stream": {}},
        {"stream": {**stream_record().to_json(), "tasks": []}},
        {"stream": {**stream_record().to_json(), "kind": "other"}},
        {"stream": {**stream_record().to_json(), "labels": []}},
        {"provenance": 3},
    ],
)
def test_a_run_record_with_a_wrong_field_is_named(tmp_path, change):
    path = finished(tmp_path).path
    content = json.loads((path / "run.json").read_text())
    (path / "run.json").write_text(json.dumps({**content, **change}))
    with pytest.raises(InputError, match=r"run\.json is damaged"):
        read_run(path)


@pytest.mark.parametrize("change", [{"key": "../x@1"}, {"key": "/x@1"}, {"key": "x"}])
def test_a_stream_key_that_is_no_name_is_refused(tmp_path, change):
    content = {**stream_record().to_json(), **change}
    with pytest.raises(InputError, match="is not a stream key"):
        StreamRecord.from_json(content, tmp_path)


@pytest.mark.parametrize("key", ["toy@1", "toy@1+order-2-1", "toy@1+order-2-1+phantom"])
def test_a_key_may_name_another_order_before_the_phantom(tmp_path, key):
    record = StreamRecord.from_json({**stream_record().to_json(), "key": key}, tmp_path)
    assert record.phantom == key.endswith("phantom")


@pytest.mark.parametrize(
    "suffix", ["order-1-2", "order-2", "order-2-1-3", "order-2-2", "order-02-1", "phantom+order-2-1"]
)
def test_a_key_whose_order_is_none_or_the_usual_one_is_refused(tmp_path, suffix):
    content = {**stream_record().to_json(), "key": f"toy@1+{suffix}"}
    with pytest.raises(InputError, match=r"is not a stream key|does not name another order of its stream's 2 tasks"):
        StreamRecord.from_json(content, tmp_path)


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match=r"run\.json is missing"):
        read_run(tmp_path / "nothing")


def test_links_out_of_the_folder_are_refused(tmp_path):
    with open_folder(tmp_path) as folder:
        folder.write_cases(case_rows())
        (folder.path / "train.csv").symlink_to(tmp_path)
        with pytest.raises(InputError, match="is a link"):
            folder.finish()


def test_strategy_names_with_a_path_are_refused(tmp_path):
    with pytest.raises(InputError, match="strategy name"):
        open_folder(tmp_path, strategy="../x")


def test_reading_needs_no_torch():
    code = "import clbench.runfolder, clbench.report.tables, clbench.verify, sys; print('torch' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"
