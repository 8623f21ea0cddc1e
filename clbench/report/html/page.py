"""The page: leaderboards, matrices, curves, worst cases, commands and versions of every group of runs."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib.resources import files

from clbench.report.figures.write import folder_name
from clbench.report.groups import Group
from clbench.report.html.boards import board_table, metrics_table
from clbench.report.html.elements import Markup, element, joined
from clbench.report.html.evidence import command_section, left_out_section
from clbench.report.html.scores import curve_figures, matrix_tables, worst_table
from clbench.report.leaderboard import Board, leaderboard
from clbench.report.load import LeftOut
from clbench.report.marks import NO_MARKS, Marked
from clbench.report.results import scored_on
from clbench.runfolder import Run
from clbench.wording import counted

Overlays = Mapping[tuple[str, int, str], bytes]
"""(row, task, case) -> PNG."""


def html_report(
    runs: Iterable[Run],
    left_out: Iterable[LeftOut] = (),
    overlays: Callable[[Group], Overlays] | None = None,
    *,
    marked: Marked = NO_MARKS,
    check: Callable[[Run], str] = lambda run: "",
) -> str:
    """Everything about finished runs as one HTML file that loads nothing.

    Args:
        runs: complete or not; those that may not be shown are listed with the reason.
        left_out: folders that could not even be read.
        overlays: pictures of the worst cases of a group; None for a page without image content.
        marked: mark -> strategies whose rows have it, whatever their runs say.
        check: one more reason to leave out a run; empty when there is none.

    Returns:
        The page; the same runs give the same text.
    """
    ranked = leaderboard(runs, left_out, marked=marked, check=check)
    found = [board.group for board in ranked.boards]
    sections = [
        _section(number, board, overlays(board.group) if overlays else {})
        for number, board in enumerate(ranked.boards, 1)
    ]
    body = joined(
        [
            element("a", "Skip to the results", href="#main", class_="skip"),
            _header(found),
            element("main", *sections, left_out_section(ranked.left_out), id="main"),
            element("footer", "Made by clbench from run folders alone. Check them again with: clbench verify."),
        ]
    )
    return _document(body)


def _document(body: Markup) -> str:
    """The whole file; its policy lets the browser load nothing and run only the script that stands in it."""
    css, js = (files("clbench.report.html").joinpath(name).read_text("utf-8") for name in ("style.css", "script.js"))
    allowed = f"img-src data:; style-src {_hash(css)}; script-src {_hash(js)}"
    policy = f"default-src 'none'; {allowed}; base-uri 'none'; form-action 'none'"
    head = joined(
        [
            element("meta", charset="utf-8"),
            element("meta", http_equiv="Content-Security-Policy", content=policy),
            element("meta", name="viewport", content="width=device-width, initial-scale=1"),
            element("title", "clbench report"),
            Markup(f"<style>{css}</style>"),
        ]
    )
    page = element("html", element("head", head), element("body", body, Markup(f"<script>{js}</script>")), lang="en")
    return f"<!DOCTYPE html>\n{page}\n"


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _header(found: Sequence[Group]) -> Markup:
    links = [
        element("li", element("a", _title(group), href=f"#group-{number}")) for number, group in enumerate(found, 1)
    ]
    options = [element("option", _title(group), value=f"group-{number}") for number, group in enumerate(found, 1)]
    controls = element(
        "div",
        element("label", "Strategy", element("input", id="strategy", type="search", placeholder="part of its name")),
        element("label", "Stream", element("select", element("option", "all", value=""), *options, id="stream")),
        element("span", id="status", role="status"),
        class_="controls",
        role="search",
        aria_label="Filter the results",
        hidden=True,
    )
    runs = sum(len(row.runs) for group in found for row in group.rows)
    return element(
        "header",
        element("h1", "Continual learning: results"),
        element(
            "p",
            f"{counted(runs, 'complete run')} of {counted(len(found), 'comparison')}. "
            "Runs are compared only where stream, data, "
            "budget and precision are the same.",
        ),
        element("nav", element("ul", *links), aria_label="Comparisons"),
        controls,
    )


def _title(group: Group) -> str:
    differing = "".join(f", {key} {value}" for key, value in group.differing.items())
    return f"{group.stream}, preset {group.settings.get('preset', '?')}{differing}"


def _section(number: int, board: Board, overlays: Overlays) -> Markup:
    group = board.group
    about = (
        f"Test Dice; precision {group.settings.get('precision', '?')}, network {' and '.join(group.networks)}, "
        f"data {group.fingerprint[:8]}, {scored_on(group)}."
    )
    return element(
        "section",
        element("h2", _title(group), id=f"title-{number}"),
        element("p", about),
        board_table(board),
        metrics_table(group),
        element("h3", "Score matrices"),
        matrix_tables(group),
        curve_figures(group),
        element("h3", "Worst cases after the last task"),
        worst_table(group, overlays),
        element("h3", "Commands and versions"),
        command_section(group),
        id=f"group-{number}",
        class_="group",
        aria_labelledby=f"title-{number}",
        data_name=folder_name(group),
    )
