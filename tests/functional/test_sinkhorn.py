"""Sinkhorn: right masses, POT's plan, and the plan that needs no computing."""

import ot
import pytest
import torch

from clbench.functional.sinkhorn import sinkhorn


def cosines(*shape, seed=0):
    """Scores as the network gives them: cosines of unit vectors."""
    generator = torch.Generator().manual_seed(seed)
    points, anchors = (
        torch.nn.functional.normalize(torch.randn(*shape[:-2], count, 8, generator=generator), dim=-1)
        for count in shape[-2:]
    )
    return points @ anchors.transpose(-1, -2)


@pytest.mark.parametrize("shape", [(40, 16), (3, 16, 16), (2, 2, 5, 9), (1, 300, 16)])
def test_rows_and_columns_have_the_right_mass(shape):
    plan = sinkhorn(cosines(*shape))
    torch.testing.assert_close(plan.sum(-1), torch.full(shape[:-1], shape[-1] / shape[-2]), atol=1e-5, rtol=0)
    torch.testing.assert_close(plan.sum(-2), torch.ones(*shape[:-2], shape[-1]), atol=1e-5, rtol=0)


@pytest.mark.parametrize("eps", [0.1, 0.5])
def test_agrees_with_pot(eps):
    scores = cosines(30, 12).double()
    rows, columns = torch.full((30,), 12 / 30, dtype=torch.float64), torch.ones(12, dtype=torch.float64)
    expected = ot.bregman.sinkhorn_log(rows.numpy(), columns.numpy(), -scores.numpy(), eps, stopThr=1e-12)
    plan = sinkhorn(scores, eps=eps, iterations=2000, tolerance=1e-12)
    torch.testing.assert_close(plan, torch.from_numpy(expected), atol=1e-9, rtol=1e-6)


def test_equal_scores_spread_the_mass_evenly():
    torch.testing.assert_close(sinkhorn(torch.full((6, 3), 0.7)), torch.full((6, 3), 1 / 6))


def test_two_by_two_by_hand():
    """By symmetry the plan is [[a, b], [b, a]] with a / b = exp(score / eps)."""
    plan = sinkhorn(torch.tensor([[0.1, 0.0], [0.0, 0.1]]))
    a = torch.tensor(1.0).exp() / (1 + torch.tensor(1.0).exp())
    torch.testing.assert_close(plan, torch.stack([torch.stack([a, 1 - a]), torch.stack([1 - a, a])]))


def test_shifts_of_rows_and_columns_change_nothing():
    scores = cosines(10, 4)
    shifted = scores + torch.linspace(-1, 1, 10)[:, None] + torch.linspace(-1, 1, 4)
    torch.testing.assert_close(sinkhorn(shifted, iterations=1000), sinkhorn(scores, iterations=1000), atol=1e-5, rtol=0)


def test_scores_far_apart_are_finite():
    plan = sinkhorn(torch.tensor([[50.0, -50.0], [-50.0, 50.0]]))
    torch.testing.assert_close(plan, torch.eye(2))


def test_each_of_a_batch_is_as_it_is_alone():
    scores = cosines(3, 20, 6)
    together = sinkhorn(scores, iterations=30, tolerance=0.0)
    assert all(torch.equal(together[i], sinkhorn(scores[i], iterations=30, tolerance=0.0)) for i in range(3))


def test_gradient_is_right():
    scores = cosines(5, 3).double().requires_grad_()
    assert torch.autograd.gradcheck(lambda s: sinkhorn(s, iterations=20, tolerance=0.0), (scores,))


def test_autocast_does_not_lower_the_precision():
    scores = cosines(8, 4)
    with torch.autocast("cpu", torch.bfloat16):
        inside = sinkhorn(scores)
    assert inside.equal(sinkhorn(scores))
    assert sinkhorn(scores.bfloat16()).dtype == torch.float32


def test_a_vector_is_refused():
    with pytest.raises(ValueError, match=r"\(3,\)"):
        sinkhorn(torch.zeros(3))
