"""Soundness: a stream whose data were read before hours are spent on them; faulty cases are refused or left out."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from clbench.data.check import Problem, inspect_cases
from clbench.data.layouts.gathering import IncompleteError
from clbench.errors import DataError, InputError
from clbench.streams.stream import SPLITS, Stream, Task


def sound_stream(stream: Stream, cache: Path, *, exclude_bad: bool = False) -> Stream:
    """The stream itself when every case is sound, or without the others.

    Args:
        stream: as it was loaded.
        cache: cache folder, which remembers what was found.
        exclude_bad: leave faulty cases out instead of refusing the stream.

    Raises:
        DataError: there are faulty cases.
        InputError: without them a split of a task is empty.
    """
    problems = inspect_cases(stream.cases, cache=cache).problems
    if not problems:
        return stream
    if not exclude_bad:
        raise DataError(_refusal(stream, problems))
    reasons: dict[str, list[str]] = {}
    for problem in problems:
        reasons.setdefault(problem.case_id, []).append(problem.kind)
    return without_cases(stream, {case_id: "; ".join(dict.fromkeys(texts)) for case_id, texts in reasons.items()})


@contextmanager
def every_problem_told(cache: Path) -> Iterator[None]:
    """Where a stream is loaded in the block and something is missing, tell what is wrong with the cases there, too.

    Args:
        cache: cache folder, which remembers what was found.

    Raises:
        IncompleteError: with the problems of the data set, and after them those of single cases.
    """
    try:
        yield
    except IncompleteError as error:
        faulty = inspect_cases(error.cases, cache=cache).problems
        raise IncompleteError([*error.problems, *_lines(faulty)], error.cases) from None


def without_cases(stream: Stream, excluded: Mapping[str, str]) -> Stream:
    """The stream without some cases; the splits of the others stay as they are.

    Args:
        stream: with all its cases.
        excluded: case id -> reason.

    Raises:
        InputError: a case that the stream lacks, or a split of a task that is empty without them.
    """
    if not excluded:
        return stream
    unknown = sorted(excluded.keys() - {case.case_id for case in stream.cases})
    if unknown:
        raise InputError(f"stream {stream.name} has no case {unknown[0]} to leave out")
    return replace(
        stream,
        tasks=tuple(_without(stream, task, excluded) for task in stream.tasks),
        excluded=dict(sorted(excluded.items())),
    )


def _without(stream: Stream, task: Task, excluded: Mapping[str, str]) -> Task:
    kept = {name: tuple(case for case in task.split(name) if case.case_id not in excluded) for name in SPLITS}
    for name, cases in kept.items():
        if not cases:
            raise InputError(
                f"task {task.name} of stream {stream.name} has no sound case in split {name}; mend the data: "
                f"{', '.join(case.case_id for case in task.split(name))}"
            )
    return replace(task, train=kept["train"], val=kept["val"], test=kept["test"])


def _refusal(stream: Stream, problems: Iterable[Problem]) -> str:
    lines = _lines(problems)
    count = len({problem.case_id for problem in problems})
    if len(lines) == 1:
        return f"{lines[0]} (or leave the case out with --exclude-bad)"
    mend = f"{count} of {len(stream.cases)} cases cannot be used; mend them, or leave them out with --exclude-bad"
    return "\n".join([*lines, mend])


def _lines(problems: Iterable[Problem]) -> list[str]:
    return [f"{problem.file}: {problem.what}" for problem in problems]
