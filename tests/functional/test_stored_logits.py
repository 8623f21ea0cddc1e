"""Stored logits: a mean over what was stored, blind to channels that have grown since."""

import pytest
import torch

from clbench.functional.stored_logits import stored_logits_error


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_it_is_the_mean_squared_difference():
    logits, stored = random(2, 3, 4, 4), random(2, 3, 4, 4, seed=1)
    found = stored_logits_error(logits, stored, torch.tensor([3, 3]))
    torch.testing.assert_close(found, torch.nn.functional.mse_loss(logits, stored))


def test_channels_that_were_not_stored_are_free():
    logits = torch.zeros(2, 4, 5)
    stored = torch.zeros(2, 3, 5)
    logits[:, 3] = 100.0  # grown since
    logits[0, 2] = 100.0  # not yet there when the first sample was stored
    logits[0, 1] = 2.0
    found = stored_logits_error(logits, stored, torch.tensor([2, 3]))
    assert found.item() == pytest.approx(2.0**2 / 5)


def test_gradient_is_right_and_flows_to_the_network_alone():
    logits, stored = random(2, 3, 2).requires_grad_(), random(2, 2, 2, seed=1).requires_grad_()
    channels = torch.tensor([1, 2])
    assert torch.autograd.gradcheck(lambda z: stored_logits_error(z, stored, channels), (logits,))
    stored_logits_error(logits, stored, channels).backward()
    assert stored.grad is None


def test_half_precision_is_widened():
    stored = torch.full((1, 1, 2), 3.0, dtype=torch.float16)
    found = stored_logits_error(torch.zeros(1, 1, 2, dtype=torch.bfloat16), stored, torch.tensor([1]))
    assert found.dtype == torch.float32
    assert found.item() == 9.0


def test_shapes_that_differ_are_named():
    with pytest.raises(ValueError, match=r"logits \(1, 2, 3\), stored \(1, 3, 3\)"):
        stored_logits_error(torch.zeros(1, 2, 3), torch.zeros(1, 3, 3), torch.tensor([2]))
