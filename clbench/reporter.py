"""Reporter: how a run tells somebody where it is; the default tells nobody."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class Reporter(Protocol):
    """What a run calls while it works; nothing that a reporter does may change a result.

    Tasks and steps count from 1; ``after_task`` counts from 0, the untrained network.
    """

    def stage(self, text: str) -> None:
        """A stage began, such as ``"preparing 86 cases"``."""

    def step(self, task: int, tasks: int, name: str, step: int, steps: int, loss: float | None, lr: float) -> None:
        """Training reached ``step`` of ``steps`` in task ``task`` of ``tasks``, called ``name``.

        Called every few steps at most, and for the last step of a task. ``loss`` is None where reading it would
        make the device wait.
        """

    def evaluated(self, after_task: int, tasks: int, row: Sequence[float]) -> None:
        """Row ``after_task`` of R is known: one score in [0, 1] per task, NaN where it is not defined."""

    def warn(self, text: str) -> None:
        """Something the user should know, but that does not stop the run."""

    def done(self) -> None:
        """The run ended, well or not; called once, and safe to call again."""


class SilentReporter:
    """A Reporter that says nothing: the default of the Python interface."""

    def stage(self, text: str) -> None:
        """Say nothing."""

    def step(self, task: int, tasks: int, name: str, step: int, steps: int, loss: float | None, lr: float) -> None:
        """Say nothing."""

    def evaluated(self, after_task: int, tasks: int, row: Sequence[float]) -> None:
        """Say nothing."""

    def warn(self, text: str) -> None:
        """Say nothing."""

    def done(self) -> None:
        """Say nothing."""
