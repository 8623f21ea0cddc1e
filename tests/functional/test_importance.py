"""Importance of weights against closed forms and stock Avalanche."""

import pytest
import torch
from avalanche.training.plugins import MASPlugin
from torch import nn

from clbench.functional.importance import (
    accumulate,
    loss_per_divergence,
    output_sensitivity,
    path_importance,
    scaled_to_one,
)


class Affine(nn.Module):
    """One class score: ``a * x + b`` at every voxel."""

    def __init__(self, a, b):
        super().__init__()
        self.a, self.b = nn.Parameter(torch.tensor(a)), nn.Parameter(torch.tensor(b))
        self.unused = nn.Parameter(torch.ones(2))
        self.fixed = nn.Parameter(torch.ones(1), requires_grad=False)

    def forward(self, x):
        return self.a * x + self.b * self.fixed


def test_sensitivity_is_the_mean_size_of_the_gradient_of_the_squared_output():
    samples = [(torch.full((1, 1, 2, 2), value), None) for value in (1.0, -3.0)]
    found = output_sensitivity(Affine(2.0, 1.0), samples)
    # d/da (a x + b)^2 = 2 x (a x + b): 6 and 30 in size; d/db = 2 (a x + b): 6 and -10.
    assert found["a"].item() == pytest.approx((6 + 30) / 2)
    assert found["b"].item() == pytest.approx((6 + 10) / 2)
    assert found["unused"].tolist() == [0, 0]
    assert "fixed" not in found


def test_sensitivity_does_not_grow_with_the_patch():
    small, large = (output_sensitivity(Affine(2.0, 1.0), [(torch.ones(1, 1, n, n), None)])["a"] for n in (2, 8))
    assert small.item() == pytest.approx(large.item())


def test_sensitivity_leaves_modes_gradients_and_random_streams_alone():
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Dropout(), nn.Conv2d(2, 2, 1)).train()
    before = torch.get_rng_state()
    output_sensitivity(network, [(torch.ones(1, 1, 4, 4), None)])
    assert torch.get_rng_state().equal(before)
    assert all(module.training for module in network.modules())
    assert all(parameter.grad is None for parameter in network.parameters())


def test_sensitivity_needs_a_sample():
    with pytest.raises(ValueError, match="at least one sample"):
        output_sensitivity(Affine(1.0, 1.0), [])


def test_sensitivity_is_that_of_stock_mas_with_one_sample_per_batch():
    from types import SimpleNamespace

    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.LeakyReLU(), nn.Conv2d(4, 3, 1))
    data = [(torch.randn(1, 6, 6), 0, 0) for _ in range(5)]
    strategy = SimpleNamespace(
        model=network,
        experience=SimpleNamespace(dataset=data),
        train_mb_size=1,
        device="cpu",
        optimizer=torch.optim.SGD(network.parameters(), lr=0.1),
    )
    theirs = MASPlugin()._get_importance(strategy)
    ours = output_sensitivity(network, [(x[None], None) for x, _, _ in data])
    for name, value in ours.items():
        torch.testing.assert_close(value, theirs[name].data, rtol=1e-5, atol=1e-7)


def test_rows_that_a_head_has_grown_have_no_past():
    merged = accumulate({"w": torch.tensor([1.0, 2.0])}, {"w": torch.tensor([1.0, 1.0, 1.0])}, gamma=0.5)
    assert merged["w"].tolist() == [1.5, 2.0, 1.0]


def test_path_importance_of_a_quadratic_is_half_its_curvature():
    """Gradient flow on c / 2 * x^2 from x to 0 lowers the loss by c / 2 * x^2, per squared distance c / 2."""
    curvature, x, rate = torch.tensor([1.0, 4.0]), torch.tensor([2.0, -1.0]), 1e-3
    start, path = {"w": x.clone()}, torch.zeros(2)
    for _ in range(20_000):
        step = -rate * curvature * x
        path += -(curvature * x) * step
        x = x + step
    found = path_importance({"w": path}, start, {"w": x}, xi=1e-9)["w"]
    torch.testing.assert_close(found, curvature / 2, rtol=5e-3, atol=0.0)


def test_weights_by_which_the_loss_rose_do_not_matter_and_none_is_infinite():
    found = path_importance({"w": torch.tensor([-1.0, 1.0])}, {"w": torch.zeros(2)}, {"w": torch.zeros(2)}, xi=0.5)["w"]
    assert found.tolist() == [0.0, 2.0]


def test_loss_per_divergence_is_the_ratio_of_both():
    found = loss_per_divergence(
        {"w": torch.tensor([3.0, -1.0, 1.0])},
        {"w": torch.tensor([2.0, 2.0, 0.0])},
        {"w": torch.zeros(3)},
        {"w": torch.tensor([1.0, 1.0, 1.0])},
        damping=0.5,
    )["w"]
    assert found.tolist() == [2.0, 0.0, 2.0]


def test_scaling_keeps_ratios_across_tensors_and_zeros():
    found = scaled_to_one({"a": torch.tensor([1.0, 4.0]), "b": torch.tensor([2.0])})
    assert found["a"].tolist() == [0.25, 1.0]
    assert found["b"].tolist() == [0.5]
    assert scaled_to_one({"a": torch.zeros(2)})["a"].tolist() == [0, 0]
