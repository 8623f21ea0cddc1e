"""Suite files: what they may say, and what is refused in one line."""

from __future__ import annotations

from pathlib import Path

import pytest

from clbench.errors import InputError
from clbench.strategies import STRATEGIES
from clbench.suite.file import card_of, read_suite
from source_tree import ROOT

BLOCK = '[[block]]\nstreams = ["acdc-groups"]\nstrategies = ["naive", "ewc"]\n'


def suite(folder: Path, text: str) -> Path:
    path = folder / "suite.toml"
    path.write_text(text)
    return path


def test_a_block_needs_streams_and_strategies_alone(tmp_path):
    (block,) = read_suite(suite(tmp_path, BLOCK)).block
    assert (block.streams, block.strategies, block.seeds) == (("acdc-groups",), ("naive", "ewc"), (0,))


def test_all_means_every_strategy_of_the_registry(tmp_path):
    (block,) = read_suite(suite(tmp_path, BLOCK.replace('["naive", "ewc"]', '"all"'))).block
    assert block.strategies == tuple(STRATEGIES)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[[blok]]\n", "unknown key 'blok'; did you mean block?"),
        (f"{BLOCK}seds = [1]\n", "unknown key 'seds'; did you mean seeds"),
        (
            f"{BLOCK}[block.stream.acdc-groups]\ntrainng = {{ steps = 1 }}\n",
            "unknown key 'trainng'; did you mean training",
        ),
        (f"{BLOCK}[block.stream.acdc-group]\n", "unknown stream of this block 'acdc-group'; did you mean acdc-groups?"),
        (f"{BLOCK}options.ewcc.weight = 1\n", "unknown strategy part in options 'ewcc'; did you mean ewc?"),
        (f"{BLOCK}seeds = [1, 1]\n", "seed 1 is there twice"),
        (f"{BLOCK}seeds = []\n", "seeds: "),
        (f"{BLOCK}seeds = [-1]\n", "seeds: "),
        (f'{BLOCK}precision = "half"\n', "precision: "),
        (f'{BLOCK}data = "/somewhere"\n', "unknown key 'data'"),
        ("", "block: Field required"),
        ("[[block]", "not valid TOML"),
        ('[[block]]\nstrategies = ["naive"]\n', "streams: Field required"),
    ],
)
def test_what_does_not_fit_is_named_in_one_line(text, message, tmp_path):
    with pytest.raises(InputError) as error:
        read_suite(suite(tmp_path, text))
    assert message in str(error.value)
    assert str(tmp_path / "suite.toml") in str(error.value)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("content", [b"\xff\xfe", b"[" * 100_000])
def test_a_file_that_is_no_text_is_refused(content, tmp_path):
    (tmp_path / "suite.toml").write_bytes(content)
    with pytest.raises(InputError, match="not valid TOML"):
        read_suite(tmp_path / "suite.toml")


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(InputError, match="cannot read suite file"):
        read_suite(tmp_path / "suite.toml")


@pytest.mark.parametrize(
    "stream", ["../card.toml", "/card.toml", "cards/../../card.toml", "link.toml", "..\\card.toml"]
)
def test_a_card_outside_the_folder_of_the_suite_is_refused(stream, tmp_path):
    (tmp_path / "card.toml").touch()
    folder = tmp_path / "suites"
    (folder / "cards").mkdir(parents=True)
    (folder / "link.toml").symlink_to(tmp_path / "card.toml")
    with pytest.raises(InputError, match="leaves the folder of the suite file"):
        card_of(stream, folder / "suite.toml")


def test_a_card_beside_the_suite_is_found_from_anywhere(tmp_path, monkeypatch):
    (tmp_path / "suites" / "cards").mkdir(parents=True)
    (tmp_path / "suites" / "cards" / "own.toml").touch()
    monkeypatch.chdir(tmp_path)
    assert card_of("cards/own.toml", Path("suites/suite.toml")) == "suites/cards/own.toml"
    assert card_of("acdc-groups@1", Path("suites/suite.toml")) == "acdc-groups@1"
    with pytest.raises(InputError, match=r"no card cards/other\.toml beside it"):
        card_of("cards/other.toml", Path("suites/suite.toml"))


@pytest.mark.parametrize("path", sorted((ROOT / "benchmarks").glob("*.toml")), ids=lambda path: path.stem)
def test_shipped_suites_can_be_read(path):
    for block in read_suite(path).block:
        assert all(card_of(stream, path) for stream in block.streams)


def test_the_smoke_suite_runs_every_strategy():
    (block,) = read_suite(ROOT / "benchmarks" / "smoke.toml").block
    assert block.strategies == tuple(STRATEGIES)
    assert block.phantom
