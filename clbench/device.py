"""Device and precision: what ``auto`` means on this machine."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, Literal

import torch

from clbench.errors import InputError

MOST_WORKERS = 12
"""Loader processes that a GPU gets unless told otherwise."""


def resolve_device(wanted: str) -> torch.device:
    """The torch device for ``auto``, ``cpu`` or ``cuda``; ``auto`` takes a GPU when there is one.

    Raises:
        InputError: ``cuda`` without a CUDA device.
    """
    available = torch.cuda.is_available()
    if wanted == "cuda" and not available:
        raise InputError("--device cuda: torch finds no CUDA device; use --device cpu or auto")
    return torch.device("cuda" if available and wanted != "cpu" else "cpu")


def resolve_precision(wanted: str, device: torch.device) -> Literal["float32", "bfloat16"]:
    """The precision of forward passes: ``auto`` is bfloat16 where the device computes it natively."""
    if wanted == "float32":
        return "float32"
    if wanted == "bfloat16":
        return "bfloat16"
    return "bfloat16" if has_native_bfloat16(device) else "float32"


def has_native_bfloat16(device: torch.device) -> bool:
    """True for CUDA devices of compute capability 8.0 up, and CPUs with AMX or AVX512-BF16."""
    if device.type == "cuda":
        return torch.cuda.get_device_capability(device) >= (8, 0)
    capabilities = _capabilities()
    return bool(capabilities.get("amx_bf16") or capabilities.get("avx512_bf16"))


def _capabilities() -> Mapping[str, Any]:
    """What the processor can do, as torch found it; empty where torch does not say."""
    return torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}


def usable_cores() -> int:
    """Processor cores that this process may run on."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def workers_for(wanted: int | None, device: torch.device) -> int:
    """Loader processes: as wanted, or for None what suits the device.

    A network on the processor needs the cores itself; on a GPU it waits for batches unless several cores draw them.
    """
    if wanted is not None:
        return wanted
    return min(MOST_WORKERS, usable_cores() - 1) if device.type == "cuda" else 0


def use_deterministic_kernels(device: torch.device) -> None:
    """Make CUDA runs repeatable: deterministic convolution algorithms, no autotuning, no TF32."""
    if device.type == "cuda":
        torch.backends.cudnn.deterministic = True
        torch.backends.cudnn.benchmark = False
        torch.backends.cudnn.allow_tf32 = False
        torch.backends.cuda.matmul.allow_tf32 = False


def device_name(device: torch.device) -> str:
    """What rounds the results: the GPU's name, or the processor's instructions, and torch's threads.

    Returns:
        Such as ``NVIDIA H200, 16 threads`` or ``cpu AVX2, 1 threads``.
    """
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else f"cpu {kernels()}"
    return f"{name}, {torch.get_num_threads()} threads"


def kernels() -> str:
    """The instructions for which torch chose its processor kernels: ``AVX2``, ``AVX512-BF16``, ``AVX512-AMX``, ..."""
    has = _capabilities()
    bfloat16 = "-AMX" if has.get("amx_bf16") else "-BF16" if has.get("avx512_bf16") else ""
    return str(torch.backends.cpu.get_cpu_capability()).replace(" ", "-") + bfloat16


def use_threads(count: int) -> None:
    """Let torch use ``count`` processor threads; 0 leaves its choice.

    Two processes that each use all cores wait for each other at every operation; give each its share.
    """
    if count:
        torch.set_num_threads(count)
