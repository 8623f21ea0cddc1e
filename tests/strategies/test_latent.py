"""The latent regularizers as strategies: the terms they add on every network, and that they leave no trace."""

from types import SimpleNamespace

import pytest
import torch

from clbench.errors import InputError
from clbench.functional.dispersive import dispersive
from clbench.functional.selfreg import feature_distillation, semantic_consistency
from clbench.functional.vicreg import vicreg_terms
from clbench.networks import NETWORKS, build_network
from clbench.networks.taps import tap
from clbench.seeding import torch_generator
from clbench.strategies.dispersive import Dispersive
from clbench.strategies.med_disseg import MedDisSeg
from clbench.strategies.segreg import SegReg
from clbench.strategies.selfreg import SelfReg
from clbench.strategies.vicreg import VICReg

PLUGINS = pytest.mark.parametrize("plugin", [SegReg(), VICReg(), Dispersive(), SelfReg()], ids=lambda it: it.name)


def test_vicreg_adds_both_terms_with_their_factors(step_of):
    strategy, features = step_of(VICReg(weight=0.5, variance=3.0, covariance=7.0, voxels=40))
    variance, covariance = vicreg_terms(features["last_linear"])
    assert strategy.loss.item() == pytest.approx(0.5 * (3.0 * variance + 7.0 * covariance).item())
    assert strategy.loss_terms["vicreg"].item() == strategy.loss.item()


@pytest.mark.parametrize("variant", ["original", "med-disseg"])
def test_dispersive_adds_the_mean_over_its_levels(step_of, variant):
    plugin = Dispersive(weight=0.5, taps="encoder_1, bottleneck", tau=0.7, variant=variant, voxels=20)
    strategy, features = step_of(plugin)
    values = [dispersive(value, tau=0.7, variant=variant) for value in features.values()]
    assert strategy.loss.item() == pytest.approx(0.5 * sum(values).item() / 2, rel=1e-5)


def test_med_disseg_charges_how_close_its_early_encoder_features_are(step_of, network_named):
    network, images = network_named("med-disseg"), torch.randn(2, 1, 16, 16, generator=torch.Generator().manual_seed(3))
    with tap(network, ["encoder_2"]) as taps, torch.no_grad():
        network(images)
        points = taps.features["encoder_2"].double().movedim(1, -1).flatten(0, -2)
    count, channels = points.shape  # all voxels, since there are fewer than it draws
    assert (count, channels) == (2 * 8 * 8, 8)
    squares = (points[:, None] - points).square().sum(-1)
    expected = 0.2 * torch.exp(-squares / (channels * 0.5)).mean().log().item()
    strategy, _ = step_of(MedDisSeg(), network=network, images=images)
    assert strategy.loss.item() == pytest.approx(expected, rel=1e-4)
    assert expected < -0.01
    assert strategy.loss_terms["med-disseg"].item() == strategy.loss.item()


def test_selfreg_adds_the_consistency_of_all_levels_and_the_distillation_within_them(step_of):
    strategy, features = step_of(SelfReg(weight=0.5, scr=2.0, ifd=3.0, seed=4), task=2, step=5)
    assert set(features) == {"encoder_1", "encoder_2", "bottleneck", "decoder_1", "decoder_2"}
    generator = torch_generator(4, "selfreg", 2, 5)
    others = sorted(set(features) - {"decoder_1"})
    scr = sum(semantic_consistency(features[name], features["decoder_1"], generator) for name in others) / 4
    ifd = {name: feature_distillation(value) for name, value in features.items()}
    encoder = (ifd["encoder_1"] + ifd["encoder_2"] + ifd["bottleneck"]) / 3
    decoder = (ifd["decoder_1"] + ifd["decoder_2"]) / 2
    assert strategy.loss_terms["selfreg.scr"].item() == pytest.approx(0.5 * 2.0 * scr.item(), rel=1e-5)
    assert strategy.loss_terms["selfreg.ifd"].item() == pytest.approx(0.5 * 3.0 * (encoder + decoder).item(), rel=1e-5)
    assert strategy.loss.item() == pytest.approx(sum(strategy.loss_terms.values()).item())


def test_consistency_alone_moves_nothing_after_the_level_before_the_last(network, step_of):
    step_of(SelfReg(ifd=0.0))[0].loss.backward()
    gradients = {name: value.grad for name, value in network.named_parameters() if value.grad is not None}
    moved = {name for name, value in gradients.items() if value.abs().sum() > 0}
    assert any(name.startswith("encoder.0") for name in moved)
    assert not any(name.startswith(("decoder.0", "heads")) for name in moved)


@PLUGINS
@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("name", NETWORKS)
def test_they_work_on_every_network_in_two_and_three_dimensions_under_autocast(plugin, dims, name):
    network = build_network(
        name,
        plan=SimpleNamespace(dims=dims, patch_size=(16,) * dims, spacing_mm=(0.0,) * 3),
        in_channels=1,
        classes=3,
        base_features=4,
        max_features=8,
        deep_supervision=True,
        seed=0,
    )
    plugin.check(network)
    plugin._tap = tap(network, plugin.levels(network), plugin._read)
    plugin._listening, plugin._generator = True, torch_generator(0)
    with torch.autocast("cpu", torch.bfloat16):
        network(torch.randn((2, 1, *(16,) * dims), generator=torch.Generator().manual_seed(0)))

    strategy = SimpleNamespace(loss=torch.zeros(()), loss_terms={})
    plugin.before_backward(strategy)
    assert strategy.loss.dtype == torch.float32
    strategy.loss.backward()
    assert any(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in network.parameters())
    plugin.after_training_exp(strategy)


@PLUGINS
def test_no_parameters_no_state_and_no_hooks_remain(network, step_of, plugin):
    before = sum(parameter.numel() for parameter in network.parameters())
    step_of(plugin)
    assert plugin.state_tensors() == {}
    assert sum(parameter.numel() for parameter in network.parameters()) == before
    assert not any(module._forward_hooks for module in network.modules())


def test_levels_that_are_not_there_are_named():
    plain = torch.nn.Sequential(torch.nn.Conv2d(1, 2, 1))
    with pytest.raises(InputError, match="unknown feature tap 'bottleneck'"):
        Dispersive().check(plain)
    with pytest.raises(InputError, match="selfreg needs a network with encoder and decoder levels"):
        SelfReg().check(plain)
    with pytest.raises(InputError, match="names a level twice"):
        VICReg(taps="last,last")
