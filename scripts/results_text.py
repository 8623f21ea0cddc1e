"""The parts of docs/results.md and README.md that are derived from runs."""

from __future__ import annotations

import math
from collections.abc import Sequence

import published_data
from tuning_tables import tuned_on

from clbench.report.costs import costs
from clbench.report.figures.write import folder_name
from clbench.report.leaderboard import Board, Leaderboard
from clbench.report.leaderboard.cells import HEAD, NOTES, ONE_SEED_NOTE, rows
from clbench.report.markup import escape_markdown
from clbench.report.processors import device_of
from clbench.runfolder import Run
from clbench.runfolder.reading import REVISION
from clbench.strategies import STRATEGIES

README_STREAM = "acdc-groups@1"
README_COLUMNS = ("rank", "strategy", "seeds", "final", "bwt", "learned", "fwt_upper", "train, s")
README_FIGURE = "tasks"
WHERE_TUNED = (
    "By sweeps on validation cases with seed 0 and preset cpu ([curves, and what was made of them](strategies.md)), "
    "some with 100 steps for each task in the place of 300. On the stream that it was swept on, a strategy has an "
    "advantage over one that was not: a weight that suits a stream with much to forget is stiff on one with little, "
    "and none of the penalties on weights was swept on a class-incremental stream. The defaults of `pod`, `der`, "
    "`gem`, `gpm`, `agem`, `gss` and `pnn` were there before their sweeps, and stayed."
)


def where_tuned() -> str:
    """On which data options were swept, which a reader must know before comparing rows."""
    tuned = tuned_on()
    others = sorted(name for name in STRATEGIES if STRATEGIES[name].plugin and name not in set().union(*tuned.values()))
    lines = ["| stream of the sweep | strategies |", "|---|---|"]
    lines += [f"| {stream} | {', '.join(names)} |" for stream, names in tuned.items()]
    lines.append(f"| nowhere: as their sources have it, or ours | {', '.join(others)} |")
    return "\n".join(["## Where defaults were swept", "", WHERE_TUNED, "", *lines])


def matrices(runs: Sequence[Run]) -> str:
    """R of every run."""
    parts = [f"### {_title(run, runs)}\n\n{score_matrix(run)}" for run in runs]
    return "\n\n".join(["## Score matrices", *parts])


def score_matrix(run: Run) -> str:
    """R on the test cases as a Markdown table."""
    names = [task.name for task in run.stream.tasks]
    scores = run.scores().scores
    learned = ["untrained", *(["all tasks"] * len(names) if run.regime == "joint" else names)]
    lines = [f"| after \\ on | {' | '.join(names)} |", "| --- |" + " ---: |" * len(names)]
    for row, title in zip(scores.tolist(), learned, strict=True):
        if any(not math.isnan(score) for score in row):
            cells = ["n/a" if math.isnan(score) else f"{score:.3f}" for score in row]
            lines.append(f"| {title} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _title(run: Run, runs: Sequence[Run]) -> str:
    """What tells a run from the others: its options only where the same strategy was run with several."""
    name = f"{run.stream.key}: {run.strategy}, seed {run.seed}"
    if [_identity(other) for other in runs].count(_identity(run)) == 1:
        return name
    chosen = [
        f"{part}.{key}={value}"
        for part, values in run.config_resolved["options"].items()
        for key, value in values.items()
        if key != REVISION
    ]
    return f"{name} ({', '.join(chosen)})"


def _identity(run: Run) -> tuple[str, str, int]:
    """Of a run but for its settings."""
    return run.stream.key, run.strategy, run.seed


def how_made(runs: Sequence[Run]) -> str:
    """What each run was made with: without it, no seconds mean anything."""
    lines = ["| run | commit | device | train, s |", "| --- | --- | --- | ---: |"]
    for run in runs:
        git, seconds = run.provenance.get("git") or {}, costs([run])["train_seconds"]
        changed = " (changed)" if git.get("dirty") else ""
        told = (f"{run.path.parent.name}/{run.path.name}", f"{str(git.get('commit', '?'))[:12]}{changed}")
        cells = (*told, device_of(run), "n/a" if seconds is None else f"{seconds:.0f}")
        lines.append(f"| {' | '.join(map(escape_markdown, cells))} |")
    return "## How they were made\n\n" + "\n".join(lines)


def readme_part(ranked: Leaderboard) -> str:
    """The table and the figure of the README: a leaderboard's first columns, and the scores over the stream."""
    board = next(board for board in ranked.boards if board.group.stream == README_STREAM)
    lines = [README_COLUMNS, [":--" if name == "strategy" else "--:" for name in README_COLUMNS]]
    for cells in rows(board):
        found = dict(zip(HEAD, cells, strict=True))
        lines.append([escape_markdown(found[name]) for name in README_COLUMNS])
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return "\n\n".join([f"**{escape_markdown(board.title)}**", table, _what_it_says(board), _figure(board)])


def _what_it_says(board: Board) -> str:
    """How far the table's claims go."""
    single = any(len(entry.row.runs) == 1 for entry in board.entries)
    told = published_data.in_a_sentence(board.group.fingerprint)
    return "\n".join(
        [
            *([f"- {escape_markdown(told)} [What that means](docs/{published_data.SECTION})."] if told else []),
            f"- {NOTES[0]}",
            *([f"- {ONE_SEED_NOTE}"] if single else []),
            f"- Seconds of training are those of {_devices(board)}; what else ran meanwhile is not recorded.",
            "- [Every stream, metric and score matrix](docs/results.md)",
        ]
    )


def _devices(board: Board) -> str:
    """``cpu, 2 threads``, that of most rows, or ``cpu, 2 threads, but for cpu, 1 thread (joint)``."""
    found: dict[str, dict[str, None]] = {}
    for entry in board.entries:
        for run in entry.row.runs:
            found.setdefault(device_of(run), {})[entry.row.label] = None
    most, *others = sorted(found, key=lambda device: -len(found[device]))
    told = " and ".join(f"{device} ({', '.join(found[device])})" for device in others)
    return f"{most}, but for {told}" if told else most


def _figure(board: Board) -> str:
    """The figure of the same group; with more rows than one figure can hold, the first of several."""
    learners = [entry.row for entry in board.entries if entry.row.learns]
    number = "-1" if len(learners) > 7 else ""
    where = f"results/figures/{folder_name(board.group)}/{README_FIGURE}{number}.svg"
    return f"![Dice of each task of {board.group.stream} over the stream, a line for each strategy]({where})"
