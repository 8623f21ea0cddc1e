"""What the commands print for people: the score matrix, metrics, lists of names, data checks."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, TypedDict

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from clbench.errors import one_line
from clbench.streams.stream import SPLITS, Stream

if TYPE_CHECKING:
    from clbench.data.case import Trap
    from clbench.data.check import Findings
    from clbench.runfolder import Run


class _Print(TypedDict):
    """How text that is not ours is printed: no markup, no guessed colors, no line breaks."""

    markup: bool
    highlight: bool
    soft_wrap: bool


MOST_FOLDERS = 8  # of one kind of trap that get a row each; a site is a folder, but so may be a patient
Scores = Sequence[Sequence[float]]
_AS_IS: _Print = {"markup": False, "highlight": False, "soft_wrap": True}
_SHADES = ("#b2182b", "#d6604d", "#ef8a62", "#bdbdbd", "#92c5de", "#4393c3", "#2166ac")


def matrix_table(scores: Scores, tasks: Sequence[str]) -> Table:
    """R as a table, colored from red (0) to blue (1); a star marks the task just learned.

    Args:
        scores: T + 1 rows of T scores in [0, 1], the untrained network first; NaN where nothing was scored.
        tasks: names of the T tasks.

    Returns:
        The table; rows without any score are left out.
    """
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("after \\ on")
    for name in tasks:
        table.add_column(Text(name), justify="right")
    for after_task, row in enumerate(scores):
        if all(math.isnan(score) for score in row):
            continue
        label = f"{after_task} {tasks[after_task - 1]}" if after_task else "0 untrained"
        table.add_row(Text(label), *(_cell(score, after_task == on) for on, score in enumerate(row, start=1)))
    return table


def _cell(score: float, learned: bool) -> Text:
    if math.isnan(score):
        return Text("–  ", style="dim")
    shade = _SHADES[min(int(max(score, 0.0) * len(_SHADES)), len(_SHADES) - 1)]
    return Text(f"{score:.3f}{'*' if learned else ' '}", style=f"bold {shade}" if learned else shade)


def metrics_table(metrics: Mapping[str, float | None]) -> Table:
    """The metrics that are known, two to a line."""
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 1))
    for justify in ("left", "right", "left", "right"):
        table.add_column(justify=justify)
    known = [
        (key, f"{value:+.3f}" if _signed(key) else f"{value:.3f}")
        for key, value in metrics.items()
        if value is not None
    ]
    half = math.ceil(len(known) / 2)
    for index in range(half):
        right = known[index + half] if index + half < len(known) else ("", "")
        table.add_row(*known[index], *right)
    return table


def _signed(key: str) -> bool:
    """Whether a metric is a difference, whose sign matters."""
    return key.startswith(("bwt", "fwt_init", "fwt_upper_init", "fwt_single", "plasticity", "gap", "intrans", "forget"))


def names_table(kind: str, names: Mapping[str, str]) -> Table:
    """A registry as two columns: name and one-line summary."""
    table = Table(
        title=kind, box=None, show_header=False, title_justify="left", title_style="bold", padding=(0, 2, 0, 0)
    )
    table.add_column(no_wrap=True, style="cyan")
    table.add_column()
    for name, summary in names.items():
        table.add_row(Text(name), Text(summary))
    return table


def rows_table(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """Any rows of text under their heads."""
    # a title is broken at the width of its table
    table = Table(title=title, box=box.SIMPLE_HEAD, title_justify="left", title_style="bold", min_width=len(title) + 1)
    for head in heads:
        table.add_column(head)
    for row in rows:
        table.add_row(*(Text(cell) for cell in row))
    return table


def next_commands(console: Console, commands: Mapping[str, str]) -> None:
    """What to type next: purpose -> command."""
    width = max(len(purpose) for purpose in commands)
    for purpose, command in commands.items():
        console.print(f"{purpose:<{width}}  {command}", **_AS_IS)


def show_run(console: Console, run: Run) -> None:
    """The end of ``clbench run``: R, the metrics and what to type next."""
    names = [task.name for task in run.stream.tasks]
    metrics = run.metrics()
    missing = [key for key, value in metrics.items() if value is None]
    console.print(f"\nDice on the test cases: {run.strategy} on {run.stream.key}", style="bold", **_AS_IS)
    console.print(matrix_table(run.scores().scores.tolist(), names))
    console.print("* the task just learned" if run.regime != "joint" else "joint trains on all tasks at once", **_AS_IS)
    console.print()
    console.print(metrics_table(metrics))
    if missing:
        console.print(f"n/a here: {', '.join(missing)}", style="dim", **_AS_IS)
    console.print()
    runs = run.path.parent.parent
    next_commands(console, {"compare runs:": f"clbench table {runs}", "re-check it:": f"clbench verify {run.path}"})


def show_check(console: Console, stream: Stream, findings: Findings) -> None:
    """The answer of ``clbench data check``: cases per task, traps met, problems found."""
    splits = [[str(len(task.split(name))) for name in SPLITS] for task in stream.tasks]
    rows = [[f"{task.index} {task.name}", *counts] for task, counts in zip(stream.tasks, splits, strict=True)]
    console.print(rows_table(f"{stream.key}: cases per task", ["task", *SPLITS], rows))
    if traps := trap_rows([*stream.traps, *findings.traps]):
        console.print(rows_table("known traps met", ["trap", "where", "what was done"], traps))
    if not findings.problems:
        told = "the only case" if len(stream.cases) == 1 else f"all {len(stream.cases)} cases"
        console.print(f"{told} can be read", markup=False)
        return
    console.print(f"problems: {len(findings.problems)}", style="bold", **_AS_IS)
    for problem in findings.problems:
        console.print(one_line(f"{problem.file}: {problem.what}"), **_AS_IS)


def trap_rows(traps: Sequence[Trap]) -> list[list[str]]:
    """Kind, place and action of traps, one row per kind and folder; per kind where a kind has very many folders."""
    places: dict[str, dict[str, list[Trap]]] = {}
    for trap in traps:
        folder = trap.where.rpartition("/")[0] or trap.where
        places.setdefault(trap.kind, {}).setdefault(folder, []).append(trap)
    rows = []
    for kind, folders in places.items():
        if len(folders) > MOST_FOLDERS:
            every = [trap for met in folders.values() for trap in met]
            rows.append(
                [kind, f"{len(every)} times in {len(folders)} folders, such as {every[0].where}", _action(every)]
            )
        else:
            rows += [[kind, _place(folder, met), _action(met)] for folder, met in folders.items()]
    return rows


def _place(folder: str, met: Sequence[Trap]) -> str:
    return met[0].where if len(met) == 1 else f"{folder}, {len(met)} times"


def _action(met: Sequence[Trap]) -> str:
    """What was done, by one example where it was not the same each time."""
    return met[0].action if len({trap.action for trap in met}) == 1 else f"such as: {met[0].action}"
