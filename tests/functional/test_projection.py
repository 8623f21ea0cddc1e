"""Projection: against closed forms, the optimality conditions and stock Avalanche."""

from types import SimpleNamespace

import pytest
import torch
from avalanche.training.plugins import AGEMPlugin, GEMPlugin
from torch import nn

from clbench.functional.projection import project_to_cone, project_to_halfspace


def vectors(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_a_gradient_that_does_no_harm_is_left_alone():
    gradient = torch.tensor([1.0, 1.0])
    assert project_to_halfspace(gradient, torch.tensor([1.0, -0.5])) is gradient
    assert project_to_cone(gradient, torch.tensor([[1.0, -0.5], [0.0, 1.0]]), margin=0.5) is gradient


def test_the_harmful_part_is_removed():
    found = project_to_halfspace(torch.tensor([1.0, -2.0]), torch.tensor([0.0, 3.0]))
    assert found.tolist() == [1.0, 0.0]


def test_nothing_is_projected_on_a_reference_of_zero():
    gradient = torch.tensor([1.0, -2.0])
    assert project_to_halfspace(gradient, torch.zeros(2)) is gradient
    assert project_to_cone(gradient, torch.zeros(3, 2), margin=0.5) is gradient


def test_one_reference_gives_the_same_by_both_ways():
    gradient, reference = vectors(30), -vectors(30)
    torch.testing.assert_close(
        project_to_cone(gradient, reference[None], ridge=1e-12), project_to_halfspace(gradient, reference)
    )


def test_a_corner_between_two_references_is_found():
    found = project_to_cone(
        torch.tensor([-1.0, -2.0, 5.0]).double(),
        torch.tensor([[1.0, 0, 0], [0, 1.0, 0]]).double(),
        ridge=1e-12,
    )
    torch.testing.assert_close(found, torch.tensor([0.0, 0.0, 5.0]).double(), atol=1e-9, rtol=0)


@pytest.mark.parametrize("seed", range(5))
def test_the_projection_satisfies_the_conditions_of_optimality(seed):
    gradient, references = vectors(20, seed=seed), vectors(4, 20, seed=seed + 100)
    if (references @ gradient >= 0).all():
        gradient = -gradient
    found = project_to_cone(gradient, references, ridge=1e-12)
    products, moved = references @ found, found - gradient
    weights = torch.linalg.lstsq(references.T, moved[:, None]).solution[:, 0]
    torch.testing.assert_close(references.T @ weights, moved, atol=1e-8, rtol=0)  # moved along references only,
    assert (weights > -1e-8).all()  # never away from one,
    assert (products > -1e-8).all()  # until none is harmed,
    assert (weights * products).abs().max() < 1e-7  # and no further


@pytest.mark.parametrize("scale", [1e-8, 1.0, 1e6])
def test_the_scale_of_the_loss_does_not_matter(scale):
    gradient, references = -vectors(3, 20).sum(0), vectors(3, 20)
    expected = scale * project_to_cone(gradient, references, margin=0.5)
    torch.testing.assert_close(project_to_cone(scale * gradient, scale * references, margin=0.5), expected)


def test_references_that_depend_on_each_other_are_no_obstacle():
    reference = vectors(20)
    found = project_to_cone(-reference, torch.stack([reference] * 4), margin=0.5)
    assert torch.isfinite(found).all()
    assert found @ reference > 0


def test_what_is_not_finite_is_passed_on():
    gradient = torch.tensor([float("nan"), 1.0])
    assert project_to_cone(gradient, torch.eye(2)) is gradient


def test_single_precision_stays():
    assert project_to_cone(-torch.ones(4), torch.eye(4), margin=0.1).dtype == torch.float32


@pytest.mark.parametrize("seed", range(6))
def test_agem_is_that_of_stock_avalanche(seed):
    model = nn.Linear(5, 3)
    gradient, reference = vectors(18, seed=seed).float(), vectors(18, seed=seed + 50).float()
    model.weight.grad, model.bias.grad = gradient[:15].view(3, 5).clone(), gradient[15:].clone()
    stock = AGEMPlugin(patterns_per_experience=1, sample_size=1)
    stock.buffers, stock.reference_gradients = [None], reference
    stock.after_backward(SimpleNamespace(model=model, device="cpu"))
    expected = torch.cat([model.weight.grad.flatten(), model.bias.grad])
    torch.testing.assert_close(project_to_halfspace(gradient, reference), expected)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("margin", [0.0, 0.5])
def test_gem_is_that_of_stock_avalanche_for_references_of_mean_square_one(seed, margin):
    gradient, references = vectors(40, seed=seed), vectors(4, 40, seed=seed + 50)
    references = references / references.square().sum(1).mean().sqrt()
    if (references @ gradient >= 0).all():
        gradient = -gradient
    stock = GEMPlugin(patterns_per_experience=1, memory_strength=margin)
    stock.G = references.float()
    expected = stock.solve_quadprog(gradient.float())
    found = project_to_cone(gradient.float(), references.float(), margin=margin)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


def test_values_that_make_no_sense_are_refused():
    with pytest.raises(ValueError, match=r"\(2,\), \(1, 3\)"):
        project_to_halfspace(torch.zeros(2), torch.zeros(3))
    with pytest.raises(ValueError, match="margin -1 must not be negative"):
        project_to_cone(torch.zeros(2), torch.zeros(1, 2), margin=-1)
    with pytest.raises(ValueError, match="ridge 0 must be positive"):
        project_to_cone(torch.zeros(2), torch.zeros(1, 2), ridge=0)
