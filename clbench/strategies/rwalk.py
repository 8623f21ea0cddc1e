"""RWalk: Riemannian walk, Fisher information and path importance together, both gathered along the way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

import torch
from pydantic import Field
from torch import Tensor, nn

from clbench.functional.importance import accumulate, loss_per_divergence, scaled_to_one
from clbench.strategies.anchored import Tensors, trained_weights
from clbench.strategies.path import PathAnchored, add_in_place


class RWalk(PathAnchored):
    """Riemannian walk: EWC's Fisher information and SI's path integral in one importance, both gathered while training.

    Every ``update_every`` steps a moving average of squared gradients (the Fisher information) is renewed, and the fall
    of the loss that each weight brought is divided by how far it moved the output. After a task both are scaled so that
    the largest is 1, and their sum is the importance; path scores of earlier tasks count half. No pass over the data is
    needed.

    Args:
        weight: factor of the penalty; the source's λ is half of it.
        alpha: share of the newest steps in the moving average of the Fisher information.
        update_every: steps between two updates of Fisher information and path score.
        damping: change of the output below which the fall of the loss is not divided by it.

    Equation: L_t(θ) + weight / 2 · Σ_i (F̂_i + ŝ_i) (θ_i − θ_{t−1,i})², with F̂ = F / max F, ŝ = s / max s; every
        ``update_every`` steps F ← alpha · mean of g² over these steps + (1 − alpha) · F and s_t ← s_t + max(0, ΔL) /
        (F Δ² / 2 + damping), where Δ is the distance travelled in these steps and ΔL = −Σ g · step; after a task
        s ← (s + s_t) / 2.

    Source: Chaudhry et al. 2018, arXiv 1801.10112, equations 5 to 8; alpha and the update interval as in the authors'
        code.
    Differs from the source in: g is the gradient of the loss before clipping and without this penalty (the terms of
        other parts of a combination count as loss). ``damping`` is an option. The paper's equations are followed where
        the authors' code departs from them: it divides by F Δ² with the F of the interval before, under a damping of
        1e-3, and adds the mean of old and new scores to the old ones. No stored samples.
    Note: the loss is a mean over voxels and batch, so that F Δ² / 2 lies below ``damping`` for most weights; there the
        score is the fall of the loss alone, as in ``si`` but never negative and not divided. F̂ and ŝ are scaled to 1
        after every task: the protection as a whole does not grow with the number of tasks, while that of ``ewc``,
        ``mas`` and ``si`` does.
    Defaults: ``weight`` is one of 1, 10, 100 and 1000 in the sweeps below. At 1 and 10 ``final`` is the same but for
        0.01: more is learned at 1, and less forgotten at 10. From 100 on next to nothing changes after the first task
        (``bwt`` about 0), which is what ``frozen`` is for; ``final`` is then that of the first task's network, higher
        on this stream.
    Memory: 16 bytes per weight between tasks, whatever their number; 32 while a task is learned.
    Time: a few passes over the weights per step, about 5 % of it.
    """

    term = "rwalk"

    def __init__(
        self,
        weight: Annotated[float, Field(ge=0)] = 10.0,
        alpha: Annotated[float, Field(gt=0, le=1)] = 0.9,
        update_every: Annotated[int, Field(ge=1)] = 10,
        damping: Annotated[float, Field(gt=0)] = 1e-8,
    ) -> None:
        super().__init__(weight)
        self.alpha, self.update_every, self.damping = alpha, update_every, damping
        self.steps = 0

    def begin(self, weights: Tensors) -> None:
        """Start the first interval at the weights that the task starts with."""
        zeros = {name: torch.zeros_like(value) for name, value in weights.items()}
        self.kept["fisher"] = accumulate(self.kept.get("fisher", {}), zeros)
        self.kept["task_score"] = {name: value.clone() for name, value in zeros.items()}
        self._open(weights)

    def gather(self, network: nn.Module, gradients: Tensors, falls: Tensors) -> None:
        """Add this step to the interval, and close it when it is full."""
        squares = torch._foreach_mul(list(gradients.values()), list(gradients.values()))
        add_in_place(self.kept["squares"], dict(zip(gradients, squares, strict=True)))
        add_in_place(self.kept["fall"], falls)
        self.steps += 1
        if self.steps == self.update_every:
            self._close(trained_weights(network))

    def after_training_exp(self, strategy: Any, **_: Any) -> None:
        """Join Fisher information and scores to importance."""
        end = trained_weights(strategy.model)
        if self.steps:
            self._close(end)
        fisher, score = self.kept["fisher"], self.kept["task_score"]
        if "score" in self.kept:
            score = {name: value / 2 for name, value in accumulate(self.kept["score"], score).items()}
        importance = accumulate(scaled_to_one(fisher), scaled_to_one(score))
        self.kept = {"anchor": end, "importance": importance, "fisher": fisher, "score": score}

    def state_tensors(self) -> Tensors:
        """What ``Anchored`` keeps, and the steps of the open interval."""
        return {**super().state_tensors(), **({"steps": torch.tensor(self.steps)} if self.steps else {})}

    def load_state_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """Restore what ``state_tensors`` gave."""
        super().load_state_tensors({name: value for name, value in tensors.items() if name != "steps"})
        self.steps = int(tensors.get("steps", 0))

    def _open(self, weights: Tensors) -> None:
        """Begin an interval at these weights."""
        self.kept["interval_start"] = weights
        self.kept["squares"] = {name: torch.zeros_like(value) for name, value in weights.items()}
        self.kept["fall"] = {name: torch.zeros_like(value) for name, value in weights.items()}
        self.steps = 0

    def _close(self, weights: Tensors) -> None:
        """Renew Fisher information and score from the interval that ends at these weights."""
        begun = any(bool(value.any()) for value in self.kept["fisher"].values())
        share = self.alpha if begun else 1.0
        fisher = {
            name: share * self.kept["squares"][name] / self.steps + (1 - share) * value
            for name, value in self.kept["fisher"].items()
        }
        score = loss_per_divergence(self.kept["fall"], fisher, self.kept["interval_start"], weights, self.damping)
        self.kept["fisher"] = fisher
        self.kept["task_score"] = accumulate(self.kept["task_score"], score)
        self._open(weights)
