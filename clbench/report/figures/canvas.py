"""Canvas: the one style of all figures, and files whose bytes depend on their content alone."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import as_file, files
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib import style as matplotlib_style
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from clbench.runfolder.files import publish

COLUMN_INCHES = 88 / 25.4
_METADATA: dict[str, dict[str, Any]] = {
    "svg": {"Date": None, "Creator": None},
    "pdf": {"CreationDate": None, "ModDate": None, "Creator": None, "Producer": None},
    "png": {"Software": None},
}


@contextmanager
def style() -> Iterator[None]:
    """Draw and save inside this block: the caller's own matplotlib settings have no part in it."""
    with as_file(files("clbench.report.figures") / "style.mplstyle") as path, rc_context():
        matplotlib_style.use(["default", str(path)])
        yield


def canvas(height_mm: float, rows: int = 1, columns: int = 1, **more: Any) -> tuple[Figure, list[Axes]]:
    """An empty figure of one text column's width and its axes, row by row."""
    figure = Figure(figsize=(COLUMN_INCHES, height_mm / 25.4))
    axes = figure.subplots(rows, columns, squeeze=False, **more)
    return figure, [ax for row in axes for ax in row]


def picture(figure: Figure, kind: str, *, text_as_text: bool = False) -> bytes:
    """A figure as ``svg``, ``pdf`` or ``png``: equal content, equal bytes, with the same matplotlib.

    Args:
        figure: drawn inside ``style``.
        kind: of the file.
        text_as_text: in SVG, keep words as words (smaller, readable aloud) and not as outlines (the same everywhere).
    """
    content = io.BytesIO()
    with style(), rc_context({"svg.fonttype": "none"} if text_as_text else {}):
        figure.savefig(content, format=kind, metadata=_METADATA[kind], dpi=200)
    return content.getvalue()


def save(figure: Figure, path: Path, kinds: tuple[str, ...] = ("svg", "pdf")) -> list[Path]:
    """Write a figure beside ``path``, once for each kind of file."""
    written = []
    for kind in kinds:
        target = path.with_name(f"{path.name}.{kind}")
        publish(target, picture(figure, kind))
        written.append(target)
    return written
