"""Imports point down only, nothing goes round in circles, and importing does no work."""

from __future__ import annotations

import ast
import subprocess
import sys

import pytest

from source_tree import Module, imported_modules, imports, package_modules

# What each module or package right under clbench may import. A new one needs a line here: that is the point.
BASE = {"errors", "seeding", "toml_text", "wording"}
DATA = {*BASE, "data", "streams"}
PARTS = {
    *DATA,
    "networks",
    "strategies",
    "evaluate",
    "drift",
    "probe",
    "runfolder",
    "config",
    "device",
    "stopping",
    "precision",
    "reporter",
    "continual",
    "metrics",
    "naming",
}
LAYERS: dict[str, set[str]] = {
    "errors": set(),
    "seeding": set(),
    "naming": {"errors"},
    "toml_text": {"errors"},
    "wording": set(),
    "reporter": set(),
    "provenance": {"errors"},
    "device": {"errors"},
    "allocator": set(),
    "precision": set(),
    "terms": set(),
    "case_table": set(),
    "continual": {"case_table", "errors", "terms"},
    "metrics": {"errors"},
    "drift": {"continual"},
    "functional": BASE,
    "data": {*BASE, "device"},
    "networks": {*BASE, "data", "functional"},
    "runfolder": {"errors", "case_table", "continual", "data", "drift", "metrics"},
    "streams": {*BASE, "data"},
    "strategies": {*DATA, "functional", "networks", "precision"},
    "evaluate": {*DATA, "case_table", "continual", "networks", "metrics", "precision", "runfolder"},
    "probe": {*DATA, "drift", "evaluate", "functional", "networks", "precision"},
    "recording": {"data", "naming", "runfolder", "streams"},
    "rawdata": {"data", "errors", "naming", "recording", "runfolder", "streams"},
    "report": {"errors", "case_table", "continual", "metrics", "runfolder", "wording"},
    "pictures": {"errors", "rawdata", "report", "runfolder"},
    "difference": set(),
    "plausibility": {"case_table", "terms", "difference", "metrics", "runfolder"},
    "consistency": {
        *{"case_table", "config", "continual", "difference", "drift", "metrics"},
        *{"plausibility", "runfolder", "strategies"},
    },
    "verify": {"case_table", "consistency", "data", "difference", "errors", "metrics", "rawdata", "runfolder"},
    "ranking": {"consistency", "report", "runfolder", "strategies"},
    "config": {"errors", "networks", "strategies"},
    "assembly": PARTS - {"evaluate", "drift", "probe"},
    "resuming": {"errors", "networks", "runfolder", "strategies"},
    "failure": {"errors", "strategies"},
    "bookkeeping": {*PARTS, "case_table", "failure", "resuming"},
    "experiment": {*PARTS, "allocator", "assembly", "bookkeeping", "failure", "provenance", "recording"},
    "stopping": set(),
    "suite": {
        *{*DATA, "assembly", "config", "device", "naming", "progress", "recording", "runfolder", "stopping"},
        "strategies",
    },
    "__main__": {"cli", "stopping"},
    "api": {"config", "experiment", "reporter"},
    "progress": {"errors", "reporter"},
    "console": {"errors", "continual", "runfolder", "data", "streams"},
    "catalog": {"errors", "streams", "strategies", "networks", "metrics", "config"},
    "cli": {
        *{*DATA, "catalog", "console", "progress", "config"},
        *{"experiment", "runfolder", "report", "suite", "verify"},
        *DATA,
        "catalog",
        "strategies",
        "console",
        "progress",
        "config",
        "experiment",
        "runfolder",
        "report",
        "verify",
        *{"experiment", "pictures", "ranking", "runfolder", "report", "suite", "verify"},
    },
}
FRAMEWORKS = {"torch", "monai", "avalanche"}
# Calls that only build a value; everything else at module level is work.
BUILDERS = {
    "frozenset",
    "tuple",
    "dict",
    "set",
    "compile",
    "field",
    "files",
    "itemgetter",
    "attrgetter",
    "namedtuple",
    "add_typer",
    "range",
    "fields",
    "TypeVar",
}

modules = pytest.mark.parametrize("module", package_modules(), ids=lambda module: module.name)


@modules
def test_imports_point_down_only(module: Module):
    if module.name == "clbench":
        return
    assert module.unit in LAYERS, f"give clbench.{module.unit} a line in LAYERS"
    units = {name.split(".")[1] for name in imported_modules(module.tree) if "." in name}
    assert units - {module.unit} <= LAYERS[module.unit]


def test_layers_have_no_cycle():
    done: set[str] = set()
    while ready := {unit for unit, below in LAYERS.items() if unit not in done and below <= done}:
        done |= ready
    assert done == set(LAYERS)


def test_modules_import_each_other_without_a_cycle():
    graph = {module.name: imported_modules(module.tree) - {module.name} for module in package_modules()}
    graph["clbench"] = set()  # what it offers is imported on first use
    done: set[str] = set()
    while ready := {name for name, below in graph.items() if name not in done and below <= done}:
        done |= ready
    assert not set(graph) - done, f"in or above a cycle: {sorted(set(graph) - done)}"


@modules
def test_imports_are_absolute(module: Module):
    assert not [node for node in ast.walk(module.tree) if isinstance(node, ast.ImportFrom) and node.level]


@pytest.mark.parametrize("module", [m for m in package_modules() if m.unit == "report"], ids=lambda module: module.name)
def test_reports_never_import_a_training_framework(module: Module):
    assert not {name.split(".")[0] for name in imports(module.tree)} & FRAMEWORKS


@modules
def test_importing_does_no_work(module: Module):
    assert not [f"line {node.lineno}: {ast.unparse(node)}" for node in module.tree.body if not _is_quiet(node)]


def _is_quiet(node: ast.stmt) -> bool:
    """Whether a module-level statement only defines, imports or builds a plain value."""
    if isinstance(node, (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        return True
    if isinstance(node, ast.If):
        return ast.unparse(node.test) in {"TYPE_CHECKING", "__name__ == '__main__'"}
    if isinstance(
        node, (ast.Assign, ast.AnnAssign, ast.Expr, ast.TypeAlias if sys.version_info >= (3, 12) else ast.Expr)
    ):
        return all(_builds_a_value(call) for call in _calls(node))
    return False


def _calls(node: ast.AST) -> list[ast.Call]:
    """Calls below a node, not those inside lambdas, which run later."""
    found = [node] if isinstance(node, ast.Call) else []
    if isinstance(node, ast.Lambda):
        return found
    return found + [call for child in ast.iter_child_nodes(node) for call in _calls(child)]


def _builds_a_value(call: ast.Call) -> bool:
    name = ast.unparse(call.func).split(".")[-1].split("[")[0]
    return name in BUILDERS or name.lstrip("_")[:1].isupper()


def test_the_command_line_starts_without_a_training_framework():
    light = "cli config catalog console progress continual runfolder report suite verify strategies networks metrics"
    known = {module.name for module in package_modules()}
    code = "; ".join(f"import clbench.{name}" for name in light.split() if f"clbench.{name}" in known)
    code += f"; import sys; print(sorted({FRAMEWORKS!r} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
