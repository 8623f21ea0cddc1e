"""PLOP: learning without forgetting for segmentation, local POD and the previous network's pseudo-labels."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil, sqrt
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor

from clbench.functional.unbiased import class_medians, dice_ce_where_labelled, prediction_entropy, pseudo_labels
from clbench.seeding import derive, forked_rng
from clbench.strategies.criterion import CriterionSwap, Terms
from clbench.strategies.patches import training_patches
from clbench.strategies.plugin import task_index
from clbench.strategies.pod import POD
from clbench.strategies.teacher import class_count

VOXELS_PER_PATCH = 2**16
LEAST_THRESHOLD = 0.001


class PLOP(POD):
    """PLOP: local pooled outputs distillation, and masks whose background the previous network fills in.

    Where a task adds classes, its masks show old classes as background. Each background voxel gets the class that the
    previous network sees there, if that network is sure: if the entropy of its prediction is below the median for that
    class over the task's training patches. Other background voxels have no label. New rows of the head start as the
    background's, and share its probability with it. Where a task adds no class, as in every task of a
    domain-incremental stream, ``plop`` is ``pod``.

    Args:
        weight: factor of the distance between feature maps.
        scales: as in ``pod``.
        taps: as in ``pod``.
        samples: training patches for the medians: evenly spaced steps, slots of the batch in turn.
        seed: of code of other people that draws random numbers while data are read.

    Equation: Dice + ν · cross-entropy with the labels ỹ_v = y_v where y_v is new; else argmax z_{t−1,v} where
        u_v < max(0.001, median of u for that class); else none. u is the entropy of softmax(z_{t−1,v}) divided by
        log K_{t−1}, ν the share of a patch's background voxels that have a label. To this, weight · √(K_t / new
        classes) times the distance of ``pod``.

    Source: Douillard et al. 2021, arXiv 2011.11390, equations 3 to 8; the least threshold, the root and the start
        of new rows (that of ``mib``) as in the authors' code.
    Differs from the source in: the Dice term, over labelled voxels; what ``pod`` says of feature maps.
    Defaults: ``weight`` is the better of 0.1 and 1 in the sweep of 300 steps below, and the smallest that was tried.
        With 100 steps every weight ends below ``naive``, and larger ones end higher.
    Memory: the weights of the previous network, 4 bytes each, and one threshold per class while a task is learned.
    Time: as ``pod``, and ``samples`` forward passes of one patch at the start of each task.
    """

    term = "plop"

    def __init__(
        self,
        weight: Annotated[float, Field(ge=0)] = 0.1,
        scales: Annotated[int, Field(ge=1, le=6)] = 3,
        taps: str = "all",
        samples: Annotated[int, Field(ge=1)] = 64,
        seed: int = 0,
    ) -> None:
        super().__init__(weight, scales, taps)
        self.samples, self.seed = samples, seed
        self.thresholds: Tensor | None = None
        self._swap = CriterionSwap()

    def before_training_exp(self, strategy: Any, **_: Any) -> None:
        """Take over the segmentation loss, and let new rows of the head start as the background's."""
        self._swap.put(strategy, self._criterion)
        self.share_background(strategy.model)

    def before_forward(self, strategy: Any, **_: Any) -> None:
        """Find out, once per task, how sure the previous network is of each class."""
        super().before_forward(strategy)
        if self.kept and self.thresholds is None:
            self.thresholds = self._medians(strategy)

    def after_training_exp(self, strategy: Any, **_: Any) -> None:
        """Give the segmentation loss back and remember the network."""
        self._swap.undo(strategy)
        self.thresholds = None
        super().after_training_exp(strategy)

    def state_tensors(self) -> dict[str, Tensor]:
        """The teacher's weights, and the thresholds while a task is learned."""
        found = {} if self.thresholds is None else {"thresholds": self.thresholds}
        return {**{f"teacher/{name}": value for name, value in self.kept.items()}, **found}

    def load_state_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """Restore them."""
        under = {name.removeprefix("teacher/"): value for name, value in tensors.items() if name != "thresholds"}
        super().load_state_tensors(under)
        self.thresholds = tensors.get("thresholds")

    def _criterion(self, output: Any, target: Tensor) -> Terms:
        if not class_count(output) > self.known > 0:
            return self._swap.usual(output, target)
        assert self.thresholds is not None
        labels, labelled = pseudo_labels(target, self.answers[0], self.thresholds)
        return dice_ce_where_labelled(output, labels, labelled)

    def _scale(self, output: Any) -> float:
        classes = class_count(output)
        return sqrt(classes / (classes - self.known)) if classes > self.known else 1.0

    def _medians(self, strategy: Any) -> Tensor:
        """Threshold per class of the previous network."""
        found = []
        with forked_rng(derive(self.seed, "plop", task_index(strategy))):  # as in ewc
            for x, y in training_patches(strategy, self.samples):
                logits = self.ask(strategy, x)[0]
                entropy, chosen = prediction_entropy(logits)
                background = (y == 0).flatten().nonzero()[:, 0]
                drawn = background[:: max(1, ceil(len(background) / VOXELS_PER_PATCH))]
                found.append((entropy.flatten()[drawn], chosen.flatten()[drawn]))
        entropies, classes = (torch.cat(values) for values in zip(*found, strict=True))
        return class_medians(entropies, classes, logits.shape[1]).clamp(min=LEAST_THRESHOLD)
