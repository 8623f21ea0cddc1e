"""Fisher information: how much the likelihood of the labels depends on each weight."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Literal

import torch
from torch import Tensor, nn


def fisher_diagonal(
    network: nn.Module,
    samples: Iterable[tuple[Tensor, Tensor]],
    *,
    labels: Literal["sampled", "given"],
    generator: torch.Generator | None = None,
) -> dict[str, Tensor]:
    """Diagonal of the Fisher information of a segmentation network's weights.

    ``sampled`` labels give the Fisher information of one voxel, mean over voxels and samples: given the image the
    voxels' labels are independent, so that the squared gradient of their summed log-likelihood, over their number, has
    it as its expectation. ``given`` labels give the mean over samples of the squared gradient of the log-likelihood's
    mean over the patch, which is what peers call the (empirical) Fisher information.

    In evaluation mode and float32, whatever the autocast state; leaves ``.grad``, the modes of all modules and the
    global random streams as they were.

    Args:
        network: maps (B, C, *S) to logits (B, K, *S) in evaluation mode.
        samples: (x, y), one at a time on the network's device: x (1, C, *S) floating point, y (1, *S) int64.
        labels: ``sampled`` draws each voxel's label from the network's own softmax (the Fisher information);
            ``given`` takes y (the empirical Fisher).
        generator: on the CPU, for ``sampled`` labels.

    Returns:
        Parameter name -> importance >= 0, shape of the parameter, float32; 0 where the output does not depend on it.
        Parameters that need no gradient are left out.

    Raises:
        ValueError: no samples, more than one image in a sample, or ``sampled`` without a generator.

    Source: Kirkpatrick et al. 2017, arXiv 1612.00796; on the two kinds: Kunstner et al. 2019, arXiv 1905.12558.
    Differs from the source in: per voxel, so that the result does not grow with the patch.
    """
    if labels == "sampled" and generator is None:
        raise ValueError("sampled labels need a generator")
    parameters = {name: value for name, value in network.named_parameters() if value.requires_grad}
    totals = {name: torch.zeros_like(value, dtype=torch.float32) for name, value in parameters.items()}
    count = 0
    with evaluating(network), torch.enable_grad():
        for x, y in samples:
            likelihood = _log_likelihood(network, x, y, generator if labels == "sampled" else None)
            scale = y.numel() if labels == "sampled" else 1
            gradients = torch.autograd.grad(likelihood, list(parameters.values()), allow_unused=True)
            for total, gradient in zip(totals.values(), gradients, strict=True):
                if gradient is not None:
                    total += scale * gradient.float().square()
            count += 1
    if not count:
        raise ValueError("the Fisher information needs at least one sample")
    return {name: total / count for name, total in totals.items()}


def _log_likelihood(network: nn.Module, x: Tensor, y: Tensor, generator: torch.Generator | None) -> Tensor:
    """Mean over voxels of the log-probability of y, or of labels drawn from the network's output."""
    if len(x) != 1:
        raise ValueError(f"one image per sample, not {len(x)}: the square of a sum is not the sum of squares")
    with torch.autocast(x.device.type, enabled=False):
        log_probabilities = network(x).float().log_softmax(1)
    chosen = y if generator is None else _draw(log_probabilities.detach(), generator)
    likelihood: Tensor = log_probabilities.gather(1, chosen[:, None]).mean()
    return likelihood


def _draw(log_probabilities: Tensor, generator: torch.Generator) -> Tensor:
    """One label per voxel from (B, K, *S) log-probabilities -> (B, *S) int64, by inverting the distribution."""
    levels = log_probabilities.exp().cumsum(1)[:, :-1]
    chance = torch.rand(levels[:, :1].shape, generator=generator).to(levels.device)
    return (chance >= levels).sum(1)


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Evaluation mode inside the block; every module's own mode after it."""
    modes = {module: module.training for module in network.modules()}
    network.eval()
    try:
        yield
    finally:
        for module, mode in modes.items():
            module.training = mode
