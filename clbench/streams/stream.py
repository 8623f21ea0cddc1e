"""Stream and Task: what is learned, in which order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from clbench.data.case import Case, Trap
from clbench.data.plan import Plan
from clbench.streams.key import StreamKey

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Task:
    """What is learned at one stage.

    Attributes:
        index: position in the stream, from 1.
        name: short name, unique in the stream.
        labels: stream label values annotated in this task's training masks; every other value becomes background.
        train, val, test: cases of each split, sorted by case_id.
    """

    index: int
    name: str
    labels: tuple[int, ...]
    train: tuple[Case, ...]
    val: tuple[Case, ...]
    test: tuple[Case, ...]

    def split(self, name: str) -> tuple[Case, ...]:
        """The cases of split ``train``, ``val`` or ``test``."""
        return {"train": self.train, "val": self.val, "test": self.test}[name]


@dataclass(frozen=True)
class Stream:
    """An ordered list of tasks over one label space.

    Attributes:
        name, version: together the key ``name@version``.
        kind: ``domain`` (same labels, other images) or ``class`` (same images, one more label per task).
        labels: label name -> stream label value (from 1, consecutive); 0 is background.
        tasks: in the order they are learned.
        plans: preset name (or ``default``) -> Plan.
        traps: what the adapters met while reading.
        phantom: True when the data are the procedural twin.
        order: positions in the card, from 1, of ``tasks``; empty when they stand in the card's order.
        excluded: case id -> reason, of the faulty cases that were left out.
        about: title, source, licence and citation from the card.
    """

    name: str
    version: int
    kind: Literal["domain", "class"]
    labels: Mapping[str, int]
    tasks: tuple[Task, ...]
    plans: Mapping[str, Plan]
    traps: tuple[Trap, ...] = ()
    phantom: bool = False
    order: tuple[int, ...] = ()
    excluded: Mapping[str, str] = field(default_factory=dict)
    about: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """``name@version``, with ``+order-3-1-2`` for another order than the card's and ``+phantom`` for the twin."""
        return str(StreamKey(self.name, str(self.version), self.order, self.phantom))

    @property
    def cases(self) -> tuple[Case, ...]:
        """Every case once, sorted by case_id."""
        found = {case.case_id: case for task in self.tasks for split in SPLITS for case in task.split(split)}
        return tuple(found[case_id] for case_id in sorted(found))

    def plan(self, preset: str) -> Plan:
        """The plan of a preset, or the default plan when the card has none for it."""
        return self.plans.get(preset, self.plans["default"])

    def labels_seen(self, after_task: int) -> tuple[int, ...]:
        """Label values annotated in any of the first ``after_task`` tasks, sorted; all labels for a domain stream."""
        if self.kind == "domain":
            return tuple(sorted(self.labels.values()))
        return tuple(sorted({value for task in self.tasks[:after_task] for value in task.labels}))

    def label_name(self, value: int) -> str:
        """The name of a label value."""
        return next(name for name, known in self.labels.items() if known == value)
