"""What the documentation tells people to type works: commands can be given, examples run, cards find their data."""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
import subprocess
import sys
import tomllib
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import typer.main

import clbench
from clbench import cli
from clbench.catalog import KINDS
from clbench.config import make_config
from clbench.data.layouts import LAYOUTS
from clbench.errors import InputError
from clbench.experiment import run_config
from clbench.networks import NETWORKS
from clbench.networks.topology import unet_topology
from clbench.report.load import load_runs
from clbench.strategies import STRATEGIES
from clbench.strategies.compose import parse_strategy
from clbench.strategies.spec import StrategySpec
from clbench.streams.card import parse_card
from clbench.streams.load import load_stream
from doc_pages import CARDS, PAGES, blocks, read, section
from source_tree import ROOT
from tiny_trees import save
from toy import toy_config, write_class_stream, write_dataset

pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)


def command_lines(text: str) -> list[list[str]]:
    """The words behind ``clbench`` of every command line: in code blocks, loops unrolled, and in running text."""
    lines = [line for block in blocks(text, "bash") for line in unrolled(block)]
    inline = re.findall(r"`(clbench [^`]+)`", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))
    return [words[1:] for line in [*lines, *inline] if (words := shlex.split(line, comments=True))[:1] == ["clbench"]]


def unrolled(block: str) -> list[str]:
    loop = re.search(r"for (\w+) in (.+); do\n(.*)done\n", block, flags=re.DOTALL)
    if not loop:
        return block.splitlines()
    turns = [loop[3].replace(f"${loop[1]}", value) for value in loop[2].split()]
    return (block[: loop.start()] + "".join(turns) + block[loop.end() :]).splitlines()


def parse(words: list[str]) -> tuple[str, dict[str, Any]]:
    """Command and its parameters, as Typer reads them; nothing is run."""
    words = [word for word in words if word not in ("--debug", "...")]
    command, path = typer.main.get_command(cli.app), ""
    context = command.make_context("clbench", list(words), resilient_parsing=words[:1] == ["--help"])
    while hasattr(command, "commands") and words[:1] != ["--help"]:
        name, command, words = command.resolve_command(context, words)
        context = command.make_context(name, list(words), parent=context)
        path = f"{path} {name}".strip()
    return path, context.params


@pages
def test_every_command_line_can_be_given(page: Path):
    for words in command_lines(page.read_text(encoding="utf-8")):
        words = words[: words.index(">")] if ">" in words else words
        if words in ([["run"], ["table"], ["verify"], ["figures"], ["report"], ["leaderboard"], ["data", "check"]]):
            continue  # the name of a command, not a call of it
        command, values = parse(words)
        stream = values.get("stream") or "acdc-groups"
        assert stream in CARDS or stream.endswith(".toml") or stream.isupper()
        if command == "list":
            assert values["what"] in (None, *KINDS)
        if command == "run":
            assert values["network"] in (None, *NETWORKS)
            fields = {name.rstrip("_"): value for name, value in values.items()}
            make_config(**{**fields, "settings": fields["settings"] or []})


@pages
def test_settings_named_in_the_text_exist(page: Path):
    for setting in re.findall(r"`--set ([a-z]\w*\.[a-z]\w*=[^`]+)`", page.read_text(encoding="utf-8")):
        part = setting.partition(".")[0]
        make_config(stream="acdc-groups", strategy="naive" if part == "training" else part, settings=[setting])


@pages
def test_options_named_in_the_text_exist(page: Path):
    words = set(re.findall(r"(?<![\w-])--[a-z][\w-]*", " ".join(re.findall(r"`([^`\n]+)`", page.read_text("utf-8")))))
    groups = [typer.main.get_command(cli.app)]
    known = {"--debug", "--help"}
    for command in groups:
        groups.extend(getattr(command, "commands", {}).values())
        known |= {option for parameter in command.params for option in parameter.opts}
    assert words - known == set()


@pages
def test_targets_of_make_exist(page: Path):
    rules = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    text = page.read_text(encoding="utf-8")
    assert set(re.findall(r"(?:^|`)make (\w+)", text, flags=re.MULTILINE)) <= rules


# Code.


@pages
def test_python_examples_name_things_that_exist(page: Path):
    own = {module for block in blocks(page.read_text("utf-8"), "python") for module in re.findall(r"import L1", block)}
    for block in blocks(page.read_text(encoding="utf-8"), "python"):
        if block.startswith('"l1": '):
            continue  # a line of a dict
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and node.module and not (own and node.module.endswith(".l1")):
                module = import_module(node.module)
                assert all(hasattr(module, alias.name) for alias in node.names)
            if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "clbench":
                assert hasattr(clbench, node.attr)
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "clbench.run":
                fields = {keyword.arg: ast.literal_eval(keyword.value) for keyword in node.keywords}
                settings = [f"{key}={value}" for key, value in fields.pop("settings", {}).items()]
                stream, strategy = map(ast.literal_eval, node.args)
                assert stream in CARDS
                make_config(stream=stream, strategy=strategy, settings=settings, **fields)


@pytest.fixture
def l1(monkeypatch):
    """The example strategy as the page registers it."""
    plugin, line, _ = blocks(read("add-a-strategy"), "python")
    (entry,) = eval(f"{{{line}}}", {"StrategySpec": StrategySpec}).items()
    module = ModuleType("clbench.strategies.l1")
    monkeypatch.setitem(STRATEGIES, *entry)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    exec(plugin, vars(module))


@pytest.mark.usefixtures("l1")
def test_the_example_strategy_trains_and_is_stored(monkeypatch, tmp_path):
    monkeypatch.setenv("CLBENCH_CACHE", str(tmp_path / "cache"))
    *_, test = blocks(read("add-a-strategy"), "python")
    names: dict[str, Any] = {}
    exec(test, names)
    names["test_the_penalty_is_the_absolute_distance_to_the_previous_weights"]()
    folder = run_config(toy_config(write_class_stream(tmp_path / "data"), tmp_path, "l1", ["l1.weight=0.5"]))
    stages = json.loads((folder / "cost.json").read_text())["stages"]
    (last,) = (stage for stage in stages if stage["stage"] == "train" and stage["task"] == 3)
    assert last["stored_bytes"] == {"l1": 4 * last["parameters"]}
    assert "l1" in (folder / "train.csv").read_text().splitlines()[0].split(",")


REGISTERED = """
import clbench.strategies
from clbench.strategies.spec import StrategySpec

clbench.strategies.__path__.append({folder!r})
clbench.strategies.STRATEGIES.update({{{line}}})
"""


@pytest.mark.usefixtures("l1")
def test_the_example_strategy_combines_as_the_page_says():
    assert parse_strategy("l1+segreg") == ["segreg", "l1"]
    for other in ("joint", "single", "cumulative", "frozen", "mib", "plop"):
        with pytest.raises(InputError, match="use one of them"):
            parse_strategy(f"l1+{other}")


@pytest.mark.slow
def test_the_example_strategy_passes_the_contract_tests(tmp_path):
    """By the command of the page, with the file and the registry line of the page where that command finds them."""
    plugin, line, _ = blocks(read("add-a-strategy"), "python")
    (command,) = blocks(read("add-a-strategy"), "bash")
    (tmp_path / "l1.py").write_text(plugin)
    (tmp_path / "registered.py").write_text(REGISTERED.format(folder=str(tmp_path), line=line))
    places = {"PYTHONPATH": os.pathsep.join([str(tmp_path), str(ROOT)]), "PYTEST_PLUGINS": "registered"}
    words = [sys.executable, *shlex.split(command)[1:], "-p", "no:cacheprovider"]
    done = subprocess.run(words, cwd=ROOT, env={**os.environ, **places}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


CARDS_OF_THE_PAGE = {
    parsed["name"]: text for text in blocks(read("add-a-stream"), "toml") if (parsed := tomllib.loads(text))
}


def write_hospital(folder: Path, names: list[str], contrast: float) -> None:
    """Images and masks of the same names, as somebody may have them: a disc in noise."""
    rng = np.random.default_rng(len(names))
    x, y, _ = np.meshgrid(*(np.arange(size) for size in (40, 36, 3)), indexing="ij")
    for name in names:
        mask = (np.hypot(x - rng.uniform(15, 25), y - rng.uniform(15, 21)) < 9).astype(np.uint8)
        save(
            folder / "images" / f"{name}.nii.gz", (contrast * mask + rng.normal(0, 0.3, mask.shape)).astype(np.float32)
        )
        save(folder / "masks" / f"{name}.nii.gz", mask)


@pytest.fixture
def shell(tmp_path, monkeypatch):
    """Types a block of commands in an empty folder, as they stand on the page; any that fails ends the test."""
    commands = tmp_path / "commands"
    commands.mkdir()
    program = commands / "clbench"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -c "from clbench.cli import main; main()" "$@"\n')
    program.chmod(0o755)
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.setenv("PATH", f"{commands}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    monkeypatch.setenv("CLBENCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("COLUMNS", "120")

    def type_in(block: str) -> str:
        done = subprocess.run(["bash", "-eu", "-c", block], cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return folder, type_in


@pytest.mark.slow
def test_the_page_leads_from_a_folder_of_nifti_files_to_a_score_matrix(shell):
    """Nothing is typed that is not on the page, and nothing on the page is left out."""
    folder, type_in = shell
    for hospital, letter, contrast in (("hospital-a", "p", 1.0), ("hospital-b", "q", -1.0)):
        write_hospital(folder / hospital, [f"{letter}{number:02d}" for number in range(1, 5)], contrast)
    page = read("add-a-stream")
    arrange, train = blocks(section(page, "From a folder of NIfTI files to a score matrix"), "bash")
    type_in(arrange)
    (folder / "two-hospitals.toml").write_text(CARDS_OF_THE_PAGE["two-hospitals"])
    printed = type_in(train)
    assert "all 8 cases can be read" in printed
    assert "after \\ on" in printed
    (run,) = load_runs(folder / "runs")
    assert run.complete
    scores = run.scores().scores
    assert scores.shape == (3, 2)
    assert scores[1, 0] > scores[0, 0] + 0.2  # it has learned something


@pytest.mark.parametrize("name", CARDS_OF_THE_PAGE)
def test_the_example_cards_are_valid(name: str):
    card = parse_card(CARDS_OF_THE_PAGE[name], "add-a-stream.md")
    plan = card.plan["default"]
    assert unet_topology(plan.patch_size, plan.spacing_mm[: plan.dims]).pools


def write_decathlon(folder: Path, labels: dict[str, str]) -> None:
    """The listing of a data set; its files are empty, since no voxel is read."""
    pairs = []
    for number in range(4):
        pair = {"image": f"./imagesTr/b{number}.nii.gz", "label": f"./labelsTr/b{number}.nii.gz"}
        for name in pair.values():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).touch()
        pairs.append(pair)
    content = {"modality": {"0": "CT"}, "labels": labels, "numTraining": 4, "training": pairs}
    (folder / "dataset.json").write_text(json.dumps(content))


def test_the_example_card_finds_its_data(tmp_path):
    text = CARDS_OF_THE_PAGE["liver-centers"]
    assert tomllib.loads(text)["tasks"][0]["data"]["layout"] in LAYOUTS
    (tmp_path / "card.toml").write_text(text)
    write_dataset(tmp_path / "Dataset101_CenterA", 4, contrast=1.0, seed=0)
    described = tmp_path / "Dataset101_CenterA" / "dataset.json"
    described.write_text(json.dumps({**json.loads(described.read_text()), "labels": {"background": 0, "Liver": 1}}))
    write_decathlon(tmp_path / "Task77_CenterB", {"0": "background", "1": "Liver", "2": "tumor"})
    stream = load_stream(str(tmp_path / "card.toml"), data=tmp_path)
    assert [len(task.test) for task in stream.tasks] == [1, 1]
    assert dict(stream.tasks[1].train[0].label_values) == {0: 0, 1: 1, 2: 1}
