"""SuiteFile: what a suite's TOML says, checked before anything is planned."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

from clbench.errors import InputError, unknown
from clbench.strategies import STRATEGIES
from clbench.toml_text import parse_toml

ALL = "all"
"""In place of a list of strategies: every one of the registry, so that a new one enters by itself."""

Option = str | int | float | bool | list[str] | list[int] | list[float]
Options = dict[str, dict[str, Option]]
Values = dict[str, str | int | float | bool]


def _every_strategy(given: Any) -> Any:
    return tuple(STRATEGIES) if given == ALL else given


Strategies = Annotated[tuple[str, ...], BeforeValidator(_every_strategy), Field(min_length=1)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Override(_Part):
    """What one stream of a block has otherwise than the block.

    Attributes:
        preset, order, network: None for that of the block.
        training: on top of the block's.
        options: on top of the block's, per strategy part.
    """

    preset: str | None = None
    order: str | None = None
    network: str | None = None
    training: Values = {}
    options: Options = {}


class Block(_Part):
    """Streams x strategies x seeds that share a budget.

    Attributes:
        streams: keys such as ``acdc-groups``, or cards, relative to the suite file.
        strategies: names, parts joined by ``+``; or ``"all"``.
        seeds: of the runs, each once.
        preset: training budget.
        phantom: run on the procedural twins.
        exclude_bad: leave faulty cases out of the data instead of refusing them.
        anonymize: name cases and patients by salted hashes in the run folders.
        order: of the tasks, as ``clbench run --order`` takes it.
        network: empty for the one that a strategy brings, else the U-Net.
        precision, compile, predictions: as ``clbench run`` takes them.
        training: overrides of the preset, as ``--set training.NAME``.
        options: part -> option -> value, as ``--set PART.OPTION``; a part's options go to every strategy that has it.
        stream: stream, as written under ``streams`` -> what it has otherwise.
    """

    streams: tuple[str, ...] = Field(min_length=1)
    strategies: Strategies
    seeds: tuple[Annotated[int, Field(ge=0)], ...] = Field(default=(0,), min_length=1)
    preset: str = "cpu"
    phantom: bool = False
    exclude_bad: bool = False
    anonymize: bool = False
    order: str | None = None
    network: str = ""
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    compile: bool = False
    predictions: Literal["final", "all", "none"] = "final"
    training: Values = {}
    options: Options = {}
    stream: dict[str, Override] = {}

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for what, names in (("stream", self.streams), ("strategy", self.strategies), ("seed", self.seeds)):
            twice = sorted({str(name) for name in names if names.count(name) > 1})
            if twice:
                raise ValueError(f"{what} {twice[0]} is there twice")
        for name in self.stream:
            if name not in self.streams:
                raise ValueError(str(unknown("stream of this block", name, self.streams)))
        parts = {part.strip() for strategy in self.strategies for part in strategy.split("+")}
        for options in (self.options, *(override.options for override in self.stream.values())):
            for part in options:
                if part not in parts:
                    raise ValueError(str(unknown("strategy part in options", part, parts)))
        return self

    def override(self, stream: str) -> Override:
        """What a stream has otherwise; nothing for most."""
        return self.stream.get(stream, Override())


class SuiteFile(_Part):
    """A suite.

    Attributes:
        about: one line about it.
        block: at least one.
    """

    about: str = ""
    block: tuple[Block, ...] = Field(min_length=1)


def read_suite(path: Path) -> SuiteFile:
    """Read and check a suite file.

    Raises:
        InputError: missing, not TOML, an unknown key (with near matches), or a value that does not fit.
    """
    try:
        values = parse_toml(path.read_text(encoding="utf-8"), f"suite {path}")
        return SuiteFile.model_validate(values)
    except OSError as error:
        raise InputError(f"cannot read suite file {path}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise InputError(f"suite {path} is not valid TOML: {error}") from None
    except ValidationError as error:
        found = error.errors()
        first = next((one for one in found if one["type"] == "extra_forbidden"), found[0])  # it explains the others
        raise InputError(f"suite {path}: {_explained(first)}") from None


def card_of(stream: str, suite: Path) -> str:
    """What ``clbench run --stream`` takes for a stream of a suite file: its key, or the path of its card.

    Raises:
        InputError: a card outside the folder of the suite file, or none there.
    """
    if not stream.endswith(".toml"):
        return stream
    folder = suite.resolve().parent
    path = folder / stream
    named = PurePosixPath(stream)
    leaves = named.is_absolute() or ".." in named.parts or "\\" in stream
    if leaves or not path.resolve().is_relative_to(folder):
        raise InputError(f"suite {suite}: card {stream} leaves the folder of the suite file; put it there or below")
    if not path.is_file():
        raise InputError(f"suite {suite}: no card {stream} beside it; give a .toml file there or a stream's name")
    return str(suite.parent / stream)


def _explained(error: Mapping[str, Any]) -> str:
    place = [str(part) for part in error["loc"] if not isinstance(part, int)]
    if error["type"] == "extra_forbidden":
        return str(unknown("key", place[-1], _keys_beside(error["loc"])))
    where = ".".join(place[1:] or place)
    message = str(error["msg"]).removeprefix("Value error, ")
    return f"{where}: {message}" if where != "block" or error["type"] == "missing" else message


def _keys_beside(place: Iterable[int | str]) -> set[str]:
    """The keys that could stand where the file has another."""
    *tables, _ = place
    if not tables:
        return set(SuiteFile.model_fields)
    return set((Override if "stream" in tables else Block).model_fields)
