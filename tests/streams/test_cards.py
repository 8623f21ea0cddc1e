"""Cards: what ships is consistent, and mistakes in a user's card are named."""

import tomllib

import pytest

from clbench.errors import InputError
from clbench.streams import cards
from clbench.streams.card import card_text, parse_card

GOOD = """
name = "mine"
version = 1
kind = "domain"
title = "Two sites"
labels = { organ = 1 }

[plan.default]
dims = 2
spacing_mm = [1.0, 1.0, 0.0]
patch_size = [64, 64]

[[tasks]]
name = "a"
data = { layout = "nnunet", roots = ["Dataset001_A"] }

[[tasks]]
name = "b"
data = { layout = "nnunet", roots = ["Dataset002_B"] }
"""


@pytest.mark.parametrize("name", cards())
def test_shipped_cards_are_valid_and_named_like_their_file(name):
    card = parse_card(card_text(name), name)
    assert card.name == name
    assert card.about["citation"]
    assert card.about["licence"]


def test_a_users_card_is_valid():
    assert [task.name for task in parse_card(GOOD, "mine.toml").tasks] == ["a", "b"]


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("version = 1", "", "version: Field required"),
        ('kind = "domain"', 'kind = "domian"', "'domain' or 'class'"),
        ("organ = 1", "organ = 2", "numbered 1, 2, 3"),
        ("[64, 64]", "[64]", "patch_size .64. needs 2 values"),
        ("[1.0, 1.0, 0.0]", "[-1.0, 1.0, 0.0]", "cannot be negative"),
        ("[plan.default]", "[plan.cpu]", "plan.default"),
        ('name = "b"', 'name = "a"', "two tasks have the same name"),
        ('name = "b"', 'name = "b"\nlabels = ["x"]', "label 'x', which the card does not define"),
        ("Dataset002_B", "../Dataset002_B", "leaves the data root"),
        ("Dataset002_B", "/etc", "leaves the data root"),
        (
            'title = "Two sites"',
            'title = "Two sites"\norders = { z = ["a"] }',
            "order z must name every task once: a, b",
        ),
        (
            'title = "Two sites"',
            'title = "Two sites"\norders = { z = ["b", "c"] }',
            "order z must name every task once",
        ),
        ('title = "Two sites"', 'title = "Two sites"\norders = { "2" = ["b", "a"] }', "should match pattern"),
        ('title = "Two sites"', 'title = "Two sites"\ncolor = "red"', "unknown key 'color'"),
        ("version = 1", "version = [", "not valid TOML"),
        (
            'layout = "nnunet", roots = ["Dataset001',
            'layuot = "nnunet", roots = ["Dataset001',
            "'layuot'; did you mean layout",
        ),
        ("version = 1", "verison = 1", "unknown key 'verison'; did you mean version"),
        ("patch_size = [64, 64]", "patchsize = [64, 64]", "unknown key 'patchsize'; did you mean patch_size"),
        ('"Dataset001_A"]', '"Dataset001_A"], patient = "(a"', r"tasks\.0\.data\.patient: .* is no regular expression"),
    ],
)
def test_mistakes_in_a_card_are_named(old, new, message):
    with pytest.raises(InputError, match=message):
        parse_card(GOOD.replace(old, new), "mine.toml")


def test_class_tasks_must_add_the_next_label():
    text = card_text("acdc-classes").replace('labels = ["rv"]', 'labels = ["lv"]')
    with pytest.raises(InputError, match="must add the next label values, from 1"):
        parse_card(text, "acdc-classes")


def test_a_class_incremental_card_has_no_other_orders():
    text = 'orders = { backwards = ["lv", "myocardium", "rv"] }\n' + card_text("acdc-classes")
    with pytest.raises(InputError, match="class-incremental stream has no other orders"):
        parse_card(text, "acdc-classes")


@pytest.mark.parametrize(
    ("stream", "message"),
    [
        ("prostate-site", "unknown stream 'prostate-site'; did you mean prostate-sites"),
        ("prostate-sites@9", "shipped as version 1"),
        ("nowhere.toml", "no card file at nowhere.toml"),
    ],
)
def test_unknown_streams_are_named(stream, message):
    with pytest.raises(InputError, match=message):
        card_text(stream)


def test_a_version_can_be_given():
    assert tomllib.loads(card_text("acdc-groups@1"))["name"] == "acdc-groups"
