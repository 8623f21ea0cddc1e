"""Stopping: Ctrl+C and SIGTERM end a run at its next safe moment, with a checkpoint."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

WITH_PARENT = "CLBENCH_PARENT"
"""Environment variable with the process id of the suite that a run belongs to."""

_PR_SET_PDEATHSIG = 1  # of Linux's prctl


class StopRequest:
    """Whether somebody asked the run to stop.

    Attributes:
        asked: True after the first signal.
    """

    def __init__(self) -> None:
        self.asked = False

    def __call__(self, _number: int, _frame: FrameType | None) -> None:
        """Signal handler: the first call asks, the second one stops at once.

        Raises:
            KeyboardInterrupt: at the second call.
        """
        if self.asked:
            raise KeyboardInterrupt
        self.asked = True

    def check(self) -> None:
        """Stop here if that was asked.

        Raises:
            KeyboardInterrupt: when it was.
        """
        if self.asked:
            raise KeyboardInterrupt


@contextmanager
def stop_on_signals() -> Iterator[StopRequest]:
    """Turn SIGINT and SIGTERM into a StopRequest inside the block; outside the main thread signals stay as they are."""
    request = StopRequest()
    with _handling(request):
        yield request


@contextmanager
def stop_at_once_on_signals() -> Iterator[None]:
    """Turn SIGTERM, like SIGINT, into a KeyboardInterrupt inside the block, so that what was begun is cleared away."""
    with _handling(signal.default_int_handler):
        yield


@contextmanager
def _handling(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)


def stop_with_parent() -> None:
    """Have this process get SIGTERM when the suite that started it dies, so that no run goes on unwatched.

    Does nothing for a run that no suite started, and where the system is not Linux.

    Raises:
        SystemExit: the suite is gone already.
    """
    parent = os.environ.get(WITH_PARENT)
    if parent is None or sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    if str(os.getppid()) != parent:
        sys.exit(130)
