"""U-Net as nnU-Net builds it, from MONAI's blocks, with named feature levels and heads that can grow."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from monai.networks.blocks.dynunet_block import UnetBasicBlock, UnetUpBlock
from torch import Tensor, nn

from clbench.errors import InputError
from clbench.networks.head import NEGATIVE_SLOPE, LinearHead
from clbench.networks.taps import TapPoint
from clbench.networks.topology import Topology, unet_topology
from clbench.seeding import forked_rng, torch_generator

NORM = ("instance", {"affine": True})
ACTIVATION = ("leakyrelu", {"inplace": True, "negative_slope": NEGATIVE_SLOPE})


class SegmentationNetwork(nn.Module):
    """An encoder-decoder with skip connections and a linear head per supervised level.

    Levels are counted from the finest: ``encoder_1`` .. ``encoder_n``, ``bottleneck``, ``decoder_1`` .. ``decoder_n``;
    ``last`` is ``decoder_1``, the input of the head. Their features have passed the leaky ReLU; with ``_linear`` after
    the name they are taken before it, where they can be centered (``last_linear``).

    Args:
        topology: strides per stage, for the check of the input's size.
        encoder: blocks x -> features, finest first, the bottleneck last.
        decoder: blocks (features, skip) -> features, finest first, one fewer than the encoder's.
        heads: for the finest decoder levels, finest first; with more than one, deep supervision.
        deep_supervision: whether the output is a list while the network trains.
    """

    def __init__(
        self,
        topology: Topology,
        encoder: Sequence[nn.Module],
        decoder: Sequence[nn.Module],
        heads: Sequence[LinearHead],
        *,
        deep_supervision: bool,
    ) -> None:
        super().__init__()
        self.topology, self.deep_supervision = topology, deep_supervision
        self.encoder, self.bottleneck = nn.ModuleList(encoder[:-1]), encoder[-1]
        self.decoder, self.heads = nn.ModuleList(decoder), nn.ModuleList(heads)

    @property
    def classes(self) -> int:
        """Output channels, background included."""
        head = self.heads[0]
        assert isinstance(head, LinearHead)
        return head.classes

    @property
    def last(self) -> nn.Module:
        """The block whose output is the input of the head."""
        return self.decoder[0]

    @property
    def tap_points(self) -> dict[str, TapPoint]:
        """Level name -> where its features come out."""
        blocks = {f"encoder_{level}": block for level, block in enumerate(self.encoder, start=1)}
        blocks["bottleneck"] = self.bottleneck
        blocks |= {f"decoder_{level}": block for level, block in enumerate(self.decoder, start=1)}
        blocks["last"] = self.last
        linear = {f"{name}_linear": TapPoint(_last_norm(block), overwritten=True) for name, block in blocks.items()}
        return {name: TapPoint(block) for name, block in blocks.items()} | linear

    @property
    def tap_names(self) -> tuple[str, ...]:
        """Names that ``clbench.networks.taps.tap`` knows here."""
        return tuple(self.tap_points)

    def forward(self, x: Tensor) -> Tensor | list[Tensor]:
        """Class scores.

        Args:
            x: (B, C, *S), floating point, each axis a multiple of ``topology.divisor``.

        Returns:
            Logits (B, K, *S); while training with deep supervision a list of them, full resolution first.

        Raises:
            ValueError: an axis of the wrong size.
        """
        if any(voxels % divisor for voxels, divisor in zip(x.shape[2:], self.topology.divisor, strict=True)):
            raise ValueError(f"input {tuple(x.shape)} is no multiple of {self.topology.divisor} voxels")
        skips = []
        for block in self.encoder:
            x = block(x)
            skips.append(x)
        x = self.bottleneck(x)
        levels: list[Tensor] = []
        for block, skip in zip(reversed(self.decoder), reversed(skips), strict=True):
            x = block(x, skip)
            levels.insert(0, x)
        levels[0] = self.fused(levels)
        if self.training and self.deep_supervision:
            return [head(level) for head, level in zip(self.heads, levels, strict=False)]
        logits: Tensor = self.heads[0](levels[0])
        return logits

    def fused(self, levels: Sequence[Tensor]) -> Tensor:
        """What the head sees of the decoder levels, finest first: here the finest, as it is."""
        return levels[0]


def build_unet(
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
    """nnU-Net's plain U-Net for a patch: two convolutions per stage, instance norm, leaky ReLU, strided pooling.

    Every weight is drawn by He's rule from a generator named after it, so that a seed gives the same weights with and
    without deep supervision. The global random streams are left alone.

    Args:
        in_channels: image channels, at least 1.
        classes: output channels, background included, at least 2.
        dims: 2 or 3.
        patch_size: voxels per axis, ``dims`` values.
        spacing_mm: spacing per axis, ``dims`` values; 0 for unknown.
        base_features: channels of the finest level; they double per stage.
        max_features: cap for coarser levels.
        deep_supervision: one head for each decoder level but the coarsest; otherwise one at full resolution.
        seed: of the initial weights, any integer.

    Raises:
        InputError: a patch that no U-Net can be built for.

    Source: Isensee et al. 2021, doi 10.1038/s41592-020-01008-z; blocks of MONAI's DynUNet.
    Differs from the source in: no bias in convolutions that an instance norm follows, which cancels it.
    """
    topology = unet_topology(patch_size, spacing_mm)
    features = channels_per_stage(topology, base_features, max_features)
    with forked_rng(0):  # constructors draw weights that are drawn again below
        network = SegmentationNetwork(
            topology,
            encoder_blocks(dims, topology, in_channels, features),
            decoder_blocks(dims, topology, features),
            linear_heads(dims, topology, features, classes, deep_supervision=deep_supervision),
            deep_supervision=deep_supervision,
        )
    initialize(network, seed)
    return network


def channels_per_stage(topology: Topology, base_features: int, max_features: int) -> list[int]:
    """Channels from the finest stage to the bottleneck: doubled each time, up to the cap."""
    return [min(base_features * 2**stage, max_features) for stage in range(topology.pools + 1)]


def encoder_blocks(dims: int, topology: Topology, in_channels: int, features: Sequence[int]) -> list[nn.Module]:
    """A block of two convolutions per stage, finest first, the bottleneck last."""
    return [
        UnetBasicBlock(dims, inputs, outputs, kernel, stride, NORM, ACTIVATION)
        for inputs, outputs, kernel, stride in zip(
            [in_channels, *features[:-1]], features, topology.kernels, topology.strides, strict=True
        )
    ]


def decoder_blocks(dims: int, topology: Topology, features: Sequence[int]) -> list[nn.Module]:
    """A block per decoder level, finest first: transposed convolution, skip connection, two convolutions."""
    return [
        UnetUpBlock(dims, below, here, kernel, 1, stride, NORM, ACTIVATION, trans_bias=True)
        for below, here, kernel, stride in zip(
            features[1:], features[:-1], topology.kernels[:-1], topology.strides[1:], strict=True
        )
    ]


def linear_heads(
    dims: int, topology: Topology, features: Sequence[int], classes: int, *, deep_supervision: bool
) -> list[LinearHead]:
    """One head at full resolution; with deep supervision one for each decoder level but the coarsest."""
    supervised = max(1, topology.pools - 1) if deep_supervision else 1
    return [LinearHead(dims, features[level], classes) for level in range(supervised)]


def weights(network: nn.Module) -> dict[str, Tensor]:
    """All parameters and persistent buffers by name, each once, detached and sharing memory with the network."""
    stored = network.state_dict()
    named = [*network.named_parameters(), *network.named_buffers()]  # both leave out a second name of the same tensor
    return {name: tensor.detach() for name, tensor in named if name in stored}


@torch.no_grad()
def load_weights(network: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    """Copy weights into a network of the same build; device and dtype are the network's.

    Args:
        network: what ``weights`` was called on, or one built alike.
        tensors: what ``weights`` gave.

    Raises:
        InputError: a name is missing or too many, or a shape differs; nothing is copied then.
    """
    own = weights(network)
    if different := sorted(own.keys() ^ tensors.keys()):
        raise InputError(f"the weights are of another network: '{different[0]}' is only in one of the two")
    for name, tensor in own.items():
        if tensor.shape != tensors[name].shape:
            shapes = f"{tuple(tensors[name].shape)}, not {tuple(tensor.shape)}"
            raise InputError(f"the weights are of another network: '{name}' is {shapes}")
    for name, tensor in own.items():
        tensor.copy_(tensors[name])


def initialize(network: nn.Module, seed: int) -> None:
    """He's normal initialization of all convolutions and heads, each from its own generator; biases 0."""
    for name, module in network.named_modules():
        if isinstance(module, nn.Conv2d | nn.Conv3d | nn.ConvTranspose2d | nn.ConvTranspose3d):
            generator = torch_generator(seed, "weights", name)
            nn.init.kaiming_normal_(module.weight, a=NEGATIVE_SLOPE, generator=generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)


def _last_norm(block: nn.Module) -> nn.Module:
    """The norm before a block's last activation; of a block around others, that of its ``conv_block``."""
    norm = getattr(block, "conv_block", block).norm2
    assert isinstance(norm, nn.Module)
    return norm
