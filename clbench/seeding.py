"""Counter-based seeds: every random draw is a pure function of the run's seed and the names of what it is for."""

from __future__ import annotations

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:  # torch takes seconds to load, and most of what derives a seed needs none of it
    import torch


def derive(seed: int, *names: str | int) -> int:
    """A seed in [0, 2**63) that depends on the run's seed and on every name, in order.

    Args:
        seed: the run's seed, any integer.
        names: what the numbers are for, such as ``("patch", task, step, slot)``; 1 and "1" differ.

    Returns:
        The first 63 bits of a BLAKE2b digest: equal for equal arguments on every machine and Python version.
    """
    text = "\x1f".join([repr(int(seed)), *(repr(name if isinstance(name, str) else int(name)) for name in names)])
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 1


def numpy_generator(seed: int, *names: str | int) -> np.random.Generator:
    """A NumPy generator of its own, seeded by ``derive``."""
    return np.random.Generator(np.random.PCG64(derive(seed, *names)))


def torch_generator(seed: int, *names: str | int) -> torch.Generator:
    """A CPU torch generator of its own, seeded by ``derive``."""
    import torch

    return torch.Generator().manual_seed(derive(seed, *names))


@contextmanager
def forked_rng(seed: int) -> Iterator[None]:
    """Seed torch, NumPy and random inside the block and put their states back after it.

    For third-party code that draws from the global streams (network initialization, importance passes), so that
    what it draws depends on ``seed`` alone and nobody after it sees that it drew.

    Args:
        seed: non-negative; use ``derive``.
    """
    import torch

    python_state, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002 (the global stream is the point)
    try:
        with torch.random.fork_rng(devices=range(torch.cuda.device_count())):
            torch.manual_seed(seed)
            np.random.seed(seed % 2**32)  # noqa: NPY002
            random.seed(seed)
            yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)  # noqa: NPY002
