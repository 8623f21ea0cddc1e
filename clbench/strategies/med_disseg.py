"""Med-DisSeg: its network, with the dispersive loss on early encoder features built in."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from clbench.strategies.dispersive import Dispersive


class MedDisSeg(Dispersive):
    """The network [`med-disseg`](networks.md#med-disseg) with the dispersive loss on its early encoder features.

    "Med-DisSeg-style": what is public of the paper, on clbench's U-Net. It brings its network, so ``--network`` is left
    out; ``--strategy naive --network med-disseg`` is the same without the loss.

    Args:
        weight: factor of the loss.
        taps: feature levels: ``encoder_k``, ``bottleneck``, ``decoder_k``, ``last``, counted from the finest.
        voxels: embeddings drawn per step and tap.
        tau: temperature.
        variant: ``original`` with squared distances divided by the number of channels; ``med-disseg`` with plain
            distances, as in the paper's code, where the gradient halves once pairs are 18.4 tau apart and is gone by
            about 25 tau.
        seed: of the sampled voxels.

    Equation: L_t(θ) + weight · mean over taps of D(Z), D as of [`dispersive`](#dispersive).

    Source: Med-DisSeg 2026, arXiv 2605.14579; loss: Wang and He 2025, arXiv 2506.09027.
    Differs from the source in: trained from scratch in one stage, without the encoder pre-training and its consistency
        term; our own forms of attention and decoder, see the network; the original form of the loss by default.
    Defaults: tau and weight are the paper's (0.5, 0.2 of 0.2 and 0.6 for its two stages); not tuned.
    Memory: none.
    Time: the network takes about 2.2 times the step of ``unet``.
    """

    def __init__(
        self,
        weight: Annotated[float, Field(ge=0)] = 0.2,
        taps: str = "encoder_2",
        voxels: Annotated[int, Field(ge=2)] = 1024,
        tau: Annotated[float, Field(gt=0)] = 0.5,
        variant: Literal["original", "med-disseg"] = "original",
        seed: int = 0,
    ) -> None:
        super().__init__(weight, taps, voxels, tau, variant, seed)
        self.name = "med-disseg"
