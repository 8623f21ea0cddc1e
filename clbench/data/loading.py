"""Loading: batches in step order, drawn ahead of the network where a processor core is free for it."""

from __future__ import annotations

import os
import queue
import signal
import threading
from collections.abc import Iterable, Iterator, Sized
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from clbench.device import usable_cores

Batch = list[Tensor]
AHEAD = 2
"""Batches that wait for the network."""


class Patches(Protocol):
    """Patches in training order; ``clbench.data.patches.PatchDataset`` is one."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor, int]: ...


class Batches(Dataset[Batch]):
    """Patches in batches, as a map-style data set whose item ``i`` is the batch of step ``first_step + i``.

    A batch is ``[x (B, C, *patch) float32, y (B, *patch) int64, task labels (B,) int64]``, what Avalanche reads.

    Args:
        patches: slot after slot, step after step.
        batch_size: slots per step.
        first_step: step of the first batch.
    """

    def __init__(self, patches: Patches, batch_size: int, first_step: int = 0) -> None:
        self.patches, self.batch_size, self.first_step = patches, batch_size, first_step

    def __len__(self) -> int:
        return len(self.patches) // self.batch_size - self.first_step

    def __getitem__(self, index: int) -> Batch:
        if not 0 <= index < len(self):
            raise IndexError(f"batch {index} of {len(self)}")
        first = (self.first_step + index) * self.batch_size
        images, masks, labels = zip(*(self.patches[first + slot] for slot in range(self.batch_size)), strict=True)
        # NumPy copies in this thread; torch would wake its own threads, which the network is using.
        stacked = [torch.from_numpy(np.stack([tensor.numpy() for tensor in part])) for part in (images, masks)]
        return [*stacked, torch.tensor(labels)]


class DrawnAhead:
    """Iterates over batches that a thread draws while the network works on the ones before.

    An error in the thread is raised where the batch would have come; leaving the loop early ends the thread.

    Args:
        batches: a map-style data set or a loader.
    """

    def __init__(self, batches: Iterable[Batch]) -> None:
        self.batches = batches

    def __len__(self) -> int:
        assert isinstance(self.batches, Sized)
        return len(self.batches)

    def __iter__(self) -> Iterator[Batch]:
        waiting: queue.Queue[tuple[str, Any]] = queue.Queue(AHEAD)
        left = threading.Event()
        thread = threading.Thread(target=_draw, args=(self.batches, waiting, left), daemon=True)
        thread.start()
        try:
            while (item := waiting.get())[0] == "batch":
                yield item[1]
            if item[0] == "error":
                raise item[1]
        finally:
            left.set()
            while not waiting.empty():  # a thread that waits to put its batch sees that nobody wants it
                waiting.get_nowait()
            thread.join()


def _draw(batches: Iterable[Batch], waiting: queue.Queue[tuple[str, Any]], left: threading.Event) -> None:
    try:
        for batch in batches:
            waiting.put(("batch", batch))
            if left.is_set():
                return
        waiting.put(("end", None))
    except BaseException as error:  # raised again in the thread that trains
        waiting.put(("error", error))


def leave_signals_to_the_parent(_: int) -> None:
    """Keep a loader process working when Ctrl+C or a scheduler's SIGTERM reaches all processes of a run.

    The parent then finishes its step, saves and stops, which ends its loaders, too. Without this they would end first,
    and the parent with them, in the middle of a step.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "sigwaitinfo"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        threading.Thread(target=_end_with_the_parent, daemon=True).start()
    elif hasattr(signal, "pthread_sigmask"):
        # On macOS a SIGTERM to all processes still ends the loaders; held back for good, not even the parent could.
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT, signal.SIGTERM})


def _end_with_the_parent() -> None:
    """Wait for the SIGTERM by which the parent ends its loaders; one from anybody else is for the parent to answer."""
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != os.getppid():
        pass
    os._exit(0)


@contextmanager
def signals_held() -> Iterator[None]:
    """Hold back Ctrl+C and SIGTERM from this thread, and from the processes it starts, until the block is left.

    Another thread of this process may still take one for it.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, ())  # only asks: a second Ctrl+C can be raised by this very call
    try:
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class Loader(DataLoader[Batch]):
    """A loader whose processes start with signals held back: one that comes before they are ready is not their end."""

    def __iter__(self) -> Any:
        with signals_held():
            return super().__iter__()


def load(batches: Batches, workers: int, device: torch.device) -> Iterable[Batch]:
    """Batches in order, as fast as the device can take them; their content does not depend on how.

    With workers, processes draw them. Without, a thread draws them ahead if the network leaves it a core, which it does
    on a GPU or with fewer threads than cores; else they are drawn in between, since two threads on one core only
    disturb each other.

    Args:
        batches: what to load.
        workers: processes.
        device: where the network is; on CUDA batches lie in pinned memory.
    """
    on_gpu = device.type == "cuda"
    loader = Loader(
        batches,
        batch_size=None,
        num_workers=workers,
        pin_memory=on_gpu,
        generator=torch.Generator(),  # or the loader would draw its base seed from the global stream
        worker_init_fn=leave_signals_to_the_parent,
    )
    free_core = on_gpu or torch.get_num_threads() < usable_cores()
    return loader if workers or not free_core else DrawnAhead(loader)
