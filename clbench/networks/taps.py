"""Taps: listening to named feature levels of a network without changing it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, NamedTuple, Protocol, Self, runtime_checkable

from torch import Tensor, nn

from clbench.errors import unknown


class TapPoint(NamedTuple):
    """Where a feature level comes out.

    Attributes:
        module: the module whose output it is.
        overwritten: True when the network changes that output in place afterwards, so that it must be copied.
    """

    module: nn.Module
    overwritten: bool = False


Read = Callable[[Tensor], tuple[Tensor, Tensor] | None]
"""Features -> what the network goes on with, and what is kept; None keeps what was kept before."""


@runtime_checkable
class Tappable(Protocol):
    """A network with named feature levels."""

    @property
    def tap_points(self) -> Mapping[str, TapPoint]:
        """Level name -> where it comes out."""
        ...


class FeatureTap:
    """Features of the last forward pass, by level name; a context manager.

    Attributes:
        features: level name -> (B, C, *S), or what is read of it; part of the autograd graph; empty before the first
            forward pass.
    """

    def __init__(self, points: Mapping[str, TapPoint], read: Read | None = None) -> None:
        self.features: dict[str, Tensor] = {}
        self._read = read
        self._handles = [self._listen(name, point) for name, point in points.items()]

    def _listen(self, name: str, point: TapPoint) -> Any:
        def keep(_module: nn.Module, _inputs: tuple[Any, ...], output: Tensor) -> Tensor:
            if self._read is None:
                self.features[name] = output.clone() if point.overwritten else output
            elif (found := self._read(output)) is not None:
                output, self.features[name] = found
            return output

        return point.module.register_forward_hook(keep)

    def remove(self) -> None:
        """Stop listening and let the features go; the network is as it was before."""
        for handle in self._handles:
            handle.remove()
        self._handles.clear()
        self.features.clear()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.remove()


def tap(network: nn.Module, names: Iterable[str], read: Read | None = None) -> FeatureTap:
    """Listen to feature levels of a network; see ``tap_names`` for those it has.

    Args:
        network: with ``tap_points``; any other module is tapped by the dotted names of its submodules.
        names: levels to listen to.
        read: what the network goes on with, and what to keep of a level's features, in new memory, such as a sample.
            It is called inside the forward pass, before the network can overwrite them; without it they are kept whole.

    Returns:
        A FeatureTap, filled at each forward pass until it is removed.

    Raises:
        InputError: an unknown level, with near matches.
    """
    points = _points(network)
    wanted = {}
    for name in names:
        if name not in points:
            raise unknown("feature tap", name, points)
        wanted[name] = points[name]
    return FeatureTap(wanted, read)


def tap_names(network: nn.Module) -> tuple[str, ...]:
    """The levels that ``tap`` knows of a network."""
    return tuple(_points(network))


def _points(network: nn.Module) -> Mapping[str, TapPoint]:
    if isinstance(network, Tappable):
        return network.tap_points
    return {name: TapPoint(module, overwritten=True) for name, module in network.named_modules() if name}
