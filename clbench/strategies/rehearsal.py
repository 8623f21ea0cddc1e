"""Rehearsal: what plugins that look at earlier cases again have in common: the memory, its batches, partial labels."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor

from clbench.data.loading import Batches, load
from clbench.data.memory import InSteps, MemoryEntry, MemoryPatches, MemorySampler, label_bits
from clbench.functional.partial import Criterion, marginal_loss
from clbench.strategies.memory import CaseMemory, replayed_share
from clbench.strategies.plugin import StrategyPlugin, task_index

Background = Literal["marginal", "given"]


class PartialCriterion:
    """A criterion that knows which labels are annotated in each sample of the batch at hand.

    Attributes:
        criterion: scores what is annotated.
        annotated: label bits of each sample; None scores masks as they are.
    """

    def __init__(self, criterion: Criterion) -> None:
        self.criterion = criterion
        self.annotated: Sequence[int] | None = None

    def __call__(self, output: Any, target: Tensor) -> Any:
        """The criterion on what is annotated."""
        if self.annotated is None:
            return self.criterion(output, target)
        return marginal_loss(self.criterion, output, target, self.annotated)


class PartlyAnnotated(StrategyPlugin):
    """Base of the plugins that look at masks of several tasks: says which labels are annotated in each.

    The strategy must train on a ``SegmentationExperience``.

    Args:
        background: ``marginal`` reads masks as partly annotated, see ``marginal_loss``; ``given`` as they are.
    """

    def __init__(self, background: Background) -> None:
        super().__init__()
        self.background = background
        self._partial: PartialCriterion | None = None

    def before_training_exp(self, strategy: Any, **_: Any) -> None:
        """From the second task on, read masks as what they are."""
        if self.background == "marginal" and task_index(strategy) > 1:
            self._partial = PartialCriterion(strategy._criterion)
            strategy._criterion = self._partial

    def before_training_iteration(self, strategy: Any, **_: Any) -> None:
        """Say which labels the masks of the current task show."""
        self.annotate(own_labels(strategy))

    def after_training_exp(self, strategy: Any, **_: Any) -> None:
        """Put the criterion back."""
        if self._partial is not None:
            strategy._criterion = self._partial.criterion
        self._partial = None

    def annotate(self, bits: Sequence[int]) -> None:
        """Say which labels are annotated in each sample of the coming batch."""
        if self._partial is not None:
            self._partial.annotated = bits

    def loss_of(self, strategy: Any, output: Any, y: Tensor, bits: Sequence[int]) -> Tensor:
        """The segmentation loss of a batch of other tasks; the batch at hand stays as it is."""
        self.annotate(bits)
        value: Tensor | Mapping[str, Tensor] = strategy._criterion(output, y)
        self.annotate(own_labels(strategy))
        return torch.stack(list(value.values())).sum() if isinstance(value, Mapping) else value


class Rehearsal(PartlyAnnotated):
    """Base of the plugins that remember cases; each adds what is done with their patches.

    Args:
        memory: what is kept.
        share: memory patches per patch of the current task.
        background: as for ``PartlyAnnotated``.
        seed: of the patches.
    """

    def __init__(self, memory: CaseMemory, share: float, background: Background, seed: int) -> None:
        super().__init__(background)
        self.memory, self.share, self.seed = memory, share, seed
        self._batches: Iterator[Any] | None = None

    @property
    def purpose(self) -> str:
        """The name of the strategy in its seeds."""
        return self.memory.purpose

    def before_training_exp(self, strategy: Any, **_: Any) -> None:
        """Begin with new batches."""
        super().before_training_exp(strategy)
        self._batches = None

    def after_training_exp(self, strategy: Any, **_: Any) -> None:
        """Choose what is kept of the task just learned."""
        self._batches = None
        self.remember(strategy)
        super().after_training_exp(strategy)
        pools = strategy.experience.pools
        self.replayed_fraction, self.replayed_bytes = replayed_share(self.memory.entries, pools)

    def remember(self, strategy: Any) -> None:
        """Choose what is kept of the task just learned."""
        self.memory.add_task(strategy.experience.pools)

    def join(self, strategy: Any) -> None:
        """Join memory patches to the batch, once there is a memory."""
        if not len(self.memory):
            return
        x, y, bits = self.draw(strategy)
        own_x, own_y, *others = strategy.mbatch
        self.annotate([*own_labels(strategy), *bits])
        joined = [torch.cat([other, other.new_zeros(len(x))]) for other in others]
        strategy.mbatch = [torch.cat([own_x, x]), torch.cat([own_y, y]), *joined]

    def count(self, strategy: Any) -> int:
        """Memory patches per step."""
        return max(1, round(self.share * int(strategy.train_mb_size)))

    def draw(self, strategy: Any) -> tuple[Tensor, Tensor, list[int]]:
        """The memory patches of the current step: x (M, C, *S), y (M, *S) on the device, and the label bits of each."""
        if self._batches is None:
            self._batches = batches(strategy, self.dataset(strategy))
        return next(self._batches)

    def dataset(self, strategy: Any) -> InSteps:
        """The memory patches of every step of the current task."""
        return self.patches(strategy, self.memory.groups(strategy.experience.pools), self.count(strategy))

    def patches(
        self,
        strategy: Any,
        groups: Sequence[Sequence[MemoryEntry]],
        count: int,
        *names: str | int,
        augment: bool = True,
    ) -> MemoryPatches:
        """Patches of some entries for every step of the current task, ``count`` per step; ``names`` go to the seed."""
        sampling = strategy.experience.sampling
        sampler = MemorySampler(
            groups,
            sampling.plan,
            self.seed,
            task_index(strategy),
            count,
            augment=augment and sampling.augment,
            purpose="-".join(str(name) for name in (self.purpose, *names)),
        )
        return MemoryPatches(sampler, sampling.steps)

    def state_tensors(self) -> dict[str, Tensor]:
        """References to the remembered cases."""
        return self.memory.state()

    def load_state_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """Restore what ``state_tensors`` gave."""
        self.memory.load(tensors)


def own_labels(strategy: Any) -> list[int]:
    """For each patch of the current batch, the bits of the labels that the current task annotates."""
    (labels,) = {entry.labels for entry in strategy.experience.pools[-1]}
    return [label_bits(labels)] * len(strategy.mbatch[0])


def batches(strategy: Any, dataset: InSteps) -> Iterator[tuple[Tensor, Tensor, list[int]]]:
    """Batches of a data set from the coming training step on, loaded as the strategy loads its own.

    Args:
        strategy: its clock says which step comes.
        dataset: with the items of every step of the task.

    Yields:
        Images and masks on the strategy's device, and what the data set says of each item.
    """
    device = torch.device(strategy.device)
    coming = Batches(dataset, dataset.batch_size, int(strategy.clock.train_exp_iterations))
    for x, y, kinds in load(coming, getattr(strategy, "workers", 0), device):
        yield x.to(device, non_blocking=True), y.to(device, non_blocking=True), kinds.tolist()


def gradient_of(strategy: Any, plugin: PartlyAnnotated, x: Tensor, y: Tensor, bits: Sequence[int]) -> Tensor:
    """The gradient (P,) of the segmentation loss of a batch of other tasks, by all weights in turn, in float32.

    The weights' own ``.grad`` and the batch at hand stay as they are.
    """
    held = strategy.mbatch
    strategy.mbatch = [x, y, torch.zeros(len(x), dtype=torch.int64, device=x.device)]
    loss = plugin.loss_of(strategy, strategy.forward(), y, bits)
    strategy.mbatch = held
    parameters = [parameter for parameter in strategy.model.parameters() if parameter.requires_grad]
    found = torch.autograd.grad(loss, parameters, allow_unused=True)
    return flattened(parameters, found)


def flattened(parameters: Sequence[Tensor], gradients: Sequence[Tensor | None]) -> Tensor:
    """Gradients as one vector (P,) float32; 0 where there is none."""
    pairs = zip(parameters, gradients, strict=True)
    return torch.cat([(torch.zeros_like(own) if found is None else found).float().flatten() for own, found in pairs])


@torch.no_grad()
def replace_gradient(strategy: Any, change: Callable[[Tensor], Tensor]) -> None:
    """Put ``change(gradient (P,))`` in the place of the gradient of all weights."""
    parameters = [parameter for parameter in strategy.model.parameters() if parameter.requires_grad]
    flat = flattened(parameters, [parameter.grad for parameter in parameters])
    changed = change(flat)
    if changed is flat:
        return
    parts = torch.split(changed, [parameter.numel() for parameter in parameters])
    for parameter, part in zip(parameters, parts, strict=True):
        if parameter.grad is not None:
            parameter.grad.copy_(part.view_as(parameter))
