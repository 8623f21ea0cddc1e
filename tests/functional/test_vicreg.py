"""VICReg's terms against hand values, and that they undo a collapse."""

import math

import pytest
import torch

from clbench.functional.vicreg import vicreg_terms

CORNERS = torch.tensor([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]], dtype=torch.float64)


def test_uncorrelated_channels_of_deviation_above_one_cost_nothing():
    variance, covariance = vicreg_terms(CORNERS)  # variance 4/3, covariance 0
    assert (variance.item(), covariance.item()) == (0.0, pytest.approx(0.0, abs=1e-12))


def test_both_terms_by_hand():
    variance, covariance = vicreg_terms(torch.tensor([[0.0, 0.0], [0.6, 1.2]]))
    # variances .18 and .72, covariance .36: c = 2 * .36^2 / 2
    expected = (1 - math.sqrt(0.18 + 1e-4) + 1 - math.sqrt(0.72 + 1e-4)) / 2
    assert (variance.item(), covariance.item()) == (pytest.approx(expected), pytest.approx(0.1296))


def test_the_covariance_is_that_of_numpy():
    z = torch.randn(50, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64) @ torch.rand(4, 4).double()
    off = torch.cov(z.T).fill_diagonal_(0.0)
    assert vicreg_terms(z)[1].item() == pytest.approx((off**2).sum().item() / 4)


def test_collapsed_embeddings_cost_the_most_variance_can_and_have_a_finite_gradient():
    z = torch.full((8, 3), 2.0, requires_grad=True)
    variance, covariance = vicreg_terms(z)
    assert variance.item() == pytest.approx(0.99)
    assert torch.autograd.grad(variance + covariance, z)[0].isfinite().all()


def test_a_step_downhill_pushes_nearly_equal_embeddings_apart():
    z = (2.0 + 1e-3 * torch.randn(64, 3, generator=torch.Generator().manual_seed(1))).requires_grad_()
    (gradient,) = torch.autograd.grad(vicreg_terms(z)[0], z)
    assert (z - gradient).std(0).min() > 1.3 * z.std(0).max()


def test_gradient_is_right():
    z = torch.randn(6, 3, generator=torch.Generator().manual_seed(2), dtype=torch.float64).mul(0.5).requires_grad_()
    assert torch.autograd.gradcheck(vicreg_terms, (z,))


def test_autocast_does_not_lower_the_precision():
    z = torch.randn(32, 4, generator=torch.Generator().manual_seed(3))
    with torch.autocast("cpu", torch.bfloat16):
        inside = vicreg_terms(z)
    assert all(a.equal(b) for a, b in zip(inside, vicreg_terms(z), strict=True))


def test_a_single_embedding_has_no_variance():
    with pytest.raises(ValueError, match=r"\(1, 3\)"):
        vicreg_terms(torch.zeros(1, 3))
