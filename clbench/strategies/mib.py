"""MiB: modeling the background, for masks in which old classes are background and teachers for whom new ones are."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field
from torch import Tensor

from clbench.functional.distillation import mean_over_levels, over_levels, unbiased_distillation
from clbench.functional.unbiased import unbiased_dice_ce
from clbench.strategies.criterion import CriterionSwap, Terms
from clbench.strategies.plugin import add_loss
from clbench.strategies.teacher import Taught, class_count


class MiB(Taught):
    """Modeling the background: a class-incremental loss that knows what "background" stood for in each task.

    In the masks of a task the old classes are background, so a background voxel may get any old class at no cost. For
    the previous network the new classes were background, so that its prediction of background is compared with what
    the network gives to the background or any new class. New rows of the head start as the background's, and share its
    probability with it. The Dice term has the new classes alone. Where a task adds no class, as in every task of a
    domain-incremental stream, the segmentation loss is the usual one and the distillation that of ``lwf`` at
    temperature 1.

    Args:
        weight: factor of the divergence.
        alpha: sharpens (above 1) the previous network's prediction.

    Equation: Dice over new classes − mean over v of log p̃_v(y_v) + weight · mean over v of
        KL(softmax(alpha · z_{t−1,v}) ‖ p̂_v), with p̃(0) = Σ of p over background and old classes, p̂(0) = Σ of p over
        background and new classes, and p for all other classes.

    Source: Cermelli et al. 2020, arXiv 2002.00718, equations 5 to 10.
    Differs from the source in: the Dice term; divergence instead of cross-entropy (the gradient is the same), not
        divided by the number of classes.
    Defaults: ``weight`` is the best in both sweeps below, and the smallest that was tried. At 1, a new class hardly
        grew out of the background within 300 steps.
    Memory: the weights of the previous network, 4 bytes each.
    Time: a forward pass of the previous network per step, about two fifths of it.
    """

    def __init__(
        self,
        weight: Annotated[float, Field(ge=0)] = 0.3,
        alpha: Annotated[float, Field(gt=0)] = 1.0,
    ) -> None:
        super().__init__()
        self.weight, self.alpha = weight, alpha
        self._swap = CriterionSwap()

    def before_training_exp(self, strategy: Any, **_: Any) -> None:
        """Take over the segmentation loss, and let new rows of the head start as the background's."""
        self._swap.put(strategy, self._criterion)
        self.share_background(strategy.model)

    def before_backward(self, strategy: Any, **_: Any) -> None:
        """Add the divergence from the previous network."""
        if self.answers:
            pairs = over_levels(strategy.mb_output, self.answers)
            values = [unbiased_distillation(ours, theirs, self.alpha) for ours, theirs in pairs]
            add_loss(strategy, "mib", self.weight * mean_over_levels(values))

    def after_training_exp(self, strategy: Any, **_: Any) -> None:
        """Give the segmentation loss back and remember the network."""
        self._swap.undo(strategy)
        super().after_training_exp(strategy)

    def _criterion(self, output: Any, target: Tensor) -> Terms:
        if class_count(output) > self.known > 0:
            return unbiased_dice_ce(output, target, self.known)
        return self._swap.usual(output, target)
