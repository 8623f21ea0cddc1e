"""Training patches of a task for passes over it after it is learned."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import Tensor
from torch.utils.data import default_collate


def training_patches(strategy: Any, count: int) -> Iterator[tuple[Tensor, Tensor]]:
    """At most ``count`` training patches of the current experience, one at a time on the device.

    Steps are evenly spaced and slots taken in turn, since the last slots of a batch hold the forced foreground.
    """
    dataset, batch = strategy.experience.dataset, int(strategy.train_mb_size)
    count = min(count, len(dataset))
    steps = max(1, len(dataset) // batch)
    for number in range(count):
        index = (number * steps // count) * batch + number % batch
        x, y = default_collate([dataset[min(index, len(dataset) - 1)]])[:2]
        yield x.to(strategy.device), y.to(strategy.device)
