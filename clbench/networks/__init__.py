"""Networks: builders by name. The registry imports them lazily."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Protocol

from clbench.errors import unknown

if TYPE_CHECKING:
    from clbench.networks.unet import SegmentationNetwork


class Grid(Protocol):
    """The grid a network is built for; ``clbench.streams.stream.Plan`` is one.

    Attributes:
        dims: 2 or 3.
        patch_size: voxels per axis, ``dims`` values.
        spacing_mm: voxel spacing, three values of which the first ``dims`` count; 0 for unknown.
    """

    @property
    def dims(self) -> int: ...  # noqa: D102

    @property
    def patch_size(self) -> tuple[int, ...]: ...  # noqa: D102

    @property
    def spacing_mm(self) -> tuple[float, ...]: ...  # noqa: D102


@dataclass(frozen=True)
class NetworkSpec:
    """A network as the registry lists it.

    Attributes:
        summary: one line for ``clbench list``.
        builder: ``module:function``, called with the keyword arguments of ``build_unet``.
    """

    summary: str
    builder: str

    def load(self) -> Callable[..., SegmentationNetwork]:
        """Import the builder."""
        module, _, name = self.builder.partition(":")
        builder: Callable[..., SegmentationNetwork] = getattr(import_module(module), name)
        return builder


NETWORKS: dict[str, NetworkSpec] = {
    "unet": NetworkSpec(
        "nnU-Net's plain U-Net, 2-D or 3-D as the stream's grid asks", "clbench.networks.unet:build_unet"
    ),
    "med-disseg": NetworkSpec(
        "Med-DisSeg-style: attention in the encoder, all decoder levels calibrated and fused",
        "clbench.networks.med_disseg:build_med_disseg",
    ),
    "l2gnet": NetworkSpec(
        "L2GNet-style: bottleneck quantized, aligned by optimal transport and fused",
        "clbench.networks.l2gnet:build_l2gnet",
    ),
}


def build_network(
    name: str,
    *,
    plan: Grid,
    in_channels: int,
    classes: int,
    base_features: int,
    max_features: int,
    deep_supervision: bool,
    seed: int,
) -> SegmentationNetwork:
    """A network of the registry with the initial weights of a seed, on the CPU in float32, convolving channels last.

    Args:
        name: key of ``NETWORKS``.
        plan: dimensions, patch size and spacing it is built for.
        in_channels: image channels, at least 1.
        classes: output channels, background included, at least 2.
        base_features: channels of the finest level.
        max_features: cap for coarser levels, where channels double.
        deep_supervision: whether it gives logits at lower levels too while it trains.
        seed: of the initial weights, non-negative.

    Raises:
        InputError: an unknown name, or a patch the network cannot be built for.
    """
    if name not in NETWORKS:
        raise unknown("network", name, NETWORKS)
    network = NETWORKS[name].load()(
        in_channels=in_channels,
        classes=classes,
        dims=plan.dims,
        patch_size=plan.patch_size,
        spacing_mm=plan.spacing_mm[: plan.dims],
        base_features=base_features,
        max_features=max_features,
        deep_supervision=deep_supervision,
        seed=seed,
    )
    convolve = import_module("clbench.networks.channels_last").convolve_channels_last  # torch, which lists do not need
    convolve(network)
    return network
