"""The precision of forward passes, with bfloat16 convolutions also where the processor has none."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

_CONVOLUTIONS = frozenset(
    {torch.conv1d, torch.conv2d, torch.conv3d}
    | {torch.conv_transpose1d, torch.conv_transpose2d, torch.conv_transpose3d}
)


@contextmanager
def forward_precision(device: torch.device, precision: str) -> Iterator[None]:
    """Run forward passes in a precision.

    Args:
        device: where they run.
        precision: ``bfloat16`` for PyTorch's autocast, whose convolutions are those of ``ConvolutionsInFloat32`` where
            the processor lacks them; anything else leaves all as it is.
    """
    if precision != "bfloat16":
        yield
        return
    with torch.autocast(device.type, torch.bfloat16):
        if device.type == "cpu" and not has_bfloat16_convolutions():
            with ConvolutionsInFloat32():
                yield
        else:
            yield


def compile_options(device: torch.device, precision: str) -> dict[str, Any] | None:
    """Options of ``torch.compile`` for a network in a precision.

    Inductor takes a rounding to bfloat16 that is followed by a widening for nothing and leaves it out, unless it is
    told that the rounding is meant.
    """
    emulated = precision == "bfloat16" and device.type == "cpu" and not has_bfloat16_convolutions()
    return {"emulate_precision_casts": True} if emulated else None


@cache
def has_bfloat16_convolutions() -> bool:
    """Whether oneDNN convolves bfloat16 on this processor; else PyTorch falls back to loops a few times as slow."""
    mkldnn = getattr(torch.ops, "mkldnn", None)
    asked = getattr(mkldnn, "_is_mkldnn_bf16_supported", None)  # not there in builds without oneDNN
    return bool(asked is not None and asked())


class ConvolutionsInFloat32(TorchFunctionMode):
    """Inside, convolutions take operands rounded to bfloat16, sum in float32 and round the result to bfloat16.

    That is what hardware with bfloat16 does, forwards and backwards: products of two bfloat16 numbers are exact in
    float32, so that results differ from it by the order of the sums alone, and then by one rounding to bfloat16. Of
    weights that one forward pass uses twice, autocast adds the gradients in bfloat16, and this in float32. Operands
    wider than float32 are left as they are, as by autocast. Matrix products are PyTorch's own.
    """

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: tuple[Any, ...] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Convolve in float32; everything else as it is."""
        kwargs = kwargs or {}
        if func not in _CONVOLUTIONS or not torch.is_autocast_enabled("cpu") or _is_wide(args, kwargs):
            return func(*args, **kwargs)
        with torch.autocast("cpu", enabled=False):
            named = {name: _rounded(value) for name, value in kwargs.items()}
            return func(*(_rounded(value) for value in args), **named).to(torch.bfloat16)


def _is_wide(args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
    """Whether an operand is float64."""
    return any(isinstance(value, Tensor) and value.dtype == torch.float64 for value in (*args, *kwargs.values()))


def _rounded(value: Any) -> Any:
    """A floating-point tensor in float32, with values that bfloat16 has; anything else as it is."""
    if isinstance(value, Tensor) and value.is_floating_point():
        return value.to(torch.bfloat16).float()
    return value
