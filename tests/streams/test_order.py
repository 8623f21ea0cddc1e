"""The order of the tasks: how it is asked for, what it changes and what it does not."""

from __future__ import annotations

from itertools import permutations

import pytest

import clbench
from clbench.errors import InputError
from clbench.streams.card import card_text, parse_card
from clbench.streams.key import StreamKey, parse_key
from clbench.streams.load import load_stream
from clbench.streams.order import drawn_order, resolve_order
from clbench.streams.stream import SPLITS
from command_line import clbench as command
from toy import write_class_stream, write_domain_stream

PROSTATE = parse_card(card_text("prostate-sites"), "prostate-sites")


@pytest.fixture
def card(tmp_path):
    return write_domain_stream(tmp_path)


def names(stream):
    return [task.name for task in stream.tasks]


# --- what can be asked for


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("3,1,2,6,5,4", (3, 1, 2, 6, 5, 4)),
        (" 3, 1, 2, 6, 5, 4 ", (3, 1, 2, 6, 5, 4)),
        ((3, 1, 2, 6, 5, 4), (3, 1, 2, 6, 5, 4)),
        ([2, 1, 3, 4, 5, 6], (2, 1, 3, 4, 5, 6)),
        ("bidmc-first", (5, 3, 6, 4, 1, 2)),
        ("seed:7", (2, 5, 4, 6, 3, 1)),
        ("1,2,3,4,5,6", ()),
    ],
)
def test_an_order_is_a_list_a_seed_or_a_name_of_the_card(order, expected):
    assert resolve_order(PROSTATE, order) == expected


def test_the_named_order_is_the_published_one_with_the_site_it_leaves_out_at_the_end():
    order = [PROSTATE.tasks[position - 1].name for position in resolve_order(PROSTATE, "bidmc-first")]
    assert order == ["BIDMC", "I2CVB", "HK", "UCL", "RUNMC", "BMC"]


def test_drawn_orders_are_permutations_that_stay_and_are_equally_likely():
    assert [drawn_order(6, seed) for seed in (0, 1)] == [(3, 5, 6, 2, 1, 4), (1, 3, 4, 2, 5, 6)]
    drawn = [drawn_order(3, seed) for seed in range(600)]
    assert all(75 < drawn.count(order) < 125 for order in permutations((1, 2, 3)))


@pytest.mark.parametrize(
    ("order", "message"),
    [
        ("1,2,3", r"order 1,2,3 of stream prostate-sites must name each of its 6 tasks once: 1 RUNMC, 2 BMC, .* 6 HK"),
        ("1,2,3,4,5,5", "must name each of its 6 tasks once"),
        ("0,1,2,3,4,5", "must name each of its 6 tasks once"),
        ((1, 2), "order 1,2 of stream prostate-sites must name"),
        ((), "must name each of its 6 tasks once"),
        ("", r"order '' of stream prostate-sites is neither a list such as 2,1,3, seed:7, nor .*\(bidmc-first\)"),
        ("bidmc", "is neither a list"),
        ("1,,2", "is neither a list"),
        ("-1,2", "is neither a list"),
        ("seed:", "is neither a list"),
        ("seed:-1", "is neither a list"),
        ("seed:x", "is neither a list"),
        ("9" * 5000, "is neither a list"),
    ],
)
def test_an_order_that_is_none_is_named(order, message):
    with pytest.raises(InputError, match=message):
        resolve_order(PROSTATE, order)


@pytest.mark.parametrize("order", ["2,1,3", "1,2,3", "seed:0"])
def test_a_class_incremental_stream_takes_no_order(order):
    card = parse_card(card_text("acdc-classes"), "acdc-classes")
    with pytest.raises(InputError, match=r"acdc-classes is class-incremental and takes no order: .*ascending order"):
        resolve_order(card, order)


# --- keys


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("a", StreamKey("a")),
        ("a@1", StreamKey("a", "1")),
        ("a@1+phantom", StreamKey("a", "1", phantom=True)),
        ("a@1+order-3-1-2", StreamKey("a", "1", (3, 1, 2))),
        ("a@1+order-3-1-2+phantom", StreamKey("a", "1", (3, 1, 2), phantom=True)),
        ("a+order-10-1", StreamKey("a", "", (10, 1))),
        ("some/a+b@c.toml", StreamKey("some/a+b@c.toml")),
    ],
)
def test_a_key_is_taken_apart_and_put_together_again(text, key):
    assert parse_key(text) == key
    assert str(key) == text


@pytest.mark.parametrize(
    "text",
    ["", "a@1+phantom+order-2-1", "a@1+order-", "a@1+order-2,1", "a@1+order-02-1", "a+order-2-1@1", "a@1+phantoms"],
)
def test_what_is_no_key_is_refused_with_the_right_form(text):
    with pytest.raises(InputError, match=r"does not name a stream; write name, name@1 or, .* name@1\+order-3-1-2"):
        parse_key(text)


def test_a_key_with_an_order_names_its_card():
    assert card_text("prostate-sites@1+order-3-1-2-6-5-4+phantom") == card_text("prostate-sites")
    with pytest.raises(InputError, match="shipped as version 1, not '2'"):
        card_text("prostate-sites@2+order-3-1-2-6-5-4")


# --- what it changes, and what it does not


def test_tasks_stand_in_the_order_and_are_numbered_again(card, tmp_path):
    stream = clbench.load_stream(str(card), data=tmp_path, order="3,1,2")
    assert names(stream) == ["site3", "site1", "site2"]
    assert [task.index for task in stream.tasks] == [1, 2, 3]
    assert stream.key == "toy@1+order-3-1-2"
    assert stream.order == (3, 1, 2)


def test_the_orders_of_the_card_have_no_suffix(card, tmp_path):
    usual = load_stream(str(card), data=tmp_path)
    assert usual.key == "toy@1"
    assert load_stream(str(card), data=tmp_path, order="1,2,3") == usual


@pytest.mark.parametrize("order", list(permutations((1, 2, 3))))
def test_splits_cases_and_labels_are_those_of_the_usual_order(card, tmp_path, order):
    usual = {task.name: task for task in load_stream(str(card), data=tmp_path).tasks}
    stream = load_stream(str(card), data=tmp_path, order=order)
    assert [usual[task.name].index for task in stream.tasks] == list(order)
    for task in stream.tasks:
        assert all(task.split(split) == usual[task.name].split(split) for split in SPLITS)
        assert task.labels == usual[task.name].labels


def test_a_key_gives_the_stream_back(card, tmp_path, monkeypatch):
    monkeypatch.setattr("clbench.streams.card.cards", lambda: {"toy": card.read_text()})
    stream = load_stream("toy", data=tmp_path, order="seed:3")
    assert stream.order
    assert load_stream(stream.key, data=tmp_path) == stream
    assert load_stream(stream.key.replace("@1", ""), data=tmp_path) == stream


def test_an_order_given_twice_is_refused(tmp_path):
    with pytest.raises(InputError, match="name of stream prostate-sites has an order already"):
        load_stream("prostate-sites@1+order-2-1-3-4-5-6", data=tmp_path, order="bidmc-first")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["prostate-sites", "--order", "1,2,2"], "must name each of its 6 tasks once"),
        (["prostate-sites", "--order", "hk-first"], "order of the card (bidmc-first)"),
        (["acdc-classes", "--order", "2,1,3"], "takes no order"),
        (["prostate-sites@1+order-2-1"], "must name each of its 6 tasks once"),
        (["prostate-sites@1+phantom+order-2-1"], "does not name a stream"),
    ],
)
def test_a_wrong_order_is_one_line_and_exit_2_before_data_are_looked_for(words, message, tmp_path):
    answer = command("run", "--strategy", "naive", "--data", tmp_path, "--out", tmp_path / "runs", "--stream", *words)
    assert answer.code == 2
    assert len(answer.complaints) == 1
    assert message in answer.complaints[0]
    assert not (tmp_path / "runs").exists()


def test_a_class_incremental_card_of_ones_own_takes_no_order(tmp_path):
    with pytest.raises(InputError, match="stream toy is class-incremental"):
        load_stream(str(write_class_stream(tmp_path)), data=tmp_path, order="2,1,3")
