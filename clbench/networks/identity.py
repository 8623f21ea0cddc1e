"""Task identity: telling a network which task its next images are of, where it has an answer of its own for each."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from torch import nn


@runtime_checkable
class TaskAware(Protocol):
    """A network that is told the task at test time."""

    def select_task(self, index: int) -> None:
        """Answer for a task, from 1, from now on; for one not learned yet as for the newest."""


def select_task(network: nn.Module, index: int) -> bool:
    """Tell a network the task, from 1; returns whether it makes a difference to it."""
    if isinstance(network, TaskAware):
        network.select_task(index)
        return True
    return False
