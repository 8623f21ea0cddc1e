"""L2GNet: its network, with the commitment loss of its codebook."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field
from torch import nn

from clbench.errors import InputError
from clbench.networks.quantizer import Quantized, VectorQuantizer
from clbench.strategies.plugin import StrategyPlugin, add_loss, log_values


class L2GNet(StrategyPlugin):
    """The network [`l2gnet`](networks.md#l2gnet) with the loss that commits its features to their codes.

    "L2GNet-style": what is public of the paper, on clbench's U-Net. It brings its network, so ``--network`` is left
    out. How many codes are in use is logged as ``l2gnet.perplexity`` in ``train.csv``.

    Args:
        weight: factor of the commitment loss.

    Equation: L_t(θ) + weight · mean over voxels and channels of (z − e(z))², where z are the features at the bottleneck
        and e(z) the nearest code, to which no gradient flows: codes are running means of their features.

    Source: Gorade et al. 2025, arXiv 2502.05229 (L2GNet); van den Oord et al. 2017, arXiv 1711.00937, equation 3.
    Differs from the source in: sizes and weights of L2GNet are not public, see the network; the commitment is a mean
        over channels, not their sum.
    Defaults: 0.25 is the commitment factor of van den Oord et al.
    Memory: none between tasks; the codebook is part of the network.
    Time: the network takes about 1.1 times the step of ``unet``.
    """

    def __init__(self, weight: Annotated[float, Field(ge=0)] = 0.25) -> None:
        super().__init__()
        self.weight = weight
        self._seen: list[Quantized] = []
        self._listening = False
        self._handle: Any = None

    def check(self, network: Any) -> None:
        """Refuse a network without a quantizer."""
        _quantizer(network)

    def before_training_exp(self, strategy: Any, **_: Any) -> None:
        """Listen to the quantizer during this task."""

        def keep(_module: nn.Module, _inputs: tuple[Any, ...], output: Quantized) -> None:
            if self._listening:
                self._seen[:] = [output]

        self._handle = _quantizer(strategy.model).register_forward_hook(keep)

    def before_forward(self, strategy: Any, **_: Any) -> None:
        """Only the training step's own pass counts."""
        self._listening = True

    def after_forward(self, strategy: Any, **_: Any) -> None:
        """What follows does not."""
        self._listening = False

    def before_backward(self, strategy: Any, **_: Any) -> None:
        """Add the commitment of this step's features, and log the use of the codes."""
        quantized = self._seen.pop()
        add_loss(strategy, "l2gnet", self.weight * quantized.commitment)
        log_values(strategy, {"l2gnet.perplexity": quantized.perplexity.detach()})

    def after_training_exp(self, strategy: Any, **_: Any) -> None:
        """Stop listening."""
        self._handle.remove()


def _quantizer(network: Any) -> VectorQuantizer:
    found = [module for module in network.modules() if isinstance(module, VectorQuantizer)]
    if len(found) != 1:
        raise InputError(f"l2gnet needs its own network, not {type(network).__name__} without a codebook")
    return found[0]
