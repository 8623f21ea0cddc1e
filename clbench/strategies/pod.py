"""POD: pooled outputs distillation, the previous network's feature maps seen through local pooled profiles."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field
from torch import Tensor

from clbench.errors import InputError
from clbench.functional.distillation import pooled_outputs_distillation
from clbench.networks.taps import FeatureTap, Tappable, tap
from clbench.strategies.plugin import add_loss
from clbench.strategies.teacher import Taught


class POD(Taught):
    """Local pooled outputs distillation: keep what the previous network's feature maps say about where things are.

    From the second task on the feature maps of network and previous network are compared for the same patch. Each map
    is squared and, in the whole and in ever smaller blocks, averaged along each axis of space; the distance is that of
    these profiles. It is ``plop`` without the pseudo-labels, and needs no new classes.

    Args:
        weight: factor of the distance.
        scales: how often the blocks are halved: 3 compares the whole, halves and quarters of each axis.
        taps: feature levels: ``all`` for every level of encoder, bottleneck and decoder, or names such as ``last``,
            ``encoder_k``, ``bottleneck``, ``decoder_k``, counted from the finest.

    Equation: L_t(θ) + weight · mean over levels ℓ and patches of ‖Φ(h_ℓ) − Φ(h_ℓ at θ_{t−1})‖, with Φ(h) all local
        profiles of h² behind each other, scaled to length 1.

    Source: Douillard et al. 2021, arXiv 2011.11390, equations 3 to 5, and the authors' code (squares, length 1).
    Differs from the source in: the levels of a U-Net after their activation; in three dimensions a profile is the mean
        over the two other axes. The logits are not compared.
    Note: beside a strategy that joins patches to the batch, the feature maps of those patches are compared, too.
    Defaults: the distance counts as much as the segmentation loss. Not chosen by the sweep below: in a
        class-incremental stream no weight keeps masks from calling old classes background.
    Memory: the weights of the previous network, 4 bytes each.
    Time: a forward pass of the previous network per step and the profiles, about a step.
    """

    term = "pod"

    def __init__(
        self,
        weight: Annotated[float, Field(ge=0)] = 1.0,
        scales: Annotated[int, Field(ge=1, le=6)] = 3,
        taps: str = "all",
    ) -> None:
        super().__init__()
        self.weight, self.scales = weight, scales
        self.taps = tuple(name.strip() for name in taps.split(","))
        if len(set(self.taps)) < len(self.taps):
            raise InputError(f"{self.term}.taps={taps} names a level twice; name each once")
        self._taps: tuple[FeatureTap, FeatureTap] | None = None

    def check(self, network: Any) -> None:
        """Refuse feature levels that the network does not have."""
        tap(network, self._levels(network)).remove()

    def before_forward(self, strategy: Any, **_: Any) -> None:
        """Listen to both networks, from the first step on that has a teacher."""
        super().before_forward(strategy)
        if self.kept and self._taps is None:
            names = self._levels(strategy.model)
            self._taps = tap(self.teacher(strategy), names), tap(strategy.model, names)

    def before_backward(self, strategy: Any, **_: Any) -> None:
        """Add the distance between the feature maps."""
        if self._taps is not None:
            teacher, student = (list(found.features.values()) for found in self._taps)
            distance = pooled_outputs_distillation(student, teacher, self.scales)
            add_loss(strategy, self.term, self.weight * self._scale(strategy.mb_output) * distance)

    def after_training_exp(self, strategy: Any, **_: Any) -> None:
        """Stop listening, and remember the network."""
        for found in self._taps or ():
            found.remove()
        self._taps = None
        super().after_training_exp(strategy)

    def _scale(self, output: Tensor | list[Tensor]) -> float:
        """A further factor of the distance."""
        return 1.0

    def _levels(self, network: Any) -> tuple[str, ...]:
        """The names of the levels that are compared."""
        if self.taps != ("all",):
            return self.taps
        if not isinstance(network, Tappable):
            raise InputError(
                f"{type(network).__name__} does not name its levels; name modules of it in {self.term}.taps"
            )
        return tuple(name for name in network.tap_points if not name.endswith("_linear") and name != "last")
