"""Memory patches: what is drawn from earlier cases at (seed, task, step, slot), by reference to the prepared cache."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from torch import Tensor
from torch.utils.data import Dataset

from clbench.data.loading import Patches
from clbench.data.patches import PatchPlan, PatchSampler, PoolEntry


@dataclass(frozen=True)
class MemoryEntry(PoolEntry):
    """A case of an earlier task, or one slice of it, that may be looked at again.

    Attributes:
        slice: index along the third prepared axis; None for the whole case.
    """

    slice: int | None = None


class MemorySampler(PatchSampler):
    """Draws patches of remembered cases as a pure function of (seed, purpose, task, step, slot).

    Groups are equally likely, and so are the entries of a group. A third of the slots is forced to contain foreground,
    as in ``PatchSampler``; in an entry of one slice, foreground of that slice.

    Args:
        groups: entries, none of them empty.
        plan, seed, task_index, batch_size, augment: as for ``PatchSampler``; the task is the current one.
        purpose: a name in the seed that no other sampler of the run has.

    Raises:
        ValueError: no group, or an empty one.
    """

    def __init__(
        self,
        groups: Sequence[Sequence[MemoryEntry]],
        plan: PatchPlan,
        seed: int,
        task_index: int,
        batch_size: int,
        augment: bool = True,
        purpose: str = "memory",
    ) -> None:
        if not groups or not all(groups):
            raise ValueError("a memory to draw from needs at least one entry in every group")
        everything = [entry for group in groups for entry in group]
        super().__init__(everything, plan, seed, task_index, batch_size, augment=augment, purpose=purpose)
        self.groups = groups

    def _entry(self, rng: np.random.Generator) -> PoolEntry:
        group = self.groups[int(rng.integers(len(self.groups)))]
        return group[int(rng.integers(len(group)))]

    def _corner(self, entry: PoolEntry, rng: np.random.Generator, *, forced: bool) -> list[int]:
        corner = super()._corner(entry, rng, forced=forced)
        if not isinstance(entry, MemoryEntry) or entry.slice is None:
            return corner
        if forced and (voxels := _foreground(entry, entry.slice)) is not None:
            at, size = voxels[rng.integers(len(voxels))], self.plan.patch_size
            room = [limit - count for limit, count in zip(entry.prepared.geometry.shape, size, strict=False)]
            corner = [
                min(max(int(voxel) - count // 2, 0), free) if free >= 0 else -(-free // 2)
                for voxel, count, free in zip(at, size, room, strict=False)
            ]
        return [*corner[:2], entry.slice]


def _foreground(entry: MemoryEntry, position: int) -> np.ndarray | None:
    """Annotated foreground voxels (N, 3) of one slice, or None where it shows none."""
    found = [entry.prepared.foreground(label) for label in entry.visible]
    here = [voxels[voxels[:, 2] == position] for voxels in found]
    every = np.concatenate(here) if here else np.empty((0, 3))
    return every if len(every) else None


class MemoryPatches(Dataset[tuple[Tensor, Tensor, int]]):
    """Remembered patches in the order of training steps, as a map-style data set.

    Item ``i`` is slot ``i % batch_size`` of step ``i // batch_size``: ``(x (C, *patch) float32, y (*patch) int64,
    annotated)``, the last a number whose bit k says that label k is annotated in y.

    Args:
        sampler: draws the patches.
        steps: number of steps.
    """

    def __init__(self, sampler: PatchSampler, steps: int) -> None:
        self.sampler, self.steps = sampler, steps

    @property
    def batch_size(self) -> int:
        """Items per step."""
        return self.sampler.batch_size

    def __len__(self) -> int:
        return self.steps * self.batch_size

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, int]:
        patch = self.sampler(*place(index, self))
        return patch.image, patch.mask.long(), label_bits(patch.labels)


class JoinedPatches(Dataset[tuple[Tensor, Tensor, int]]):
    """Several memories side by side: the slots of a step are those of the first, then of the second, and so on.

    Args:
        parts: with the same number of steps.
    """

    def __init__(self, parts: Sequence[MemoryPatches]) -> None:
        self.parts = parts
        self.slots = [(part, slot) for part in parts for slot in range(part.batch_size)]

    @property
    def batch_size(self) -> int:
        """Items per step."""
        return len(self.slots)

    def __len__(self) -> int:
        return self.parts[0].steps * self.batch_size

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, int]:
        step, slot = place(index, self)
        part, own_slot = self.slots[slot]
        return part[step * part.batch_size + own_slot]


class InSteps(Patches, Protocol):
    """A data set with the same number of items for every step."""

    @property
    def batch_size(self) -> int:
        """Items per step."""


def place(index: int, dataset: InSteps) -> tuple[int, int]:
    """Step and slot of an item.

    Raises:
        IndexError: no such item, which also ends a loop over the data set.
    """
    if not 0 <= index < len(dataset):
        raise IndexError(f"item {index} of {len(dataset)}")
    return divmod(index, dataset.batch_size)


def label_bits(labels: Sequence[int]) -> int:
    """A number whose bit k says that label k is among ``labels``, each below 63."""
    return sum(1 << label for label in labels)
