"""A whole run on a GPU: repeatable, in bfloat16, and close to the CPU's."""

import json

import numpy as np
import pytest

from clbench.experiment import run_config
from clbench.report.load import load_runs
from toy import toy_config, write_domain_stream

pytestmark = pytest.mark.gpu


@pytest.fixture
def card(tmp_path, monkeypatch):
    monkeypatch.setenv("CLBENCH_CACHE", str(tmp_path / "cache"))
    return write_domain_stream(tmp_path / "data")


def run_on(device, card, out, **fields):
    return run_config(toy_config(card, out, "ewc+segreg", device=device, **fields))


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_the_same_command_gives_the_same_bytes(card, tmp_path, precision):
    first, second = (run_on("cuda", card, tmp_path / name, precision=precision) for name in ("a", "b"))
    assert (first / "cases.csv").read_bytes() == (second / "cases.csv").read_bytes()


def test_the_untrained_network_scores_as_on_the_cpu(card, tmp_path):
    rows = [load_runs(run_on(device, card, tmp_path / device))[0].scores().scores[0] for device in ("cuda", "cpu")]
    np.testing.assert_allclose(rows[0], rows[1], atol=0.02)


def test_automatic_precision_is_bfloat16_where_the_device_has_it(card, tmp_path):
    import torch

    (run,) = load_runs(run_on("cuda", card, tmp_path, precision="auto"))
    native = torch.cuda.get_device_capability() >= (8, 0)
    assert run.config_resolved["precision"] == ("bfloat16" if native else "float32")


def test_peak_memory_is_the_devices(card, tmp_path):
    cost = json.loads((run_on("cuda", card, tmp_path) / "cost.json").read_text())
    assert all(0 < stage["peak_memory_mb"] < 1000 for stage in cost["stages"])
