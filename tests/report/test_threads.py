"""What a run was computed on is read from its record, told in words, and unknown where the record does not say."""

from __future__ import annotations

import pytest

from clbench.report.threads import device_of, known_threads, threads_of
from synthetic_runs import finished


@pytest.mark.parametrize(
    ("device", "told", "threads"),
    [
        ("cpu, 1 threads", "cpu, 1 thread", 1),
        ("cpu, 11 threads", "cpu, 11 threads", 11),
        ("NVIDIA H200, 1 threads", "NVIDIA H200, 1 thread", None),
        (None, "?", None),
    ],
)
def test_device_and_threads_of_a_run(tmp_path, device, told, threads):
    run = finished(tmp_path, provenance={} if device is None else {"device": device})
    assert (device_of(run), threads_of(run)) == (told, threads)
    assert known_threads([run]) == (() if threads is None else (threads,))
