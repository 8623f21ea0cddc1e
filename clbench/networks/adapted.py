"""AdaptedNetwork: one network whose filters are mixed anew for each later task."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn
from torch.func import functional_call

from clbench.networks.head import LinearHead, close_heads
from clbench.networks.taps import TapPoint
from clbench.networks.unet import SegmentationNetwork

TRANSPOSED = nn.ConvTranspose2d | nn.ConvTranspose3d
CONVOLUTIONS = nn.Conv2d | nn.Conv3d | TRANSPOSED


class AdaptedNetwork(nn.Module):
    """A network frozen after its first task, with a controller per convolution and own norms and heads per later task.

    A later task's filters are linear combinations of the first one's filters: row o of the controller (O, O) says how
    much of each filter goes into filter o. While it trains the newest task answers; otherwise that of ``select_task``.

    Args:
        network: of the first task.
    """

    def __init__(self, network: SegmentationNetwork) -> None:
        super().__init__()
        self.network, self.adapters = network, nn.ModuleList()
        self.selected = 1

    @property
    def tasks(self) -> int:
        """Tasks so far."""
        return 1 + len(self.adapters)

    @property
    def answering(self) -> int:
        """The task, from 1, that answers now."""
        return self.tasks if self.training else self.selected

    @property
    def tap_points(self) -> Mapping[str, TapPoint]:
        """Feature levels of the network."""
        return self.network.tap_points

    def select_task(self, index: int) -> None:
        """Answer for a task, from 1, in evaluation; for one not learned yet as for the newest."""
        self.selected = min(index, self.tasks)

    @torch.no_grad()
    def add_task(self, classes: int, generator: torch.Generator) -> None:
        """Freeze what there is and add what the next task may train; it starts as the first task's network.

        Args:
            classes: output channels of the task's heads; rows that the first task does not have are drawn anew.
            generator: draws them.
        """
        self.requires_grad_(False)
        close_heads(self)
        tensors = {name: parameter.clone() for name, parameter in self.network.named_parameters()}
        for name, module in self.network.named_modules():
            if isinstance(module, LinearHead):
                grown = module.grown(classes, generator)
                tensors |= {f"{name}.conv.{part}": value for part, value in grown.items()}
        for name in self._mixed():
            rows = tensors[name].shape[self._outputs(name)]
            tensors[name] = torch.eye(rows, dtype=tensors[name].dtype, device=tensors[name].device)
        with torch.enable_grad():
            self.adapters.append(
                nn.ParameterDict({name.replace(".", "/"): nn.Parameter(value) for name, value in tensors.items()})
            )
        self.selected = self.tasks

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        """Logits of the task that answers, see ``SegmentationNetwork``."""
        if self.answering == 1:
            logits: Tensor | list[Tensor] = self.network(x)
        else:
            logits = functional_call(self.network, self.weights_of(self.answering), (x,))
        return logits

    def weights_of(self, task: int) -> dict[str, Tensor]:
        """All parameters of the network as a task after the first has them, by name."""
        adapter, mixed, first = self.adapters[task - 2], self._mixed(), dict(self.network.named_parameters())
        assert isinstance(adapter, nn.ParameterDict)
        found = {name.replace("/", "."): value for name, value in adapter.items()}
        for name in mixed:
            axis = self._outputs(name)
            found[name] = torch.tensordot(found[name], first[name], dims=([1], [axis])).movedim(0, axis)
        return found

    def _mixed(self) -> set[str]:
        """Names of the weights that are mixed: those of all convolutions but the heads'."""
        heads = {f"{name}.conv" for name, module in self.network.named_modules() if isinstance(module, LinearHead)}
        layers = {name for name, module in self.network.named_modules() if isinstance(module, CONVOLUTIONS)}
        return {f"{name}.weight" for name in layers - heads}

    def _outputs(self, name: str) -> int:
        """The axis of a weight that counts output channels."""
        return int(isinstance(self.network.get_submodule(name.removesuffix(".weight")), TRANSPOSED))
