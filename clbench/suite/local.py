"""LocalEngine: a suite's runs as processes of this machine."""

from __future__ import annotations

import os
import subprocess
import time
from collections.abc import Sequence

from clbench.suite import process
from clbench.suite.process import Job


class LocalEngine:
    """Runs jobs as child processes; those that may use a GPU take the GPUs in turn.

    Args:
        gpus: identifiers for CUDA_VISIBLE_DEVICES; with fewer than two, jobs are left to see what this process sees.
        poll_seconds: longest time between two looks at the processes.
    """

    def __init__(self, gpus: Sequence[str] = (), poll_seconds: float = 0.25) -> None:
        self._running: dict[Job, subprocess.Popen[bytes]] = {}
        self._gpus = tuple(gpus)
        self._gpu_of: dict[Job, str] = {}
        self._poll_seconds = poll_seconds

    def start(self, job: Job) -> None:
        """Begin a job."""
        environment = {}
        if job.gpu and len(self._gpus) > 1:
            used = list(self._gpu_of.values())
            self._gpu_of[job] = min(self._gpus, key=used.count)
            environment["CUDA_VISIBLE_DEVICES"] = self._gpu_of[job]
        self._running[job] = process.start(job, environment)

    def wait(self) -> list[tuple[Job, int]]:
        """The jobs that ended, with their exit codes, after a short wait for one."""
        ended = self._ended()
        if not ended and self._running:
            time.sleep(self._poll_seconds)
            ended = self._ended()
        for job, _ in ended:
            del self._running[job]
            self._gpu_of.pop(job, None)
        return ended

    def _ended(self) -> list[tuple[Job, int]]:
        codes = [(job, child.poll()) for job, child in self._running.items()]
        return [(job, code) for job, code in codes if code is not None]

    def stop(self) -> None:
        """Ask every job to save and end; a second time: to end at once."""
        for child in self._running.values():
            process.ask_to_stop(child)

    def close(self) -> None:
        """Ask what still runs when the suite cannot go on, as on a full disk, to save and end, and wait for it."""
        for child in self._running.values():
            process.ask_to_stop(child)
        for child in self._running.values():
            child.wait()
        self._running.clear()


def visible_gpus() -> tuple[str, ...]:
    """Identifiers of the GPUs that this process may use, as CUDA_VISIBLE_DEVICES names them."""
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    named = [name.strip() for name in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if name.strip()]
    return tuple(named[:count]) if named else tuple(map(str, range(count)))
