"""The Med-DisSeg- and L2GNet-style networks: what every network must do, and what is special about each."""

import copy

import ot
import pytest
import torch
import torch.nn.functional as F

from clbench.errors import InputError
from clbench.networks import NETWORKS
from clbench.networks.head import grow_head
from clbench.networks.l2gnet import LatentBottleneck, TransportAlignment
from clbench.networks.med_disseg import AdaptiveAttention, CalibratedFusion, repeated
from clbench.networks.quantizer import VectorQuantizer
from clbench.networks.taps import tap, tap_names
from clbench.networks.unet import load_weights, weights

EVERY = pytest.mark.parametrize("name", NETWORKS)


def build(name, dims=2, *, seed=0, classes=3, deep_supervision=False, patch=16):
    return NETWORKS[name].load()(
        in_channels=1,
        classes=classes,
        dims=dims,
        patch_size=(patch,) * dims,
        spacing_mm=(1.0,) * dims,
        base_features=4,
        max_features=8,
        deep_supervision=deep_supervision,
        seed=seed,
    )


def image(dims=2, size=16, batch=2, seed=0):
    return torch.randn(batch, 1, *(size,) * dims, generator=torch.Generator().manual_seed(seed))


@EVERY
@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16], ids=str)
def test_logits_have_the_shape_of_the_image_and_every_weight_gets_a_gradient(name, dims, precision):
    network = build(name, dims, deep_supervision=True)
    with torch.autocast("cpu", precision, enabled=precision != torch.float32):
        outputs = network(image(dims))
    assert outputs[0].shape == (2, 3, *(16,) * dims)
    sum(output.float().square().sum() for output in outputs).backward()
    idle = [key for key, value in network.named_parameters() if value.grad is None or not value.grad.abs().sum() > 0]
    assert not idle
    assert network.eval()(image(dims)).shape == (2, 3, *(16,) * dims)


@EVERY
def test_a_seed_gives_the_same_weights_and_leaves_the_random_streams_alone(name):
    state = torch.get_rng_state()
    first, again, other = (
        weights(build(name)),
        weights(build(name, deep_supervision=True)),
        weights(build(name, seed=1)),
    )
    assert torch.equal(torch.get_rng_state(), state)
    assert all(first[key].equal(again[key]) for key in first)
    convolution = next(key for key in first if key.startswith("encoder.0") and key.endswith("conv.weight"))
    assert not first[convolution].equal(other[convolution])


@EVERY
def test_weights_and_codes_come_back_as_they_were_stored(name):
    network, other = build(name), build(name, seed=1)
    network(image())
    load_weights(other, copy.deepcopy(weights(network)))
    assert torch.equal(network.eval()(image(seed=3)), other.eval()(image(seed=3)))


@EVERY
def test_heads_grow(name):
    network = build(name, deep_supervision=True)
    before = network.eval()(image())
    grow_head(network, 5, seed=0)
    assert network(image()).shape[1] == 5
    torch.testing.assert_close(network(image())[:, :3], before)


@EVERY
@pytest.mark.parametrize("dims", [2, 3])
def test_every_level_can_be_tapped_and_the_last_one_is_what_the_head_sees(name, dims):
    network = build(name, dims).eval()
    names = tap_names(network)
    assert {"encoder_1", "encoder_2", "bottleneck", "decoder_1", "last", "last_linear", "encoder_1_linear"} <= set(
        names
    )
    with tap(network, names) as taps:
        logits = network(image(dims))
        torch.testing.assert_close(network.heads[0](taps.features["last"]), logits)
        torch.testing.assert_close(F.leaky_relu(taps.features["last_linear"], 0.01), taps.features["last"])
        assert taps.features["bottleneck"].shape[2:] == (4,) * dims


@EVERY
def test_an_image_is_scored_alike_alone_and_in_a_batch(name):
    network = build(name).eval()
    x = image(batch=3)
    alone = torch.cat([network(x[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(network(x), alone, atol=1e-4, rtol=1e-4)


@EVERY
def test_a_patch_too_small_to_pool_is_refused(name):
    with pytest.raises(InputError, match="too small"):
        build(name, patch=6)


# Med-DisSeg.


def test_attention_keeps_or_doubles_what_it_weighs():
    attention, x = AdaptiveAttention(2, 8), image(size=8).repeat(1, 8, 1, 1)
    ratio = attention(x) / x
    assert (ratio > 1).all()
    assert (ratio < 2).all()
    assert ratio.std() > 0


def test_the_fusion_mixes_levels_with_shares_that_sum_to_one():
    """With all projections equal to 1 the mixture is 1 whatever the scores; with one of them 0, less."""
    fusion = CalibratedFusion(2, (4, 8), (3, 3))
    fusion.conv_block = torch.nn.Identity()
    levels = [image(size=8).repeat(1, 4, 1, 1), image(size=4).repeat(1, 8, 1, 1)]
    with torch.no_grad():
        for project in fusion.project:
            project.weight.zero_()
            project.bias.fill_(1.0)
        torch.testing.assert_close(fusion(levels), torch.ones(2, 4, 8, 8))
        fusion.project[0].bias.zero_()
        assert (fusion(levels) < 1).all()


def test_every_decoder_level_reaches_the_head():
    network = build("med-disseg")
    with tap(network, ["decoder_1", "decoder_2"]) as taps:
        logits = network(image())
        gradients = torch.autograd.grad(logits.square().sum(), list(taps.features.values()))
    assert all(gradient.abs().sum() > 0 for gradient in gradients)


def test_repeating_is_nearest_interpolation():
    x = image(3, 4)
    expected = F.interpolate(x, size=(8, 4, 16), mode="nearest")
    assert torch.equal(repeated(x, (8, 4, 16)), expected)


# L2GNet.


def test_aligned_voxels_are_means_of_means():
    alignment = TransportAlignment(6, 5)
    alignment.reference.data.normal_(generator=torch.Generator().manual_seed(0))
    constant = torch.full((2, 6, 4, 4), 3.0)
    torch.testing.assert_close(alignment(constant), constant)
    x = torch.randn(2, 6, 4, 4, generator=torch.Generator().manual_seed(1))
    aligned = alignment(x)
    assert (aligned.amax((2, 3)) <= x.amax((2, 3)) + 1e-5).all()
    assert (aligned.amin((2, 3)) >= x.amin((2, 3)) - 1e-5).all()


def plan_of_pot(voxels, anchors):
    """POT's entropic plan between (n, D) voxels and (p, D) anchors that are alike by their cosine."""
    cosines = F.cosine_similarity(voxels[:, None].double(), anchors[None].double(), dim=2)
    rows, columns = torch.full(cosines.shape[:1], len(anchors) / len(voxels)), torch.ones(len(anchors))
    plan = ot.bregman.sinkhorn_log(rows.double(), columns.double(), -cosines, reg=0.1, numItermax=10_000, stopThr=1e-9)
    return plan.float()


def test_the_alignment_is_the_formula_with_the_plan_of_pot_for_each_image():
    alignment = TransportAlignment(6, 4)
    alignment.reference.data.normal_(generator=torch.Generator().manual_seed(0))
    x = 3.0 * torch.randn(2, 6, 4, 4, generator=torch.Generator().manual_seed(1))
    for image, aligned in zip(x, alignment(x), strict=True):
        voxels = image.flatten(1).T
        plan = plan_of_pot(voxels, alignment.reference.detach())
        expected = plan @ (plan.T @ voxels) / (4 / 16)
        torch.testing.assert_close(aligned.flatten(1).T, expected, atol=1e-3, rtol=1e-3)


def test_codes_move_in_training_and_rest_in_evaluation():
    network = build("l2gnet")
    (quantizer,) = (module for module in network.modules() if isinstance(module, VectorQuantizer))
    before = quantizer.codes.clone()
    network.eval()(image())
    assert quantizer.codes.equal(before)
    network.train()(image())
    assert not quantizer.codes.equal(before)
    assert isinstance(network.bottleneck, LatentBottleneck)
