"""Card: the TOML description of a stream, checked before anything is read."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path, PurePosixPath
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from clbench.data.layouts.patients import patient_pattern
from clbench.errors import InputError, unknown
from clbench.streams.key import parse_key
from clbench.toml_text import parse_toml

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$", max_length=80)]
OrderName = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9._-]*$", max_length=80)]  # never read as a number


def _inside(folder: str) -> str:
    """A folder named by a card may not leave the data root."""
    path = PurePosixPath(folder)
    if path.is_absolute() or ".." in path.parts or "\\" in folder or "\0" in folder:
        raise ValueError(f"folder '{folder}' leaves the data root; name it relative to --data, without '..'")
    return folder


FORMULA = ("=", "+", "-", "@")
Folder = Annotated[str, AfterValidator(_inside)]


def _pattern(marker: str) -> str:
    """A marker is looked for inside the folder only."""
    if not _inside(marker) or ".." in marker:
        raise ValueError(f"marker '{marker}' must be a pattern inside the folder, such as dataset.json")
    return marker


def _harmless(labels: dict[str, int]) -> dict[str, int]:
    """Label names stand in tables, which spreadsheets open."""
    for name in labels:
        if not name.isprintable() or not name.strip() or name.startswith(FORMULA):
            raise ValueError(f"label {name!r} must be printable and not begin with any of {' '.join(FORMULA)}")
    return labels


def _patient(text: str) -> str:
    """Refuse what could not find a patient before any name is looked at."""
    patient_pattern(text)
    return text


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class DataCard(_Part):
    """Where the cases of a stream or task are and how to read them.

    Attributes:
        layout: key of the adapter registry.
        roots: folders relative to the data root, tried in order.
        marker: glob that must match something inside the folder for it to be the right one.
        rename: raw label name -> stream label name, where they differ.
        channel: volume to take from 4-D images.
        patient: regular expression whose group is the patient in a case's name, for layouts of single cases; empty
            makes each case a patient.
        empty_masks: whether a mask without any label is a case like any other and not a fault.
        options: further options of the layout, such as ``group_by``.
    """

    layout: str
    roots: tuple[Folder, ...] = (".",)
    marker: Annotated[str, AfterValidator(_pattern)] = "*"
    rename: dict[str, str] = {}
    channel: int | None = Field(default=None, ge=0)
    patient: Annotated[str, AfterValidator(_patient)] = ""
    empty_masks: bool = False
    options: dict[str, str | tuple[str, ...]] = {}


class TaskCard(_Part):
    """One task: its name and which cases and labels it takes.

    Attributes:
        name: unique in the stream.
        group: takes the cases of this group (site, vendor, disease); empty takes all.
        part: ``[k, n]`` takes the k-th (from 1) of n disjoint parts of the patients.
        labels: label names annotated in training (class-incremental streams); empty means all.
        shift: acquisition shift applied to the images.
        data: own source, for streams over several data sets.
    """

    name: Name
    group: str = ""
    part: tuple[int, int] | None = None
    labels: tuple[str, ...] = ()
    shift: str = ""
    data: DataCard | None = None


class PlanCard(_Part):
    """Grid and patch; see ``clbench.streams.stream.Plan``."""

    dims: Literal[2, 3]
    spacing_mm: tuple[float, float, float]
    patch_size: tuple[int, ...]
    mirror_axes: tuple[int, ...] = (0, 1)
    rotation_deg: float = Field(default=180.0, ge=0, le=180)

    @model_validator(mode="after")
    def _axes_match(self) -> Self:
        if len(self.patch_size) != self.dims or any(size < 8 for size in self.patch_size):
            raise ValueError(f"patch_size {list(self.patch_size)} needs {self.dims} values of at least 8")
        if any(axis not in range(self.dims) for axis in self.mirror_axes):
            raise ValueError(f"mirror_axes {list(self.mirror_axes)} must be axes of the patch")
        if any(spacing < 0 for spacing in self.spacing_mm):
            raise ValueError("spacing_mm cannot be negative; 0 keeps the case's own spacing")
        return self


class Card(_Part):
    """A stream as its card describes it.

    Attributes:
        orders: further orders of the tasks that have a name, as lists of task names.
        others: as in ``docs/add-a-stream.md``.
    """

    name: Name
    version: int = Field(ge=1)
    kind: Literal["domain", "class"]
    title: str
    about: dict[str, str] = {}
    labels: Annotated[dict[str, int], AfterValidator(_harmless)]
    data: DataCard | None = None
    phantom: str = ""
    plan: dict[str, PlanCard]
    orders: dict[OrderName, tuple[str, ...]] = {}
    tasks: tuple[TaskCard, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        names = [task.name for task in self.tasks]
        if len(set(names)) != len(names):
            raise ValueError("two tasks have the same name")
        if sorted(self.labels.values()) != list(range(1, len(self.labels) + 1)):
            raise ValueError("labels must be numbered 1, 2, 3, ... without gaps (0 is background)")
        if "default" not in self.plan:
            raise ValueError("a [plan.default] table is needed")
        for task in self.tasks:
            self._check_task(task)
        for name, order in self.orders.items():
            if sorted(order) != sorted(names):
                raise ValueError(f"order {name} must name every task once: {', '.join(names)}")
        if self.kind == "class":
            self._check_increments()
        return self

    def _check_task(self, task: TaskCard) -> None:
        if task.data is None and self.data is None:
            raise ValueError(f"task {task.name} has no data: add a [data] table to the card or to the task")
        missing = [name for name in task.labels if name not in self.labels]
        if missing:
            raise ValueError(f"task {task.name} names label '{missing[0]}', which the card does not define")
        if self.kind == "domain" and task.labels:
            raise ValueError(f"task {task.name} lists labels: all tasks of a domain stream annotate all labels")
        if task.part is not None and not 1 <= task.part[0] <= task.part[1]:
            raise ValueError(f"task {task.name}: part = [k, n] needs 1 <= k <= n")

    def _check_increments(self) -> None:
        if self.orders:
            raise ValueError("a class-incremental stream has no other orders: its tasks add labels in ascending order")
        seen = 0
        for task in self.tasks:
            values = sorted(self.labels[name] for name in task.labels)
            if values != list(range(seen + 1, seen + 1 + len(values))) or not values:
                raise ValueError(f"class-incremental task {task.name} must add the next label values, from {seen + 1}")
            seen = values[-1]
        if seen != len(self.labels):
            raise ValueError("the tasks of a class-incremental stream must cover all labels")


def _keys_beside(place: tuple[int | str, ...]) -> set[str]:
    """The keys that could stand where a card has another."""
    parts: dict[str, type[_Part]] = {"plan": PlanCard, "data": DataCard, "tasks": TaskCard}
    tables = [str(part) for part in place[:-1] if str(part) in parts]
    return set((parts[tables[-1]] if tables else Card).model_fields)


def cards() -> dict[str, str]:
    """Shipped stream name -> text of its card."""
    folder = files("clbench.streams") / "cards"
    found = sorted(
        (entry.name.removesuffix(".toml"), entry) for entry in folder.iterdir() if entry.name.endswith(".toml")
    )
    return {name: entry.read_text(encoding="utf-8") for name, entry in found}


def card_text(stream: str) -> str:
    """The text of a shipped card (a name or key) or of a card file (a path ending in ``.toml``).

    Args:
        stream: ``name``, alone or as part of ``name@version+order-3-1-2+phantom``, or a path.

    Raises:
        InputError: no such stream or file, a version that is not shipped, or a key with other parts.
    """
    if stream.endswith(".toml"):
        path = Path(stream)
        if not path.is_file():
            raise InputError(
                f"no card file at {stream}; give a path to a .toml file or a stream name from 'clbench list'"
            )
        return path.read_text(encoding="utf-8", errors="replace")
    key, known = parse_key(stream), cards()
    if key.name not in known:
        raise unknown("stream", key.name, known)
    shipped = parse_card(known[key.name], key.name).version
    if key.version and key.version != str(shipped):
        raise InputError(
            f"stream {key.name} is shipped as version {shipped}, not '{key.version}'; use {key.name}@{shipped}"
        )
    return known[key.name]


def parse_card(text: str, where: str) -> Card:
    """Parse and check a card.

    Args:
        text: TOML.
        where: file or stream name, for messages.

    Raises:
        InputError: not TOML, an unknown key, or an inconsistent description.
    """
    values = parse_toml(text, f"card {where}")
    try:
        return Card.model_validate(values)
    except ValidationError as error:
        found = error.errors()
        first = next((one for one in found if one["type"] == "extra_forbidden"), found[0])  # it explains the others
        place = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            raise InputError(
                f"card {where}: {unknown('key', str(first['loc'][-1]), _keys_beside(first['loc']))}"
            ) from None
        message = first["msg"].removeprefix("Value error, ")
        raise InputError(f"card {where}: {place + ': ' if place else ''}{message}") from None
