"""A stream as an Avalanche benchmark: experiences of patch data sets that stock strategies can train on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from avalanche.benchmarks import CLScenario, DatasetExperience, EagerCLStream
from avalanche.benchmarks.utils import AvalancheDataset, DataAttribute

from clbench.data.patches import PatchDataset, PatchSampler, PoolEntry
from clbench.data.plan import Plan
from clbench.data.prepare import Prepared
from clbench.errors import InputError
from clbench.streams.stream import Stream, Task


@dataclass(frozen=True)
class Sampling:
    """How patches are drawn, the same for every task of a run.

    Attributes:
        plan: grid and patch size.
        seed: the run's seed.
        steps: optimizer steps per task.
        batch_size: patches per step.
        augment: whether training patches are augmented.
    """

    plan: Plan
    seed: int
    steps: int
    batch_size: int
    augment: bool = True


class SegmentationExperience(DatasetExperience):  # type: ignore[misc]
    """One task as Avalanche sees it.

    ``dataset`` is an ``AvalancheDataset`` of ``steps * batch_size`` patches ``(x, y, 0)``, x (C, *patch) float32 and
    y (*patch) int64, that any Avalanche strategy can read; ``patches`` is the same without the wrapping, to load fast.

    Attributes:
        index: position in the stream, from 1.
        name: the task's name, ``"all"`` for the union.
        classes: output channels after this experience: background and the labels seen so far.
        patches: stateless patches of this experience's training cases.
        pools: training cases of each task up to this one, with the labels annotated in it, sorted by case id.
        sampling: how patches are drawn.
    """

    def __init__(
        self, index: int, name: str, classes: int, pools: Sequence[list[PoolEntry]], sampling: Sampling
    ) -> None:
        self.index, self.name, self.classes = index, name, classes
        self.pools = [sorted(pool, key=lambda entry: entry.prepared.case.case_id) for pool in pools]
        self.sampling = sampling
        self.patches = patch_dataset(pools[-1], index, sampling)
        super().__init__(dataset=as_avalanche(self.patches), current_experience=index - 1)

    def patches_so_far(self) -> PatchDataset:
        """Patches of the training cases of this and all earlier experiences, at this experience's steps."""
        return patch_dataset(merge_pools(self.pools), self.index, self.sampling)

    def patches_of(self, task: int) -> PatchDataset:
        """The patches that this or an earlier task (from 1) was trained on, to be looked at again."""
        return patch_dataset(self.pools[task - 1], task, self.sampling)


def patch_dataset(pool: Sequence[PoolEntry], index: int, sampling: Sampling) -> PatchDataset:
    """Stateless patches of a pool at the steps of task ``index``."""
    sampler = PatchSampler(
        pool,
        sampling.plan,
        seed=sampling.seed,
        task_index=index,
        batch_size=sampling.batch_size,
        augment=sampling.augment,
    )
    return PatchDataset(sampler, sampling.steps)


def as_avalanche(patches: PatchDataset) -> AvalancheDataset:
    """Wrap patches as an ``AvalancheDataset`` with task label 0 throughout (single head)."""
    labels = DataAttribute([0] * len(patches), "targets_task_labels")
    return AvalancheDataset([patches], data_attributes=[labels])


def training_pool(task: Task, prepared: Mapping[str, Prepared]) -> list[PoolEntry]:
    """The task's training cases with the labels that the task annotates."""
    return [PoolEntry(prepared[case.case_id], task.labels) for case in task.train]


def require_labels(stream: Stream, prepared: Mapping[str, Prepared]) -> None:
    """Refuse a task that would teach nothing.

    Raises:
        InputError: no training case of a task shows a label that the task annotates.
    """
    for task in stream.tasks:
        if not any(entry.visible for entry in training_pool(task, prepared)):
            labels = ", ".join(stream.label_name(value) for value in task.labels)
            raise InputError(
                f"task {task.name} of stream {stream.name} is empty: none of its {len(task.train)} training masks "
                f"shows {labels}, such as {task.train[0].mask}; correct the masks or the card"
            )


def merge_pools(pools: Iterable[Sequence[PoolEntry]]) -> list[PoolEntry]:
    """Union of pools by case; a case in several pools is annotated with the labels of all of them."""
    labels: dict[str, set[int]] = {}
    found: dict[str, Prepared] = {}
    for entry in (entry for pool in pools for entry in pool):
        case_id = entry.prepared.case.case_id
        found[case_id] = entry.prepared
        labels.setdefault(case_id, set()).update(entry.labels)
    return [PoolEntry(found[case_id], tuple(sorted(labels[case_id]))) for case_id in sorted(found)]


def make_benchmark(stream: Stream, prepared: Mapping[str, Prepared], sampling: Sampling, *, joint: bool = False) -> Any:
    """The training experiences of a stream as an Avalanche ``CLScenario`` with one ``train`` stream.

    Args:
        stream: the stream.
        prepared: case_id -> prepared case, for all training cases.
        sampling: how patches are drawn.
        joint: True gives one experience with the cases and labels of all tasks and the steps of all tasks together.

    Returns:
        A scenario whose ``train_stream`` holds ``SegmentationExperience`` in order.
    """
    pools = [training_pool(task, prepared) for task in stream.tasks]
    experiences = (
        [_joint(stream, pools, sampling)]
        if joint
        else [
            SegmentationExperience(
                task.index, task.name, 1 + max(stream.labels_seen(task.index)), pools[: task.index], sampling
            )
            for task in stream.tasks
        ]
    )
    return CLScenario([EagerCLStream("train", experiences)])


def _joint(stream: Stream, pools: Sequence[Sequence[PoolEntry]], sampling: Sampling) -> SegmentationExperience:
    total = Sampling(
        sampling.plan, sampling.seed, sampling.steps * len(pools), sampling.batch_size, augment=sampling.augment
    )
    return SegmentationExperience(1, "all", 1 + max(stream.labels.values()), [merge_pools(pools)], total)
