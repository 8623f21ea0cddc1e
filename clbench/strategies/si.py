"""SI: synaptic intelligence, importance from what each weight contributed to the fall of the loss."""

from __future__ import annotations

from typing import Annotated, Any

import torch
from pydantic import Field
from torch import nn

from clbench.functional.importance import accumulate, path_importance
from clbench.strategies.anchored import Tensors, trained_weights
from clbench.strategies.path import PathAnchored, add_in_place


class SI(PathAnchored):
    """Synaptic intelligence: a weight mattered as much as moving it lowered the loss while the task was learned.

    At every step the contribution of each weight to the fall of the loss is added up (the path integral of the
    gradient along the way); after the task it is divided by the squared distance travelled and added to the importance
    of earlier tasks. Later tasks pay for leaving the last weights. No pass over the data is needed.

    Args:
        weight: factor of the penalty; the source's c is half of it.
        xi: keeps the importance of weights that hardly moved finite.

    Equation: L_t(θ) + weight / 2 · Σ_i Ω_i (θ_i − θ_{t−1,i})², with Ω = Σ_{k<t} max(0, ω_k) / (Δ_k² + xi), Δ_k = θ_k −
        θ_{k−1} and ω_k = −Σ_s g_s · (θ_{s+1} − θ_s) over the steps s of task k.

    Source: Zenke et al. 2017, arXiv 1703.04200, equations 3 to 5.
    Differs from the source in: g_s is the gradient of the loss before clipping and without this penalty (the terms of
        other parts of a combination count as loss); weights by whose movement the loss rose have importance 0, since
        the penalty had no minimum otherwise.
    Note: with AdamW the sum exceeds the fall of the loss, since steps do not follow the gradient of the whole task.
    Defaults: ``weight`` is the better of 1 and 10 in the sweep below, and the largest that was tried.
    Memory: 8 bytes per weight between tasks, whatever their number; 16 while a task is learned.
    Time: a few passes over the weights per step, about 4 % of it.
    """

    term = "si"

    def __init__(self, weight: Annotated[float, Field(ge=0)] = 10.0, xi: Annotated[float, Field(gt=0)] = 0.001) -> None:
        super().__init__(weight)
        self.xi = xi

    def begin(self, weights: Tensors) -> None:
        """Start the path at the weights that the task starts with."""
        self.kept["path"] = {name: torch.zeros_like(value) for name, value in weights.items()}
        self.kept["start"] = weights

    def gather(self, network: nn.Module, gradients: Tensors, falls: Tensors) -> None:
        """Add this step's contributions."""
        add_in_place(self.kept["path"], falls)

    def after_training_exp(self, strategy: Any, **_: Any) -> None:
        """Turn the path into importance, on top of that of earlier tasks."""
        end = trained_weights(strategy.model)
        new = path_importance(self.kept["path"], self.kept["start"], end, self.xi)
        self.kept = {"anchor": end, "importance": accumulate(self.kept.get("importance", {}), new)}
