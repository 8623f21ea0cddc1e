"""Teacher: the network as it was after the previous task, to learn from without changing it."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from clbench.networks.channels_last import convolve_channels_last, convolves_channels_last
from clbench.networks.head import LinearHead
from clbench.networks.unet import weights
from clbench.precision import forward_precision
from clbench.strategies.plugin import StrategyPlugin


def frozen_copy(network: nn.Module, kept: Mapping[str, Tensor]) -> nn.Module:
    """A network of the same build with earlier weights, whose head may have had fewer classes.

    Its layers are in evaluation mode, so that it changes nothing in itself; the flag of the whole is that of training,
    so that it answers at all resolutions that the student is supervised at. It shares nothing with the network, and
    listens to no hooks that others have put there. It convolves in the network's layout: in bfloat16 another one moved
    logits of a new network by 0.1.

    Args:
        network: what the weights were taken from, grown since or not.
        kept: from ``clbench.networks.unet.weights``.
    """
    copy = deepcopy(network)
    for module in copy.modules():
        module._forward_hooks.clear()
        module._forward_pre_hooks.clear()
        module._backward_hooks.clear()
    if convolves_channels_last(network):
        convolve_channels_last(copy)
    for name, value in kept.items():
        place, _, attribute = name.rpartition(".")
        module = copy.get_submodule(place)
        own = getattr(module, attribute)
        if own.shape == value.shape:
            own.data.copy_(value)
        elif isinstance(own, nn.Parameter):
            setattr(module, attribute, nn.Parameter(value.to(own)))
        else:
            module.register_buffer(attribute, value.to(own))
    for parameter in copy.parameters():
        parameter.grad = None
    copy.requires_grad_(False).eval()
    copy.training = True
    return copy


class Taught(StrategyPlugin):
    """A plugin that keeps the network of the previous task and sees its answer to every batch.

    Attributes:
        kept: the teacher's weights by name; empty in the first task.
        answers: the teacher's logits for the batch, full resolution first; from the forward to the backward pass of a
            step, empty in the first task.
    """

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[str, Tensor] = {}
        self.answers: list[Tensor] = []
        self._teacher: nn.Module | None = None

    def before_forward(self, strategy: Any, **_: Any) -> None:
        """Build the teacher before the network holds anything of this batch."""
        if self.kept:
            self.teacher(strategy)

    def after_forward(self, strategy: Any, **_: Any) -> None:
        """Ask the teacher about the batch."""
        if self.kept:
            self.answers = self.ask(strategy, strategy.mb_x)

    def after_backward(self, strategy: Any, **_: Any) -> None:
        """Let the answers go."""
        self.answers = []

    @property
    def known(self) -> int:
        """Classes of the teacher, background included; 0 in the first task. Between forward and backward pass."""
        return self.answers[0].shape[1] if self.answers else 0

    def after_training_exp(self, strategy: Any, **_: Any) -> None:
        """Remember the network, and let the old teacher go."""
        self._teacher = None
        self.kept = {name: value.clone() for name, value in weights(strategy.model).items()}

    def share_background(self, network: nn.Module) -> None:
        """Let the rows that the heads have grown since the teacher start as the background's."""
        for name, head in network.named_modules():
            if self.kept and isinstance(head, LinearHead):
                head.share_background(len(self.kept[f"{name}.conv.weight"]))

    def teacher(self, strategy: Any) -> nn.Module:
        """The network of the previous task; built when it is first asked for in a task."""
        if self._teacher is None:
            self._teacher = frozen_copy(strategy.model, self.kept)
            self.kept = weights(self._teacher)  # one copy is enough
        return self._teacher

    @torch.no_grad()
    def ask(self, strategy: Any, x: Tensor) -> list[Tensor]:
        """The teacher's logits for images (B, C, *S), in the precision that the student is trained in."""
        precision = getattr(strategy, "precision", "float32")
        with forward_precision(x.device, precision):
            output = self.teacher(strategy)(x)
        return [output] if isinstance(output, Tensor) else list(output)

    def state_tensors(self) -> dict[str, Tensor]:
        """The teacher's weights."""
        return dict(self.kept)

    def load_state_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """Restore them."""
        self.kept, self._teacher = dict(tensors), None


def class_count(output: Any) -> int:
    """Classes of an output: logits (B, K, *S), or a list of them."""
    return int((output if isinstance(output, Tensor) else output[0]).shape[1])
