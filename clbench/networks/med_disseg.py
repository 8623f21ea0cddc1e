"""Med-DisSeg-style network: attention in the encoder stages, a decoder whose levels are calibrated and fused."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from monai.networks.blocks.dynunet_block import UnetBasicBlock
from torch import Tensor, nn

from clbench.networks.head import NEGATIVE_SLOPE
from clbench.networks.topology import unet_topology
from clbench.networks.unet import (
    ACTIVATION,
    NORM,
    SegmentationNetwork,
    channels_per_stage,
    decoder_blocks,
    encoder_blocks,
    initialize,
    linear_heads,
)
from clbench.seeding import forked_rng

SQUEEZE = 4
SPATIAL_KERNEL = 5


class AdaptiveAttention(nn.Module):
    """``x + x * a_channel * a_space``: which channels and which voxels of a feature map matter, learned from itself.

    ``a_channel = sigmoid(W2 f(W1 mean(x)) + W2 f(W1 max(x)))``, mean and max over space; ``a_space`` is the sigmoid of
    a convolution of mean and max over the channels thus weighted.

    Args:
        dims: 2 or 3.
        channels: of the map.
    """

    def __init__(self, dims: int, channels: int) -> None:
        super().__init__()
        convolution = nn.Conv2d if dims == 2 else nn.Conv3d
        squeezed = max(1, channels // SQUEEZE)
        self.channel = nn.Sequential(
            convolution(channels, squeezed, 1), nn.LeakyReLU(NEGATIVE_SLOPE), convolution(squeezed, channels, 1)
        )
        self.space = convolution(2, 1, SPATIAL_KERNEL, padding=SPATIAL_KERNEL // 2)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, *S) -> (B, C, *S)."""
        axes = tuple(range(2, x.ndim))
        gate = self.channel(x.mean(axes, keepdim=True)) + self.channel(x.amax(axes, keepdim=True))
        weighted = x * gate.sigmoid()
        where = self.space(torch.cat([weighted.mean(1, keepdim=True), weighted.amax(1, keepdim=True)], 1))
        attended: Tensor = x + weighted * where.sigmoid()
        return attended


class AttentiveStage(nn.Module):
    """A stage of the U-Net followed by attention."""

    def __init__(self, dims: int, conv_block: nn.Module, channels: int) -> None:
        super().__init__()
        self.conv_block, self.attention = conv_block, AdaptiveAttention(dims, channels)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, *S) -> (B, C', *S')."""
        features: Tensor = self.attention(self.conv_block(x))
        return features


class CalibratedFusion(nn.Module):
    """All decoder levels on the finest grid, mixed voxel by voxel with weights that sum to 1, then two convolutions.

    Args:
        dims: 2 or 3.
        features: channels of the decoder levels, finest first.
        kernel: of the convolutions, per axis.
    """

    def __init__(self, dims: int, features: Sequence[int], kernel: Sequence[int]) -> None:
        super().__init__()
        convolution = nn.Conv2d if dims == 2 else nn.Conv3d
        self.project = nn.ModuleList([convolution(channels, features[0], 1) for channels in features])
        self.score = nn.ModuleList([convolution(channels, 1, 1) for channels in features])
        self.conv_block = UnetBasicBlock(dims, features[0], features[0], kernel, 1, NORM, ACTIVATION)

    def forward(self, levels: Sequence[Tensor]) -> Tensor:
        """Levels (B, C_k, *S_k), finest first -> (B, C_1, *S_1)."""
        size = levels[0].shape[2:]
        scores = [repeated(score(level), size) for score, level in zip(self.score, levels, strict=True)]
        shares = torch.cat(scores, 1).softmax(1)
        mixed = torch.zeros_like(levels[0])
        for number, (project, level) in enumerate(zip(self.project, levels, strict=True)):
            mixed = mixed + shares[:, number : number + 1] * repeated(project(level), size)
        fused: Tensor = self.conv_block(mixed)
        return fused


class MedDisSegNetwork(SegmentationNetwork):
    """A U-Net with ``AttentiveStage`` as encoder stages and ``CalibratedFusion`` before the head.

    Feature levels have the U-Net's names; ``last`` is the fused map, and ``encoder_k_linear`` is taken before the
    stage's last activation, and so before its attention.
    """

    def __init__(self, fusion: CalibratedFusion, *parts: Any, deep_supervision: bool) -> None:
        super().__init__(*parts, deep_supervision=deep_supervision)
        self.fusion = fusion

    @property
    def last(self) -> nn.Module:
        """The fusion."""
        return self.fusion

    def fused(self, levels: Sequence[Tensor]) -> Tensor:
        """All levels, calibrated."""
        mixed: Tensor = self.fusion(levels)
        return mixed


def build_med_disseg(
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
) -> MedDisSegNetwork:
    """Arguments and errors as ``build_unet``.

    Source: Med-DisSeg 2026, arXiv 2605.14579 (adaptive attention in the encoder, calibrated multi-scale decoder).
    Differs from the source in: a plain U-Net trained from scratch instead of a pre-trained ResNet, one training stage
        instead of two; our own forms of attention and calibration, whose sizes are not public; 3-D as well as 2-D.
    """
    topology = unet_topology(patch_size, spacing_mm)
    features = channels_per_stage(topology, base_features, max_features)
    with forked_rng(0):  # constructors draw weights that are drawn again below
        stages = encoder_blocks(dims, topology, in_channels, features)
        network = MedDisSegNetwork(
            CalibratedFusion(dims, features[:-1], topology.kernels[0]),
            topology,
            [AttentiveStage(dims, block, channels) for block, channels in zip(stages, features, strict=True)],
            decoder_blocks(dims, topology, features),
            linear_heads(dims, topology, features, classes, deep_supervision=deep_supervision),
            deep_supervision=deep_supervision,
        )
    initialize(network, seed)
    return network


def repeated(x: Tensor, size: Sequence[int]) -> Tensor:
    """(B, C, *S) on a grid that is a multiple of S, every value repeated; its gradient is a plain sum on a GPU too."""
    for axis, voxels in enumerate(size, start=2):
        if voxels != x.shape[axis]:
            x = x.repeat_interleave(voxels // x.shape[axis], axis)
    return x
