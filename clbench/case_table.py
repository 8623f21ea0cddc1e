"""CaseTable: the scores of a run, as values beside what they score, which many runs of a stream have in common."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from operator import lt
from typing import Any, NamedTuple, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

Made = TypeVar("Made")


class Scored(NamedTuple):
    """What a row scores: all of a ``CaseRow`` but its value, under the same names."""

    after_task: int
    on_task: int
    split: str
    case: str
    patient: str
    label: str
    metric: str


class CaseRow(NamedTuple):
    """One score: one line of ``cases.csv``, sorted by its fields in this order.

    A tuple, since reports read millions of them and a frozen dataclass takes four times as long to make.

    Attributes:
        after_task: tasks trained before the evaluation, 0 (untrained) to T.
        on_task: the task whose case it is, 1 to T.
        split: ``val`` or ``test``.
        case, patient: identifiers of the stream.
        label: name of the label scored.
        metric: key in ``clbench.metrics.METRICS``.
        value: the score; NaN where the metric is undefined, such as the Dice of two empty masks.
    """

    after_task: int
    on_task: int
    split: str
    case: str
    patient: str
    label: str
    metric: str
    value: float

    @property
    def scored(self) -> Scored:
        """All but the value."""
        return Scored(*self[:-1])


class Layout:
    """What the rows of a table score, and what follows from that alone, worked out once for all tables that share it.

    Attributes:
        scored: of each row, in the order of the rows.
    """

    def __init__(self, scored: Iterable[Scored]) -> None:
        self.scored = tuple(scored)
        self._made: dict[Hashable, Any] = {}

    def once(self, make: Callable[..., Made], *given: Hashable) -> Made:
        """``make(scored, *given)``, called the first time only; nobody may change what it gives."""
        if (make, given) not in self._made:
            self._made[make, given] = make(self.scored, *given)
        made: Made = self._made[make, given]
        return made

    @property
    def ordered(self) -> bool:
        """Whether each row comes before the next in the order of ``cases.csv``, so that no two are the same."""
        return self.once(_increasing)


class CaseTable(Sequence[CaseRow]):
    """The rows of a ``cases.csv``: a sequence of ``CaseRow``, of which only the values are its own.

    Equal to a table of the same rows, those with NaN included, and to a list or tuple whose rows equal its own.

    Args:
        layout: what the rows score; tables with the same may share one object.
        values: (N,) float64, of each row; cannot be written to from then on.

    Raises:
        ValueError: not one value for each row.
    """

    def __init__(self, layout: Layout, values: NDArray[np.float64]) -> None:
        if values.shape != (len(layout.scored),):
            raise ValueError(f"{len(layout.scored)} rows, but values of the shape {values.shape}")
        values.flags.writeable = False
        self.layout, self.values = layout, values

    @classmethod
    def of(cls, rows: Iterable[CaseRow]) -> CaseTable:
        """The table of rows in their order; a table stays what it is.

        Raises:
            TypeError: a value that is no number.
        """
        if isinstance(rows, CaseTable):
            return rows
        kept = tuple(rows)
        values = array("d", (row.value for row in kept))  # numpy would read None as NaN
        return cls(Layout(row.scored for row in kept), np.array(values, dtype=np.float64))

    def __len__(self) -> int:
        return len(self.values)

    def __iter__(self) -> Iterator[CaseRow]:
        return map(_row, self.layout.scored, self.values.tolist())

    @overload
    def __getitem__(self, place: int) -> CaseRow: ...

    @overload
    def __getitem__(self, place: slice) -> tuple[CaseRow, ...]: ...

    def __getitem__(self, place: int | slice) -> CaseRow | tuple[CaseRow, ...]:
        if isinstance(place, slice):
            return tuple(self)[place]
        return _row(self.layout.scored[place], float(self.values[place]))

    def __eq__(self, other: object) -> bool:
        if isinstance(other, CaseTable):
            same = self.layout is other.layout or self.layout.scored == other.layout.scored
            return same and np.array_equal(self.values, other.values, equal_nan=True)
        return isinstance(other, (list, tuple)) and tuple(self) == tuple(other)

    __hash__ = None  # type: ignore[assignment]  # as other sequences of numbers


def _increasing(scored: Sequence[Scored]) -> bool:
    return all(map(lt, scored, scored[1:]))


def _row(scored: Scored, value: float) -> CaseRow:
    return CaseRow(*scored, value)
