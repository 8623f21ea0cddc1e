"""From a card and a data root to a Stream: cases found, selected by task and split by patient."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from clbench.data.case import Case, Listing
from clbench.data.layouts import LAYOUTS
from clbench.data.layouts.files import require_inside
from clbench.data.layouts.gathering import IncompleteError, complete, gathering
from clbench.data.nifti import channel_count
from clbench.data.phantom import ensure
from clbench.data.plan import Plan
from clbench.data.shifts import SHIFTS
from clbench.data.splits import partition, split_patients
from clbench.errors import InputError, unknown
from clbench.streams.card import Card, DataCard, TaskCard, card_text, parse_card
from clbench.streams.key import parse_key
from clbench.streams.order import resolve_order
from clbench.streams.stream import SPLITS, Stream, Task


def cache_root() -> Path:
    """``CLBENCH_CACHE``, or ``~/.cache/clbench``."""
    return Path(os.environ.get("CLBENCH_CACHE") or Path.home() / ".cache" / "clbench").expanduser()


def load_stream(
    stream: str,
    *,
    data: Path | str | None = None,
    phantom: bool = False,
    order: str | Sequence[int] | None = None,
) -> Stream:
    """Find the cases of a stream and arrange them in tasks and splits; reads no voxels.

    Args:
        stream: shipped name, alone or as part of a key such as ``name@version+order-3-1-2+phantom``, or path of a card
            file.
        data: data root; None uses the environment variable CLBENCH_DATA.
        phantom: use the procedural twin, built under the cache folder when it is not there yet.
        order: of the tasks, see ``clbench.streams.order.resolve_order``; None for that of the key, or else the card's.

    Raises:
        InputError: unknown stream or order, data missing or not in the published layout, or a task with too few
            patients. What is wrong with the data is told all at once, as an ``IncompleteError``.
    """
    card = parse_card(card_text(stream), stream)
    found = outline(stream, phantom=phantom, order=order)
    root = _phantom_root(card) if found.phantom else _data_root(card, data)
    listings: dict[str, Listing | IncompleteError] = {}
    problems: list[str] = []
    tasks: list[Task] = []
    for index, task in enumerate([card.tasks[position - 1] for position in found.order] or card.tasks, start=1):
        with gathering(problems):
            tasks.append(_task(card, task, index, root, listings))
    with gathering(problems):
        _check_channels(card, tasks)
    problems += _conflicts(card, tasks)
    if problems:
        raise IncompleteError(problems, [case for listing in listings.values() for case in listing.cases])
    traps = {trap: None for listing in listings.values() if isinstance(listing, Listing) for trap in listing.traps}
    return replace(found, tasks=tuple(tasks), traps=tuple(traps))


def outline(stream: str, *, phantom: bool = False, order: str | Sequence[int] | None = None) -> Stream:
    """A stream without its tasks: its key and plans are known before any data are; arguments as ``load_stream``.

    Raises:
        InputError: unknown stream or order.
    """
    card, key = parse_card(card_text(stream), stream), parse_key(stream)
    return Stream(
        name=card.name,
        version=card.version,
        kind=card.kind,
        labels=card.labels,
        tasks=(),
        plans={name: Plan(**plan.model_dump()) for name, plan in card.plan.items()},
        phantom=phantom or key.phantom,
        order=_positions(card, key.order, order),
        about={"title": card.title, **card.about},
    )


def _positions(card: Card, of_key: tuple[int, ...], given: str | Sequence[int] | None) -> tuple[int, ...]:
    """The order of the tasks; empty for the card's."""
    if of_key and given is not None:
        raise InputError(f"the name of stream {card.name} has an order already; leave out one of the two")
    order = of_key or given
    return () if order is None else resolve_order(card, order)


def _conflicts(card: Card, tasks: Sequence[Task]) -> Iterator[str]:
    """Why tasks would train on each other's test patients or disagree on what a case is.

    One case id may not stand for different images, no patient be in different splits of two tasks, and the tasks of a
    class-incremental stream share their cases (else older classes would be taught as background even to ``joint``).
    """
    cases: dict[str, tuple[Case, str]] = {}
    splits: dict[str, tuple[str, str]] = {}
    for task in tasks:
        for split, case in [(name, case) for name in SPLITS for case in task.split(name)]:
            known, owner = cases.setdefault(case.case_id, (case, task.name))
            if known != case:
                yield (
                    f"tasks {owner} and {task.name} of stream {card.name} read different images or labels as case "
                    f"{case.case_id}; select disjoint cases, or give each task a data set in a folder of its own"
                )
            before, owner = splits.setdefault(case.patient_id, (split, task.name))
            if before != split:
                yield (
                    f"patient {case.patient_id} of stream {card.name} is in split {before} of task {owner} and in "
                    f"{split} of task {task.name}; let the tasks select disjoint patients, or all the same ones"
                )
        if card.kind == "class" and task.train != tasks[0].train:
            yield (
                f"tasks {tasks[0].name} and {task.name} of the class-incremental stream {card.name} have different "
                "cases; let all tasks select the same ones"
            )


def _check_channels(card: Card, tasks: Sequence[Task]) -> None:
    """One network takes the images of all tasks."""
    first: dict[int, Case] = {}
    for case in (case for task in tasks for split in SPLITS for case in task.split(split)):
        first.setdefault(channel_count(case), case)
    if len(first) > 1:
        found = " and ".join(f"{count} ({case.images[0]})" for count, case in sorted(first.items()))
        raise InputError(
            f"images of stream {card.name} have {found} channels; choose one with 'channel' in the card's data tables"
        )


def _phantom_root(card: Card) -> Path:
    if not card.phantom:
        raise InputError(f"stream {card.name} has no phantom; give real data with --data DIR or CLBENCH_DATA")
    return ensure(card.phantom, cache_root())


def _data_root(card: Card, data: Path | str | None) -> Path:
    given = data or os.environ.get("CLBENCH_DATA")
    if not given:
        raise InputError(
            f"no data root for stream {card.name}: give --data DIR or set CLBENCH_DATA. {_how_to_get(card)}"
        )
    root = Path(given).expanduser()
    if not root.is_dir():
        raise InputError(f"data root {root} is not a folder; give --data DIR or set CLBENCH_DATA. {_how_to_get(card)}")
    return root


def _how_to_get(card: Card) -> str:
    source = (
        f"Get it from {card.about['url']} (licence {card.about.get('licence', 'unknown')})"
        if "url" in card.about
        else ""
    )
    phantom = "or try the stream without data: --phantom" if card.phantom else ""
    return ", ".join(text for text in (source, phantom) if text)


def _task(card: Card, task: TaskCard, index: int, root: Path, listings: dict[str, Listing | IncompleteError]) -> Task:
    listing = _listing(card, task, root, listings)
    if isinstance(listing, IncompleteError):
        raise listing
    cases = [replace(case, shift=_known_shift(task.shift)) for case in listing.cases if task.group in ("", case.group)]
    cases = [case for case in cases if _in_part(card, task, case)]
    if not cases:
        what = f"group '{task.group}'" if task.group else "its selection"
        raise InputError(
            f"task {task.name} of stream {card.name} is empty: no case of {what} under {root}; "
            "correct the card or complete the data"
        )
    labels = tuple(sorted(card.labels[name] for name in task.labels or card.labels))
    return Task(index, task.name, labels, **_split(card, task, cases))


def _listing(
    card: Card, task: TaskCard, root: Path, listings: dict[str, Listing | IncompleteError]
) -> Listing | IncompleteError:
    """The cases of a task's data set with their ids in the stream, or why they are not all there; read once."""
    data, source = task.data or card.data, _source(task)
    assert data is not None  # the card was checked
    key = f"{source} {data.model_dump_json()}"
    if key not in listings:
        try:
            listing = _read(card, data, root)
            listings[key] = Listing(_named(listing.cases, data, source), listing.traps)
        except IncompleteError as error:
            listings[key] = IncompleteError(error.problems, _named(error.cases, data, source))
        except InputError as error:
            listings[key] = IncompleteError([str(error)])
    return listings[key]


def _read(card: Card, data: DataCard, root: Path) -> Listing:
    if data.layout not in LAYOUTS:
        raise unknown("layout", data.layout, LAYOUTS)
    folder = _find(card, data, root)
    named = {"rename": data.rename, "channel": data.channel, "patient": data.patient}
    options = data.options | {name: value for name, value in named.items() if value not in (None, {}, "")}
    problems: list[str] = []
    try:
        listing = LAYOUTS[data.layout].read(folder, card.labels, options)
    except IncompleteError as error:
        listing, problems = Listing(error.cases), list(error.problems)
    except OSError as error:
        raise InputError(f"{error.filename}: cannot be read ({error.strerror}); make it readable") from None
    try:
        require_inside((file for case in listing.cases for file in (*case.images, case.mask)), folder, root)
    except IncompleteError as error:  # without cases: no file outside is read
        raise IncompleteError([*problems, *error.problems]) from None
    return complete(listing.cases, listing.traps, problems)


def _source(task: TaskCard) -> str:
    """The name of a task's own data set: its first root, wherever the data were found; empty for the card's data."""
    return "" if task.data is None or task.data.roots[0] == "." else task.data.roots[0].strip("/")


def _named(cases: Iterable[Case], data: DataCard, source: str) -> tuple[Case, ...]:
    """Case ids of streams over several data sets carry the data set's name, so that they stay unique."""
    start = f"{source}/" if source else ""
    return tuple(
        replace(
            case,
            case_id=f"{start}{case.case_id}",
            patient_id=f"{start}{case.patient_id}",
            may_be_empty=data.empty_masks,
        )
        for case in cases
    )


def _find(card: Card, data: DataCard, root: Path) -> Path:
    candidates = [root / folder for folder in data.roots]
    for folder in candidates:
        if folder.is_dir() and any(folder.glob(data.marker)):
            return folder
    looked = ", ".join(str(folder) for folder in candidates)
    raise InputError(
        f"data of stream {card.name} not found: looked for '{data.marker}' in {looked}. "
        f"{_how_to_get(card) or 'Correct --data or the roots of the card'}"
    )


def _known_shift(name: str) -> str:
    if name and name not in SHIFTS:
        raise unknown("shift", name, SHIFTS)
    return name


def _in_part(card: Card, task: TaskCard, case: Case) -> bool:
    if task.part is None:
        return True
    part, parts = task.part
    return partition(case.patient_id, parts, f"{card.name}@{card.version}") == part - 1


def _split(card: Card, task: TaskCard, cases: Sequence[Case]) -> Mapping[str, tuple[Case, ...]]:
    """Splits depend on the task's own cases alone; tasks with the same selection share their splits."""
    part = "" if task.part is None else f"{task.part[0]}of{task.part[1]}"
    salt = "/".join([f"{card.name}@{card.version}", *(text for text in (_source(task), task.group, part) if text)])
    try:
        split = split_patients([case.patient_id for case in cases], salt)
    except InputError as error:
        raise InputError(f"task {task.name} of stream {card.name}: {error}") from None
    ordered = sorted(cases, key=lambda case: case.case_id)
    return {name: tuple(case for case in ordered if split[case.patient_id] == name) for name in SPLITS}
