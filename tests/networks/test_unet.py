"""The U-Net: shapes, seeds, weights that can be stored, and MONAI's DynUNet as an oracle."""

from __future__ import annotations

import copy

import pytest
import torch
from monai.networks.nets import DynUNet
from safetensors.torch import load, save
from torch import nn

from clbench.errors import InputError
from clbench.networks import build_network
from clbench.networks.unet import build_unet, load_weights, weights


def small(dims=2, *, classes=3, deep_supervision=False, seed=0, patch=32, spacing=1.0):
    return build_unet(
        in_channels=1,
        classes=classes,
        dims=dims,
        patch_size=(patch,) * dims,
        spacing_mm=(spacing,) * dims,
        base_features=2,
        max_features=6,
        deep_supervision=deep_supervision,
        seed=seed,
    )


def image(dims=2, size=32, batch=2, seed=0):
    return torch.randn(batch, 1, *(size,) * dims, generator=torch.Generator().manual_seed(seed))


class Plan:
    dims, patch_size, spacing_mm = 2, (16, 24), (0.0, 0.0, 5.0)


@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("training", [True, False])
def test_logits_have_the_shape_of_the_image(dims, training):
    network = small(dims, patch=16).train(training)
    assert network(image(dims, 16)).shape == (2, 3, *(16,) * dims)


def test_deep_supervision_gives_a_level_less_than_the_decoder_has_and_only_while_training():
    network = small(deep_supervision=True)
    assert [tuple(level.shape[2:]) for level in network(image())] == [(32, 32), (16, 16)]
    assert torch.equal(network(image())[0], network.eval()(image()))


def test_the_smallest_network_pools_once():
    network = small(patch=8, deep_supervision=True)
    assert [level.shape for level in network(image(size=8))] == [(2, 3, 8, 8)]


def test_agrees_with_the_dynunet_of_monai():
    network = small(deep_supervision=True).eval()
    topology = network.topology
    oracle = DynUNet(
        spatial_dims=2,
        in_channels=1,
        out_channels=3,
        kernel_size=topology.kernels,
        strides=topology.strides,
        upsample_kernel_size=topology.strides[1:],
        filters=[2, 4, 6, 6],
        trans_bias=True,
    ).eval()
    encoder, decoder = [oracle.input_block, *oracle.downsamples, oracle.bottleneck], reversed(oracle.upsamples)
    theirs = [*encoder, *decoder, oracle.output_block.conv]
    ours = [*network.encoder, network.bottleneck, *network.decoder, network.heads[0]]
    for target, source in zip(theirs, ours, strict=True):
        target.load_state_dict(source.state_dict())
    torch.testing.assert_close(network(image()), oracle(image()))


def test_features_double_up_to_the_cap():
    network = small()
    widths = [block.conv1.conv.out_channels for block in [*network.encoder, network.bottleneck]]
    assert widths == [2, 4, 6, 6]


def test_weights_follow_he_and_the_seed_and_nothing_else():
    torch.manual_seed(1)
    first = weights(small())
    state = torch.get_rng_state()
    second = weights(small())
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert not torch.equal(
        first["bottleneck.conv1.conv.weight"], weights(small(seed=1))["bottleneck.conv1.conv.weight"]
    )
    wide = build_unet(
        in_channels=1,
        classes=2,
        dims=2,
        patch_size=(8, 8),
        spacing_mm=(1, 1),
        base_features=64,
        max_features=64,
        deep_supervision=False,
        seed=0,
    )
    drawn = wide.bottleneck.conv1.conv.weight
    assert drawn.std().item() == pytest.approx((2 / (1 + 0.01**2) / (64 * 9)) ** 0.5, rel=0.02)


def test_deep_supervision_changes_no_other_weight():
    plain, deep = weights(small()), weights(small(deep_supervision=True))
    assert plain.keys() < deep.keys()
    assert all(torch.equal(plain[name], deep[name]) for name in plain)


def test_every_weight_gets_a_gradient():
    network = small(deep_supervision=True)
    sum(level.square().sum() for level in network(image())).backward()
    assert not [name for name, value in network.named_parameters() if value.grad is None]


def test_weights_survive_storage_bit_for_bit():
    source, target = small(seed=0), small(seed=1)
    load_weights(target, load(save(weights(source))))
    assert torch.equal(source.eval()(image()), target.eval()(image()))


def test_loading_keeps_the_parameters_that_an_optimizer_holds():
    network = small()
    held = network.bottleneck.conv1.conv.weight
    load_weights(network, weights(small(seed=1)))
    assert network.bottleneck.conv1.conv.weight is held
    assert held.requires_grad


def test_a_tensor_with_two_names_is_stored_once():
    shared = nn.Linear(2, 2)
    both = nn.ModuleDict({"a": shared, "b": shared, "norm": nn.BatchNorm1d(2)})
    assert [name for name in weights(both) if name.startswith(("a", "b"))] == ["a.weight", "a.bias"]
    assert "norm.running_mean" in weights(both)
    save(weights(both))


def test_weights_of_another_network_are_refused_and_nothing_is_copied():
    network = small()
    before = {name: value.clone() for name, value in weights(network).items()}
    other = {name: value + 1 for name, value in weights(small(seed=1)).items()}
    missing = {name: value for name, value in other.items() if name != "heads.0.conv.bias"}
    with pytest.raises(InputError, match=r"'heads\.0\.conv\.bias' is only in one"):
        load_weights(network, missing)
    with pytest.raises(InputError, match=r"'heads\.0\.conv\.weight' is \(4, 2, 1, 1\), not \(3, 2, 1, 1\)"):
        load_weights(network, {**weights(small(classes=4))})
    assert all(torch.equal(before[name], value) for name, value in weights(network).items())


def test_a_network_can_be_copied_after_a_forward_pass():
    network = small(deep_supervision=True)
    network(image())
    copied = copy.deepcopy(network)
    assert torch.equal(copied.eval()(image()), network.eval()(image()))


def test_bfloat16_autocast_stays_close():
    network = small().eval()
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        low = network(image())
    assert low.dtype == torch.bfloat16
    assert (low.float() - network(image())).abs().mean() < 0.03


def test_an_image_of_the_wrong_size_is_named():
    with pytest.raises(ValueError, match=r"\(1, 1, 20, 20\) is no multiple of \(8, 8\)"):
        small()(image(size=20, batch=1))


def test_the_registry_builds_for_a_plan():
    options = {"in_channels": 2, "classes": 4, "base_features": 2, "max_features": 4}
    network = build_network("unet", plan=Plan(), deep_supervision=False, seed=0, **options)
    assert network(torch.zeros(2, 2, 16, 24)).shape == (2, 4, 16, 24)
    assert network.classes == 4


def test_an_unknown_network_gets_near_matches():
    options = {"in_channels": 1, "classes": 2, "base_features": 2, "max_features": 4}
    with pytest.raises(InputError, match="did you mean unet"):
        build_network("unett", plan=Plan(), deep_supervision=False, seed=0, **options)
