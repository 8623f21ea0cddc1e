"""CaseMemory: which cases or slices of earlier tasks may be looked at again, kept as references to the cache."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import prod
from typing import Literal

import torch
from torch import Tensor

from clbench.data.memory import MemoryEntry
from clbench.data.patches import PoolEntry
from clbench.errors import InputError
from clbench.functional.selection import quotas, smallest
from clbench.seeding import numpy_generator

Unit = Literal["fraction", "cases", "slices"]
Selection = Literal["balanced", "reservoir"]
Pools = Sequence[Sequence[PoolEntry]]
WHOLE = -1


class CaseMemory:
    """References to remembered cases or slices.

    Args:
        budget: how much is kept: a fraction of the cases seen, or a number of cases or slices in all.
        unit: of the budget.
        selection: ``balanced`` gives every task its share; ``reservoir`` keeps every case (or slice) seen so far with
            the same chance.
        seed: of the choice.
        purpose: name of the strategy in the seed.

    Attributes:
        entries: (N, 3) int64: task (from 1), position in the task's pool, slice or -1 for the whole case.
        keys: (N,) float64: what was drawn for each entry when it was seen.

    Raises:
        InputError: a budget that does not fit its unit.
    """

    def __init__(self, budget: float, unit: Unit, selection: Selection, seed: int, purpose: str) -> None:
        if unit == "fraction" and budget > 1:
            raise InputError(f"{purpose}.budget={budget:g} is no fraction; give at most 1, or another {purpose}.unit")
        if unit != "fraction" and (budget < 1 or budget != int(budget)):
            raise InputError(f"{purpose}.budget={budget:g} is no number of {unit}; give a whole number from 1")
        self.budget, self.unit, self.selection, self.seed, self.purpose = budget, unit, selection, seed, purpose
        self.entries = torch.zeros((0, 3), dtype=torch.int64)
        self.keys = torch.zeros(0, dtype=torch.float64)

    def __len__(self) -> int:
        return len(self.entries)

    def add_task(self, pools: Pools) -> None:
        """See the last of ``pools`` for the first time and decide what is kept of everything seen.

        Args:
            pools: training cases of each task so far, each sorted by case id.
        """
        new = candidates(pools[-1], len(pools), slices=self.unit == "slices")
        drawn = numpy_generator(self.seed, self.purpose, "keep", len(pools)).random(len(new))
        self.entries = torch.cat([self.entries, new])
        self.keys = torch.cat([self.keys, torch.from_numpy(drawn)])
        kept = self._kept([len(candidates(pool, 1, slices=self.unit == "slices")) for pool in pools])
        self.entries, self.keys = self.entries[kept], self.keys[kept]

    def _kept(self, seen: Sequence[int]) -> Tensor:
        """Positions of the entries to keep, after ``seen`` candidates of each task."""
        if self.selection == "reservoir":
            return smallest(self.keys, capacity(self.budget, self.unit, sum(seen)))
        here = [torch.nonzero(self.entries[:, 0] == task).flatten() for task in range(1, len(seen) + 1)]
        if self.unit == "fraction":
            counts = [capacity(self.budget, self.unit, size) for size in seen]
        else:
            counts = quotas(int(self.budget), [len(places) for places in here])
        found = [places[smallest(self.keys[places], count)] for places, count in zip(here, counts, strict=True)]
        return torch.cat(found)

    def groups(self, pools: Pools) -> list[list[MemoryEntry]]:
        """What to draw from: a group per task for a balanced memory, else one group."""
        groups = by_task(self.entries, pools)
        return groups if self.selection == "balanced" else [[entry for group in groups for entry in group]]

    def state(self) -> dict[str, Tensor]:
        """``entries`` and ``keys``, once there are any."""
        return {"entries": self.entries, "keys": self.keys} if len(self) else {}

    def load(self, tensors: Mapping[str, Tensor]) -> None:
        """Restore what ``state`` gave."""
        self.entries = tensors["entries"].cpu() if tensors else torch.zeros((0, 3), dtype=torch.int64)
        self.keys = tensors["keys"].cpu() if tensors else torch.zeros(0, dtype=torch.float64)


def capacity(budget: float, unit: Unit, seen: int) -> int:
    """Entries that a budget pays for after ``seen`` candidates; at least one."""
    return max(1, round(budget * seen)) if unit == "fraction" else int(budget)


def candidates(pool: Sequence[PoolEntry], task: int, *, slices: bool) -> Tensor:
    """All cases of a task, or all their slices, as entries (N, 3) int64."""
    found = [
        (task, position, level)
        for position, entry in enumerate(pool)
        for level in (range(entry.prepared.geometry.shape[2]) if slices else (WHOLE,))
    ]
    return torch.tensor(found, dtype=torch.int64)


def by_task(entries: Tensor, pools: Pools) -> list[list[MemoryEntry]]:
    """Entries (N, 3) looked up in the pools, one group for each task that has any."""
    groups: dict[int, list[MemoryEntry]] = {}
    for task, position, level in entries.tolist():
        case = pools[task - 1][position]
        entry = MemoryEntry(case.prepared, case.labels, None if level == WHOLE else level)
        groups.setdefault(task, []).append(entry)
    return [groups[task] for task in sorted(groups)]


def replayed_share(entries: Tensor, pools: Pools) -> tuple[float, int]:
    """Fraction of the voxels of all cases seen that entries stand for, and the bytes of these in the cache.

    A case remembered in two tasks counts once; image and mask count as they are prepared.
    """
    everything = {entry.prepared.case.case_id: entry for pool in pools for entry in pool}
    kept: dict[str, set[int]] = {}
    for group in by_task(entries, pools):
        for entry in group:
            depth = entry.prepared.geometry.shape[2]
            kept.setdefault(entry.prepared.case.case_id, set()).update(
                range(depth) if entry.slice is None else [entry.slice]
            )
    slices = {case_id: prod(entry.prepared.geometry.shape[:2]) for case_id, entry in everything.items()}
    total = sum(area * everything[case_id].prepared.geometry.shape[2] for case_id, area in slices.items())
    voxels = {case_id: slices[case_id] * len(levels) for case_id, levels in kept.items()}
    stored = sum(count * _bytes_per_voxel(everything[case_id]) for case_id, count in voxels.items())
    return sum(voxels.values()) / total, stored


def _bytes_per_voxel(entry: PoolEntry) -> int:
    image, mask = entry.prepared.image, entry.prepared.mask
    return int(len(image) * image.itemsize + mask.itemsize)
