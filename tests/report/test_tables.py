"""Tables: only comparable, complete and unchanged runs, with every number worked out from the rows."""

from __future__ import annotations

import csv
import io
import re
from dataclasses import replace

import numpy as np
import pytest

from clbench.case_table import CaseRow
from clbench.continual import METRIC_KEYS
from clbench.errors import InputError
from clbench.report.figures.write import folder_name
from clbench.report.groups import groups
from clbench.report.leaderboard import leaderboard
from clbench.report.load import LeftOut, find_runs, load_runs
from clbench.report.marks import TOLD_TASK
from clbench.report.markup import escape_csv, escape_markdown, escape_tex
from clbench.report.results import title
from clbench.report.tables import table
from clbench.runfolder import StreamRecord, TaskRecord
from markdown_tables import cells
from synthetic_runs import BETTER, SCORES, case_rows, completed, config, drift_of, finished, open_folder, stream_record

SINGLE = ((0.1, 0.2), (0.85, 0.25), (0.3, 0.95))
JOINT = ((0.1, 0.2), (float("nan"),) * 2, (0.9, 0.95))


def test_strategies_are_sorted_by_their_final_score(tmp_path):
    finished(tmp_path)
    finished(tmp_path, config("ewc"), BETTER)
    found = cells(table(load_runs(tmp_path)))
    assert list(found) == ["ewc", "naive"]
    assert found["naive"] == {
        **{"strategy": "naive", "seeds": "1", "final": "0.750", "bwt": "-0.200", "learned": "0.850"},
        **{"fwt_upper": "0.300", "forgetting": "0.200", "plasticity_naive": "n/a", "seconds": "5"},
        **{"stored_mb": "n/a", "parameters": "n/a"},
    }


def test_every_row_is_marked_with_its_threads_where_they_differ(tmp_path):
    finished(tmp_path, provenance={"device": "cpu, 1 threads"})
    finished(tmp_path, config("mib"), provenance={"device": "cpu, 1 threads"})
    assert "thread" not in table(load_runs(tmp_path))
    finished(tmp_path, config("mib", seed=1), provenance={"device": "cpu, 2 threads"})
    finished(tmp_path, config("ewc"), provenance={"device": "cpu, 16 threads"})
    found = cells(table(load_runs(tmp_path), marked={TOLD_TASK: {"ewc"}}))
    assert {label: row["marks"] for label, row in found.items()} == {
        **{"naive": "1 thread", "mib": "1 thread and 2 threads", "ewc": "told the task at test time, 16 threads"}
    }


def test_every_row_is_marked_with_its_processor_where_they_differ(tmp_path):
    finished(tmp_path, provenance={"device": "cpu AVX512, 1 threads"})
    finished(tmp_path, config("mib"), provenance={"device": "cpu AVX512, 1 threads"})
    assert "thread" not in table(load_runs(tmp_path))
    finished(tmp_path, config("ewc"), provenance={"device": "cpu AVX2, 1 threads"})
    finished(tmp_path, config("lwf"), provenance={"device": "cpu, 1 threads"})
    found = cells(table(load_runs(tmp_path)))
    assert {label: row["marks"] for label, row in found.items()} == {
        **{"naive": "1 thread (AVX512)", "mib": "1 thread (AVX512)", "ewc": "1 thread (AVX2)", "lwf": "1 thread"}
    }


@pytest.mark.parametrize("device", ["NVIDIA H200, 16 threads", "cpu", "cpu, ? threads", None, 3])
def test_a_run_that_does_not_say_its_processor_threads_has_no_such_mark(tmp_path, device):
    finished(tmp_path, provenance={"device": "cpu, 1 threads"})
    finished(tmp_path, config("ewc"), provenance={"device": device})
    finished(tmp_path, config("mib"), provenance={})
    assert "thread" not in table(load_runs(tmp_path))
    finished(tmp_path, config("lwf"), provenance={"device": "cpu, 2 threads"})
    found = cells(table(load_runs(tmp_path)))
    assert {label: row["marks"] for label, row in found.items()} == {
        **{"naive": "1 thread", "lwf": "2 threads", "ewc": "", "mib": ""}
    }


def test_cost_and_marks_of_a_row_are_shown(tmp_path):
    finished(tmp_path)
    with open_folder(tmp_path, config("replay")) as folder:
        stage = {"stage": "train", "seconds": 9, "stored_bytes": {"replay": 3e6}, "replayed_fraction": 0.5}
        completed(folder, case_rows(BETTER), cost={"stages": [{**stage, "parameters": 7}]})
    found = cells(table(load_runs(tmp_path), marked={TOLD_TASK: {"naive"}}))
    shown = ("seconds", "stored_mb", "parameters", "marks")
    assert [found["replay"][name] for name in shown] == ["9", "3.0", "7", "replays images"]
    assert found["naive"]["marks"] == "told the task at test time"
    (told,) = csv.DictReader(io.StringIO(table(load_runs(tmp_path)[:1], "csv", marked={TOLD_TASK: {"naive"}})))
    assert told["marks"] == found["naive"]["marks"]
    assert r"\begin{tabular}{lrrrrrrrrrrl}" in table(load_runs(tmp_path), "tex")


def test_several_seeds_give_mean_and_standard_deviation(tmp_path):
    finished(tmp_path)
    finished(tmp_path, config(seed=1), BETTER)
    found = cells(table(load_runs(tmp_path)))["naive"]
    assert found["seeds"] == "2"
    assert found["final"] == "0.787 ± 0.053"  # .75 and .825


def test_references_of_the_same_seed_give_the_metrics_that_need_them(tmp_path):
    finished(tmp_path, config("ewc"), BETTER)
    finished(tmp_path)
    finished(tmp_path, config("single"), SINGLE)
    finished(tmp_path, config("joint"), JOINT)
    found = cells(table(load_runs(tmp_path)))
    assert found["ewc"]["gap_joint"] == "0.100"  # (.9 - .75 + .95 - .9) / 2
    assert found["ewc"]["intransigence"] == "0.075"  # (.9 - .8 + .95 - .9) / 2
    assert found["ewc"]["rma"] == "0.947"  # .9 / .95
    assert found["ewc"]["fwt_single"] == "-0.650"  # .3 - .95
    assert found["joint"]["final"] == "0.925"
    assert found["joint"]["gap_joint"] == found["joint"]["learned"] == "n/a"
    assert found["single"]["final"] == "n/a"
    assert found["single"]["learned"] == "0.900"
    assert list(found) == ["joint", "ewc", "naive", "single"]


def test_drift_is_a_column_where_a_run_has_it(tmp_path):
    finished(tmp_path, drift=drift_of(0.25))
    finished(tmp_path, config(seed=1), drift=drift_of(0.35))
    finished(tmp_path, config("joint"), JOINT, drift=[])
    found = cells(table(load_runs(tmp_path)))
    assert found["naive"]["drift"] == "0.300 ± 0.071"
    assert found["joint"]["drift"] == "n/a"


def test_a_reference_of_another_seed_does_not_count(tmp_path):
    finished(tmp_path, config("ewc"), BETTER)
    finished(tmp_path, config("joint", seed=1), JOINT)
    assert "gap_joint" not in cells(table(load_runs(tmp_path)))["ewc"]


@pytest.mark.parametrize(
    "other",
    [
        {"stream": stream_record("toy@1+phantom")},
        {"stream": stream_record("toy@2")},
        {"stream": stream_record(fingerprint="0" * 64)},
        {"resolved": config("ewc", preset="cpu")},
        {"resolved": config("ewc", precision="bfloat16")},
        {"resolved": config("ewc", training={"steps": 6})},
    ],
)
def test_runs_that_cannot_be_compared_never_share_a_table(tmp_path, other):
    finished(tmp_path / "1")
    finished(tmp_path / "2", **{"resolved": config("ewc"), **other})
    runs = load_runs(tmp_path)
    assert len(groups(runs)) == 2
    assert table(runs).count("**") == 4


def test_rows_with_different_networks_say_so_and_have_references_with_their_own(tmp_path):
    finished(tmp_path)
    finished(tmp_path, config("joint"), JOINT)
    finished(tmp_path, config("ewc"), BETTER)
    finished(tmp_path, config("ewc", network="other"))
    text = table(load_runs(tmp_path))
    found = cells(text)
    assert set(found) == {
        *("naive (network=unet)", "joint (network=unet)"),
        *("ewc (network=unet)", "ewc (network=other)"),
    }
    assert found["ewc (network=unet)"]["gap_joint"] == "0.100"
    assert found["ewc (network=other)"]["gap_joint"] == "n/a"
    assert "network unet" not in text
    assert [row["network"] for row in csv.DictReader(io.StringIO(table(load_runs(tmp_path), "csv")))].count(
        "other"
    ) == 1


def test_a_strategy_with_a_network_of_its_name_changes_no_other_label(tmp_path):
    finished(tmp_path)
    finished(tmp_path, config("l2gnet+replay", network="l2gnet"), BETTER)
    assert list(cells(table(load_runs(tmp_path)))) == ["l2gnet+replay", "naive"]


def test_references_come_for_every_score(tmp_path):
    finished(tmp_path, config("ewc"), BETTER)
    finished(tmp_path, config("joint"), JOINT)
    (group,) = groups(load_runs(tmp_path))
    (run,) = (run for run in load_runs(tmp_path) if run.strategy == "ewc")
    np.testing.assert_allclose(group.references(run, "dice", "val")["joint"], (0.9, 0.95))
    assert np.isnan(group.references(run, "hd95_mm")["joint"]).all()
    assert group.references(run)["naive"] is None


def test_distances_are_ranked_from_the_smallest_and_their_differences_are_turned(tmp_path):
    finished(tmp_path, config(numbers=2))
    finished(tmp_path, config("ewc", numbers=2), BETTER)
    finished(tmp_path, config("joint", numbers=2), JOINT)
    text = table(load_runs(tmp_path), metric="hd95_mm")
    found = cells(text)
    assert "toy@1: test hd95\\_mm" in text or "toy@1: test hd95_mm" in text
    assert list(found) == ["joint", "ewc", "naive"]
    assert found["naive"]["final"] == "2.500"
    assert found["naive"]["bwt"] == "-2.000"
    assert found["ewc"]["gap_joint"] == "1.000"


def test_runs_without_distances_have_none_and_are_shown_all_the_same(tmp_path):
    finished(tmp_path)
    assert cells(table(load_runs(tmp_path), metric="assd_mm"))["naive"]["final"] == "n/a"


def test_an_unknown_metric_is_refused_with_a_near_match(tmp_path):
    with pytest.raises(InputError, match="hd95_mm"):
        table([], metric="hd95")


def test_a_setting_that_parts_two_tables_is_in_their_titles(tmp_path):
    finished(tmp_path)
    finished(tmp_path, config("naive", training={"steps": 6}))
    text = table(load_runs(tmp_path))
    assert "preset smoke, float32, network unet, training.steps 5, data ffffffff" in text
    assert "training.steps 6" in text


def of_other_patients(rows):
    return [row._replace(patient="one" if row.split == "test" else row.patient) for row in rows]


def test_runs_whose_test_cases_belong_to_other_patients_never_share_a_table(tmp_path):
    finished(tmp_path)
    finished(tmp_path, config("joint"), JOINT)
    with open_folder(tmp_path, config("ewc")) as folder:
        completed(folder, of_other_patients(case_rows(BETTER)))
    for board in leaderboard(*find_runs(tmp_path)).boards:
        assert re.search(r", patients [0-9a-f]{8}, data ffffffff, [41] test patients?, 4 cases", board.title)
    assert [{row.label for row in group.rows} for group in groups(load_runs(tmp_path))] in (
        [{"ewc"}, {"joint", "naive"}],
        [{"joint", "naive"}, {"ewc"}],
    )


def test_a_run_with_anonymous_cases_has_a_table_a_title_and_a_folder_of_figures_of_its_own(tmp_path):
    finished(tmp_path / "1")
    finished(tmp_path / "2", stream=replace(stream_record(), anonymized="0123abcd"))
    found = groups(load_runs(tmp_path))
    assert [dict(group.differing) for group in found] == [{"anonymized": "0123abcd"}, {"anonymized": "no"}]
    assert len({title(group, "dice") for group in found}) == len({folder_name(group) for group in found}) == 2
    assert [group.differing for group in groups(load_runs(tmp_path / "1"))] == [{}]
    assert folder_name(found[1]) == folder_name(groups(load_runs(tmp_path / "1"))[0])


@pytest.mark.parametrize("part", ["kind", "labels", "cases"])
def test_what_sets_the_streams_of_two_tables_apart_is_in_their_titles(tmp_path, part):
    tasks = tuple(replace(task, cases={**task.cases, "train": ()}) for task in stream_record().tasks)
    change = {"kind": {"kind": "class"}, "labels": {"labels": {"organ": 2}}, "cases": {"tasks": tasks}}[part]
    finished(tmp_path / "1")
    finished(tmp_path / "2", stream=replace(stream_record(), **change))
    found = groups(load_runs(tmp_path))
    assert [list(group.differing) for group in found] == [[part], [part]]
    assert len({title(group, "dice") for group in found}) == 2


def two_frames(rows):
    """The rows with the two test cases of each task as two frames of one patient."""
    return [row._replace(patient=row.case[0]) if row.split == "test" else row for row in rows]


@pytest.mark.parametrize(
    ("rows", "told"),
    [(case_rows(), "4 test patients, 4 cases"), (two_frames(case_rows()), "2 test patients, 4 cases")],
)
def test_titles_say_how_many_test_patients_and_cases_are_behind_a_table(rows, told, tmp_path):
    with open_folder(tmp_path) as folder:
        completed(folder, rows, cost={})
    for kind in ("md", "tex"):
        assert f"data ffffffff, {told}" in table(load_runs(tmp_path), kind)
    (board,) = leaderboard(*find_runs(tmp_path)).boards
    assert board.title.endswith(f", {told}")


def test_a_class_incremental_stream_counts_a_case_once_for_all_its_tasks(tmp_path):
    tasks = tuple(TaskRecord(name, ("organ",), {"test": ("a", "b")}) for name in "AB")
    record = StreamRecord("toy@1", "class", {"organ": 1}, "f" * 64, tasks)
    rows = [CaseRow(2, on, "test", case, "p", "organ", "dice", 0.5) for on in (1, 2) for case in ("a", "b")]
    with open_folder(tmp_path, stream=record) as folder:
        completed(folder, rows, cost={})
    assert "1 test patient, 2 cases" in table(load_runs(tmp_path))


def test_other_options_of_a_strategy_are_another_row_and_not_another_seed(tmp_path):
    finished(tmp_path, config("ewc", options={"ewc": {"weight": 1.0, "decay": 0.5}}))
    finished(tmp_path, config("ewc", options={"ewc": {"weight": 2.0, "decay": 0.5}}), BETTER)
    assert list(cells(table(load_runs(tmp_path)))) == ["ewc (ewc.weight=2.0)", "ewc (ewc.weight=1.0)"]


def test_a_metric_unknown_for_one_seed_is_not_available_for_the_row(tmp_path):
    finished(tmp_path)
    finished(tmp_path, config(seed=1), (*SCORES[:2], (float("nan"), 0.9)))
    found = cells(table(load_runs(tmp_path)))["naive"]
    assert found["final"] == found["bwt"] == "n/a"
    assert found["learned"] == "0.850 ± 0.000"


def test_an_unknown_format_is_named(tmp_path):
    finished(tmp_path)
    with pytest.raises(InputError, match="unknown format 'mdd'; did you mean md"):
        table(load_runs(tmp_path), "mdd")


def test_csv_has_full_numbers_and_the_identity_in_every_line(tmp_path):
    finished(tmp_path)
    finished(tmp_path, config("ewc"), BETTER)
    lines = list(csv.DictReader(io.StringIO(table(load_runs(tmp_path), "csv"))))
    assert [line["strategy"] for line in lines] == ["ewc", "naive"]
    assert {line["stream"] for line in lines} == {"toy@1"}
    assert lines[1]["bwt_mean"] == "-0.200000"
    assert lines[1]["bwt_sd"] == ""
    assert lines[1]["preset"] == "smoke"


def test_csv_has_every_metric_and_pages_say_so(tmp_path):
    runs = [finished(tmp_path), finished(tmp_path, config("ewc"), BETTER)]
    (line, _) = csv.DictReader(io.StringIO(table(runs, "csv")))
    wanted = runs[1].metrics("test", "dice", naive=runs[0].scores().scores)
    told = {key: None if line[f"{key}_mean"] == "" else float(line[f"{key}_mean"]) for key in METRIC_KEYS}
    assert told == {key: None if value is None else pytest.approx(value) for key, value in wanted.items()}
    assert None not in [told[key] for key in ("average", "bwt_all", "bwt_plus", "plasticity_naive_relative")]
    assert {line["rma_mean"], line["drift_mean"]} == {""}
    assert "average" not in cells(table(runs))["ewc"]
    for kind in ("md", "tex"):
        assert "Every other metric: clbench table --format csv." in table(runs, kind)


def test_csv_blocks_name_what_was_left_out(tmp_path):
    open_folder(tmp_path).close()
    assert table(load_runs(tmp_path), "csv").startswith("left_out,reason\ntoy@1/naive-s0-")


def test_tex_is_one_tabular_per_table_with_left_out_runs_as_comments(tmp_path):
    finished(tmp_path)
    open_folder(tmp_path, config("ewc")).close()
    text = table(load_runs(tmp_path), "tex")
    assert text.count(r"\begin{tabular}{lrrrrrrrrr}") == 1
    assert r"fwt\_upper" in text
    assert "% left out: toy@1/ewc-s0-" in text


def test_text_from_runs_cannot_break_out_of_a_table():
    assert escape_markdown("a|b\n<img>[x](y)*`") == r"a\|b \<img\>\[x\](y)\*\`"
    assert escape_tex("a_b & 50% \\input{x} ^~ ±") == (
        r"a\_b \& 50\% \textbackslash{}input\{x\} \textasciicircum{}\textasciitilde{} $\pm$"
    )
    assert escape_csv("=1+1") == "'=1+1"
    assert escape_csv("\t@sum\r\n") == "'@sum"
    assert escape_csv("plain") == "plain"


def test_a_left_out_run_is_named_without_the_folders_above(tmp_path):
    assert LeftOut(tmp_path / "toy@1" / "naive", "").name == "toy@1/naive"
