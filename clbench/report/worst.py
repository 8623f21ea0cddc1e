"""The worst cases of a group: where a strategy failed at the end of the stream."""

from __future__ import annotations

import math
from dataclasses import dataclass

from clbench.continual import case_curves
from clbench.report.groups import Group
from clbench.runfolder import Run


@dataclass(frozen=True)
class WorstCase:
    """A case with a low final score.

    Attributes:
        row: label of the table's row.
        run: that scored it.
        task: position of its task, from 1.
        case: its id.
        learned: its Dice when the task was learned; NaN where that was not scored.
        final: its Dice after the last task.
    """

    row: str
    run: Run
    task: int
    case: str
    learned: float
    final: float


def worst_cases(group: Group, count: int = 3) -> list[WorstCase]:
    """The ``count`` cases with the lowest final Dice of every row, over all seeds, each case once; worst first."""
    return [case for row in group.rows for case in _of_row(row.label, row.runs, count)]


def _of_row(label: str, runs: tuple[Run, ...], count: int) -> list[WorstCase]:
    found: dict[tuple[int, str], WorstCase] = {}
    for run in runs:
        stream = run.stream
        for (task, case), curve in case_curves(run.rows, stream.task_labels, stream.kind).items():
            final = float(curve[-1])
            known = found.get((task, case))
            if not math.isnan(final) and (known is None or final < known.final):
                found[task, case] = WorstCase(label, run, task, case, float(curve[task]), final)
    return sorted(found.values(), key=lambda worst: (worst.final, worst.task, worst.case))[:count]
