"""What ``run.json`` says of the stream: tasks, labels, case ids per split, data fingerprint."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, get_args

from clbench.continual import Kind
from clbench.errors import InputError
from clbench.runfolder.files import content_hash

MOST_CHARACTERS = 200  # of a case id: file names end at 255 bytes, and predictions have suffixes
_CASE_ID = re.compile(r"[A-Za-z0-9_.-]+(/[A-Za-z0-9_.-]+)*")
_FORMULA = ("=", "+", "-", "@")
_STREAM_KEY = re.compile(r"[A-Za-z0-9_.-]+@[0-9]+(\+order-(?P<order>[1-9][0-9]*(-[1-9][0-9]*)*))?(\+phantom)?")


@dataclass(frozen=True)
class TaskRecord:
    """One task of a stream.

    Attributes:
        name: of the task.
        labels: names of the labels it annotates; of a domain stream, all of them.
        cases: split -> case ids, sorted.
    """

    name: str
    labels: tuple[str, ...]
    cases: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class StreamRecord:
    """The stream a run was trained on.

    Attributes:
        key: ``name@version``, with ``+order-3-1-2`` where the tasks do not stand in the card's order, and ``+phantom``
            for the procedural twin.
        kind: ``domain`` or ``class``.
        labels: label name -> value in predictions.
        fingerprint: of the data: hash of case ids and file hashes.
        tasks: in the order they are learned.
        excluded: case id -> reason, of faulty cases that were left out.
        anonymized: mark of the salt by which cases and patients are named; empty where they have their own ids.
    """

    key: str
    kind: Kind
    labels: Mapping[str, int]
    fingerprint: str
    tasks: tuple[TaskRecord, ...]
    excluded: Mapping[str, str] = field(default_factory=dict)
    anonymized: str = ""

    @property
    def phantom(self) -> bool:
        """Whether the data are the procedural twin."""
        return self.key.endswith("+phantom")

    @property
    def task_labels(self) -> tuple[tuple[str, ...], ...]:
        """The label names of each task, as ``clbench.continual`` wants them."""
        return tuple(task.labels for task in self.tasks)

    @cached_property
    def parts(self) -> dict[str, str]:
        """What the record says besides key and fingerprint: part -> a text that differs where the part does."""
        tasks = [[task.name, task.labels, dict(task.cases)] for task in self.tasks]
        return {
            "kind": self.kind,
            "labels": content_hash(dict(self.labels)),
            "anonymized": self.anonymized or "no",
            "cases": content_hash([tasks, sorted(self.excluded)]),
        }

    def check(self) -> None:
        """Refuse what could not be written or read back safely.

        Raises:
            InputError: a stream key or case id that is no safe file name, two case ids with one file name, or a label
                that a spreadsheet or terminal would obey.
        """
        for label in self.labels:
            if not label.isprintable() or label.startswith(_FORMULA):
                raise InputError(f"label {label!r} must be printable and not begin with any of {' '.join(_FORMULA)}")
        key = _STREAM_KEY.fullmatch(self.key)
        if not key:
            raise InputError(f"'{self.key}' is not a stream key such as prostate-sites@1")
        if key["order"] and not _reorders(key["order"].split("-"), len(self.tasks)):
            raise InputError(f"'{self.key}' does not name another order of its stream's {len(self.tasks)} tasks")
        names: dict[str, str] = {}
        for case_id in (case for task in self.tasks for cases in task.cases.values() for case in cases):
            if names.setdefault(file_name(case_id), case_id) != case_id:
                raise InputError(f"cases '{case_id}' and '{names[file_name(case_id)]}' would share a prediction file")

    def to_json(self) -> dict[str, Any]:
        """The part of ``run.json`` under ``stream``."""
        tasks = [
            {"name": task.name, "labels": list(task.labels), "cases": {k: list(v) for k, v in task.cases.items()}}
            for task in self.tasks
        ]
        return {
            "key": self.key,
            "kind": self.kind,
            "labels": dict(self.labels),
            "fingerprint": self.fingerprint,
            "tasks": tasks,
            **({"excluded": dict(self.excluded)} if self.excluded else {}),
            **({"anonymized": self.anonymized} if self.anonymized else {}),
        }

    @classmethod
    def from_json(cls, content: Mapping[str, Any], source: Path) -> StreamRecord:
        """The record that ``to_json`` wrote.

        Raises:
            InputError: a field is missing or of the wrong type; names ``source``.
        """
        try:
            record = cls(
                key=_text(content["key"]),
                kind=content["kind"],
                labels={_text(name): int(value) for name, value in content["labels"].items()},
                fingerprint=_text(content["fingerprint"]),
                tasks=tuple(
                    TaskRecord(
                        _text(task["name"]), _texts(task["labels"]), {k: _texts(v) for k, v in task["cases"].items()}
                    )
                    for task in content["tasks"]
                ),
                excluded={_text(case): _text(reason) for case, reason in content.get("excluded", {}).items()},
                anonymized=_text(content.get("anonymized", "")),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InputError(f"{source} is damaged: its stream record lacks or misuses {error}") from None
        if record.kind not in get_args(Kind) or not record.tasks:
            raise InputError(f"{source} is damaged: its stream has no tasks, or is neither of kind domain nor class")
        record.check()
        return record


def _reorders(order: Sequence[str], tasks: int) -> bool:
    """Whether an order names each task once, and not in the card's order, which has no suffix."""
    usual = [str(number) for number in range(1, tasks + 1)]
    return sorted(order) == sorted(usual) and list(order) != usual


def file_name(case_id: str) -> str:
    """The name, without suffix, of a case's prediction file.

    Raises:
        InputError: the id could leave the folder or is no portable file name.
    """
    if len(case_id) > MOST_CHARACTERS:
        raise InputError(f"case id '{case_id[:40]}...' has more than {MOST_CHARACTERS} characters; shorten its name")
    if not _CASE_ID.fullmatch(case_id) or any(not part.strip(".") for part in case_id.split("/")):
        raise InputError(f"case id '{case_id}' may hold only letters, digits, '-', '_', '.' and '/' between names")
    return case_id.replace("/", "__")


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} (should be text)")
    return value


def _texts(values: Sequence[Any]) -> tuple[str, ...]:
    if isinstance(values, str):
        raise TypeError(f"{values!r} (should be a list)")
    return tuple(_text(value) for value in values)
