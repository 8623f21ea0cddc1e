"""PatchReservoir: patches already trained on, kept by their number in training and drawn again exactly as they were."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from clbench.data.memory import place
from clbench.data.patches import PatchDataset
from clbench.seeding import numpy_generator

Numbers = NDArray[np.int64]


class PatchReservoir:
    """Which of all patches trained on so far a reservoir of fixed size holds, as a pure function of their number.

    Every patch has a random key of its own; those with the smallest keys are held, so that each patch seen so far is
    held with the same chance, and nobody needs to have watched the training to know which.

    Args:
        seed: the run's seed.
        purpose: name of the strategy in the seed.
        capacity: patches held.
        per_task: patches that each task is trained on.

    Source: Vitter 1985, doi 10.1145/3147.3165; by keys: Efraimidis and Spirakis 2006, doi 10.1016/j.ipl.2005.11.003.
    """

    def __init__(self, seed: int, purpose: str, capacity: int, per_task: int) -> None:
        self.seed, self.purpose, self.capacity, self.per_task = seed, purpose, capacity, per_task
        self._keys = np.empty(0)

    def held(self, seen: int) -> Numbers:
        """Numbers (from 0) of the patches held after the first ``seen`` ones, sorted; at most ``capacity``."""
        while len(self._keys) < seen:
            task = len(self._keys) // self.per_task + 1
            drawn = numpy_generator(self.seed, self.purpose, "keep", task).random(self.per_task)
            self._keys = np.concatenate([self._keys, drawn])
        if seen <= self.capacity:
            return np.arange(seen)
        return np.sort(np.argpartition(self._keys[:seen], self.capacity)[: self.capacity])


class HeldPatches(Dataset[tuple[Tensor, Tensor, int]]):
    """Patches drawn from a reservoir for every step of a task, as a map-style data set.

    Item ``i`` is slot ``i % batch_size`` of step ``i // batch_size``: ``(x (C, *patch) float32, y (*patch) int64,
    number)``, image and mask as they were trained on. Every patch held at that step is equally likely.

    Args:
        reservoir: what is held.
        trained: the patches that each task up to this one was trained on.
        batch_size: patches drawn per step.
        own: whether patches of the task's own earlier steps are held as well.
    """

    def __init__(
        self, reservoir: PatchReservoir, trained: Sequence[PatchDataset], batch_size: int, *, own: bool
    ) -> None:
        self.reservoir, self.trained, self.batch_size, self.own = reservoir, trained, batch_size, own
        self._held: tuple[int, Numbers] = (-1, np.empty(0, np.int64))

    def __len__(self) -> int:
        return self.trained[-1].steps * self.batch_size

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, int]:
        step, slot = place(index, self)
        held = self._held_at(step)
        if not len(held):
            raise ValueError(f"nothing is held yet at step {step} of task {len(self.trained)}")
        rng = numpy_generator(self.reservoir.seed, self.reservoir.purpose, "draw", len(self.trained), step, slot)
        number = int(held[rng.integers(len(held))])
        task, position = divmod(number, self.reservoir.per_task)
        x, y, _ = self.trained[task][position]
        return x, y, number

    def _held_at(self, step: int) -> Numbers:
        seen = (len(self.trained) - 1) * self.reservoir.per_task
        if self.own:
            seen += step * self.reservoir.per_task // self.trained[-1].steps
        if self._held[0] != seen:
            self._held = (seen, self.reservoir.held(seen))
        return self._held[1]
