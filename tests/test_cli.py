"""The command line: what each command prints, exits with and refuses."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib import import_module
from types import SimpleNamespace

import numpy as np
import pytest

from clbench import catalog, cli, console
from clbench.errors import InputError, RunError

RUN = ["run", "--stream", "prostate-sites", "--phantom", "--strategy", "naive", "--preset", "smoke"]


def one_line(capsys) -> str:
    """What was said on standard error, which must be one line; nothing on standard output."""
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.count("\n") == 1
    return captured.err


@pytest.fixture
def fake(monkeypatch):
    """Put something in the place of what a module has, for commands that import it when they run.

    The modules stay the real ones: what is first imported meanwhile must not keep hold of others.
    """

    import_module("clbench.ranking")  # which all reports share, and which keeps what it imports

    def put(name: str, **content: object) -> None:
        for key, value in content.items():
            monkeypatch.setattr(import_module(name), key, value)

    return put


def failing(error: BaseException):
    def fail(*_: object, **__: object) -> None:
        raise error

    return fail


@pytest.mark.parametrize(
    ("words", "hint"),
    [
        (["rn"], "'run'"),
        (["run", "--sed", "1"], "--seed"),
        (["run", "--stream", "prostate-sites"], "--strategy"),
        (["run", "--seed", "two", "--stream", "a", "--strategy", "b"], "--seed"),
        (["list", "strategis"], "strategies"),
        (["table"], "paths"),
        (["data", "chek"], "'check'"),
        ([*RUN[:4], "--strategy", "nave"], "naive"),
        ([*RUN, "--set", "naive=1"], "part.option=value"),
        ([*RUN[:-1], "smoek"], "smoke"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_a_typing_mistake_is_one_line_with_a_near_match_and_exit_2(words, hint, capsys):
    assert cli.execute(words) == 2
    assert hint in one_line(capsys)


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (InputError("no such thing;\n try another"), 2, "clbench: no such thing; try another\n"),
        (RunError("the loss is NaN"), 1, "clbench: the loss is NaN\n"),
        (
            OSError(28, "No space left on device"),
            1,
            "No space left on device; mend that, then give the same command again\n",
        ),
        (AssertionError(), 1, "clbench: AssertionError (--debug shows where)\n"),
    ],
    ids=["mistake", "failure", "system", "fault"],
)
def test_errors_are_one_line_and_have_their_exit_code(error, code, text, monkeypatch, capsys):
    monkeypatch.setattr(catalog, "catalog", failing(error))
    assert cli.execute(["list"]) == code
    assert one_line(capsys).endswith(text)


@pytest.mark.parametrize("words", [["--debug", "list"], ["list", "--debug"]])
def test_debug_shows_the_traceback_wherever_it_stands(words, monkeypatch, capsys):
    monkeypatch.setattr(catalog, "catalog", failing(RunError("broken")))
    monkeypatch.setattr(sys, "argv", ["clbench", *words])
    with pytest.raises(SystemExit) as exit_:
        cli.main()
    assert exit_.value.code == 1
    shown = capsys.readouterr().err
    assert "Traceback" in shown
    assert shown.endswith("clbench: broken\n")


def test_no_words_show_the_help(capsys):
    assert cli.execute([]) == 0
    shown = capsys.readouterr().out
    assert all(command in shown for command in ("list", "data", "run", "table", "verify", "--debug"))


def test_every_name_is_listed_with_a_line_about_it(capsys):
    assert cli.execute(["list", "--json"]) == 0
    names = json.loads(capsys.readouterr().out)
    assert list(names) == list(catalog.KINDS)
    assert "prostate-sites@1" in names["streams"]
    assert {"naive", "ewc", "segreg"} <= set(names["strategies"])
    assert "unet" in names["networks"]
    assert "dice" in names["metrics"]
    assert set(names["presets"]) == {"smoke", "cpu", "full"}
    assert all(line and "\n" not in line for entries in names.values() for line in entries.values())


def test_one_kind_is_listed_for_people(capsys):
    assert cli.execute(["list", "presets"]) == 0
    shown = capsys.readouterr().out
    assert "smoke" in shown
    assert "ewc" not in shown


def test_run_hands_over_the_configuration_and_shows_the_result(fake, tmp_path, capsys):
    seen = []
    fake(
        "clbench.experiment", run_config=lambda config, reporter: seen.append(config) or tmp_path / "s@1" / "naive-s3-0"
    )
    run = SimpleNamespace(
        stream=SimpleNamespace(key="s@1", tasks=[SimpleNamespace(name="a"), SimpleNamespace(name="b")]),
        strategy="naive",
        regime="sequential",
        path=tmp_path / "s@1" / "naive-s3-0",
        scores=lambda: SimpleNamespace(scores=np.array([[0.1, 0.2], [0.8, 0.3], [0.6, 0.9]])),
        metrics=lambda: {"final": 0.75, "rma": None},
    )
    fake("clbench.runfolder", read_run=lambda path: run)
    assert (
        cli.execute([*RUN, "--seed", "3", "--order", "seed:2", "--set", "training.steps=7", "--out", str(tmp_path)])
        == 0
    )
    config = seen[0]
    assert (config.stream, config.strategy, config.seed, config.preset) == ("prostate-sites", "naive", 3, "smoke")
    assert (config.phantom, config.out, config.training) == (True, tmp_path, {"steps": 7})
    assert config.order == "seed:2"
    shown = capsys.readouterr().out
    assert "0.900*" in shown
    assert "0.750" in shown
    assert f"clbench table {tmp_path}\n" in shown
    assert f"clbench verify {run.path}\n" in shown


def test_an_interrupted_run_says_how_to_go_on(fake, capsys):
    fake("clbench.experiment", run_config=failing(KeyboardInterrupt()))
    assert cli.execute(RUN) == 130
    assert "same command goes on" in one_line(capsys)


def test_table_prints_or_writes(fake, tmp_path, capsys):
    fake("clbench.report.load", find_runs=lambda *paths: (list(paths), ["damaged"]))
    fake(
        "clbench.report.tables",
        table=lambda runs, form, out, metric, **_: f"{len(runs)} {metric} as {form}, {out[0]} out\n",
    )
    assert cli.execute(["table", str(tmp_path), str(tmp_path)]) == 0
    assert capsys.readouterr().out.rstrip("\n") == "2 dice as md, damaged out"
    assert (
        cli.execute(["table", str(tmp_path), "--format", "csv", "--metric", "x", "--out", str(tmp_path / "new")]) == 0
    )
    assert (tmp_path / "new" / "table.csv").read_text() == "1 x as csv, damaged out\n"


@pytest.mark.parametrize(("differences", "code", "word"), [([], 0, "verified"), (["cases.csv: changed"], 1, "differs")])
def test_verify_looks_at_every_run_folder_below(differences, code, word, fake, tmp_path, capsys):
    result = SimpleNamespace(differences=differences, unchecked=["the masks: no data"])
    fake("clbench.verify", check=lambda path, data, stream: result)
    for name in ("a", "b"):
        (tmp_path / name / "deep").mkdir(parents=True)
        (tmp_path / name / "deep" / "run.json").touch()
    assert cli.execute(["verify", str(tmp_path)]) == code
    lines = capsys.readouterr().out.splitlines()
    assert len([line for line in lines if line.startswith(word)]) == 2
    assert lines.count("  not checked: the masks: no data") == 2
    assert len(lines) == 4 + 2 * len(differences)


@pytest.mark.parametrize("command", ["verify", "table"])
@pytest.mark.parametrize("there", [True, False])
def test_paths_without_runs_are_refused(command, there, tmp_path, capsys):
    assert cli.execute([command, str(tmp_path if there else tmp_path / "missing")]) == 2
    assert str(tmp_path) in one_line(capsys)


@pytest.mark.parametrize(("problems", "code"), [((), 0), (("truncated",), 1)])
def test_data_check_fails_when_a_case_cannot_be_read(problems, code, fake, monkeypatch):
    shown = []
    fake(
        "clbench.streams.load",
        load_stream=lambda name, data, phantom: SimpleNamespace(cases=(name, data, phantom)),
        cache_root=lambda: "cache",
    )
    fake("clbench.data.check", inspect_cases=lambda cases, cache: SimpleNamespace(problems=problems, cases=cases))
    monkeypatch.setattr(console, "show_check", lambda screen, stream, findings: shown.append(findings.cases))
    assert cli.execute(["data", "check", "acdc-groups", "--phantom"]) == code
    assert shown == [("acdc-groups", None, True)]


def test_the_help_is_there_without_heavy_imports():
    code = (
        "import sys; from clbench.cli import execute; execute(['--help']); "
        "print({'torch', 'monai', 'avalanche', 'pandas', 'numpy', 'pydantic'} & set(sys.modules))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.splitlines()[-1] == "set()"


@pytest.mark.parametrize(
    ("mistake", "told"),
    [
        (["--stream", "acdc-clases", "--strategy", "naive"], "acdc-classes"),
        (["--stream", "acdc-classes", "--strategy", "naiv"], "naive"),
        (["--stream", "acdc-classes", "--strategy", "naive", "--order", "3,2"], "order"),
    ],
)
def test_a_mistyped_name_is_told_before_heavy_imports(mistake, told):
    code = (
        f"import sys; from clbench.cli import execute; code = execute({['run', *mistake]!r}); "
        "print(code, {'torch', 'monai', 'avalanche'} & set(sys.modules))"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.splitlines()[-1] == "2 set()"
    assert told in found.stderr
