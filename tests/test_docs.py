"""The documentation is true: options, defaults, cards, budgets and metrics are those of the code."""

from __future__ import annotations

import inspect
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args, get_origin

import numpy as np
import pytest

from clbench.config import Experiment, RunConfig, Training, preset_values, presets
from clbench.continual import METRIC_KEYS, continual_metrics
from clbench.data import augment
from clbench.data.layouts import LAYOUTS
from clbench.data.layouts.known_traps import ANY, KNOWN_TRAPS
from clbench.data.phantom import PHANTOMS
from clbench.data.shifts import SHIFTS
from clbench.networks import NETWORKS, build_network
from clbench.strategies import STRATEGIES
from clbench.strategies.compose import RUN_ARGUMENTS, options_of, parse_strategy
from clbench.streams.card import DataCard, TaskCard
from clbench.suite.file import Block, Override, SuiteFile, read_suite
from doc_pages import CARDS, PAGES, blocks, read, section, sections, table
from source_tree import ROOT

LIMITS = {"ge": "≥", "gt": ">", "le": "≤", "lt": "<"}

pages = pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)


# Strategies.


def test_every_strategy_has_a_section_and_no_other_thing_does():
    assert set(sections(read("strategies"))) == set(STRATEGIES)


def test_the_sections_are_what_the_docstrings_say():
    check = [sys.executable, ROOT / "scripts" / "strategies_docs.py", "--check"]
    done = subprocess.run(check, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def limits(annotation: Any) -> str:
    """The column 'values' of an option."""
    choices = annotation if get_origin(annotation) is not None else None
    if hasattr(annotation, "__metadata__"):
        found = [item for field in annotation.__metadata__ for item in field.metadata]
        signs = [(LIMITS[name], getattr(item, name)) for item in found for name in LIMITS if hasattr(item, name)]
        return ", ".join(f"{sign} {value}" for sign, value in signs)
    if annotation is bool:
        return "`true`, `false`"
    return ", ".join(f"`{choice}`" for choice in get_args(choices)) if choices else "names, joined by commas"


@pytest.mark.parametrize("name", STRATEGIES)
def test_every_option_is_there_with_its_default_and_its_limits(name: str):
    spec = STRATEGIES[name]
    signature = inspect.signature(spec.load(), eval_str=True).parameters if spec.plugin else {}
    expected = [
        [f"`{option}`", f"`{options_of(name, {})[option]}`", limits(parameter.annotation)]
        for option, parameter in signature.items()
        if option not in RUN_ARGUMENTS
    ]
    text, _, sweeps = sections(read("strategies"))[name].partition("\nSweep on ")
    assert [row[:3] for row in table(text) if row[0][0] == "`"] == expected
    assert ("Options: none" in text) == (not expected)
    assert not sweeps or "(default)" in sweeps, "a default that no sweep tried; run scripts/tune.py again"


@pytest.mark.parametrize("name", STRATEGIES)
def test_every_strategy_names_source_equation_and_cost(name: str):
    text = sections(read("strategies"))[name]
    assert all(re.search(rf"^- {what}", text, flags=re.MULTILINE) for what in ("Source|Differs", "Equation"))
    assert re.search(r"memory|Cost", text, flags=re.IGNORECASE)
    assert (
        ("Options: none" in text)
        or re.search(r"^- Defaults", text, flags=re.MULTILINE)
        or options_of(name, {}).keys() <= {"seed"}
    )


def test_every_network_has_a_section_with_source_equation_differences_and_size():
    page = read("networks")
    assert re.findall(r"^## `(.+)`$", page, flags=re.MULTILINE) == list(NETWORKS)
    for name in NETWORKS:
        text = section(page, f"`{name}`")
        assert all(
            re.search(rf"^- {what}", text, re.MULTILINE) for what in ("Source", "Equation", "Differs", "Defaults")
        )
        (weights,) = re.findall(r"(\d+ \d{3}) weights", text)
        network = build_network(
            name,
            plan=Grid(),
            in_channels=1,
            classes=4,
            base_features=8,
            max_features=32,
            deep_supervision=False,
            seed=0,
        )
        assert sum(value.numel() for value in network.parameters()) == int(weights.replace(" ", ""))


class Grid:
    dims, patch_size, spacing_mm = 2, (128, 128), (1.5, 1.5, 0.0)


@pages
def test_combinations_of_strategies_fit_together(page: Path):
    for text in re.findall(r"`(\w+(?:\+\w+)+)`", page.read_text(encoding="utf-8")):
        assert parse_strategy(text)


# Streams.


def test_every_shipped_stream_has_a_section_and_no_other_thing_does():
    assert set(sections(read("streams"))) == set(CARDS)


def script(name: str, *options: str) -> str:
    """What a script says on stderr when its pages are out of date."""
    command = [sys.executable, ROOT / "scripts" / f"{name}.py", "--check", *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode == 0) == (not done.stderr)
    return done.stderr


def test_streams_are_described_as_their_cards_have_them():
    assert script("streams", "--cards") == ""


@pytest.mark.slow
def test_the_printed_checks_are_those_of_the_phantoms():
    assert script("streams") == ""


def test_every_phantom_has_a_contact_sheet_of_its_version():
    assert script("contact_sheets") == ""
    assert all(f"phantoms/{name}.png" in read("phantoms") for name in PHANTOMS)


def test_every_phantom_is_shown_to_have_a_domain_gap_and_to_make_naive_forget():
    shown = read("phantoms").split("<!-- domain gap -->")[1].split("<!-- end domain gap -->")[0]
    parts = re.findall(
        r"^`(.+)@\d+\+phantom`, \d+ steps per task, mean forgetting (.+):\n\n((?:\|.*\n)+)", shown, flags=re.MULTILINE
    )
    assert [name for name, *_ in parts] == sorted(name for name, card in CARDS.items() if card.phantom)
    for name, forgetting, text in parts:
        head, _, _, first, *_, last = table(text)
        assert head[1:] == [task.name for task in CARDS[name].tasks]
        scores = [float(score) for score in first[1:]]
        assert scores[0] > 0.6
        assert min(scores) < scores[0] - 0.15
        assert float(forgetting) > 0.05
        assert last[0] == head[-1]


def test_every_shift_is_explained():
    rows = table(sections(read("streams"))["hippocampus-shifts"].split("\n| shift |")[1])
    assert {row[0].strip("`") for row in rows if row[0][:1] == "`"} == set(SHIFTS)


def test_every_trap_is_explained():
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "clbench" / "data").rglob("*.py")]
    made = {kind for text in sources for kind in re.findall(r"\b(?:Trap|Oddity)\(\s*\"([a-z0-9-]+)\"", text)}
    check = (ROOT / "clbench" / "data" / "check.py").read_text(encoding="utf-8")
    made |= set(re.findall(r"^        \"([a-z0-9-]+)\": ", check, flags=re.MULTILINE))
    assert {trap.kind for traps in KNOWN_TRAPS.values() for trap in traps} == made
    assert set(KNOWN_TRAPS) == {*LAYOUTS, ANY}


# Protocol.


def test_presets_have_the_values_of_their_files():
    head, _, *rows = table(section(read("protocol"), "Presets"))
    names = [cell.strip("`") for cell in head[1:-1]]
    assert set(names) == set(presets())
    found: dict[str, dict[str, Any]] = {name: {} for name in names}
    for key, *cells, _ in rows:
        for name, cell in zip(names, cells, strict=True):
            found[name][key] = cell if cell.isalpha() and cell not in ("true", "false") else json.loads(cell)
    for name in names:
        values = preset_values(name)
        expected = {f"`{key}`": value for key, value in values["training"].items()}
        for dims in (2, 3):
            expected |= {f"{dims}-D: `{key}`": value for key, value in values[f"dims{dims}"].items()}
        assert found[name] == expected


def test_augmentation_has_the_chances_and_ranges_of_the_code():
    rows = {row[0]: " ".join(row[1:]) for row in table(section(read("protocol"), "Augmentation"))[2:]}
    expected = {
        "rotation": [augment.ROTATION],
        "scaling": [augment.SCALING, *augment.SCALE_RANGE],
        "Gaussian noise": [augment.NOISE, *augment.NOISE_STD],
        "Gaussian blur": [augment.BLUR, augment.PER_CHANNEL, *augment.BLUR_SIGMA],
        "brightness": [augment.BRIGHTNESS, *augment.FACTOR_RANGE],
        "contrast": [augment.CONTRAST, *augment.FACTOR_RANGE],
        "low resolution": [augment.LOW_RESOLUTION, augment.PER_CHANNEL, *augment.ZOOM_RANGE],
        "gamma of the negative": [augment.INVERTED_GAMMA, *augment.GAMMA_RANGE],
        "gamma": [augment.GAMMA, *augment.GAMMA_RANGE],
        "mirroring": [augment.MIRROR],
    }
    assert {name: [float(n) for n in re.findall(r"(?<!-)\b[\d.]+\b(?!-D)", rows[name])] for name in rows} == expected


REFERENCES = {"single": np.full(3, 0.5), "naive": np.full((4, 3), 0.5), "joint": np.full(3, 0.5)}


def undefined(**fields: Any) -> set[str]:
    """Metrics that are n/a for a matrix of scores that are all there."""
    return {key for key, value in continual_metrics(np.full((4, 3), 0.5), **fields).items() if value is None}


def test_metrics_are_all_there_in_order_with_the_run_they_need():
    text = section(read("protocol"), "Continual-learning metrics")
    expected = [
        [f"`{key}`", *(f"`{name}`" for name in REFERENCES if key in undefined(**REFERENCES | {name: None}))]
        for key in METRIC_KEYS
    ]
    assert [[row[0], *([row[2]] if row[2] else [])] for row in table(text)[2:]] == expected


@pytest.mark.parametrize(
    ("run", "fields"),
    [("class", {"kind": "class"}), ("`joint`", {"regime": "joint"}), ("`single`", {"regime": "single"})],
)
def test_what_is_not_available_is_what_the_code_leaves_out(run: str, fields: dict[str, str]):
    (row,) = (row for row in table(section(read("protocol"), "What is n/a")) if row[0].startswith(run))
    named = set(re.findall(r"`(\w+)`", row[1]))
    assert (set(METRIC_KEYS) - named if "all but" in row[1] else named) == undefined(**fields, **REFERENCES)


def test_the_identity_is_what_the_hash_covers():
    text = section(read("protocol"), "Identity")
    covered = {name for row in table(text)[2:] for name in re.findall(r"`(\w+)`", row[0])}
    assert covered == set(Experiment.model_fields)
    (line,) = re.findall(r"Not part of it: (.*?)\.", text)
    assert set(re.findall(r"`(\w+)`", line)) == set(RunConfig.model_fields) - covered - {"order", "phantom"}
    assert all(f"`+{part}" in text for part in ("order-", "phantom"))  # these two stand in the stream's key


# Cards of one's own.


@pytest.mark.parametrize(("heading", "model"), [("key of a task", TaskCard), ("key of a data table", DataCard)])
def test_every_key_of_a_card_is_explained(heading: str, model: type[TaskCard | DataCard]):
    text = read("add-a-stream").split(f"| {heading} |")[1].split("\n\n")[0]
    named = {row[0].strip("`") for row in table(text) if row[0][:1] == "`"}
    assert named == set(model.model_fields) - {"name"}


def test_every_layout_is_named():
    (row,) = (row for row in table(read("add-a-stream")) if row[0] == "`layout`")
    assert set(re.findall(r"`([a-z-]+)`", row[1])) == set(LAYOUTS)


def test_every_training_value_can_be_set_as_the_protocol_says():
    named = {name for row in table(section(read("protocol"), "Presets")) for name in re.findall(r"`(\w+)`", row[0])}
    assert named == set(Training.model_fields)


# Suites.


def test_every_key_of_a_suite_is_explained():
    rows = {row[0]: row[1] for row in table(section(read("suites"), "The file"))[2:]}
    assert {name for cell in rows for name in re.findall(r"`(\w+)`", cell)} == set(Block.model_fields)
    assert set(re.findall(r"`(\w+)`", rows["`stream`"])) == set(Override.model_fields)
    assert set(SuiteFile.model_fields) == {"about", "block"}


def test_the_example_suite_is_valid(tmp_path):
    (text,) = blocks(read("suites"), "toml")
    (tmp_path / "suite.toml").write_text(text)
    assert len(read_suite(tmp_path / "suite.toml").block) == 2


def test_every_shipped_suite_is_listed():
    listed = {row[0].strip("`") for row in table(read("suites").split("\n## ")[0])[2:]}
    assert listed == {f"benchmarks/{path.name}" for path in (ROOT / "benchmarks").glob("*.toml")}
