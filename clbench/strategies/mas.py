"""MAS: memory aware synapses, importance from how much the output depends on each weight."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from clbench.functional.importance import accumulate, output_sensitivity
from clbench.seeding import derive, forked_rng
from clbench.strategies.anchored import Anchored, trained_weights
from clbench.strategies.patches import training_patches
from clbench.strategies.plugin import task_index


class MAS(Anchored):
    """Memory aware synapses: a weight matters as much as the length of the output depends on it; labels are not needed.

    After each task the size of the gradient of the squared output is averaged over the task's own training patches, in
    evaluation mode and in float32; later tasks pay for leaving the last weights. Channels that a head grows later are
    free.

    Args:
        weight: factor of the penalty; the source's λ is half of it.
        gamma: decay of the importance of earlier tasks.
        samples: training patches in the average: evenly spaced steps, slots of the batch in turn.
        seed: of code of other people that draws random numbers while data are read.

    Equation: L_t(θ) + weight / 2 · Σ_i Ω_i (θ_i − θ_{t−1,i})², with Ω ← gamma · Ω + mean over patches of
        |∂/∂θ (1/V) Σ_v Σ_k z_{k,v}²| over the V voxels and the class scores z of a patch.

    Source: Aljundi et al. 2018, arXiv 1711.09601, equations 4 and 5.
    Differs from the source in: the output is dense, so that its squared length is a mean over voxels; gradients are
        taken patch by patch, as in the source, where stock Avalanche takes that of a batch; importances of tasks are
        added, as in the source, where stock Avalanche halves the old ones.
    Defaults: ``weight`` is the better of 1 and 10 in the sweep below. At 100 next to nothing changes after the
        first task (``bwt`` about 0), which is what ``frozen`` is for; ``final`` is then that of the first task's
        network, higher on this stream.
    Memory: 8 bytes per weight, whatever the number of tasks.
    Time: about 2 % of a step, and ``samples`` forward and backward passes of one patch after each task.
    """

    term = "mas"

    def __init__(
        self,
        weight: Annotated[float, Field(ge=0)] = 10.0,
        gamma: Annotated[float, Field(ge=0, le=1)] = 1.0,
        samples: Annotated[int, Field(ge=1)] = 64,
        seed: int = 0,
    ) -> None:
        super().__init__(weight)
        self.gamma, self.samples, self.seed = gamma, samples, seed

    def after_training_exp(self, strategy: Any, **_: Any) -> None:
        """Measure how the output depends on the weights, and remember them."""
        with forked_rng(derive(self.seed, "mas", task_index(strategy))):  # as in ewc
            new = output_sensitivity(strategy.model, training_patches(strategy, self.samples))
        new = dict(sorted(new.items()))
        importance = accumulate(self.kept.get("importance", {}), new, self.gamma)
        self.kept = {"anchor": trained_weights(strategy.model), "importance": importance}
