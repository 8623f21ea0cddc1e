"""Gathering: what is missing or wrong in the files of a data set is told all at once, and not one file at a time."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from clbench.data.case import Case, Listing, Trap
from clbench.errors import DataError, InputError

MEND = "mend them all, then give the same command again"


class IncompleteError(DataError):
    """A data set or stream that cannot be used as it is, with everything that is known to be wrong.

    Args:
        problems: one line each; what is there twice is told once.
        cases: those that were found all the same.
    """

    def __init__(self, problems: Iterable[str], cases: Iterable[Case] = ()) -> None:
        self.problems, self.cases = tuple(dict.fromkeys(problems)), tuple(cases)
        several = [f"{len(self.problems)} problems of the data; {MEND}"] if len(self.problems) > 1 else []
        super().__init__("\n".join([*self.problems, *several]))


@contextmanager
def gathering(problems: list[str]) -> Iterator[None]:
    """Note what is wrong in the block, which ends there, and go on behind it.

    Args:
        problems: gets the lines.
    """
    try:
        yield
    except IncompleteError as error:
        problems += error.problems
    except InputError as error:
        problems.append(str(error))


def complete(cases: Iterable[Case], traps: Iterable[Trap], problems: Iterable[str]) -> Listing:
    """The listing of a data set, its cases sorted, when nothing is wrong with it.

    Raises:
        IncompleteError: there are problems; it has the cases.
    """
    ordered = tuple(sorted(cases, key=lambda case: case.case_id))
    told = list(problems)
    if told:
        raise IncompleteError(told, ordered)
    return Listing(ordered, tuple(traps))
