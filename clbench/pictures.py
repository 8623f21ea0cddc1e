"""Pictures of cases: image, truth and predictions of the worst cases, from predictions and raw data at hand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path

from clbench.errors import InputError
from clbench.rawdata import RawData, raw_data
from clbench.report.figures.canvas import picture, save
from clbench.report.figures.overlay import Example, overlay
from clbench.report.figures.write import folder_name
from clbench.report.groups import Group, groups
from clbench.report.usable import usable
from clbench.report.worst import WorstCase, worst_cases
from clbench.runfolder import Run
from clbench.runfolder.reading import prediction_path, read_prediction

WORST = 3
PRIVATE = "real-images"
"""Folder of pictures of real scans: git ignores it, since nobody may publish them by accident."""


def write_pictures(runs: Sequence[Run], out: Path, data: Path | None = None, card: str = "") -> list[Path]:
    """Write an overlay of the worst cases of every row; those of real scans into folders called ``real-images``.

    Args:
        runs: with predictions.
        out: folder of all figures.
        data: data root; None uses CLBENCH_DATA, or the phantom.
        card: of a stream of one's own.

    Raises:
        InputError: raw data are not there, or no run has predictions.
    """
    require_predictions(runs)
    written = []
    for group in groups(usable(runs)[0]):
        place = "worst-cases" if group.stream.endswith("+phantom") else PRIVATE
        for number, (_, example) in enumerate(examples(group, data, card), start=1):
            written += save(overlay(example), out / folder_name(group) / place / f"{number:02d}", ("png", "pdf"))
    return written


def require_predictions(runs: Sequence[Run]) -> None:
    """Refuse runs of which no picture can be made.

    Raises:
        InputError: no run has predictions of its worst cases.
    """
    worst = (worst for group in groups(usable(runs)[0]) for worst in worst_cases(group, WORST))
    if not any("at the end" in _predictions(case) for case in worst):
        raise InputError("no run has predictions of its worst cases; run with --predictions final or all")


def embedded(group: Group, data: Path | None = None, card: str = "") -> dict[tuple[str, int, str], bytes]:
    """(row, task, case) -> overlay as PNG, of the worst cases of every row."""
    return {
        (worst.row, worst.task, worst.case): picture(overlay(shown), "png")
        for worst, shown in examples(group, data, card)
    }


def examples(group: Group, data: Path | None = None, card: str = "") -> Iterator[tuple[WorstCase, Example]]:
    """The worst cases that have a prediction, with what a picture of them needs.

    Raises:
        InputError: raw data are not there, or are not those of the run.
    """

    @cache
    def raw_of(path: Path) -> RawData:
        run = next(run for row in group.rows for run in row.runs if run.path == path)
        found = raw_data(run, data, card)
        if found.record.fingerprint != group.fingerprint:
            raise InputError(f"the data are not those that {path} was trained on; give others with --data DIR")
        return found

    for worst in worst_cases(group, WORST):
        if "at the end" in (shown := _predictions(worst)):
            yield worst, _example(worst, shown, raw_of(worst.run.path))


def _predictions(worst: WorstCase) -> dict[str, Path]:
    tasks = len(worst.run.stream.tasks)
    stages = {"after learning it": worst.task, "at the end": tasks}
    paths = {name: prediction_path(worst.run.path, after, worst.case) for name, after in stages.items()}
    return {
        name: path for name, path in paths.items() if path.exists() and (name == "at the end" or worst.task < tasks)
    }


def _example(worst: WorstCase, paths: dict[str, Path], data: RawData) -> Example:
    case, stream = data.read(worst.case), worst.run.stream
    task = stream.tasks[worst.task - 1].name
    return Example(
        title=f"{worst.row}: {worst.case} of task {task}, Dice {worst.final:.3f} at the end",
        image=case.image[0],
        truth=case.mask,
        predictions={name: read_prediction(path) for name, path in paths.items()},
        labels=dict(stream.labels),
        spacing_mm=case.spacing_mm,
    )
