"""L2: a pull to the weights of the previous task, the same for all of them."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from clbench.strategies.anchored import Anchored, trained_weights


class L2(Anchored):
    """A pull to the weights of the previous task, the same for all of them: EWC without importances.

    From the second task on, every weight pays for its distance to where the previous task left it. Earlier tasks are
    protected through the chain: each anchor was itself held near the one before. Channels that a head grows later are
    free.

    Args:
        weight: factor of the penalty.

    Equation: L_t(θ) + weight / 2 · ‖θ − θ_{t−1}‖².

    Source: the L2 baseline of Kirkpatrick et al. 2017, arXiv 1612.00796, figure 2A.
    Defaults: ``weight`` is the best of 0.001, 0.01 and 0.1 in the sweep below.
    Memory: 4 bytes per weight.
    Time: a few percent of a step.
    """

    term = "l2"

    def __init__(self, weight: Annotated[float, Field(ge=0)] = 0.01) -> None:
        super().__init__(weight)

    def after_training_exp(self, strategy: Any, **_: Any) -> None:
        """Remember the weights."""
        self.kept = {"anchor": trained_weights(strategy.model)}
