"""Patches: what a network sees at (seed, task, step, slot), the same for any worker and after any resume."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset

from clbench.data.augment import AugmentPlan, apply, draw
from clbench.data.prepare import Prepared
from clbench.data.window import make_warp, read_window
from clbench.seeding import numpy_generator


class PatchPlan(AugmentPlan, Protocol):
    """What sampling reads of a plan; ``clbench.streams.stream.Plan`` has it."""

    @property
    def patch_size(self) -> tuple[int, ...]:
        """Voxels per axis, ``dims`` values."""


@dataclass(frozen=True)
class PoolEntry:
    """A case to draw patches from.

    Attributes:
        prepared: the case.
        labels: annotated label values; every other value becomes background.
    """

    prepared: Prepared
    labels: tuple[int, ...]

    @property
    def visible(self) -> tuple[int, ...]:
        """Annotated labels that occur in this case."""
        return tuple(label for label in self.prepared.labels_present if label in self.labels)


@dataclass(frozen=True)
class Patch:
    """One training sample.

    Attributes:
        image: (C, *patch) float32.
        mask: (*patch) uint8 label values.
        case_id: the case it was cut from.
        labels: label values annotated in its mask.
    """

    image: Tensor
    mask: Tensor
    case_id: str
    labels: tuple[int, ...] = ()


class PatchSampler:
    """Draws patches as a pure function of (seed, purpose, task, step, slot).

    Cases are equally likely. As in nnU-Net, the last third of every batch is forced to contain foreground: a label
    drawn uniformly among those annotated and present, then one of its voxels; the patch is centered on it as far as
    the volume allows. (A rotation or scaling drawn afterwards may turn a voxel near the patch's edge out of sight.)
    Volumes smaller than the patch are padded with 0, the mean.

    Args:
        pool: cases, in any order.
        plan: patch size and what the augmentation may do.
        seed: the run's seed.
        task_index: position of the task in the stream, from 1.
        batch_size: slots per step.
        augment: False cuts patches straight out of the volume, at the same places.
        foreground_fraction: of the slots, rounded; with a single slot it is the chance at each step.
        purpose: a further name in the seed, for pools that must not repeat each other's draws.

    Raises:
        ValueError: empty pool.

    Source: Isensee et al. 2021, doi 10.1038/s41592-020-01008-z (oversampling of foreground).
    Differs from the source in: the draws do not depend on the order in which patches are asked for.
    """

    def __init__(
        self,
        pool: Sequence[PoolEntry],
        plan: PatchPlan,
        seed: int,
        task_index: int,
        batch_size: int,
        augment: bool = True,
        foreground_fraction: float = 1 / 3,
        purpose: str = "patch",
    ) -> None:
        if not pool:
            raise ValueError("a pool needs at least one case")
        self.pool = sorted(pool, key=lambda entry: entry.prepared.case.case_id)
        self.plan, self.seed, self.task_index, self.batch_size = plan, seed, task_index, batch_size
        self.augment, self.foreground_fraction, self.purpose = augment, foreground_fraction, purpose

    def __call__(self, step: int, slot: int) -> Patch:
        """The patch of a slot (from 0) of a step (from 0)."""
        rng = numpy_generator(self.seed, self.purpose, self.task_index, step, slot)
        forced = self._forced(slot, rng.random())
        entry = self._entry(rng)
        corner = self._corner(entry, rng, forced=forced)
        image, mask = self._cut(entry, corner, rng)
        return Patch(torch.from_numpy(image), torch.from_numpy(mask), entry.prepared.case.case_id, entry.labels)

    def entry(self, step: int, slot: int) -> PoolEntry:
        """The case that a slot's patch is cut from."""
        rng = numpy_generator(self.seed, self.purpose, self.task_index, step, slot)
        rng.random()  # whether foreground is forced, drawn before the case
        return self._entry(rng)

    def _entry(self, rng: np.random.Generator) -> PoolEntry:
        return self.pool[rng.integers(len(self.pool))]

    def _forced(self, slot: int, chance: float) -> bool:
        if self.batch_size == 1:
            return chance < self.foreground_fraction
        return slot >= round(self.batch_size * (1 - self.foreground_fraction))

    def _corner(self, entry: PoolEntry, rng: np.random.Generator, *, forced: bool) -> list[int]:
        """Lowest voxel of the patch along the three prepared axes; a slice counts as a box one voxel thick."""
        size = (*self.plan.patch_size, 1) if self.plan.dims == 2 else self.plan.patch_size
        room = [limit - count for limit, count in zip(entry.prepared.geometry.shape, size, strict=True)]
        labels = entry.visible
        if forced and labels:
            voxels = entry.prepared.foreground(labels[rng.integers(len(labels))])
            wanted = [int(at) - count // 2 for at, count in zip(voxels[rng.integers(len(voxels))], size, strict=True)]
        else:
            wanted = [int(rng.integers(max(free, 0) + 1)) for free in room]
        return [
            min(max(start, 0), free) if free >= 0 else -(-free // 2) for start, free in zip(wanted, room, strict=True)
        ]

    def _cut(
        self, entry: PoolEntry, corner: list[int], rng: np.random.Generator
    ) -> tuple[NDArray[np.float32], NDArray[np.uint8]]:
        """The patch at a corner, augmented."""
        size = self.plan.patch_size
        image, mask = entry.prepared.image, entry.prepared.mask
        if self.plan.dims == 2:
            image, mask, corner = image[..., corner[2]], mask[..., corner[2]], corner[:2]
        params = draw(rng, self.plan, len(image)) if self.augment else None
        matrix = None if params is None else params.matrix
        if matrix is not None:
            warp = make_warp(mask.shape, corner, size, matrix)
            x, y = warp.image(image), _annotated(warp.mask(mask, entry.prepared.labels_present), entry)
        else:
            x = read_window(image, corner, size).astype(np.float32, order="C")
            y = _annotated(read_window(mask, corner, size), entry)
        return (x, y) if params is None else apply(x, y, params)


def _annotated(mask: NDArray[np.uint8], entry: PoolEntry) -> NDArray[np.uint8]:
    """A contiguous copy in which labels that are not annotated are background."""
    if entry.visible == entry.prepared.labels_present:
        return mask.astype(np.uint8, order="C", copy=True)
    table = np.zeros(256, dtype=np.uint8)
    table[list(entry.visible)] = entry.visible
    return np.ascontiguousarray(table[mask])


class PatchDataset(Dataset[tuple[Tensor, Tensor, int]]):
    """The patches of a task in training order, as a map-style data set.

    Item ``i`` is slot ``i % batch_size`` of step ``first_step + i // batch_size``: ``(x (C, *patch) float32,
    y (*patch) int64, 0)``, the 0 being Avalanche's task label. Read it in order, without shuffling.

    Args:
        sampler: draws the patches.
        steps: number of steps.
        first_step: step of the first item.
    """

    def __init__(self, sampler: PatchSampler, steps: int, first_step: int = 0) -> None:
        self.sampler, self.steps, self.first_step = sampler, steps, first_step

    def __len__(self) -> int:
        return self.steps * self.sampler.batch_size

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, int]:
        if not 0 <= index < len(self):
            raise IndexError(f"item {index} of {len(self)}")
        step, slot = divmod(index, self.sampler.batch_size)
        patch = self.sampler(self.first_step + step, slot)
        return patch.image, patch.mask.long(), 0
