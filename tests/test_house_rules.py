"""Small files, short functions, docstrings of substance, no words that do not belong in the repository."""

from __future__ import annotations

import ast
import re
import subprocess
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path
from statistics import median

import pytest
from packaging.specifiers import SpecifierSet

from source_tree import ROOT, Module, package_modules

MOST_LINES_OF_A_FILE, MOST_LINES_OF_A_FUNCTION = 400, 50
MEDIAN_LINES_OF_A_FILE, MEDIAN_LINES_OF_A_FUNCTION = 160, 10
EMPTY_NAMES = {"utils", "util", "helpers", "helper", "core", "base", "common", "misc", "manager", "registry"}
TEXT = {".py", ".md", ".toml", ".txt", ".cff", ".yml", ".yaml", ".sh", ".csv", ".json", "", ".cfg"}
UNWANTED = {
    "a path of somebody's machine": re.compile(r"(?<![\w.])/(?:home|root|work|Users)/\w+"),
    "an unfinished note": re.compile(r"\b(?:TODO|FIXME|XXX)\b"),
    "unsafe loading": re.compile(r"\bimport (?:pickle|dill)\b|allow_pickle\s*=\s*True|weights_only\s*=\s*False"),
    "an address with a credential": re.compile(r"https?://[^/\s]+:[^/\s]+@"),
}

modules = pytest.mark.parametrize("module", package_modules(), ids=lambda module: module.name)


def functions(module: Module) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
    return [node for node in ast.walk(module.tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))]


def code_lines(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines of a function without its docstring, which may be as long as the formulas need."""
    documented = ast.get_docstring(function) is not None
    first = function.body[0]
    docstring = (first.end_lineno or 0) - first.lineno + 1 if documented else 0
    return (function.end_lineno or 0) - function.lineno + 1 - docstring


def repository_texts() -> list[Path]:
    """Every text file that git tracks or would track, this one left out."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"], cwd=ROOT, capture_output=True, text=True
    )
    if listed.returncode:
        pytest.skip("not a git checkout")
    paths = [ROOT / line for line in listed.stdout.splitlines()]
    return [path for path in paths if path.suffix in TEXT and path.is_file() and path != Path(__file__).resolve()]


@modules
def test_files_and_functions_are_short(module: Module):
    assert len(module.text.splitlines()) <= MOST_LINES_OF_A_FILE
    long = {function.name: code_lines(function) for function in functions(module)}
    assert not {name: lines for name, lines in long.items() if lines > MOST_LINES_OF_A_FUNCTION}


def test_half_of_all_files_and_functions_are_very_short():
    assert median(len(module.text.splitlines()) for module in package_modules()) < MEDIAN_LINES_OF_A_FILE
    every = [code_lines(function) for module in package_modules() for function in functions(module)]
    assert median(every) < MEDIAN_LINES_OF_A_FUNCTION


@modules
def test_names_say_what_a_module_is(module: Module):
    assert not set(module.name.split(".")) & EMPTY_NAMES


@modules
def test_every_module_says_in_one_line_what_it_is(module: Module):
    docstring = ast.get_docstring(module.tree)
    assert docstring
    assert len(docstring.splitlines()[0]) <= 120


@pytest.mark.parametrize("what", UNWANTED)
def test_the_repository_holds_none_of(what: str):
    found = []
    for path in repository_texts():
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
            if UNWANTED[what].search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()[:80]}")
    assert not found, "\n".join(found)


def pins() -> list[str]:
    """The lines of ``constraints.txt`` that are not comments."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def test_every_dependency_is_pinned():
    assert all(re.fullmatch(r"[A-Za-z0-9._-]+==[A-Za-z0-9.!+]+", line) for line in pins())
    names = {line.split("==")[0].lower().replace("_", "-") for line in pins()}
    assert {"torch", "torchvision", "monai", "avalanche-lib", "numpy", "pytest", "mypy", "ruff", "mkdocs"} <= names


def test_no_installed_pin_refuses_a_python_that_is_promised():
    promised = re.search(r"Python 3\.(\d+) to 3\.(\d+)", (ROOT / "README.md").read_text(encoding="utf-8"))
    assert promised
    pythons = [f"3.{minor}.0" for minor in range(int(promised[1]), int(promised[2]) + 1)]
    looked_at, refused = set(), []
    for name, version in (pin.split("==") for pin in pins()):
        with suppress(PackageNotFoundError):  # of another extra or system
            about = metadata(name)
            installed = about["Version"].partition("+")[0]  # without the name of a build
            assert installed == version, f"{name} {installed} is installed, not {version}; run make again"
            accepted = SpecifierSet(about.get("Requires-Python") or "")
            refused += [f"{name} {version} refuses Python {python}" for python in pythons if python not in accepted]
            looked_at.add(name)
    assert looked_at >= {"torch", "monai", "avalanche-lib", "mkdocs-material", "pymdown-extensions", "soupsieve"}
    assert not refused
