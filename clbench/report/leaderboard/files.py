"""A leaderboard as Markdown, CSV and HTML, with every text escaped."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path

from clbench.report.costs import COSTS
from clbench.report.leaderboard.board import KEYS, Board, Entry, Leaderboard
from clbench.report.leaderboard.cells import HEAD, notes, rows
from clbench.report.markup import csv_text, escape_csv, escape_html, escape_markdown
from clbench.runfolder.files import publish

_STYLE = (
    "body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:96rem;padding:0 1rem}"
    "body{color:#1a1a1a;background:#fff}"
    "h2{font-size:1.1rem}.wide{overflow-x:auto}"
    "table{border-collapse:collapse;font-variant-numeric:tabular-nums}"
    "th,td{padding:.25rem .6rem;border-bottom:1px solid #ccc;text-align:right;white-space:nowrap}"
    "th:nth-child(2),td:nth-child(2),th:last-child,td:last-child{text-align:left}"
)


def write(board: Leaderboard, out: Path) -> list[Path]:
    """Write ``leaderboard.md``, ``.csv`` and ``.html`` into a folder, which is made where it is not there.

    Returns:
        The three files.
    """
    paths = []
    for suffix, text in FORMATS.items():
        paths.append(out / f"leaderboard.{suffix}")
        publish(paths[-1], text(board).encode())
    return paths


def markdown(board: Leaderboard) -> str:
    """All tables, the notes, and the runs left out."""
    parts = ["# Leaderboard\n", *(_markdown_table(table) for table in board.boards)]
    if board.boards:
        parts.append("\n".join(f"- {escape_markdown(note)}" for note in notes(board.boards)) + "\n")
    else:
        parts.append("No complete run.\n")
    if board.left_out:
        lines = [f"- {escape_markdown(item.name)}: {escape_markdown(item.reason)}" for item in board.left_out]
        parts.append("## Left out\n\n" + "\n".join(lines) + "\n")
    return "\n".join(parts)


def _markdown_table(table: Board) -> str:
    rule = [":--" if name in ("strategy", "marks") else "--:" for name in HEAD]
    lines = [HEAD, rule, *([escape_markdown(cell) for cell in row] for row in rows(table))]
    return f"## {escape_markdown(table.title)}\n\n" + "".join(f"| {' | '.join(line)} |\n" for line in lines)


def comma_separated(board: Leaderboard) -> str:
    """One line for each entry of every table, with all digits that mean something; nothing of what was left out."""
    shared = ("stream", "fingerprint", "preset", "precision", "settings", "score")
    numbers = [f"{key}{part}" for key in KEYS for part in ("", "_low", "_high")]
    against = ("best_difference", "best_rank_biserial", "best_p", "best_p_holm")
    head = [*shared, "rank", "rank_low", "rank_high", "strategy", "network", "seeds", *numbers, "drift", *COSTS]
    lines = [_csv_line(table, entry) for table in board.boards for entry in table.entries]
    return csv_text([[*head, *against, "marks"], *lines])


def _csv_line(table: Board, entry: Entry) -> list[str]:
    group = table.group
    settings = ", ".join(f"{key} {value}" for key, value in group.differing.items())
    shared = [group.stream, group.fingerprint, *(str(group.settings.get(key, "")) for key in ("preset", "precision"))]
    ranks = [entry.rank, *(entry.rank_interval or (None, None))]
    estimates = [value for key in KEYS for value in _ends(entry, key)]
    found = entry.against_best
    against = (found.difference, found.rank_biserial, found.p, found.p_holm) if found else (None,) * 4
    return [
        *map(escape_csv, (*shared, settings, table.score)),
        *("" if rank is None else str(rank) for rank in ranks),
        *map(escape_csv, (entry.row.label, entry.row.network)),
        str(len(entry.row.runs)),
        *map(_digits, (*estimates, entry.drift, *(entry.costs[key] for key in COSTS), *against)),
        escape_csv(", ".join(entry.marks)),
    ]


def _ends(entry: Entry, key: str) -> tuple[float, float, float]:
    estimate = entry.estimates[key]
    return estimate.value, estimate.low, estimate.high


def _digits(value: float | None) -> str:
    return "" if value is None or not math.isfinite(value) else f"{value:.6f}"


def page(board: Leaderboard) -> str:
    """One HTML file that needs no other."""
    body = "".join(_html_table(table) for table in board.boards) or "<p>No complete run.</p>"
    if board.boards:
        body += _list(notes(board.boards))
    if board.left_out:
        body += "<h2>Left out</h2>" + _list([f"{item.name}: {item.reason}" for item in board.left_out])
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1"><title>Leaderboard</title>'
        f"<style>{_STYLE}</style></head><body><h1>Leaderboard</h1>{body}</body></html>\n"
    )


def _html_table(table: Board) -> str:
    head = "".join(f'<th scope="col">{escape_html(name)}</th>' for name in HEAD)
    lines = ("".join(f"<td>{escape_html(cell)}</td>" for cell in row) for row in rows(table))
    body = "".join(f"<tr>{line}</tr>\n" for line in lines)
    name = escape_html(table.title)
    return (
        f'<h2>{name}</h2><div class="wide" role="region" tabindex="0" aria-label="{name}">'
        f"<table><thead><tr>{head}</tr></thead>\n<tbody>{body}</tbody></table></div>\n"
    )


def _list(texts: Sequence[str]) -> str:
    return "<ul>" + "".join(f"<li>{escape_html(text)}</li>\n" for text in texts) + "</ul>"


FORMATS: dict[str, Callable[[Leaderboard], str]] = {"md": markdown, "csv": comma_separated, "html": page}
"""Suffix of the file -> what writes its text."""
