"""Result tables as Markdown, CSV or LaTeX, with every text escaped."""

from __future__ import annotations

import csv
import html
import io
import re
from collections.abc import Callable, Sequence

from clbench.errors import unknown
from clbench.report.load import LeftOut
from clbench.report.results import DECIMALS, EVERY, ResultTable

_TEX = {character: f"\\{character}" for character in "&%$#_{}"} | {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "±": r"$\pm$",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
}
_FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠")  # some spreadsheets take the wide ones for the narrow
NOTE = (
    "Mean over seeds ± sample standard deviation; a row of one seed has none, and says nothing of other seeds. "
    "Seconds are those of the machine that ran it; stored_mb is the most that was kept between two tasks."
)
ELSEWHERE = "Every other metric: clbench table --format csv."


def render(tables: Sequence[ResultTable], left_out: Sequence[LeftOut], kind: str) -> str:
    """Tables and the runs left out, as text in one of ``FORMATS``.

    Raises:
        InputError: an unknown format.
    """
    if kind not in FORMATS:
        raise unknown("format", kind, FORMATS)
    return FORMATS[kind](tables, left_out)


def escape_markdown(text: str) -> str:
    """Text that stays in its cell and has no effect on the page."""
    return re.sub(r"([\\|`*<>\[\]])", r"\\\1", one_line(text))


def escape_tex(text: str) -> str:
    """Text without a character that TeX takes for a command."""
    return "".join(_TEX.get(character, character) for character in one_line(text))


def escape_csv(text: str) -> str:
    """Text that no spreadsheet takes for a formula."""
    line = one_line(text)
    return f"'{line}" if line.startswith(_FORMULA) else line


def escape_html(text: str) -> str:
    """Text that stays text inside an element or a quoted attribute."""
    return html.escape(one_line(text), quote=True)


def one_line(text: str) -> str:
    """Printable characters only, on one line."""
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


def _cells(table: ResultTable) -> list[list[str]]:
    """Head and body as plain text."""
    marked = any(line.marks for line in table.lines)
    head = ["strategy", "seeds", *table.columns, *(["marks"] if marked else [])]
    body = [
        [
            line.strategy,
            str(line.seeds),
            *(line.values[key].text(DECIMALS.get(key, 3)) for key in table.columns),
            *([", ".join(line.marks)] if marked else []),
        ]
        for line in table.lines
    ]
    return [head, *body]


def _markdown(tables: Sequence[ResultTable], left_out: Sequence[LeftOut]) -> str:
    parts = [_markdown_table(table) for table in tables] or ["No complete run.\n"]
    if tables:
        parts.append(f"{NOTE} {ELSEWHERE}\n")
    if left_out:
        lines = [f"- {escape_markdown(item.name)}: {escape_markdown(item.reason)}" for item in left_out]
        parts.append("Left out:\n\n" + "\n".join(lines) + "\n")
    return "\n".join(parts)


def _markdown_table(table: ResultTable) -> str:
    cells = [[escape_markdown(cell) for cell in row] for row in _cells(table)]
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    texts = [name in ("strategy", "marks") for name in cells[0]]
    rule = ["-" * width if text else "-" * (width - 1) + ":" for width, text in zip(widths, texts, strict=True)]
    lines = [
        " | ".join(
            cell.ljust(width) if text else cell.rjust(width)
            for cell, width, text in zip(row, widths, texts, strict=True)
        )
        for row in [cells[0], rule, *cells[1:]]
    ]
    return f"**{escape_markdown(table.title)}**\n\n" + "".join(f"| {line} |\n" for line in lines)


def _tex(tables: Sequence[ResultTable], left_out: Sequence[LeftOut]) -> str:
    parts = [f"% needs \\usepackage{{booktabs}}\n% {ELSEWHERE}\n", *(_tex_table(table) for table in tables)]
    if not tables:
        parts.append("% No complete run.\n")
    if left_out:
        parts.append("".join(f"% left out: {one_line(item.name)}: {one_line(item.reason)}\n" for item in left_out))
    return "\n".join(parts)


def _tex_table(table: ResultTable) -> str:
    head, *body = ([escape_tex(cell) for cell in row] for row in _cells(table))
    columns = "".join("l" if name in ("strategy", "marks") else "r" for name in head)
    lines = [" & ".join(row) + r" \\" for row in body]
    parts = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{escape_tex(table.title)}. {escape_tex(NOTE)}}}",
        rf"\begin{{tabular}}{{{columns}}}",
        r"\toprule",
        " & ".join(head) + r" \\",
        *(r"\midrule", *lines, r"\bottomrule", r"\end{tabular}", r"\end{table}"),
    ]
    return "\n".join(parts) + "\n"


def _csv(tables: Sequence[ResultTable], left_out: Sequence[LeftOut]) -> str:
    """One block for each table, with all metrics, its own head line and the table's identity in every line."""
    blocks = [_csv_block(table) for table in tables]
    if left_out:
        lines = [[escape_csv(item.name), escape_csv(item.reason)] for item in left_out]
        blocks.append(csv_text([["left_out", "reason"], *lines]))
    return "\n".join(blocks)


def _csv_block(table: ResultTable) -> str:
    group = table.group
    head = ["stream", "fingerprint", "preset", "precision", "network", *group.differing, "strategy", "seeds"]
    lines = [[*head, *(f"{key}_{part}" for key in EVERY for part in ("mean", "sd")), "marks"]]
    of_table = [group.stream, group.fingerprint, *(str(group.settings.get(key, "")) for key in ("preset", "precision"))]
    for line in table.lines:
        texts = [*of_table, line.network, *group.differing.values(), line.strategy]
        values = [value for key in EVERY for value in (line.values[key].mean, line.values[key].sd)]
        numbers = ("" if value is None else f"{value:.6f}" for value in values)
        lines.append([*map(escape_csv, texts), str(line.seeds), *numbers, escape_csv(", ".join(line.marks))])
    return csv_text(lines)


def csv_text(lines: Sequence[Sequence[str]]) -> str:
    """Lines of cells as CSV."""
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows(lines)
    return buffer.getvalue()


FORMATS: dict[str, Callable[[Sequence[ResultTable], Sequence[LeftOut]], str]] = {
    "md": _markdown,
    "csv": _csv,
    "tex": _tex,
}
