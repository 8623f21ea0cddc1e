"""The leaderboard: only complete, unchanged, comparable runs, ranked, with every text escaped."""

from __future__ import annotations

import csv
import io
import re

import pytest

from clbench import cli
from clbench.errors import InputError
from clbench.ranking import outdated, rank
from clbench.report.leaderboard import leaderboard, write
from clbench.report.leaderboard.cells import HEAD, rows
from clbench.report.leaderboard.files import FORMATS
from clbench.report.load import LeftOut, find_runs, load_runs
from clbench.report.marks import TOLD_TASK
from many_runs import write_many
from synthetic_runs import BETTER, case_rows, completed, config, drift_of, finished, open_folder, stream_record

JOINT = ((0.1, 0.2), (float("nan"),) * 2, (0.9, 0.95))
NASTY = '=1+1 <script>alert("x")</script> | `a` [b](c) & \n# d'


def board_of(path, **fields):
    return leaderboard(*find_runs(path), **fields)


def cells_of(board):
    """Label -> column -> cell of a leaderboard's only table."""
    (table,) = board.boards
    return {row[1]: dict(zip(HEAD, row, strict=True)) for row in rows(table)}


def test_learners_are_ranked_and_bounds_are_not(tmp_path):
    finished(tmp_path)
    finished(tmp_path, config("ewc"), BETTER)
    finished(tmp_path, config("joint"), JOINT)
    found = cells_of(board_of(tmp_path))
    assert {label: row["rank"] for label, row in found.items()} == {"ewc": "1 [1]†", "naive": "2 [2]†", "joint": "–"}
    assert list(found) == ["ewc", "naive", "joint"]
    assert found["naive"]["final"].startswith("0.750 [")
    assert found["joint"]["learned"] == found["naive"]["drift"] == "n/a"
    assert found["naive"]["against the best"].startswith("-0.075 (p = ")
    assert found["ewc"]["against the best"] == found["joint"]["against the best"] == "–"


def test_drift_is_shown_where_it_was_measured(tmp_path):
    finished(tmp_path, drift=drift_of(0.3))
    assert cells_of(board_of(tmp_path))["naive"]["drift"] == "0.300"


def test_several_seeds_are_one_row_with_an_interval(tmp_path):
    for seed, scores in enumerate((BETTER, BETTER, ((0.1, 0.2), (0.8, 0.3), (0.6, 0.9)))):
        finished(tmp_path, config(seed=seed), scores)
    ((entry,),) = (board.entries for board in board_of(tmp_path).boards)
    final = entry.estimates["final"]
    assert len(entry.row.runs) == 3
    assert final.value == pytest.approx(0.8)
    assert final.low < 0.8 < final.high


def test_intervals_of_one_seed_are_marked_and_explained_and_others_are_not(tmp_path):
    for seed in (0, 1, 2):
        finished(tmp_path, config(seed=seed), BETTER)
    several = board_of(tmp_path)
    assert not any("†" in text(several) for text in FORMATS.values())
    finished(tmp_path, config("ewc"))
    found = cells_of(board_of(tmp_path))
    assert all(found["ewc"][key].endswith("†") for key in ("rank", "final", "bwt", "learned", "fwt_upper"))
    assert not any("†" in cell for cell in found["naive"].values())
    texts = {kind: FORMATS[kind](board_of(tmp_path)) for kind in ("md", "html")}
    assert all(
        "† one seed: the interval covers other patients only, not other seeds" in text for text in texts.values()
    )


def test_the_best_distance_is_the_smallest(tmp_path):
    finished(tmp_path, config(numbers=2))
    finished(tmp_path, config("ewc", numbers=2), BETTER)
    found = cells_of(board_of(tmp_path, metric="hd95_mm"))
    assert list(found) == ["ewc", "naive"]
    assert found["ewc"]["rank"] == "1 [1]†"
    assert found["naive"]["bwt"].startswith("-2.000")


def test_costs_and_marks_are_shown(tmp_path):
    with open_folder(tmp_path, config("replay")) as folder:
        stages = [
            {"stage": "train", "seconds": 10, "peak_memory_mb": 50.0, "parameters": 7, "replayed_fraction": 0.25},
            {"stage": "evaluate", "seconds": 99, "peak_memory_mb": 70.0},
            {"stage": "train", "seconds": 20, "stored_bytes": {"replay": 3e6, "ewc": 1e6}, "replayed_fraction": 0.5},
        ]
        completed(folder, case_rows(), cost={"stages": stages})
    finished(tmp_path, config("ewc+mib"))
    found = cells_of(board_of(tmp_path, marked={TOLD_TASK: {"mib"}}))
    shown = ("train, s", "peak, MB", "stored, MB", "replayed", "parameters", "marks")
    assert [found["replay"][name] for name in shown] == ["30", "70", "4.0", "0.50", "7", "replays images"]
    assert found["ewc+mib"]["marks"] == "told the task at test time"


def test_a_row_is_marked_though_its_runs_do_not_say_what_they_replay(tmp_path):
    finished(tmp_path / "1", config("ewc+replay"))
    finished(tmp_path / "2", config("pnn"), BETTER)
    finished(tmp_path / "3", config("naive"))
    found = cells_of(rank(tmp_path))
    assert {label: row["marks"] for label, row in found.items()} == {
        **{"ewc+replay": "replays images", "pnn": "told the task at test time", "naive": ""}
    }


def test_rows_of_other_numbers_of_threads_are_marked_in_every_format(tmp_path):
    finished(tmp_path, provenance={"device": "cpu, 1 threads"})
    finished(tmp_path, config("ewc"), BETTER, provenance={"device": "cpu, 2 threads"})
    board = board_of(tmp_path)
    found = cells_of(board)
    assert (found["naive"]["marks"], found["ewc"]["marks"]) == ("1 thread", "2 threads")
    assert all("2 threads" in text(board) for text in FORMATS.values())


@pytest.mark.parametrize("cost", [[], {"stages": 3}, {"stages": [4, {"stage": "train", "seconds": "x"}]}])
def test_a_cost_file_that_says_nothing_is_not_available(tmp_path, cost):
    with open_folder(tmp_path) as folder:
        completed(folder, case_rows(), cost=cost)
    assert cells_of(board_of(tmp_path))["naive"]["train, s"] == "n/a"


@pytest.mark.parametrize("other", [{"stream": stream_record(fingerprint="0" * 64)}, {"resolved": config(preset="cpu")}])
def test_other_data_or_another_preset_are_another_table(tmp_path, other):
    finished(tmp_path / "1")
    finished(tmp_path / "2", **other)
    assert [len(board.entries) for board in board_of(tmp_path).boards] == [1, 1]


def test_unfinished_changed_damaged_and_inconsistent_runs_are_left_out_and_named(tmp_path):
    runs = tmp_path / "runs"
    finished(runs / "good")
    with open_folder(runs / "unfinished", config("ewc")) as folder:
        folder.write_cases(case_rows())
    changed = finished(runs / "changed", config("ewc"), BETTER)
    (changed.path / "cost.json").write_text("{}")
    damaged = finished(runs / "damaged", config("segreg"))
    (damaged.path / "run.json").write_text("{")
    with open_folder(runs / "short", config("segreg")) as folder:
        completed(folder, [row for row in case_rows() if row.case != "A/0"])
    assert cli.execute(["leaderboard", str(runs)]) == 0
    text = (tmp_path / "leaderboard.md").read_text()
    assert text.count("| naive |") == 1
    assert "| ewc" not in text
    assert "| segreg" not in text
    reasons = ("not complete", "cost.json changed", "run.json", "scores after task 0 are missing")
    assert all(reason in text.partition("## Left out")[2] for reason in reasons)


def test_a_strategy_has_one_name_whatever_its_revision_and_old_ones_are_left_out(tmp_path):
    old, new = ({"der": {"alpha": 0.4, **more}} for more in ({}, {"revision": 2}))
    finished(tmp_path, config("der", options=old), BETTER)
    finished(tmp_path, config("der", options=new))
    board = board_of(tmp_path, check=lambda run: "; ".join(outdated(run)))
    (entry,) = board.boards[0].entries
    assert entry.row.label == "der"
    assert entry.row.runs[0].revisions == {"der": 2}
    (left_out,) = board.left_out
    assert "made by revision 1 of der, whose numbers were mended in revision 2" in left_out.reason


def test_every_text_is_escaped(tmp_path):
    run = finished(tmp_path, config(precision=NASTY, options={"naive": {}}))
    board = leaderboard(load_runs(tmp_path), [LeftOut(run.path, NASTY)])
    texts = {kind: of(board) for kind, of in FORMATS.items()}
    assert "<script" not in texts["html"]
    assert "&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt;" in texts["html"]
    assert "<script" not in texts["md"].replace("\\<script", "")
    assert "\n# d" not in texts["md"]
    assert "\\[b\\](c)" in texts["md"]
    (line,) = csv.DictReader(io.StringIO(texts["csv"]))
    assert line["precision"].startswith("'=1+1")


def test_the_page_asks_for_nothing_from_elsewhere(tmp_path):
    finished(tmp_path)
    text = FORMATS["html"](board_of(tmp_path))
    assert not re.search(r"(src|href)=|@import|url\(", text)


def test_numbers_in_the_csv_are_those_of_the_board_and_bytes_repeat(tmp_path):
    finished(tmp_path / "runs")
    finished(tmp_path / "runs", config("ewc"), BETTER)
    one, two = (write(board_of(tmp_path / "runs"), tmp_path / name) for name in "ab")
    assert [path.read_bytes() for path in one] == [path.read_bytes() for path in two]
    first, second = csv.DictReader(io.StringIO((tmp_path / "a" / "leaderboard.csv").read_text()))
    assert (first["strategy"], first["rank"], first["seeds"]) == ("ewc", "1", "1")
    assert float(first["final"]) == pytest.approx(0.825)
    assert float(first["final_low"]) < 0.825 < float(first["final_high"])
    assert float(second["best_difference"]) == pytest.approx(-0.075)


def test_nothing_to_rank_and_an_unknown_metric(tmp_path):
    assert "No complete run." in FORMATS["md"](leaderboard([]))
    assert "No complete run." in FORMATS["html"](leaderboard([]))
    with pytest.raises(InputError, match="dice"):
        leaderboard([], metric="dise")


@pytest.mark.slow
def test_a_thousand_runs_fit(tmp_path):
    """All rank; ``benchmarks`` and the documentation say how long it takes."""
    many = write_many(tmp_path / "runs")
    board = board_of(tmp_path / "runs")
    assert not board.left_out
    assert sum(len(entry.row.runs) for table in board.boards for entry in table.entries) == many == 1000
