"""SegReg: the term it adds, and that it leaves no trace."""

from types import SimpleNamespace

import pytest
import torch

from clbench.errors import InputError
from clbench.functional.sampling import sample_embeddings
from clbench.functional.sigreg import normalize_embeddings, sigreg, unit_directions
from clbench.seeding import torch_generator
from clbench.strategies.segreg import SegReg


def step_of(network, plugin, task=1, step=0, precision=torch.float32):
    """The strategy around one forward pass, with SegReg's term as its loss."""
    strategy = SimpleNamespace(
        model=network,
        experience=SimpleNamespace(current_experience=task - 1),
        clock=SimpleNamespace(train_exp_iterations=step),
        loss=torch.zeros(()),
        loss_terms={},
    )
    plugin.before_training_exp(strategy)
    x = torch.randn(2, 1, 16, 16, generator=torch.Generator().manual_seed(1))
    with torch.autocast("cpu", precision, enabled=precision != torch.float32):
        network(x)
    plugin.before_backward(strategy)
    features = dict(plugin._tap.features)
    plugin.after_training_exp(strategy)
    return strategy, features


def test_the_term_is_the_weighted_statistic_of_the_tapped_features(network):
    plugin = SegReg(weight=2.5, slices=8, voxels=50, seed=4)
    strategy, features = step_of(network, plugin, task=2, step=7)
    generator = torch_generator(4, "segreg", 2, 7)
    embeddings = sample_embeddings(features["last_linear"], 50, generator)
    directions = unit_directions(embeddings.shape[1], 8, generator)
    expected = 2.5 * sigreg(normalize_embeddings(embeddings, "squash"), directions)
    assert strategy.loss.item() == pytest.approx(expected.item(), rel=1e-6)
    assert strategy.loss_terms["segreg"].item() == strategy.loss.item()


def test_several_taps_are_averaged(network):
    both = step_of(network, SegReg(taps="last, bottleneck", voxels=10**6, slices=4))[0].loss.item()
    assert both > 0


def test_directions_and_voxels_change_with_the_step_only(network):
    losses = [step_of(network, SegReg(), step=step)[0].loss.item() for step in (0, 0, 1)]
    assert losses[0] == losses[1] != losses[2]


def test_the_gradient_reaches_everything_before_the_tap_and_nothing_after(network):
    strategy, _ = step_of(network, SegReg())
    strategy.loss.backward()
    assert all(parameter.grad is None for parameter in network.heads.parameters())
    assert all(parameter.grad.abs().sum() > 0 for parameter in network.encoder.parameters())


def test_the_statistic_is_float32_under_autocast(network):
    strategy, features = step_of(network, SegReg(), precision=torch.bfloat16)
    assert features["last_linear"].dtype != torch.float64
    assert strategy.loss.dtype == torch.float32
    assert torch.isfinite(strategy.loss)


def test_no_parameters_no_state_and_no_hooks_remain(network):
    before = sum(parameter.numel() for parameter in network.parameters())
    plugin = SegReg()
    step_of(network, plugin)
    assert plugin.state_tensors() == {}
    assert plugin.stored_bytes == 0
    assert sum(parameter.numel() for parameter in network.parameters()) == before
    assert not any(module._forward_hooks for module in network.modules())


def test_an_unknown_tap_is_named(network):
    with pytest.raises(InputError, match="unknown feature tap 'decoder_9'"):
        step_of(network, SegReg(taps="decoder_9"))
