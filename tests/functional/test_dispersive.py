"""The dispersive loss: hand values, its range and extremes, and that it undoes a collapse."""

import math

import pytest
import torch

from clbench.functional.dispersive import dispersive

VARIANTS = pytest.mark.parametrize("variant", ["original", "med-disseg"])


def normal(n=16, d=5, scale=1.0, seed=0):
    return scale * torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def test_two_points_by_hand():
    z = torch.tensor([[0.0, 0.0], [3.0, 4.0]], dtype=torch.float64)
    # squared distance 25, D 2, tau 5: exp(-2.5) off the diagonal, 1 on it
    assert dispersive(z, tau=5.0).item() == pytest.approx(math.log((2 + 2 * math.exp(-2.5)) / 4))
    assert dispersive(z, tau=5.0, variant="med-disseg").item() == pytest.approx(math.log(math.exp(-1.0) + 1e-8))


def test_the_definition_pair_by_pair():
    z = normal(offset := 9) + 100.0 * offset
    squares = torch.tensor([[float(((a - b) ** 2).sum()) for b in z] for a in z], dtype=torch.float64)
    assert dispersive(z).item() == pytest.approx(torch.exp(-squares / (5 * 0.5)).mean().log().item())
    pairs = ~torch.eye(9, dtype=torch.bool)
    expected = (torch.exp(-squares.sqrt() / 0.5)[pairs].mean() + 1e-8).log().item()
    assert dispersive(z, variant="med-disseg").item() == pytest.approx(expected)


@VARIANTS
def test_collapsed_embeddings_are_the_upper_end_of_the_range(variant):
    z = torch.full((8, 3), 5.0, requires_grad=True)
    value = dispersive(z, variant=variant)
    assert value.item() == pytest.approx(0.0, abs=1e-6)
    assert torch.autograd.grad(value, z)[0].isfinite().all()


def test_scattered_embeddings_are_the_lower_end_of_the_range():
    assert dispersive(normal(scale=1e4)).item() == pytest.approx(-math.log(16))
    assert dispersive(normal(scale=1e4), variant="med-disseg").item() == pytest.approx(math.log(1e-8))


@VARIANTS
def test_a_step_downhill_pushes_nearly_equal_embeddings_apart(variant):
    z = (5.0 + normal(64, 3, scale=0.05)).requires_grad_()
    (gradient,) = torch.autograd.grad(dispersive(z, variant=variant), z)
    assert (z - gradient).std(0).mean() > 1.02 * z.std(0).mean()
    assert torch.nn.functional.cosine_similarity((z - z.mean(0)).flatten(), -gradient.flatten(), dim=0) > 0.5


@pytest.mark.parametrize(
    ("distance", "share"), [(5.0, 1.0), (-math.log(1e-8), 0.5), (20.0, 0.171), (25.0, 0.0014), (40.0, 0.0)]
)
def test_the_push_of_the_variant_halves_where_the_floor_is_met_and_fades_beyond(distance, share):
    """The push on two points ``distance`` times tau apart is that far below the floor, 1 / tau, times ``share``."""
    tau = 0.7
    z = torch.tensor([[0.0], [distance * tau]], dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(dispersive(z, tau=tau, variant="med-disseg"), z)
    assert tau * gradient.abs().max().item() == pytest.approx(share, rel=0.02, abs=1e-5)


def test_far_pairs_are_pushed_on_in_the_original_form():
    z = torch.tensor([[0.0], [20.0]], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.grad(dispersive(z, tau=400.0), z)[0].abs().max() > 1e-2


@VARIANTS
def test_gradient_is_right(variant):
    z = normal(6, 3).requires_grad_()
    assert torch.autograd.gradcheck(lambda e: dispersive(e, variant=variant), (z,))


@VARIANTS
def test_it_does_not_see_where_the_embeddings_lie(variant):
    z = normal().float()
    assert dispersive(z + 1000.0, variant=variant).item() == pytest.approx(
        dispersive(z, variant=variant).item(), abs=2e-3
    )


@VARIANTS
def test_autocast_does_not_lower_the_precision(variant):
    z = normal().float()
    with torch.autocast("cpu", torch.bfloat16):
        inside = dispersive(z, variant=variant)
    assert inside.equal(dispersive(z, variant=variant))
    assert dispersive(z.bfloat16(), variant=variant).dtype == torch.float32


def test_mistakes_are_named():
    with pytest.raises(ValueError, match=r"\(4,\)"):
        dispersive(torch.zeros(4))
    with pytest.raises(ValueError, match="'cosine'"):
        dispersive(torch.zeros(4, 2), variant="cosine")
