"""The parts of the page that show scores: matrices, curves, worst cases."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from clbench.report.figures.canvas import picture
from clbench.report.figures.courses import interval_note
from clbench.report.figures.curves import forgetting_curves, task_curves
from clbench.report.figures.looks import best_first, portions
from clbench.report.figures.matrices import mean_matrix
from clbench.report.figures.tradeoff import tradeoff
from clbench.report.figures.violins import violins
from clbench.report.groups import Group, Row
from clbench.report.html.elements import Markup, element, image, joined, scrollable
from clbench.report.worst import WorstCase, worst_cases


def matrix_tables(group: Group) -> Markup:
    """R of every row, mean over seeds."""
    return element("div", *(_matrix(row) for row in group.rows), class_="matrices")


def _matrix(row: Row) -> Markup:
    names = [task.name for task in row.runs[0].stream.tasks]
    joint = row.runs[0].regime == "joint"
    learned = ["untrained", *(["all tasks"] * len(names) if joint else names)]
    scores = mean_matrix(row)
    head = element(
        "tr", element("th", "after \\ on", scope="col"), *(element("th", name, scope="col") for name in names)
    )
    lines = [
        element(
            "tr",
            element("th", learned[after], scope="row", class_="text"),
            *(_score(score, learned=after == on + 1 and not joint) for on, score in enumerate(line)),
        )
        for after, line in enumerate(scores.tolist())
        if np.isfinite(scores[after]).any()
    ]
    made = element(
        "table", element("caption", row.label), element("thead", head), element("tbody", *lines), class_="matrix"
    )
    return element("div", scrollable(made, f"Score matrix of {row.label}"), data_strategy=row.label)


def _score(score: float, *, learned: bool) -> Markup:
    if math.isnan(score):
        return element("td", "n/a", class_="none")
    return element("td", f"{score:.3f}", class_="learned" if learned else None)


def curve_figures(group: Group) -> Markup:
    """Dice over the stream, forgetting, trade-off and spread of the cases, as pictures."""
    drawn, group = [], best_first(group)
    for rows in portions(group.rows):
        labels = ", ".join(row.label for row in rows)
        bands = interval_note(rows)
        drawn.append((task_curves(group, rows), f"Dice of each task over the stream: {labels} ({bands})"))
        if len(rows[0].runs[0].stream.tasks) > 1:
            drawn.append((forgetting_curves(group, rows), f"Dice lost on earlier tasks: {labels} ({bands})"))
        drawn.append((violins(group, rows), f"Final Dice of every test case: {labels}"))
    if drawn:
        drawn.append((tradeoff(group), "Final Dice against what was lost; larger markers took longer"))
    pictures = [
        element("figure", image(picture(figure, "svg"), "svg+xml", text), element("figcaption", text))
        for figure, text in drawn
    ]
    return joined([element("h3", "Curves"), element("div", *pictures, class_="figures")] if pictures else [])


def worst_table(group: Group, overlays: Mapping[tuple[str, int, str], bytes]) -> Markup:
    """The cases with the lowest final Dice of every row, with their pictures where there are any."""
    found = worst_cases(group)
    heads = ("strategy", "task", "case", "when learned", "at the end", "seed")
    rows = [_worst(worst) for worst in found]
    body = element("tbody", *rows)
    head = element("thead", element("tr", *(element("th", name, scope="col", class_="text") for name in heads)))
    caption = element("caption", "Lowest final Dice of every strategy")
    table = scrollable(element("table", caption, head, body), f"Worst cases of {group.stream}")
    pictures = [
        element(
            "figure", image(content, "png", text := _text(worst)), element("figcaption", text), data_strategy=worst.row
        )
        for worst in found
        if (content := overlays.get((worst.row, worst.task, worst.case)))
    ]
    return joined([table, element("div", *pictures, class_="figures")] if pictures else [table])


def _text(worst: WorstCase) -> str:
    return f"{worst.row}, {worst.case}: image, truth and predictions; Dice {worst.final:.3f} at the end"


def _worst(worst: WorstCase) -> Markup:
    learned = "n/a" if math.isnan(worst.learned) else f"{worst.learned:.3f}"
    task = worst.run.stream.tasks[worst.task - 1].name
    return element(
        "tr",
        element("th", worst.row, scope="row", class_="text"),
        *(element("td", text, class_="text") for text in (task, worst.case)),
        *(element("td", text) for text in (learned, f"{worst.final:.3f}", str(worst.run.seed))),
        data_strategy=worst.row,
    )
