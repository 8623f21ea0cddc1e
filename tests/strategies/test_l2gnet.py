"""L2GNet as a strategy: the commitment it adds, what it logs, and that it leaves no trace."""

from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F

from clbench.errors import InputError
from clbench.networks.quantizer import VectorQuantizer
from clbench.strategies.l2gnet import L2GNet


@pytest.fixture
def network(network_named):
    return network_named("l2gnet")


def step(network, plugin):
    """The strategy after one step, whose own pass alone counts, and z of that pass, (B, D, *S)."""
    seen = []
    handle = network.bottleneck.to_codes.register_forward_hook(lambda module, inputs, output: seen.append(output))
    strategy = SimpleNamespace(model=network, loss=torch.zeros(()), loss_terms={})
    images = torch.randn(2, 1, 16, 16, generator=torch.Generator().manual_seed(1))
    plugin.before_training_exp(strategy)
    plugin.before_forward(strategy)
    network(images)
    plugin.after_forward(strategy)
    with torch.no_grad():
        network(images + 1.0)  # somebody else's pass
    plugin.before_backward(strategy)
    plugin.after_training_exp(strategy)
    handle.remove()
    return strategy, seen[0]


def test_the_term_is_the_weighted_distance_to_the_nearest_codes_and_pulls_the_features_to_them(network):
    (quantizer,) = (module for module in network.modules() if isinstance(module, VectorQuantizer))
    codes = quantizer.codes.clone()  # the step moves them
    strategy, features = step(network, L2GNet(weight=0.7))
    z = features.detach().movedim(1, -1).flatten(0, 2)
    nearest = torch.cdist(z, codes).argmin(1)
    e = codes[nearest]
    assert strategy.loss.item() == pytest.approx(0.7 * F.mse_loss(z, e).item())
    assert strategy.loss_terms.keys() == {"l2gnet", "l2gnet.perplexity"}
    assert strategy.loss_terms["l2gnet"].item() == strategy.loss.item()
    shares = nearest.bincount() / len(nearest)
    perplexity = torch.special.entr(shares).sum().exp()
    assert strategy.loss_terms["l2gnet.perplexity"].item() == pytest.approx(perplexity.item(), rel=1e-5)
    (pull,) = torch.autograd.grad(strategy.loss, features)
    torch.testing.assert_close(pull.movedim(1, -1).flatten(0, 2), 0.7 * 2 * (z - e) / z.numel())


def test_a_network_without_a_codebook_is_refused(network_named):
    with pytest.raises(InputError, match="l2gnet needs its own network"):
        L2GNet().check(network_named("unet"))


def test_no_state_and_no_hooks_remain(network):
    plugin = L2GNet()
    step(network, plugin)
    assert plugin.state_tensors() == {}
    assert not any(module._forward_hooks for module in network.modules())
