"""prostate-7sites: the six sites and Decathlon task 5, on a tiny tree in the public layouts."""

from __future__ import annotations

import numpy as np
import pytest

import tiny_trees
from clbench.data.check import inspect_cases
from clbench.data.nifti import read_case
from clbench.errors import InputError
from clbench.streams.card import card_text, parse_card
from clbench.streams.load import load_stream
from clbench.streams.stream import SPLITS


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """Three cases per site; Decathlon images are 4-D, T2 then diffusion."""
    return tiny_trees.decathlon_prostate(tiny_trees.prostate(tmp_path_factory.mktemp("data")))


def test_the_seventh_task_is_decathlon_after_the_six_sites(root):
    stream = load_stream("prostate-7sites", data=root)
    assert [task.name for task in stream.tasks] == [*tiny_trees.SITES, "Decathlon"]
    assert [len(task.split(split)) for task in stream.tasks for split in SPLITS] == [1] * 21
    ids = {case.case_id for case in stream.cases}
    assert {"RUNMC/Case00", "msd/Task05_Prostate/prostate_04"} <= ids
    assert len(ids) == 21


def test_the_plan_is_that_of_prostate_sites():
    seven, six = (parse_card(card_text(name), name) for name in ("prostate-7sites", "prostate-sites"))
    assert seven.plan == six.plan
    assert seven.tasks[:6] == six.tasks


def test_decathlon_is_read_as_t2_with_both_zones_as_one_label(root):
    task = load_stream("prostate-7sites", data=root).tasks[6]
    findings = inspect_cases([case for split in SPLITS for case in task.split(split)])
    assert not findings.problems
    assert {trap.kind for trap in findings.traps} == {"two-zone-labels"}
    told = [trap.action for trap in load_stream("prostate-7sites", data=root).traps if trap.kind == "several-channels"]
    assert told == ["channel 0 (T2) of 2 read"]
    raw = read_case(task.test[0])
    assert raw.image.shape == (1, *tiny_trees.SHAPE)
    assert raw.image.min() > 0  # T2; diffusion is -7 throughout
    assert set(np.unique(raw.mask)) == {0, 1}


def test_decathlon_can_come_first_with_the_same_splits(root):
    usual = load_stream("prostate-7sites", data=root)
    stream = load_stream("prostate-7sites@1+order-7-1-2-3-4-5-6", data=root)
    assert [task.name for task in stream.tasks] == ["Decathlon", *tiny_trees.SITES]
    assert stream.tasks[0].test == usual.tasks[6].test


def test_missing_decathlon_says_where_it_looked(root, tmp_path):
    (tmp_path / "prostate").symlink_to(root / "prostate")
    with pytest.raises(InputError, match=r"looked for 'dataset.json' in .*Task05_Prostate.*Get it from .*--phantom"):
        load_stream("prostate-7sites", data=tmp_path)
