"""FDR: function distance regularization, the network held to what it predicted for patches of earlier tasks."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from torch import Tensor

from clbench.functional.stored_logits import stored_predictions_distance
from clbench.strategies.der import DER
from clbench.strategies.rehearsal import Background


class FDR(DER):
    """Function distance regularization: the distance that the network has moved as a function, on earlier patches.

    A reservoir holds patches as in ``der``, by number alone, with the logits of the network that had finished their
    task. Later tasks pay for predictions on these patches that differ from what was predicted then.

    Args:
        weight: factor of the distance.
        patches: how many are held.
        share: held patches drawn for each patch of the current batch.
        background: of partly annotated masks from the second task on, as in ``replay``.
        seed: of what is held and drawn.

    Equation: L_t(θ) + weight · mean over drawn patches and voxels of ‖softmax(h_θ(x)) − softmax(z)‖₂, with z the logits
        stored for x, both over the classes that there were then.

    Source: Benjamin et al. 2019, arXiv 1805.08289, section 3.2.
    Differs from the source in: the distance is a term of every step, as in the code of Buzzega et al. 2020, arXiv
        2004.07211, and not an inner loop of corrections; mean over voxels. With ``background=marginal`` the
        segmentation loss of class-incremental tasks differs from that of ``naive`` also at weight 0.
    Defaults: ``weight`` is the best of 0.5, 2 and 10 in the sweep on ``hippocampus-shifts``, in which none does better
        than ``naive``: 0.5 does not hold what was learned, and under the others little more is learned.
    Note: in the sweep on ``acdc-classes`` (100 steps, one seed) weight 0 shows what the marginal loss does alone: it
        ends above ``naive``, and the default further above it.
    Memory: 2 bytes per voxel and class of each held patch; ``cost.json`` has ``replayed_fraction`` and
        ``replayed_bytes`` of the cases that the patches were cut from.
    Time: share · 100 % of a step, so half as much again by default.
    """

    purpose = "fdr"

    def __init__(
        self,
        weight: Annotated[float, Field(ge=0)] = 0.5,
        patches: Annotated[int, Field(ge=1)] = 32,
        share: Annotated[float, Field(gt=0)] = 0.5,
        background: Background = "marginal",
        seed: int = 0,
    ) -> None:
        super().__init__(weight, patches, share, "final", background, seed)

    def distance(self, logits: Tensor, stored: Tensor, channels: Tensor) -> Tensor:
        """How far the predictions have moved from stored ones."""
        return stored_predictions_distance(logits, stored, channels)
