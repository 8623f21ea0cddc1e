"""Figures: what they show is what the rows come to, they fit a column, and they have the same bytes every time."""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace

import numpy as np
import pytest
from matplotlib import colormaps, rc_context
from matplotlib.colors import to_hex, to_rgb

from clbench.report.figures import canvas, courses, looks, matrices, overlay, write
from clbench.report.figures.curves import forgetting_curves, task_curves
from clbench.report.figures.heatmap import DARK, heatmap
from clbench.report.figures.tradeoff import tradeoff
from clbench.report.figures.violins import final_scores, violins
from clbench.report.groups import Group, groups
from clbench.report.stats.bands import band
from clbench.report.stats.suites import table_statistics
from clbench.runfolder import CaseRow, TrainRow
from clbench.runfolder.folder import RunFolder
from command_line import clbench
from synthetic_runs import SCORES, case_rows, config, finished, open_folder

SHIFTED = ((0.1, 0.2), (0.7, 0.3), (0.4, 0.9))


@pytest.fixture
def group(tmp_path) -> Group:
    runs = [
        finished(tmp_path, config(name, seed), scores=SHIFTED if seed else SCORES)
        for name in ("naive", "ewc", "joint", "single")
        for seed in (0, 1)
    ]
    (found,) = groups(runs)
    return found


def row(group: Group, name: str):
    return next(row for row in group.rows if row.label == name)


def texts(figure) -> list[str]:
    return [text.get_text() for ax in figure.axes for text in ax.texts]


def test_the_mean_matrix_is_that_of_the_seeds(group):
    assert matrices.mean_matrix(row(group, "naive")) == pytest.approx((np.array(SCORES) + np.array(SHIFTED)) / 2)


def test_bands_are_the_intervals_of_the_leaderboard(group):
    naive = row(group, "naive")
    low, high = band(naive, lambda matrices: matrices[..., -1, :].mean(axis=-1, keepdims=True))
    at = group.rows.index(naive)
    final = table_statistics(group, ("final",)).estimates["final"][at]
    assert (low[0], high[0]) == pytest.approx((final.low, final.high), rel=0.05)  # other draws
    low, high = band(naive, np.copy)
    assert low.shape == high.shape == (3, 2)
    mean = matrices.mean_matrix(naive)
    assert (low <= mean).all()
    assert (mean <= high).all()
    assert np.array_equal(low, band(naive, np.copy)[0])


def test_bands_of_one_seed_are_narrower_and_the_figure_says_so(tmp_path, group):
    wide = np.subtract(*band(row(group, "naive"), np.copy)[::-1])
    (single,) = groups([finished(tmp_path / "one", config("naive"))])
    assert np.subtract(*band(single.rows[0], np.copy)[::-1])[2, 0] < wide[2, 0]  # where the seeds differ
    assert courses.interval_note(single.rows) == "bands: 95 % intervals, over patients; one seed"
    assert courses.interval_note(group.rows[:1]) == "bands: 95 % intervals, over seeds and patients"
    both = courses.interval_note([*group.rows[:1], *single.rows])
    assert both == "bands: 95 % intervals, over seeds and patients (rows of one seed: patients)"
    figure = task_curves(single, single.rows)
    assert figure.get_suptitle() == courses.interval_note(single.rows)


def test_the_forgetting_drawn_is_that_of_the_tables(group):
    naive = row(group, "naive")
    of_seeds = [run.metrics()["forgetting"] for run in naive.runs]
    assert matrices.mean_forgetting(naive)[-1] == pytest.approx(np.mean(of_seeds))


def test_forgetting_is_that_of_the_metric_at_the_end(group):
    curve = matrices.forgetting_curve(np.array(SCORES))
    assert np.isnan(curve[:2]).all()
    assert curve[2] == pytest.approx(row(group, "naive").runs[0].metrics()["forgetting"])
    three = np.array([[0.1, 0.2, 0.1], [0.8, 0.3, 0.2], [0.6, 0.9, 0.3], [0.5, 0.7, 0.9]])
    assert matrices.forgetting_curve(three)[2:] == pytest.approx([0.2, 0.25])


def test_the_heat_map_has_every_number_of_the_matrix(group):
    assert texts(heatmap(row(group, "naive"))) == ["0.10", "0.20", "0.75", "0.30", "0.50", "0.90"]


def test_the_heat_map_of_joint_leaves_out_what_was_not_trained(group):
    assert texts(heatmap(row(group, "joint"))) == ["0.10", "0.20", "0.50", "0.90"]


def test_curves_draw_the_scores_of_trained_networks_and_references_as_levels(group):
    first, second = task_curves(group, [row(group, "naive")]).axes
    (naive,) = (line for line in first.lines if line.get_label() == "naive")
    assert naive.get_xydata() == pytest.approx(np.array([[1, 0.75], [2, 0.5]]))
    levels = {line.get_label(): line.get_ydata()[0] for line in second.lines if line.get_label() in ("joint", "single")}
    assert levels == pytest.approx({"joint": 0.9, "single": 0.9})
    assert (first.get_title(), second.get_title()) == ("1 A", "2 B")


def of_two_seeds(out, strategies, **options) -> Group:
    """Rows of two seeds that differ; those with options have one for each choice."""
    runs = [
        finished(out, config(name, seed, options={name: chosen}), scores=SHIFTED if seed else SCORES)
        for name in strategies
        for chosen in options.get(name, [{}])
        for seed in (0, 1)
    ]
    (found,) = groups(runs)
    return found


@pytest.fixture(params=[1, 6])
def crowd(request, tmp_path) -> Group:
    """Few or many rows, the first two with long labels."""
    choices = [{"weight": weight, "temperature": 2 * weight, "memory": "balanced"} for weight in (0.5, 1.5)]
    return of_two_seeds(tmp_path, [f"s{number}" for number in range(request.param)], s0=choices)


def whiskers(ax):
    """Vertical lines behind the last of two stages: place and ends."""
    found = [line.get_xydata() for line in ax.lines if len(line.get_xdata()) == 2 and min(line.get_xdata()) > 2]
    return {float(ends[0, 0]): (float(ends[0, 1]), float(ends[1, 1])) for ends in found}


def test_few_rows_have_bands_and_many_have_whiskers_side_by_side(crowd):
    rows = len(crowd.rows)
    for figure in (task_curves(crowd, crowd.rows), forgetting_curves(crowd, crowd.rows)):
        for ax in figure.axes:
            shown = (len(ax.collections), len(whiskers(ax)))
            assert shown == ((rows, 0) if rows <= courses.MOST_BANDS else (0, rows))
        note = "bands" if rows <= courses.MOST_BANDS else "at the right: 95 % intervals after the last task"
        assert figure.get_suptitle().startswith(note)


def test_whiskers_are_the_intervals_after_the_last_task_as_far_as_dice_goes(tmp_path):
    four = of_two_seeds(tmp_path, "abcd")
    (ax, *_) = task_curves(four, four.rows).axes
    low, high = band(four.rows[0], np.copy)
    assert list(whiskers(ax).values()) == [pytest.approx((max(low[2, 0], 0), min(high[2, 0], 1)))] * 4


def test_nothing_that_is_drawn_is_cut_off_by_the_axes(crowd):
    for figure in (task_curves(crowd, crowd.rows), forgetting_curves(crowd, crowd.rows)):
        for ax in figure.axes:
            (left, right), (low, high) = ax.get_xlim(), ax.get_ylim()
            assert left < ax.dataLim.x0 <= ax.dataLim.x1 < right
            assert low < ax.dataLim.y0 <= ax.dataLim.y1 < high


def test_nothing_leaves_the_figure_however_long_the_labels_are(crowd):
    for name, figure in write.group_figures(crowd):
        figure.draw_without_rendering()
        box, (width, height) = figure.get_tightbbox(), figure.get_size_inches()
        assert min(box.x0, box.y0, width - box.x1, height - box.y1) >= -0.01, name


def test_the_first_of_several_figures_has_the_rows_with_the_best_final(tmp_path):
    places = [(number * 7) % 13 for number in range(13)]
    runs = [finished(tmp_path, config("joint")), finished(tmp_path, config("naive"))]
    runs += [finished(tmp_path, config(f"s{at:02}"), scores=(*SCORES[:2], (0.05 * at, 0.9))) for at in places]
    (found,) = groups(runs)
    first, second, third = looks.portions(looks.best_first(found).rows)
    assert [row.label for row in first] == ["naive", "s12", "s11", "s10", "s09", "s08", "s07"]
    assert [row.label for row in second] == ["naive", "s06", "s05", "s04", "s03", "s02", "s01"]
    assert [row.label for row in third] == ["naive", "s00"]
    assert {row.label for row in looks.best_first(found).rows} == {row.label for row in found.rows}


@pytest.mark.parametrize("score", np.linspace(0, 1, 21))
def test_the_numbers_of_a_heat_map_are_read_on_every_color(score):
    cell = luminance(to_hex(colormaps["cividis"](score)))
    contrast = (cell + 0.05) / 0.05 if score > DARK else 1.05 / (cell + 0.05)
    assert contrast > 4.5


def test_the_trade_off_puts_each_row_at_its_metrics(group):
    (ax,) = tradeoff(group).axes
    placed = [tuple(point) for points in ax.collections for point in points.get_offsets()]
    assert placed == [pytest.approx((-0.25, 0.7))] * 2
    assert any(line.get_label() == "joint" for line in ax.lines)


def test_the_trade_off_says_where_seconds_are_those_of_different_processors(tmp_path):
    def title():
        (group,) = groups(runs)
        return tradeoff(group).axes[0].get_title(loc="left")

    runs = [finished(tmp_path, provenance={"device": "cpu AVX2, 1 threads"})]
    assert title() == "marker area: seconds of training and scoring"
    runs.append(finished(tmp_path, config("ewc"), provenance={"device": "cpu AVX512, 1 threads"}))
    assert title() == "marker area: seconds of training and scoring, on different processors"


def test_violins_are_left_out_where_cases_are_few_but_the_dots_are_there(group):
    naive = row(group, "naive")
    assert final_scores(naive, 1) == pytest.approx([0.45, 0.55])
    first, _ = violins(group, [naive]).axes
    assert not first.collections
    assert sorted(first.lines[0].get_ydata()) == pytest.approx([0.45, 0.55])
    assert "(2 cases)" in first.get_title()


def test_a_task_with_one_case_is_said_to_have_one(tmp_path):
    with open_folder(tmp_path) as folder:
        folder.write_cases([row for row in case_rows() if row.case != "A/0"])
        folder.finish()
    (found,) = groups([_read(folder)])
    assert [ax.get_title() for ax in violins(found, found.rows).axes] == ["1 A (1 case)", "2 B (2 cases)"]


def test_added_terms_have_a_figure_and_plain_ones_have_none(tmp_path, group):
    assert not [name for name, _ in write.group_figures(group) if name.startswith("terms")]
    with open_folder(tmp_path / "more", config("ewc")) as folder:
        fill(folder)
    (ewc,) = groups([_read(folder)])
    names = [name for name, _ in write.group_figures(ewc)]
    assert "terms-ewc" in names


def fill(folder: RunFolder) -> None:
    folder.write_cases(case_rows())
    folder.append_train([TrainRow(task, step, {"ewc": 0.1 * step}, 0.1, 0.1) for task in (1, 2) for step in (1, 2, 3)])
    folder.write_cost({"stages": []})
    folder.finish()


def _read(folder: RunFolder):
    from clbench.runfolder import read_run

    return read_run(folder.path)


def test_a_class_stream_and_undefined_scores_can_be_drawn(tmp_path, group):
    rows = [CaseRow(*(getattr(r, f) for f in ("after_task", "on_task", "split", "case", "patient", "label", "metric")),
            float("nan") if (r.after_task, r.on_task) == (1, 2) else r.value) for r in case_rows()]  # fmt: skip
    with open_folder(tmp_path / "more", config("ewc")) as folder:
        folder.write_cases(rows)
        folder.finish()
    (found,) = groups([_read(folder)])
    for _, figure in write.group_figures(found):
        assert canvas.picture(figure, "svg")


# Style.


def test_every_figure_is_one_column_wide_and_no_text_is_smaller_than_six_points(group):
    for name, figure in write.group_figures(group):
        assert figure.get_figwidth() == pytest.approx(88 / 25.4), name
        figure.draw_without_rendering()
        sizes = [text.get_fontsize() for text in figure.findobj(lambda artist: hasattr(artist, "get_fontsize"))]
        assert min(sizes) >= 6, name


def test_equal_runs_give_equal_bytes_whatever_the_caller_set(group):
    def bytes_of(kind: str) -> list[str]:
        pictures = [canvas.picture(figure, kind) for _, figure in write.group_figures(group)]
        return [hashlib.sha256(content).hexdigest() for content in pictures]

    for kind in ("svg", "pdf"):
        before = bytes_of(kind)
        with rc_context({"font.size": 20, "svg.hashsalt": "other", "axes.grid": False}):
            assert bytes_of(kind) == before


def test_files_tell_neither_date_nor_machine(group):
    figure = heatmap(group.rows[0])
    for kind in ("svg", "pdf"):
        content = canvas.picture(figure, kind)
        assert not re.search(rb"CreationDate|dc:date|/Producer|matplotlib v", content)


def luminance(color: str) -> float:
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in to_rgb(color)]
    return float(np.dot((0.2126, 0.7152, 0.0722), linear))


def test_rows_differ_in_color_and_marker_in_every_figure(tmp_path):
    names = ["naive", *(f"s{number}" for number in range(14))]
    (found,) = groups([finished(tmp_path, config(name)) for name in names])
    known = looks.looks(found.rows)
    parts = looks.portions(found.rows)
    assert [len(part) for part in parts] == [7, 7, 3]
    assert all(part[0].label == "naive" for part in parts)
    for part in parts:
        assert (
            len({known[row.label].color for row in part}) == len({known[row.label].marker for row in part}) == len(part)
        )
    assert len({(look.color, look.marker) for look in known.values()}) == len(known)
    assert all(1.05 / (luminance(look.color) + 0.05) > 2 for look in known.values())  # against white paper


# Files.


def test_the_command_writes_every_figure_and_says_what_it_left_out(tmp_path):
    finished(tmp_path / "runs")
    with open_folder(tmp_path / "runs", config("ewc")):
        pass
    answer = clbench("figures", tmp_path / "runs", "--out", tmp_path / "figures")
    assert answer.code == 0, answer.err
    names = sorted(path.name for path in (tmp_path / "figures").rglob("*.*") if path.is_file())
    kinds = ("cases", "forgetting", "matrix-naive", "tasks", "tradeoff")
    assert names == sorted(f"{name}.{suffix}" for name in kinds for suffix in ("svg", "pdf"))
    assert f"{len(names)} files in {tmp_path / 'figures'}" in answer.out
    assert re.search(r"left out toy@1/ewc-s0-\w+: not complete", answer.err)
    assert clbench("figures", tmp_path / "runs", "--overlays", "--out", tmp_path / "figures").code == 2


def test_without_another_place_the_figures_stand_beside_the_runs(tmp_path):
    finished(tmp_path / "runs")
    assert clbench("figures", tmp_path / "runs").code == 0
    assert list((tmp_path / "figures").rglob("tasks.svg"))


@pytest.mark.parametrize("label", ["../../up", "a/b", ".", "", "é x", "a" * 200])
def test_no_label_leaves_the_folder_of_the_figures(label):
    assert re.fullmatch(r"[A-Za-z0-9.+_-]{1,80}", write._slug(label))
    assert write._slug(label).strip(".")


def test_two_labels_never_share_a_file():
    assert len(set(write._slugs(["a b", "a:b", "a-b"]).values())) == 3


# Overlays.


def example(truth: np.ndarray) -> overlay.Example:
    image = np.random.default_rng(0).normal(size=truth.shape).astype(np.float32)
    return overlay.Example("case", image, truth, {"at the end": 0 * truth}, {"organ": 1}, (1.0, 2.0, 3.0))


def test_the_slice_with_the_largest_truth_is_shown():
    truth = np.zeros((6, 5, 4), np.uint8)
    truth[1:3, 1:3, 1] = truth[1:5, 1:4, 2] = 1
    assert overlay.best_slice([truth]) == 2
    assert overlay.best_slice([0 * truth, truth]) == 2
    assert overlay.best_slice([0 * truth]) == 2
    figure = overlay.overlay(example(truth))
    assert [ax.get_title() for ax in figure.axes] == ["image", "truth", "at the end"]
    shown = figure.axes[1].images[1].get_array()
    assert (shown[..., 3] > 0).sum() == 12


def test_a_long_title_stays_within_the_figure():
    titled = replace(example(np.ones((6, 5, 4), np.uint8)), title="replay+segreg (replay.size=0.25), patient " * 4)
    figure = overlay.overlay(titled)
    figure.draw_without_rendering()
    assert figure.get_tightbbox().x0 >= -0.01


def test_a_case_without_any_foreground_can_be_shown():
    assert canvas.picture(overlay.overlay(example(np.zeros((6, 5, 4), np.uint8))), "png")[:4] == b"\x89PNG"
