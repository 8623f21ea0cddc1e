"""Every known trap, planted in a tree of the exact public layout, is named by ``clbench data check``."""

from __future__ import annotations

import re

import pytest

import planted_trees
import tiny_trees
from clbench.data.layouts.known_traps import ANY, KNOWN_TRAPS
from clbench.streams.card import card_text, parse_card
from command_line import clbench

# stream -> how to plant its tree, and each trap with the place that the check must name
_MNMS = [
    ("dated-table", planted_trees.TABLE),
    ("several-tables", planted_trees.TABLE),
    ("decimal-frames", planted_trees.TABLE),
    ("4d-series", "Training/Labeled, Validation, Testing"),
    ("label-order", "Training/Labeled, Validation, Testing"),
    ("unlabeled-patients", "Training/Unlabeled"),
    ("missing-frames", planted_trees.TABLE),
    ("macos-files", "Testing/Te1"),
    ("intensity-scales-differ", "30 images"),
]
PLANTED = {
    "prostate-7sites": (
        planted_trees.prostate_7sites,
        [
            ("capital-segmentation", "BMC"),
            ("site-alias", "HCRUDB"),
            ("missing-case-number", "BIDMC/Case01"),
            ("macos-files", "HK"),
            ("case-count-differs", "dataset.json"),
            ("several-channels", "dataset.json"),
            ("mask-header-differs", "prostate/UCL, 3 times"),
            ("two-zone-labels", "prostate/BMC, 3 times"),
            ("two-zone-labels", "prostate/RUNMC, 3 times"),
            ("two-zone-labels", "Task05_Prostate/labelsTr, 3 times"),
            ("float-mask", "Task05_Prostate/labelsTr/prostate_01.nii.gz"),
            ("intensity-scales-differ", "21 images"),
        ],
    ),
    "acdc-groups": (tiny_trees.acdc, [("spacing-lost", "30 cases")]),
    "cardiac-vendors": (planted_trees.cardiac, _MNMS),
    "cardiac-centres": (planted_trees.cardiac, _MNMS),
    "hippocampus-sites": (
        planted_trees.hippocampus_sites,
        [
            ("axis-order-differs", "100"),
            ("axis-order-differs", "35"),
            ("swapped-sides", "100, 2 times"),
            ("swapped-sides", "35, 2 times"),
            ("mask-offset", "harp/Labels_100_NIFTI/ADNI_007_S_1304_74384_L.nii"),
            ("mask-offset", "harp/Labels_35_NIFTI/ADNI_016_S_4121_280306_R.nii"),
            ("macos-files", "s02"),
            ("missing-case-number", "s03"),
            ("two-zone-labels", "dryad/s01, 2 times"),
            ("two-zone-labels", "dryad/s02, 2 times"),
            ("two-zone-labels", "dryad/s04, 2 times"),
            ("case-count-differs", "dataset.json"),
            ("two-zone-labels", "Task04_Hippocampus/labelsTr, 4 times"),
            ("float-mask", "Task04_Hippocampus/labelsTr/hippocampus_001.nii.gz"),
            ("intensity-scales-differ", "18 images"),
        ],
    ),
    "own.toml": (
        planted_trees.own,
        [
            ("case-count-differs", "dataset.json"),
            ("several-channels", "dataset.json"),
            ("macos-files", "labelsTr"),
            ("cases-of-one-patient", "labelsTr"),
            ("float-mask", "labelsTr/c0.nii.gz"),
            ("empty-mask", "labelsTr/c1.nii.gz"),
            ("mask-header-differs", "labelsTr/c2.nii.gz"),
            ("spacing-disagrees", "imagesTr/c3_es_0001.nii.gz"),
            ("two-zone-labels", "labelsTr, 4 times"),
            ("intensity-scales-differ", "5 images"),
        ],
    ),
}


@pytest.mark.parametrize("name", PLANTED)
def test_the_check_names_every_planted_trap_and_no_other(name, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "300")  # no cell is broken
    monkeypatch.setenv("CLBENCH_CACHE", str(tmp_path / "cache"))
    plant, traps = PLANTED[name]
    root = plant(tmp_path / "data")
    stream = root / name if name.endswith(".toml") else name
    answer = clbench("data", "check", stream, "--data", root)
    assert (answer.code, answer.err) == (0, ""), answer.out
    table = answer.out.partition("known traps met")[2].partition("\nall ")[0]
    rows = [re.split(r" {2,}", line.strip()) for line in table.splitlines()]
    named = [(row[0], row[1]) for row in rows if len(row) == 3 and row[0] != "trap"]
    assert sorted(named) == sorted(traps)


def layouts(name):
    if name.endswith(".toml"):
        return {"nnunet", ANY}
    card = parse_card(card_text(name), name)
    return {source.layout for source in (card.data, *(task.data for task in card.tasks)) if source}


@pytest.mark.parametrize("layout", KNOWN_TRAPS)
def test_no_known_trap_of_a_layout_is_left_unplanted(layout):
    planted = {kind for name, (_, traps) in PLANTED.items() for kind, _ in traps if layout in layouts(name)}
    assert {trap.kind for trap in KNOWN_TRAPS[layout]} <= planted
