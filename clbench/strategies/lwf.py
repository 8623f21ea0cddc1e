"""LwF: learning without forgetting, the previous network's predictions on the new task's images."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from clbench.functional.distillation import distillation, mean_over_levels, over_levels
from clbench.strategies.plugin import add_loss
from clbench.strategies.teacher import Taught


class LwF(Taught):
    """Learning without forgetting: keep the previous network's predictions on the new task's images.

    From the second task on the network is drawn, voxel by voxel, to the softened prediction that the network of the
    previous task gives for the same patch, over the classes which that network knows. Under deep supervision this
    holds at every resolution.

    Args:
        weight: factor of the divergence.
        temperature: T, softens both predictions.

    Equation: L_t(θ) + weight · T² · mean over voxels v of KL(softmax(z_{t−1,v} / T) ‖ softmax(z_v / T)), both over the
        classes of the previous network.

    Source: Li and Hoiem 2016, arXiv 1606.09282, equations 2 and 3.
    Differs from the source in: divergence instead of cross-entropy (the gradient is the same); T² as in Hinton et al.
        2015, arXiv 1503.02531; the head grows, so that the new classes share its features from the first step on.
    Note: in a class-incremental stream the previous network calls new classes background, and the masks call old ones
        so; ``mib`` is made for that.
    Defaults: ``weight`` is the better of 1 and 3 in the class-incremental sweep of 300 steps below, and the largest
        tried there. In that of the domain stream both end alike: 1 learns more, 3 forgets less.
    Memory: the weights of the previous network, 4 bytes each.
    Time: a forward pass of the previous network per step, about a third of it.
    """

    def __init__(
        self,
        weight: Annotated[float, Field(ge=0)] = 3.0,
        temperature: Annotated[float, Field(gt=0)] = 2.0,
    ) -> None:
        super().__init__()
        self.weight, self.temperature = weight, temperature

    def before_backward(self, strategy: Any, **_: Any) -> None:
        """Add the divergence from the previous network."""
        if self.answers:
            pairs = over_levels(strategy.mb_output, self.answers)
            # What another part sent through the network behind the batch has left the output again.
            values = [distillation(ours, theirs[: len(ours)], self.temperature) for ours, theirs in pairs]
            add_loss(strategy, "lwf", self.weight * mean_over_levels(values))
