"""L2GNet-style network: a U-Net whose bottleneck is quantized, aligned by optimal transport, and fused."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from clbench.functional.sinkhorn import sinkhorn
from clbench.networks.head import NEGATIVE_SLOPE
from clbench.networks.quantizer import VectorQuantizer
from clbench.networks.topology import unet_topology
from clbench.networks.unet import (
    SegmentationNetwork,
    channels_per_stage,
    decoder_blocks,
    encoder_blocks,
    initialize,
    linear_heads,
)
from clbench.seeding import forked_rng, torch_generator

CODES, CODE_CHANNELS, ANCHORS = 64, 64, 16


class TransportAlignment(nn.Module):
    """Voxels exchange information over a few trainable anchors, by the optimal-transport plan to them.

    With X (n, D) the voxels of one image and W (p, D) the anchors: T = sinkhorn of the cosines of X and W, with rows
    of mass p / n and columns of mass 1; the result is ``T (T^T X)``, each row divided by its mass: every anchor takes a
    weighted mean over the image, every voxel a weighted mean over the anchors. No attention weight matrices.

    Args:
        dim: D, channels.
        anchors: p.
    """

    def __init__(self, dim: int, anchors: int) -> None:
        super().__init__()
        self.reference = nn.Parameter(torch.zeros(anchors, dim))

    def plan(self, voxels: Tensor) -> Tensor:
        """(B, n, D) -> (B, n, p)."""
        return sinkhorn(F.normalize(voxels, dim=-1) @ F.normalize(self.reference, dim=-1).T)

    def forward(self, features: Tensor) -> Tensor:
        """(B, D, *S) -> (B, D, *S); computed in float32."""
        with torch.autocast(features.device.type, enabled=False):
            voxels = features.float().flatten(2).transpose(1, 2)
            plan = self.plan(voxels)
            aligned = plan @ (plan.transpose(1, 2) @ voxels) / plan.sum(2, keepdim=True)
            return aligned.transpose(1, 2).reshape(features.shape).to(features.dtype)


class LatentBottleneck(nn.Module):
    """Continuous features, their codes and the aligned codes, fused: the bottleneck of the network.

    Args:
        dims: 2 or 3.
        conv_block: the U-Net's own bottleneck.
        channels: of its output, and of the fused map.
    """

    def __init__(self, dims: int, conv_block: nn.Module, channels: int) -> None:
        super().__init__()
        convolution = nn.Conv2d if dims == 2 else nn.Conv3d
        norm = nn.InstanceNorm2d if dims == 2 else nn.InstanceNorm3d
        dim = min(channels, CODE_CHANNELS)
        self.conv_block = conv_block
        self.to_codes = convolution(channels, dim, 1)
        self.quantizer = VectorQuantizer(CODES, dim)
        self.transport = TransportAlignment(dim, ANCHORS)
        self.fuse = nn.Sequential(
            convolution(channels + 2 * dim, channels, 1, bias=False),
            norm(channels, affine=True),
            nn.LeakyReLU(NEGATIVE_SLOPE),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, *S) -> (B, C', *S')."""
        continuous = self.conv_block(x)
        discrete = self.quantizer(self.to_codes(continuous)).values
        fused: Tensor = self.fuse(torch.cat([continuous, discrete, self.transport(discrete)], 1))
        return fused


def build_l2gnet(
    *,
    in_channels: int,
    classes: int,
    dims: int,
    patch_size: Sequence[int],
    spacing_mm: Sequence[float],
    base_features: int,
    max_features: int,
    deep_supervision: bool,
    seed: int,
) -> SegmentationNetwork:
    """Arguments and errors as ``build_unet``; ``bottleneck_linear`` is the continuous map before its activation.

    Source: Gorade et al. 2025, arXiv 2502.05229 (L2GNet), after SynergyNet, arXiv 2310.17764.
    Differs from the source in: sizes, weights and the form of the fusion are not public and are ours: 64 codes, 16
        anchors, cosines under eps 0.1, concatenation and a 1x1 convolution; on a plain U-Net; 3-D as well as 2-D.
    """
    topology = unet_topology(patch_size, spacing_mm)
    features = channels_per_stage(topology, base_features, max_features)
    with forked_rng(0):  # constructors draw weights that are drawn again below
        stages = encoder_blocks(dims, topology, in_channels, features)
        bottleneck = LatentBottleneck(dims, stages[-1], features[-1])
        network = SegmentationNetwork(
            topology,
            [*stages[:-1], bottleneck],
            decoder_blocks(dims, topology, features),
            linear_heads(dims, topology, features, classes, deep_supervision=deep_supervision),
            deep_supervision=deep_supervision,
        )
    initialize(network, seed)
    with torch.no_grad():
        bottleneck.transport.reference.normal_(generator=torch_generator(seed, "weights", "reference"))
        bottleneck.quantizer.codes.normal_(generator=torch_generator(seed, "weights", "codes"))
    return network
