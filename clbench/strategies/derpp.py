"""DER++: dark experience replay with the masks of earlier patches as well."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field
from torch import Tensor

from clbench.strategies.der import DER, When, cut
from clbench.strategies.plugin import add_loss
from clbench.strategies.rehearsal import Background


class DERPP(DER):
    """Dark experience replay, and the segmentation loss on a second draw from the same reservoir.

    See ``der`` for the reservoir. A second lot of held patches, drawn apart from the first, is segmented against their
    masks.

    Args:
        alpha: factor of the distance to the stored logits.
        beta: factor of the segmentation loss on held patches.
        patches: how many are held.
        share: held patches drawn for each patch of the current batch, for each of the two terms.
        logits: ``seen`` or ``final``, as in ``der``.
        background: of partly annotated masks from the second task on, as in ``replay``.
        seed: of what is held and drawn.

    Equation: L_t(θ) + alpha · mean of (h_θ(x) − z)² + beta · L(θ; x′, y′), with (x, z) and (x′, y′) two draws from the
        reservoir.

    Source: Buzzega et al. 2020, arXiv 2004.07211, equation 6 and algorithm 2.
    Differs from the source in: as ``der``.
    Defaults: those of ``der``, whose section has a sweep of ``alpha``; ``beta`` is the better of 0.1 and 0.5 in the
        sweep below.
    Memory: that of ``der``.
    Time: share · 200 % of a step, so twice that of ``naive`` by default.
    """

    purpose = "derpp"

    def __init__(
        self,
        alpha: Annotated[float, Field(ge=0)] = 0.4,
        beta: Annotated[float, Field(ge=0)] = 0.5,
        patches: Annotated[int, Field(ge=1)] = 32,
        share: Annotated[float, Field(gt=0)] = 0.5,
        logits: When = "seen",
        background: Background = "marginal",
        seed: int = 0,
    ) -> None:
        super().__init__(alpha, patches, share, logits, background, seed)
        self.beta = beta

    @property
    def charges(self) -> bool:
        """Whether either term is charged; the patches of both then go through the network."""
        return self.alpha > 0 or self.beta > 0

    @property
    def draws(self) -> int:
        """Lots of patches drawn per step: one for the logits, one for the masks."""
        return 2

    def add_terms(self, strategy: Any, output: Any, y: Tensor, numbers: list[int]) -> None:
        """Add both terms."""
        half = len(numbers) // 2
        super().add_terms(strategy, cut(output, 0, half), y[:half], numbers[:half])
        bits = self.bits_of(strategy, numbers[half:])
        loss = self.loss_of(strategy, cut(output, half, None), y[half:], bits)
        add_loss(strategy, "derpp_masks", self.beta * loss)
