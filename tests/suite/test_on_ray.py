"""The Ray engine: against a stand-in for Ray, and against Ray itself where it is installed."""

from __future__ import annotations

from collections import deque
from types import SimpleNamespace

import pytest

from clbench.config import make_config
from clbench.errors import InputError
from clbench.suite import on_ray
from clbench.suite.conduct import Progress, conduct
from clbench.suite.on_ray import RayEngine
from clbench.suite.plan import Planned
from clbench.suite.process import Job
from clbench.suite.run import SilentScreen


class FakeRay:
    """As much of Ray as the engine uses; tasks run when they are waited for."""

    def __init__(self, gpus: int = 0) -> None:
        self.gpus, self.asked_for, self.cancelled, self.open = gpus, [], [], False

    def is_initialized(self) -> bool:
        return self.open

    def init(self, **_) -> None:
        self.open = True

    def shutdown(self) -> None:
        self.open = False

    def cluster_resources(self) -> dict:
        return {"CPU": 4.0, **({"GPU": float(self.gpus)} if self.gpus else {})}

    def remote(self, **resources):
        self.asked_for.append(resources)
        return lambda function: SimpleNamespace(remote=lambda *given: Task(function, given))

    def wait(self, tasks, num_returns, timeout):
        return tasks[:num_returns], tasks[num_returns:]

    def get(self, task):
        if task in [cancelled for cancelled, _ in self.cancelled]:
            raise RuntimeError("TaskCancelledError")
        return task.function(*task.given)

    def cancel(self, task, force) -> None:
        self.cancelled.append((task, force))


class Task:
    def __init__(self, function, given) -> None:
        self.function, self.given = function, given


def job(folder, name: str, *, gpu: bool = False) -> Job:
    return Job(name, ("run",), folder / "logs" / f"{name}.log", threads=3, gpu=gpu)


def test_a_job_asks_for_its_threads_and_a_gpu_where_there_is_one(tmp_path, monkeypatch):
    monkeypatch.setattr(on_ray, "carry_out", lambda job: 7)
    for gpus, wanted in ((0, 0), (2, 1)):
        ray = FakeRay(gpus)
        engine = RayEngine(ray)
        engine.start(job(tmp_path, "a", gpu=True))
        assert ray.asked_for == [{"num_cpus": 3, "num_gpus": wanted, "max_retries": 0}]
        assert engine.wait() == [(job(tmp_path, "a", gpu=True), 7)]
        assert engine.wait() == []
        engine.close()
        assert not ray.open


def test_a_task_that_ray_lost_is_a_failed_run_with_the_reason_in_its_log(tmp_path, monkeypatch):
    def lost(job):
        raise RuntimeError("the machine\nis gone")

    monkeypatch.setattr(on_ray, "carry_out", lost)
    run = Planned(make_config(stream="s", strategy="naive", threads=1), (), tmp_path / "s@1" / "naive-s0-0", "new")
    progress = Progress([], deque([run]), 1)
    conduct(progress, RayEngine(FakeRay()), SilentScreen(), logs=tmp_path / "logs")
    assert progress.reasons == {"s@1/naive-s0-0": "the machine is gone"}


def test_stopping_cancels_gently_first_and_by_force_the_second_time(tmp_path, monkeypatch):
    monkeypatch.setattr(on_ray, "carry_out", lambda job: 0)
    ray = FakeRay()
    engine = RayEngine(ray)
    engine.start(job(tmp_path, "a"))
    engine.stop()
    engine.stop()
    assert [force for _, force in ray.cancelled] == [False, True]
    assert engine.wait() == [(job(tmp_path, "a"), 130)]


def test_a_cancelled_task_lets_its_run_save_before_it_ends(monkeypatch):
    said = []

    class Child:
        def wait(self) -> int:
            said.append("wait")
            if len(said) == 1:
                raise KeyboardInterrupt
            return 130

    monkeypatch.setattr(on_ray.process, "start", lambda job: Child())
    monkeypatch.setattr(on_ray.process, "ask_to_stop", lambda child: said.append("asked"))
    with pytest.raises(KeyboardInterrupt):
        on_ray.carry_out(None)
    assert said == ["wait", "asked", "wait"]


def test_without_ray_one_line_says_how_to_get_it(monkeypatch):
    monkeypatch.setattr(on_ray, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install 'clbench\[ray\]'"):
        RayEngine()


@pytest.mark.slow
def test_ray_itself_carries_out_a_job(tmp_path):
    ray = pytest.importorskip("ray", reason="Ray is not installed: pip install 'clbench[ray]'")
    engine = RayEngine()
    engine.start(Job("a", ("list", "presets"), tmp_path / "logs" / "a.log", threads=1))
    engine.start(Job("b", ("list", "preset"), tmp_path / "logs" / "b.log", threads=1))
    ended = {}
    while len(ended) < 2:
        ended |= {job.name: code for job, code in engine.wait()}
    engine.close()
    assert not ray.is_initialized()
    assert ended == {"a": 0, "b": 2}
    assert "did you mean presets" in (tmp_path / "logs" / "b.log").read_text()
