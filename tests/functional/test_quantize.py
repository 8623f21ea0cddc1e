"""Vector quantization: the nearest code, the gradient straight through, the number of codes in use."""

import pytest
import torch

from clbench.functional.quantize import nearest_codes, perplexity, straight_through


def test_every_embedding_gets_its_nearest_code_however_far_from_the_origin():
    generator = torch.Generator().manual_seed(0)
    points, codes = torch.randn(200, 5, generator=generator) + 500.0, torch.randn(30, 5, generator=generator) + 500.0
    distances = torch.cdist(points.double(), codes.double())
    assert torch.equal(nearest_codes(points, codes), distances.argmin(1))


def test_values_are_the_codes_and_the_gradient_is_that_of_the_identity():
    points = torch.randn(4, 3, generator=torch.Generator().manual_seed(1), requires_grad=True)
    codes = torch.randn(4, 3, generator=torch.Generator().manual_seed(2), requires_grad=True)
    values = straight_through(points, codes)
    torch.testing.assert_close(values, codes)
    values.backward(weights := torch.arange(12.0).view(4, 3))
    assert torch.equal(points.grad, weights)
    assert codes.grad is None


@pytest.mark.parametrize(("counts", "used"), [([4, 4, 4, 4], 4.0), ([9, 0, 0, 0], 1.0), ([1, 1, 0, 0], 2.0)])
def test_perplexity_counts_the_codes_in_use(counts, used):
    assert perplexity(torch.tensor(counts, dtype=torch.float32)).item() == pytest.approx(used)
