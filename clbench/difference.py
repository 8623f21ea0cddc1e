"""Difference: something in a run folder that is not as it should be."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Difference:
    """Something in a run folder that is not as it should be.

    Attributes:
        where: file, or ``data``.
        what: how it differs.
    """

    where: str
    what: str

    def __str__(self) -> str:
        return f"{self.where}: {self.what}"
