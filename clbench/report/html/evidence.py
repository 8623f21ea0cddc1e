"""The parts of the page that let others do it again: commands, versions, and what was left out."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Any

from clbench.report.groups import Group, Row
from clbench.report.html.elements import Markup, element, joined, scrollable
from clbench.report.load import LeftOut
from clbench.report.processors import device_of
from clbench.runfolder import Run

NAMED = ("clbench", "torch", "monai", "avalanche-lib", "numpy")


def command_section(group: Group) -> Markup:
    """The exact command of every run, and what it ran with."""
    heads = ("run", "command", "commit", "device", "python", *NAMED)
    rows = [_run(row, run) for row in group.rows for run in row.runs]
    head = element("thead", element("tr", *(element("th", name, scope="col", class_="text") for name in heads)))
    caption = element("caption", "Every run with its command, as it was typed but for absolute paths")
    table = scrollable(element("table", caption, head, element("tbody", *rows)), f"Commands of {group.stream}")
    packages: dict[str, None] = {}
    for row in group.rows:
        for run in row.runs:
            packages.setdefault(_packages(run))
    lists = [
        element("details", element("summary", "All installed packages"), element("p", element("code", text)))
        for text in packages
    ]
    return joined([element("details", element("summary", "Show them"), table, *lists)])


def _run(row: Row, run: Run) -> Markup:
    of = run.provenance
    git = of.get("git") if isinstance(of.get("git"), dict) else {}
    commit = (
        f"{str((git or {}).get('commit', ''))[:12] or 'no checkout'}{' (changed)' if (git or {}).get('dirty') else ''}"
    )
    packages = of.get("packages") if isinstance(of.get("packages"), dict) else {}
    versions = [str((packages or {}).get(name, "?")) for name in NAMED]
    cells = [commit, device_of(run), str(of.get("python", "?")), *versions]
    return element(
        "tr",
        element("th", f"{run.path.parent.name}/{run.path.name}", scope="row", class_="text"),
        element("td", element("code", command(of.get("argv"))), class_="wrap"),
        *(element("td", text, class_="text") for text in cells),
        data_strategy=row.label,
    )


def command(argv: Any) -> str:
    """A command line as it can be typed again."""
    words = [str(word) for word in argv] if isinstance(argv, list) else []
    return shlex.join(words) or "not recorded"


def _packages(run: Run) -> str:
    packages = run.provenance.get("packages")
    return ", ".join(f"{name} {version}" for name, version in packages.items()) if isinstance(packages, dict) else ""


def left_out_section(left_out: Sequence[LeftOut]) -> Markup:
    """The folders that are not used, and why."""
    if not left_out:
        return Markup("")
    items = [element("li", element("code", item.name), f": {item.reason}") for item in left_out]
    return element(
        "section", element("h2", "Left out", id="left-out"), element("ul", *items), aria_labelledby="left-out"
    )
