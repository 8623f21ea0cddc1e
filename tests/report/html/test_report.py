"""The HTML report: what it says, that it loads and runs nothing of others, and that it works in a browser."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser

import pytest

from browser import CHROMIUM, DRIVER, Browser
from clbench.continual import METRIC_KEYS
from clbench.report.groups import groups
from clbench.report.html.elements import Markup, element
from clbench.report.html.evidence import command
from clbench.report.html.page import html_report
from clbench.report.leaderboard import leaderboard
from clbench.report.leaderboard.cells import ONE_SEED_NOTE, notes, rows
from clbench.report.load import LeftOut
from clbench.report.marks import TOLD_TASK
from clbench.report.worst import worst_cases
from command_line import clbench
from synthetic_runs import SCORES, config, finished, open_folder, stream_record

EVIL = "<img src=x onerror=alert(1)>\"'&"
PNG = b"\x89PNG\r\n\x1a\n"
FINALS = {"naive": 0.6, "ewc": 0.7, "joint": 0.65}


def scores(first: float) -> tuple:
    return (*SCORES[:2], (first, 0.9))


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    out = tmp_path_factory.mktemp("runs")
    given = {"provenance": {"python": "3.11", "argv": ["clbench", "run", "--set", EVIL], "packages": {"torch": EVIL}}}
    made = [finished(out, config(name), scores=scores(first), **given) for name, first in FINALS.items()]
    other = [finished(out, config("naive"), stream=stream_record("other@1", "e" * 64))]
    return [*made, *other]


@pytest.fixture(scope="module")
def page(runs):
    return html_report(runs, [LeftOut(runs[0].path / EVIL, EVIL)])


class Reader(HTMLParser):
    """Every element of a page, and whether all are closed in order."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag, attrs) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in ("meta", "img", "input"):
            self.open.append(tag)

    def handle_endtag(self, tag) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data) -> None:
        self.texts.append(data)


@pytest.fixture(scope="module")
def read(page):
    reader = Reader()
    reader.feed(page)
    assert reader.open == []
    return reader


def test_the_page_shows_every_number_of_the_tables_and_of_r(read):
    for text in ("0.800", "0.750", "ewc", "toy@1, preset smoke", "other@1, preset smoke", "untrained", "-0.200"):
        assert text in read.texts


def test_the_page_ranks_as_the_leaderboard_does_with_the_same_intervals(runs, read):
    for board in leaderboard(runs).boards:
        for cell in (cell for line in rows(board) for cell in line if cell):
            assert cell in read.texts
        assert set(notes([board])) <= set(read.texts)
    assert ONE_SEED_NOTE in read.texts


def test_the_table_of_all_metrics_has_all_of_them(page):
    (shown,) = (part for part in page.split("<details>") if "All metrics" in part and "toy@1" in part)
    heads = re.findall(r'<button type="button">([^<]*)</button>', shown)
    assert heads == ["strategy", "seeds", *METRIC_KEYS, "drift", "seconds", "stored_mb", "parameters"]


def test_each_comparison_says_how_many_test_patients_and_cases_it_is_of(page):
    assert ", 4 test patients, 4 cases." in page


def test_a_run_that_may_not_be_ranked_is_left_out_and_named(runs):
    shown = html_report(runs, check=lambda run: "odd" if run.strategy == "ewc" else "", marked={TOLD_TASK: {"naive"}})
    assert "1 [1]†" in shown
    assert ": odd" in shown
    assert "ewc</th>" not in shown
    assert "told the task at test time" in shown


def test_text_from_data_stays_text(read):
    assert [attributes for tag, attributes in read.elements if tag == "img" and attributes.get("src") == "x"] == []
    assert any(EVIL in text for text in read.texts)
    assert not [name for _, attributes in read.elements for name in attributes if name.startswith("on")]


def test_no_element_can_be_broken_out_of():
    assert element("p", EVIL, title=EVIL) == (
        '<p title="&lt;img src=x onerror=alert(1)&gt;&quot;&#x27;&amp;">'
        "&lt;img src=x onerror=alert(1)&gt;&quot;&#x27;&amp;</p>"
    )
    assert element("p", element("b", "x"), Markup("<br>"), "\x00\x1b") == "<p><b>x</b><br>\ufffd\ufffd</p>"


def test_nothing_is_loaded_and_only_the_page_s_own_script_may_run(page, read):
    for _, attributes in read.elements:
        for name in ("src", "href", "srcset", "action", "data"):
            assert (attributes.get(name) or "#").startswith(("#", "data:image/"))
    assert not [attributes for _, attributes in read.elements if "style" in attributes]
    assert "http:" not in re.sub(r'src="data:[^"]*"', "", page)
    (policy,) = (found["content"] for tag, found in read.elements if found.get("http-equiv"))
    for tag in ("style", "script"):
        (content,) = re.findall(rf"<{tag}>(.*?)</{tag}>", page, flags=re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy


def test_tables_are_marked_up_for_readers_that_see_nothing(read):
    heads = [attributes for tag, attributes in read.elements if tag == "th"]
    assert all(attributes.get("scope") in ("col", "row") for attributes in heads)
    sorted_by = [attributes["aria-sort"] for attributes in heads if "aria-sort" in attributes]
    assert sorted_by.count("ascending") == 2  # each leaderboard by its rank
    assert sorted_by.count("descending") == 2  # each table of all metrics by final
    assert set(sorted_by) == {"ascending", "descending", "none"}
    assert all(attributes.get("alt") for tag, attributes in read.elements if tag == "img")
    identifiers = [attributes["id"] for _, attributes in read.elements if "id" in attributes]
    assert len(identifiers) == len(set(identifiers))
    targets = {attributes["href"][1:] for tag, attributes in read.elements if tag == "a"}
    assert targets <= set(identifiers)
    assert ("html", {"lang": "en"}) in read.elements


def test_one_run_of_one_comparison_is_told_as_one(runs):
    assert "1 complete run of 1 comparison. " in html_report(runs[:1])
    assert "4 complete runs of 2 comparisons. " in html_report(runs)


def test_the_same_runs_give_the_same_page(runs, page):
    assert html_report(runs[::-1], [LeftOut(runs[0].path / EVIL, EVIL)]) == page


def test_the_worst_cases_are_those_with_the_lowest_final_score(runs):
    (group,) = (group for group in groups(runs) if group.stream == "toy@1")
    worst = [(found.row, found.case, round(found.final, 6)) for found in worst_cases(group, 2)]
    assert [item for item in worst if item[0] == "ewc"] == [("ewc", "A/0", 0.65), ("ewc", "A/1", 0.75)]
    assert worst_cases(group)[0].learned == pytest.approx(0.75)


def test_pictures_of_worst_cases_stand_in_the_page_when_they_are_given(runs):
    shown = html_report(runs, [], lambda group: {("naive", 1, "A/0"): PNG})
    assert shown.count(base64.b64encode(PNG).decode()) == 2
    assert "image/png" not in html_report(runs, [])


def test_a_command_can_be_typed_again():
    assert command(["clbench", "run", "--set", "a=b c"]) == "clbench run --set 'a=b c'"
    assert command(None) == "not recorded"


def test_no_complete_run_still_gives_a_page(tmp_path):
    with open_folder(tmp_path):
        pass
    answer = clbench("report", tmp_path, "--out", tmp_path / "new" / "report.html")
    assert (answer.code, answer.out) == (0, f"{tmp_path / 'new' / 'report.html'}\n")
    assert "not complete; run its command again to go on" in (tmp_path / "new" / "report.html").read_text("utf-8")


# In a browser.


@pytest.fixture(scope="module")
def browser():
    if not CHROMIUM or not DRIVER:
        pytest.skip("no Chromium with its driver: apt-get install chromium chromium-driver")
    with Browser() as found:
        yield found


@pytest.fixture
def opened(browser, page, tmp_path):
    (tmp_path / "report.html").write_text(page, encoding="utf-8")
    browser.open(tmp_path / "report.html")
    return browser


TYPE = """
    const field = document.getElementById(arguments[0]);
    field.value = arguments[1];
    field.dispatchEvent(new Event(arguments[2]));
"""
BOARD = "const board = document.querySelectorAll('table.board')[1]; "
SHOWN = f"{BOARD} return [...board.tBodies[0].rows].filter(r => r.checkVisibility()).map(r => r.cells[1].textContent)"
CLICK = f"{BOARD} board.tHead.rows[0].cells[arguments[0]].querySelector('button').click()"
SORTED = f"{BOARD} return [...board.tHead.rows[0].cells].map(c => c.getAttribute('aria-sort'))"
STATUS = "return document.getElementById('status').textContent"


def test_a_click_on_a_head_sorts_and_another_one_turns_the_order(opened):
    assert opened.run(SHOWN) == ["ewc", "naive", "joint"]  # by rank; joint has none
    opened.run(CLICK, 3)  # final: the best one first
    assert opened.run(SHOWN) == ["ewc", "joint", "naive"]
    assert opened.run(SORTED)[:4] == ["none", "none", "none", "descending"]
    assert opened.run(STATUS) == "sorted by final, descending"
    opened.run(CLICK, 3)
    assert opened.run(SHOWN) == ["naive", "joint", "ewc"]
    opened.run(CLICK, 1)
    assert opened.run(SHOWN) == ["ewc", "joint", "naive"]
    opened.run(CLICK, 4)  # bwt: joint has none and stays at the end both ways
    assert opened.run(SHOWN) == ["ewc", "naive", "joint"]
    opened.run(CLICK, 4)
    assert opened.run(SHOWN) == ["naive", "ewc", "joint"]
    assert opened.messages() == []


def test_the_keyboard_reaches_the_heads_and_sorts(opened):
    opened.run("document.querySelectorAll('table.board')[1].querySelector('button').focus()")
    opened.press("\ue004", "\ue004", "\ue004", " ")  # three tabs, space: from rank to final
    assert opened.run("return document.activeElement.textContent") == "final"
    assert opened.run(SHOWN) == ["ewc", "joint", "naive"]


def test_filters_hide_rows_and_streams_and_say_how_many_are_left(opened):
    opened.run(TYPE, "strategy", "EW", "input")
    assert opened.run(SHOWN) == ["ewc"]
    assert opened.run(STATUS) == "1 of 4 rows shown"
    opened.run(TYPE, "strategy", "", "input")
    opened.run(TYPE, "stream", "group-1", "change")
    assert opened.run(SHOWN) == []
    assert opened.run(STATUS) == "1 of 4 rows shown"
    assert opened.messages() == []


@pytest.mark.parametrize("width", [500, 1600])
def test_the_page_fits_the_window_and_nothing_complains(opened, width, tmp_path):
    opened.open(tmp_path / "report.html", width=width)
    assert opened.run("return document.documentElement.scrollWidth <= window.innerWidth")
    assert opened.run("return [...document.images].every(i => i.complete && i.naturalWidth > 0)")
    assert opened.run("return document.fonts.size") == 0
    assert (
        opened.run("return performance.getEntriesByType('resource').filter(e => !e.name.startsWith('data:')).length")
        == 0
    )
    assert opened.messages() == []
    assert opened.screenshot().startswith(PNG)


def test_a_script_that_got_in_would_not_run(browser, page, tmp_path):
    (tmp_path / "evil.html").write_text(page.replace("</main>", "<script>document.title = 'evil'</script></main>"))
    browser.open(tmp_path / "evil.html")
    assert browser.run("return document.title") == "clbench report"
    assert any("Content Security Policy" in message for message in browser.messages())
