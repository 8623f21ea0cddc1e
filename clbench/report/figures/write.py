"""write_figures: every figure of every group of runs."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from matplotlib.figure import Figure

from clbench.report.figures.canvas import save
from clbench.report.figures.curves import forgetting_curves, task_curves
from clbench.report.figures.heatmap import heatmap
from clbench.report.figures.looks import best_first, portions
from clbench.report.figures.tradeoff import tradeoff
from clbench.report.figures.training import added_terms, training_terms
from clbench.report.figures.violins import violins
from clbench.report.groups import Group, groups
from clbench.report.load import LeftOut
from clbench.report.usable import usable
from clbench.runfolder import Run


def write_figures(
    runs: Iterable[Run],
    out: Path,
    kinds: tuple[str, ...] = ("svg", "pdf"),
    check: Callable[[Run], str] = lambda run: "",
) -> tuple[list[Path], list[LeftOut]]:
    """Write every figure of the usable runs, one folder for each group of comparable runs.

    Args:
        runs: complete or not; only complete ones whose files are as they were when the run ended are drawn.
        out: folder of all figures; files of the same name are replaced.
        kinds: of files, each figure as all of them.
        check: one more reason to leave out a run; empty when there is none.

    Returns:
        The files, and the runs left out.
    """
    used, left_out = usable(runs, check)
    written = [
        path
        for group in groups(used)
        for name, figure in group_figures(group)
        for path in save(figure, out / folder_name(group) / name, kinds)
    ]
    return written, left_out


def group_figures(group: Group) -> Iterator[tuple[str, Figure]]:
    """Name and figure, one after the other."""
    names = _slugs(row.label for row in group.rows)
    for row in group.rows:
        yield f"matrix-{names[row.label]}", heatmap(row)
        if added_terms(row):
            yield f"terms-{names[row.label]}", training_terms(row)
    group = best_first(group)
    parts = portions(group.rows)
    for number, rows in enumerate(parts, start=1):
        number_text = f"-{number}" if len(parts) > 1 else ""
        yield f"tasks{number_text}", task_curves(group, rows)
        yield f"cases{number_text}", violins(group, rows)
        if len(rows[0].runs[0].stream.tasks) > 1:
            yield f"forgetting{number_text}", forgetting_curves(group, rows)
    if parts:
        yield "tradeoff", tradeoff(group)


def folder_name(group: Group) -> str:
    """Stream, preset and a hash of everything that keeps groups apart: ``acdc-groups@1-cpu-1a2b3c4d``."""
    identity = json.dumps([group.fingerprint, group.settings, group.subjects], sort_keys=True)
    digest = hashlib.sha256(identity.encode()).hexdigest()[:8]
    return f"{group.stream}-{_slug(str(group.settings.get('preset', 'own')))}-{digest}"


def _slugs(labels: Iterable[str]) -> dict[str, str]:
    """Label -> a name for files, each its own."""
    found: dict[str, str] = {}
    for label in labels:
        slug = _slug(label)
        found[label] = (
            slug if slug not in found.values() else f"{slug}-{hashlib.sha256(label.encode()).hexdigest()[:6]}"
        )
    return found


def _slug(text: str) -> str:
    return re.sub(r"[^A-Za-z0-9.+_]+", "-", text).strip("-.")[:80] or "row"
