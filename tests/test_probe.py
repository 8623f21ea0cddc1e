"""The drift probe: the same voxels for everybody, zero drift of a network that stayed, and what runs make of it."""

from __future__ import annotations

import copy

import pytest
import torch

from clbench.data.prepare import prepare_cases
from clbench.drift import METRICS
from clbench.evaluate import Inference
from clbench.networks import build_network
from clbench.probe import PATCHES, TAPS, DriftProbe
from clbench.streams.load import load_stream
from toy import write_domain_stream


@pytest.fixture(scope="module")
def stream_and_cases(tmp_path_factory):
    root = tmp_path_factory.mktemp("probe")
    stream = load_stream(str(write_domain_stream(root, tasks=2)), data=root)
    return stream, prepare_cases(stream.cases, stream.plan("default"), root / "cache")


@pytest.fixture
def probe(stream_and_cases):
    stream, prepared = stream_and_cases
    return DriftProbe(stream, prepared, Inference(stream.plan("default"), 0.5, torch.device("cpu"), "float32"))


def network(seed=0):
    class Grid:
        dims, patch_size, spacing_mm = 2, (16, 16), (0.0, 0.0, 0.0)

    return build_network(
        "unet", plan=Grid(), in_channels=1, classes=4, base_features=4, max_features=8, deep_supervision=True, seed=seed
    )


def test_a_network_that_stayed_has_not_drifted(probe):
    probe.remember(network(), probe.stream.tasks[0])
    rows = probe.rows(network())
    assert [(row.task, row.tap, row.metric) for row in rows] == [(1, tap, metric) for tap in TAPS for metric in METRICS]
    assert all(abs(row.value) < 1e-5 for row in rows)


def test_another_network_has_drifted_and_only_remembered_tasks_count(probe):
    for task in probe.stream.tasks:
        probe.remember(network(), task)
    rows = probe.rows(network(seed=1))
    assert {row.task for row in rows} == {1, 2}
    assert all(row.value > 0.05 for row in rows)


def test_only_levels_below_a_change_drift(probe):
    before, after = network(), network()
    with torch.no_grad():
        after.decoder[0].transp_conv.conv.weight.normal_(generator=torch.Generator().manual_seed(0))
    probe.remember(before, probe.stream.tasks[0])
    values = {(row.tap, row.metric): row.value for row in probe.rows(after)}
    assert values["bottleneck", "cka_distance"] < 1e-6
    assert values["last", "cka_distance"] > 0.05


def test_the_same_voxels_are_looked_at_every_time_and_all_of_a_small_level(probe):
    task = probe.stream.tasks[1]
    probe.remember(network(), task)
    first = dict(probe.kept)
    probe.remember(network(), task)
    assert first.keys() == {"2/bottleneck", "2/last"}
    assert all(first[name].equal(probe.kept[name]) for name in first)
    assert first["2/last"].shape == (2048, 4)
    assert first["2/bottleneck"].shape == (PATCHES[2] * 4 * 4, 8)
    assert all(value.dtype == torch.float32 for value in first.values())


def test_looking_changes_neither_the_network_nor_the_random_streams(probe):
    net = network().train()
    weights, state = copy.deepcopy(net.state_dict()), torch.get_rng_state()
    probe.remember(net, probe.stream.tasks[0])
    assert net.training
    assert torch.equal(torch.get_rng_state(), state)
    assert all(weights[name].equal(value) for name, value in net.state_dict().items())
    assert not any(module._forward_hooks for module in net.modules())


def test_a_network_without_these_levels_has_no_drift(probe):
    plain = torch.nn.Conv2d(1, 2, 1)
    probe.remember(plain, probe.stream.tasks[0])
    assert probe.kept == {}
    assert probe.rows(plain) == []
