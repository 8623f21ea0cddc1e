"""The codebook: follows its features, revives dead codes, and holds still in evaluation."""

import pytest
import torch

from clbench.networks.quantizer import DECAY, VectorQuantizer


@pytest.fixture
def quantizer():
    made = VectorQuantizer(4, 2)
    made.codes.normal_(generator=torch.Generator().manual_seed(0))
    return made


def clusters(spread=0.01, dims=2):
    """Four clusters, one per quadrant, as a feature map (2, 2, 8, 8) or (2, 2, 4, 4, 4)."""
    generator = torch.Generator().manual_seed(1)
    corners = torch.tensor([[3.0, 3.0], [3.0, -3.0], [-3.0, 3.0], [-3.0, -3.0]])
    points = corners[torch.randint(4, (128,), generator=generator)] + spread * torch.randn(128, 2, generator=generator)
    return points.T.reshape(2, 2, *((8, 8) if dims == 2 else (4, 4, 4))).contiguous()


def test_the_first_batch_places_every_code_among_its_features(quantizer):
    quantizer(clusters())
    assert (quantizer.codes.abs() - 3.0).abs().max() < 0.1


@pytest.mark.parametrize("dims", [2, 3])
def test_codes_become_the_means_of_their_features(quantizer, dims):
    x = clusters(dims=dims)
    with torch.no_grad():
        quantizer.codes.copy_(torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]]))
        quantizer.uses.fill_(32.0)
        quantizer.sums.copy_(quantizer.codes * 32.0)
    for _ in range(200):
        found = quantizer(x)
    assert found.values.shape == x.shape
    assert (found.values - x).abs().max() < 0.1
    assert found.commitment.item() < 1e-3
    assert 3.5 < found.perplexity.item() <= 4.0 + 1e-5


def test_running_means_by_hand():
    quantizer = VectorQuantizer(1, 1)
    quantizer.uses.fill_(2.0)
    quantizer.sums.fill_(2.0)
    quantizer.codes.fill_(1.0)
    quantizer(torch.tensor([3.0, 5.0]).view(1, 1, 2, 1))
    uses, sums = 2 * DECAY + 2 * (1 - DECAY), 2 * DECAY + 8 * (1 - DECAY)
    assert quantizer.codes.item() == pytest.approx(sums / uses)


def test_a_code_that_nothing_uses_is_revived_and_a_used_one_stays(quantizer):
    x = clusters()
    with torch.no_grad():
        quantizer.codes.copy_(torch.tensor([[3.0, 3.0], [3.0, -3.0], [-3.0, 0.0], [999.0, 999.0]]))
        quantizer.uses.fill_(32.0)
        quantizer.sums.copy_(quantizer.codes * 32.0)
    steps = 0
    while quantizer.codes.abs().max() > 100 and steps < 100:
        quantizer(x)
        steps += 1
    assert 50 < steps < 70  # 0.95^59 is the first below 5 %
    assert (quantizer.codes.abs() - 3.0).abs()[[0, 1, 3]].max() < 0.1
    assert torch.equal(quantizer.codes[:2].sign(), torch.tensor([[1.0, 1.0], [1.0, -1.0]]))


@pytest.mark.parametrize("how", ["evaluation", "without gradients"])
def test_looking_changes_nothing(quantizer, how):
    before = {name: value.clone() for name, value in quantizer.state_dict().items()}
    quantizer.train(how != "evaluation")
    with torch.set_grad_enabled(how == "evaluation"):
        quantizer(clusters())
    assert all(before[name].equal(value) for name, value in quantizer.state_dict().items())


def test_the_gradient_goes_straight_through_and_the_commitment_pulls_to_the_code(quantizer):
    x = clusters(spread=0.5).requires_grad_()
    quantizer.eval()
    found = quantizer(x)
    (through,) = torch.autograd.grad(found.values.sum(), x, retain_graph=True)
    assert torch.equal(through, torch.ones_like(x))
    (pull,) = torch.autograd.grad(found.commitment, x)
    torch.testing.assert_close(pull, 2 * (x - found.values).detach() / x.numel())


def test_autocast_does_not_lower_the_precision(quantizer):
    x = clusters(spread=0.5)
    quantizer.eval()
    outside = quantizer(x)
    with torch.autocast("cpu", torch.bfloat16):
        inside = quantizer(x)
        assert quantizer(x.bfloat16()).commitment.dtype == torch.float32
    assert all(torch.equal(a, b) for a, b in zip(inside, outside, strict=True))
