"""StrategyPlugin: an Avalanche plugin whose state can be saved, counted and named in the loss."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from avalanche.core import SupervisedPlugin
from torch import Tensor, nn


class StrategyPlugin(SupervisedPlugin):  # type: ignore[misc]
    """Base of clbench's continual-learning methods; works in any Avalanche ``SupervisedTemplate``.

    A subclass takes its options as keyword arguments with defaults (and ``seed`` when it draws random numbers), keeps
    what it remembers between tasks as named tensors, and touches no global random stream.

    Attributes:
        replayed_fraction: share of the old training images that it can look at again, in [0, 1].
        replayed_bytes: bytes of the prepared cases that this share comes to, where it is kept by reference.
    """

    replayed_fraction: float = 0.0
    replayed_bytes: int = 0

    def check(self, network: Any) -> None:
        """Refuse a network that this plugin cannot work with, before anything is trained.

        Raises:
            InputError: an option that does not fit the network.
        """

    def grow(self, network: nn.Module, experience: Any, fresh: Callable[[int], nn.Module]) -> nn.Module:
        """What the network of a task is made of; called before a task is trained and when a run goes on after it.

        Args:
            network: as it was after the task before, or as built at the start of a run that goes on later.
            experience: the task; a network that was not grown for the tasks before it is grown for them as well.
            fresh: ``classes -> network`` with the initial weights of the run's seed.
        """
        return network

    def state_tensors(self) -> dict[str, Tensor]:
        """Everything kept between steps, by name; what checkpoints store and ``cost.json`` counts."""
        return {}

    def load_state_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """Restore what ``state_tensors`` gave.

        Raises:
            ValueError: names that this plugin does not keep.
        """
        if tensors:
            raise ValueError(f"{type(self).__name__} keeps no state, but was given {sorted(tensors)[:3]}")

    @property
    def stored_bytes(self) -> int:
        """Bytes of the tensors kept between steps."""
        return sum(tensor.numel() * tensor.element_size() for tensor in self.state_tensors().values())


def add_loss(strategy: Any, name: str, value: Tensor) -> None:
    """Add a term to the loss of the current step, logged under its name where the strategy keeps ``loss_terms``.

    Args:
        strategy: the Avalanche strategy in its ``before_backward`` event.
        name: column of ``train.csv``.
        value: scalar, already multiplied by its weight.
    """
    strategy.loss = strategy.loss + value
    log_values(strategy, {name: value.detach()})


def log_values(strategy: Any, values: Mapping[str, Tensor]) -> None:
    """Write values of the current step beside the loss terms, where the strategy keeps ``loss_terms``.

    Args:
        strategy: the Avalanche strategy in its ``before_backward`` event.
        values: column of ``train.csv`` -> scalar without a gradient.
    """
    terms = getattr(strategy, "loss_terms", None)
    if terms is not None:
        terms.update(values)


def task_index(strategy: Any) -> int:
    """Position of the current experience in its stream, from 1."""
    return int(strategy.experience.current_experience) + 1
