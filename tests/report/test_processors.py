"""What a run was computed on is read from its record, told in words, and unknown where the record does not say."""

from __future__ import annotations

import pytest
import torch

from clbench.device import device_name, kernels
from clbench.report.processors import device_of, known_processors
from synthetic_runs import config, finished


@pytest.mark.parametrize(
    ("device", "told", "processor"),
    [
        ("cpu, 1 threads", "cpu, 1 thread", "1 thread"),
        ("cpu, 11 threads", "cpu, 11 threads", "11 threads"),
        ("cpu AVX2, 1 threads", "cpu AVX2, 1 thread", "1 thread (AVX2)"),
        ("cpu AVX512-BF16, 3 threads", "cpu AVX512-BF16, 3 threads", "3 threads (AVX512-BF16)"),
        ("NVIDIA H200, 1 threads", "NVIDIA H200, 1 thread", None),
        (None, "?", None),
    ],
)
def test_device_and_processor_of_a_run(tmp_path, device, told, processor):
    run = finished(tmp_path, provenance={} if device is None else {"device": device})
    assert device_of(run) == told
    assert known_processors([run]) == (() if processor is None else (processor,))


def test_processors_are_told_once_and_in_order(tmp_path):
    devices = ["cpu AVX2, 2 threads", "cpu, 10 threads", "cpu, 2 threads", "cpu AVX2, 2 threads", "cpu"]
    runs = [finished(tmp_path, config(seed=seed), provenance={"device": of}) for seed, of in enumerate(devices)]
    assert known_processors(runs) == ("2 threads", "2 threads (AVX2)", "10 threads")


def test_the_name_that_runs_record_is_understood(tmp_path):
    device = device_name(torch.device("cpu"))
    (told,) = known_processors([finished(tmp_path, provenance={"device": device})])
    count = torch.get_num_threads()
    assert told == f"{count} thread{'' if count == 1 else 's'} ({kernels()})"
