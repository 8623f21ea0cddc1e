"""The page on reliability names tests that exist, and all tests of faults are on it or beside one that is."""

from __future__ import annotations

import ast
import re

from doc_pages import read, section, table
from source_tree import ROOT

SECTIONS = ("Going on after a stop", "Several processes", "Disks", "Faulty data", "Numbers that are not finite")
TEST = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")


def test_every_named_test_exists():
    named = TEST.findall(read("reliability"))
    assert len(named) > 50
    for file, name in named:
        tree = ast.parse((ROOT / file).read_text(encoding="utf-8"))
        assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}, f"{file}::{name}"


def test_every_fault_has_an_answer_and_a_test():
    for heading in (*SECTIONS, "Hostile files", "Privacy"):
        head, _, *rows = table(section(read("reliability"), heading))
        assert head == ["fault", "what you see", "test"]
        assert rows
        for fault, answer, test in rows:
            assert fault
            assert answer
            assert TEST.search(test) or test == "the same two"
