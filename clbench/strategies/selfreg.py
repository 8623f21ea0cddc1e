"""SelfReg: feature maps of all levels held to the last decoder level, and weak channels to strong ones."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Annotated, Any

import torch
from pydantic import Field

from clbench.errors import InputError
from clbench.functional.selfreg import feature_distillation, semantic_consistency
from clbench.networks.taps import tap_names
from clbench.strategies.plugin import add_loss
from clbench.strategies.tapping import TappingPlugin

LAST = "decoder_1"
_LEVEL = re.compile(r"encoder_\d+|bottleneck|decoder_\d+")


class SelfReg(TappingPlugin):
    """The two self-regularization losses of SelfReg-UNet, on any network with encoder and decoder levels.

    Semantic consistency (SCR) makes channels of every level like channels of the last decoder level, to which no
    gradient flows; internal feature distillation (IFD) makes the weaker half of each level's channels like the
    stronger half.

    Args:
        weight: factor of both losses.
        scr: factor of semantic consistency.
        ifd: factor of internal feature distillation.
        stop_gradient: no gradient of IFD into the stronger half, as the paper's text has it; its code lets it flow.
        seed: of the drawn channels.

    Equation: L_t(θ) + weight · (scr · mean_k MSE(F_k[:, i_k], F_T[:, i_T]) + ifd · (E + D)). F_T is the output of the
        last decoder block, F_k that of every other block, averaged to the coarser of both grids; i_k and i_T are
        min(C_k, C_T) channels drawn without replacement at every step. E and D are the means over encoder and decoder
        blocks of MSE(stronger half, weaker half), channels sorted by the mean of F_c / ‖F_c‖.

    Source: Zhu et al. 2024, arXiv 2406.14896, and the authors' code.
    Differs from the source in: the segmentation loss stays that of all strategies (theirs weights cross-entropy 0.3 and
        Dice 0.7 on ACDC); 3-D as well as 2-D; the bottleneck counts as an encoder block; nothing is selected on test
        data, where their ACDC script keeps the best checkpoint.
    Defaults: ``weight`` is the paper's on ACDC (0.015 on Synapse).
    Note: collapse is a minimum of both losses: they are 0 for features that are one constant everywhere. Only the
        segmentation loss keeps the features apart.
    Memory: none, no extra weights.
    Time: a third to four fifths of a step.
    """

    def __init__(
        self,
        weight: Annotated[float, Field(ge=0)] = 0.1,
        scr: Annotated[float, Field(ge=0)] = 1.0,
        ifd: Annotated[float, Field(ge=0)] = 1.0,
        stop_gradient: bool = False,
        seed: int = 0,
    ) -> None:
        super().__init__("selfreg", seed)
        self.weight, self.scr, self.ifd, self.stop_gradient = weight, scr, ifd, stop_gradient

    def levels(self, network: Any) -> Sequence[str]:
        """Every encoder and decoder level, coarse ones included."""
        found = [name for name in tap_names(network) if _LEVEL.fullmatch(name)]
        if LAST not in found or "encoder_1" not in found:
            raise InputError(f"selfreg needs a network with encoder and decoder levels, not {type(network).__name__}")
        return found

    def before_backward(self, strategy: Any, **_: Any) -> None:
        """Add both losses of this step's feature maps."""
        features = self.features
        last, others = features[LAST], [name for name in features if name != LAST]
        consistency = [semantic_consistency(features[name], last, self._generator) for name in sorted(others)]
        add_loss(strategy, "selfreg.scr", self.weight * self.scr * torch.stack(consistency).mean())
        distilled = {
            name: feature_distillation(value, stop_gradient=self.stop_gradient) for name, value in features.items()
        }
        decoder = [value for name, value in sorted(distilled.items()) if name.startswith("decoder")]
        encoder = [value for name, value in sorted(distilled.items()) if not name.startswith("decoder")]
        means = torch.stack(encoder).mean() + torch.stack(decoder).mean()
        add_loss(strategy, "selfreg.ifd", self.weight * self.ifd * means)
