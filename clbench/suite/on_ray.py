"""RayEngine: a suite's runs as tasks of a Ray cluster whose machines share the file system."""

from __future__ import annotations

import subprocess
from importlib.util import find_spec
from typing import Any

from clbench.errors import InputError
from clbench.suite import process
from clbench.suite.process import Job


def carry_out(job: Job) -> int:
    """Run a job to its end on whatever machine this is called; a cancellation lets it save first.

    Returns:
        The exit code.

    Raises:
        KeyboardInterrupt: cancelled, after the job ended.
    """
    child = process.start(job)
    try:
        return child.wait()
    except BaseException:
        process.ask_to_stop(child)
        _wait_out(child)
        raise


def _wait_out(child: subprocess.Popen[bytes]) -> None:
    """Wait for a child that was asked to stop; whoever asks again stops it at once."""
    try:
        child.wait()
    except BaseException:
        process.ask_to_stop(child)
        child.wait()


class RayEngine:
    """Hands jobs to Ray, which starts each where enough processors (and a GPU, where the job may use one) are free.

    Args:
        ray: the module; for tests.
        poll_seconds: longest time between two looks at the tasks.

    Raises:
        InputError: Ray is not installed.
    """

    def __init__(self, ray: Any = None, poll_seconds: float = 0.5) -> None:
        self._ray = ray or _ray()
        self._poll_seconds = poll_seconds
        self._running: dict[Job, Any] = {}
        self._asked = False
        if not self._ray.is_initialized():
            self._ray.init(log_to_driver=False)
        self._gpus = self._ray.cluster_resources().get("GPU", 0) > 0

    def start(self, job: Job) -> None:
        """Hand over a job; it is carried out once, whatever becomes of its machine."""
        resources = {"num_cpus": job.threads, "num_gpus": 1 if job.gpu and self._gpus else 0, "max_retries": 0}
        self._running[job] = self._ray.remote(**resources)(carry_out).remote(job)

    def wait(self) -> list[tuple[Job, int]]:
        """The jobs that ended, with their exit codes, after a short wait for one."""
        if not self._running:
            return []
        ready, _ = self._ray.wait(list(self._running.values()), num_returns=1, timeout=self._poll_seconds)
        ended = [(job, self._code(job, task)) for job, task in self._running.items() if task in ready]
        for job, _ in ended:
            del self._running[job]
        return ended

    def _code(self, job: Job, task: Any) -> int:
        try:
            return int(self._ray.get(task))
        except Exception as error:  # a lost machine, a cancelled task: the suite goes on and says so
            job.log.parent.mkdir(parents=True, exist_ok=True)
            with job.log.open("a", encoding="utf-8") as log:
                log.write(f"\n{'stopped' if self._asked else ' '.join(str(error).split())[:300]}\n")
            return 130 if self._asked else 1

    def stop(self) -> None:
        """Ask every job to save and end; a second time: to end at once."""
        for task in self._running.values():
            self._ray.cancel(task, force=self._asked)
        self._asked = True

    def close(self) -> None:
        """Leave the cluster; one that was started for this suite ends."""
        self._ray.shutdown()


def _ray() -> Any:
    if find_spec("ray") is None:
        raise InputError("--engine ray needs Ray, which is not installed: pip install 'clbench[ray]'")
    import ray

    return ray
