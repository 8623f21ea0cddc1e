"""Importance of weights: what the output, or the fall of the loss along the way, owes to each of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn

from clbench.functional.fisher import evaluating

Tensors = Mapping[str, Tensor]


def output_sensitivity(network: nn.Module, samples: Iterable[tuple[Tensor, Tensor]]) -> dict[str, Tensor]:
    """How much the squared length of the output depends on each weight: mean over samples of the gradient's size.

    Per sample the function is the mean over voxels of ``sum_k z_k^2``, z the class scores. In evaluation mode and
    float32, whatever the autocast state; leaves ``.grad``, the modes of all modules and the global random streams as
    they were.

    Args:
        network: maps (B, C, *S) to logits (B, K, *S) in evaluation mode.
        samples: (x, y), x (B, C, *S) on the network's device; y is not looked at.

    Returns:
        Parameter name -> importance >= 0, shape of the parameter, float32; 0 where the output does not depend on it.
        Parameters that need no gradient are left out.

    Raises:
        ValueError: no samples.

    Source: Aljundi et al. 2018, arXiv 1711.09601, equation 5 with the squared norm of section 4.1.
    Differs from the source in: the output is dense, so that its squared norm is a mean over voxels.
    """
    parameters = {name: value for name, value in network.named_parameters() if value.requires_grad}
    totals = {name: torch.zeros_like(value, dtype=torch.float32) for name, value in parameters.items()}
    count = 0
    with evaluating(network), torch.enable_grad():
        for x, _ in samples:
            with torch.autocast(x.device.type, enabled=False):
                length = network(x).float().square().sum(1).mean()
            gradients = torch.autograd.grad(length, list(parameters.values()), allow_unused=True)
            for total, gradient in zip(totals.values(), gradients, strict=True):
                if gradient is not None:
                    total += gradient.float().abs()
            count += 1
    if not count:
        raise ValueError("the sensitivity of the output needs at least one sample")
    return {name: total / count for name, total in totals.items()}


def accumulate(old: Tensors, new: Tensors, gamma: float = 1.0) -> dict[str, Tensor]:
    """``gamma * old + new``, in the names and shapes of ``new``; rows that a grown head added have no past."""
    merged = {}
    for name, value in new.items():
        merged[name] = value.clone()
        if name in old:
            merged[name][: len(old[name])] += gamma * old[name]
    return merged


def path_importance(path: Tensors, start: Tensors, end: Tensors, xi: float) -> dict[str, Tensor]:
    """Share of each weight in the fall of the loss, per squared distance travelled: ``max(0, path) / (d^2 + xi)``.

    Args:
        path: by name, the sum over steps of ``-gradient * step``: how much the loss fell by moving this weight.
        start: weights before the task.
        end: weights after it.
        xi: > 0, keeps the ratio finite for weights that came back to where they were.

    Returns:
        By name, >= 0.

    Source: Zenke et al. 2017, arXiv 1703.04200, equation 5.
    Differs from the source in: weights by whose movement the loss rose count 0, or the penalty had no minimum.
    """
    return {name: path[name].clamp(min=0) / ((end[name] - start[name]).square() + xi) for name in path}


def loss_per_divergence(fall: Tensors, fisher: Tensors, start: Tensors, end: Tensors, damping: float) -> Tensors:
    """Fall of the loss per change of the output: ``max(0, fall) / (fisher * d^2 / 2 + damping)``.

    Half the Fisher information times the squared distance approximates the Kullback-Leibler divergence between the
    outputs before and after the step.

    Args:
        fall: by name, the sum over a few steps of ``-gradient * step``.
        fisher: Fisher information, >= 0.
        start: weights before these steps.
        end: weights after them.
        damping: > 0, a divergence below which the ratio is not trusted.

    Returns:
        By name, >= 0.

    Source: Chaudhry et al. 2018, arXiv 1801.10112, equation 6.
    """
    return {
        name: fall[name].clamp(min=0) / (0.5 * fisher[name] * (end[name] - start[name]).square() + damping)
        for name in fall
    }


def scaled_to_one(values: Tensors) -> dict[str, Tensor]:
    """Divided by the largest value of all of them; zeros stay zeros.

    Args:
        values: >= 0, at least one tensor.
    """
    largest = torch.stack([value.max() for value in values.values()]).max()
    return {name: torch.where(largest > 0, value / largest, value) for name, value in values.items()}
