"""Distance of predictions to earlier ones, against values worked out by hand."""

import pytest
import torch

from clbench.functional.stored_logits import stored_predictions_distance


def logits_of(*chances):
    return torch.tensor(chances, dtype=torch.float64).log()[:, :, None]


def normal(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_the_distance_is_that_between_the_probabilities():
    now, then = logits_of([0.5, 0.5], [0.9, 0.1]), logits_of([0.2, 0.8], [0.9, 0.1])
    expected = (2 * 0.3**2) ** 0.5 / 2  # the second sample has not moved
    assert stored_predictions_distance(now, then, torch.tensor([2, 2])).item() == pytest.approx(expected)


def test_channels_grown_since_are_free_sample_by_sample():
    now, then = logits_of([0.2, 0.2, 0.6], [0.1, 0.3, 0.6]), logits_of([0.5, 0.5, 0.9], [0.1, 0.3, 0.6])
    assert stored_predictions_distance(now, then, torch.tensor([2, 3])).item() == pytest.approx(0, abs=1e-12)


def test_it_is_at_most_the_distance_of_two_corners():
    far = torch.tensor([[[60.0], [-60.0]]])
    assert stored_predictions_distance(far, -far, torch.tensor([2])).item() == pytest.approx(2**0.5)


def test_its_gradient_is_right_and_finite_where_both_agree():
    now, then, channels = normal(2, 3, 2, 2).requires_grad_(), normal(2, 3, 2, 2, seed=1), torch.tensor([2, 3])
    assert torch.autograd.gradcheck(lambda z: stored_predictions_distance(z, then, channels), (now,))
    (gradient,) = torch.autograd.grad(stored_predictions_distance(now, now.detach(), channels), now)
    assert torch.isfinite(gradient).all()


def test_shapes_that_do_not_match_are_named():
    with pytest.raises(ValueError, match=r"\(1, 2, 4\)"):
        stored_predictions_distance(torch.zeros(1, 2, 4), torch.zeros(1, 3, 4), torch.tensor([2]))
