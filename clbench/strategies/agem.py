"""A-GEM: a step that would make remembered cases worse on average is turned aside."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from clbench.functional.projection import project_to_halfspace
from clbench.strategies.memory import CaseMemory
from clbench.strategies.rehearsal import Background, Rehearsal, gradient_of, replace_gradient


class AGEM(Rehearsal):
    """From the second task on, the gradient is projected where it points against that of remembered cases.

    At every step the gradient r of the loss on patches of remembered cases of all earlier tasks is computed. If the
    gradient g of the step (penalties of other parts included) has a negative product with it, the part of g along r is
    removed. Cases are remembered as by ``replay``, by reference, each task alike.

    Args:
        budget: fraction of the cases of each task that is kept, at least one case.
        share: memory patches for each patch of the current batch.
        background: of partly annotated masks, as in ``replay``.
        seed: of selection and patches.

    Equation: g ← g − (g · r / r · r) r if g · r < 0, with r = ∇L on round(share · B) memory patches.

    Source: Chaudhry et al. 2019, arXiv 1812.00420, equation 11.
    Differs from the source in: memory patches are drawn from whole remembered cases. The projection acts on the
        gradient before it is clipped, as in Avalanche; an optimizer with momentum or its own scale for each weight
        (AdamW) makes of it a step that need not have a product of 0 with r.
    Defaults: ``budget`` is that of ``replay``. ``share`` matters little: in the sweep below 0.25, 0.5 and 1 end within
        0.02 of one another, the smaller the higher. The middle one is ours.
    Memory: 32 bytes per reference; ``cost.json`` has ``replayed_fraction`` and ``replayed_bytes``.
    Time: share · 100 % of a step, so half as much again by default.
    """

    def __init__(
        self,
        budget: Annotated[float, Field(gt=0, le=1)] = 0.25,
        share: Annotated[float, Field(gt=0)] = 0.5,
        background: Background = "marginal",
        seed: int = 0,
    ) -> None:
        super().__init__(CaseMemory(budget, "fraction", "balanced", seed, "agem"), share, background, seed)

    def after_backward(self, strategy: Any, **_: Any) -> None:
        """Project the gradient."""
        if len(self.memory):
            reference = gradient_of(strategy, self, *self.draw(strategy))
            replace_gradient(strategy, lambda gradient: project_to_halfspace(gradient, reference))
