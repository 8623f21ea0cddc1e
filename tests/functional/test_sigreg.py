"""SIGReg against values known in closed form and by simulation, and its pull at every scale."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from clbench.functional.sigreg import normalize_embeddings, sigreg, unit_directions


@pytest.fixture
def directions():
    return unit_directions(16, 64, torch.Generator().manual_seed(0)).double()


def normal(n, scale, seed=1):
    return scale * torch.randn(n, 16, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def plain_statistic(embeddings, directions, knots=17, t_max=3.0):
    """The definition, with every node held at once."""
    t = torch.linspace(0.0, t_max, knots, dtype=embeddings.dtype)
    gaussian = torch.exp(-0.5 * t**2)
    angles = (embeddings @ directions)[..., None] * t
    error = (angles.cos().mean(0) - gaussian) ** 2 + angles.sin().mean(0) ** 2
    return 2.0 * torch.trapezoid(error * gaussian, t, dim=-1).mean()


def outwardness(embeddings, directions, how):
    """Cosine between what gradient descent adds to the embeddings and the embeddings: -1 is straight inward."""
    embeddings = embeddings.requires_grad_()
    (gradient,) = torch.autograd.grad(sigreg(normalize_embeddings(embeddings, how), directions), embeddings)
    return F.cosine_similarity(-gradient.flatten(), embeddings.detach().flatten(), dim=0).item()


@pytest.mark.parametrize(("scale", "per_sample"), [(0.0, 0.402), (0.5, 0.151), (2.0, 0.236)])
def test_distance_from_standard_normal_matches_the_population_value(directions, scale, per_sample):
    assert sigreg(normal(50_000, scale), directions).item() == pytest.approx(per_sample, abs=2e-3)


def test_standard_normal_embeddings_score_about_one_over_n(directions):
    scores = [256 * sigreg(normal(256, 1.0, seed), directions).item() for seed in range(50)]
    assert sum(scores) / len(scores) == pytest.approx(1.05, rel=0.1)


@pytest.mark.parametrize(("knots", "t_max"), [(2, 1.0), (17, 3.0), (33, 5.0)])
def test_one_pass_over_the_nodes_gives_the_plain_formula(directions, knots, t_max):
    embeddings = normal(40, 1.7).requires_grad_()
    ours = sigreg(embeddings, directions, knots=knots, t_max=t_max)
    plain = plain_statistic(embeddings, directions, knots, t_max)
    torch.testing.assert_close(ours, plain)
    torch.testing.assert_close(*(torch.autograd.grad(value, embeddings)[0] for value in (ours, plain)))


@pytest.mark.parametrize("how", ["none", "standardize", "squash"])
def test_gradient_is_right(directions, how):
    z = normal(12, 1.0).requires_grad_()
    assert z.square().mean(0).sqrt().max() < 2
    assert torch.autograd.gradcheck(lambda e: sigreg(normalize_embeddings(e, how), directions), (z,))


def test_directions_get_no_gradient(directions):
    sigreg(normal(12, 1.0).requires_grad_(), directions.requires_grad_()).backward()
    assert directions.grad is None


def test_directions_have_unit_length_and_depend_on_the_generator_alone():
    first, second = (unit_directions(5, 7, torch.Generator().manual_seed(3)) for _ in range(2))
    torch.testing.assert_close(first.norm(dim=0), torch.ones(7))
    assert torch.equal(first, second)


@pytest.mark.parametrize("how", ["none", "squash"])
@pytest.mark.parametrize("scale", [0.1, 0.5])
def test_small_embeddings_are_pushed_outward(directions, how, scale):
    assert outwardness(normal(1024, scale), directions, how) > 0.9


@pytest.mark.parametrize("spread", [1e-3, 0.05])
@pytest.mark.parametrize("offset", [0.0, 0.5, 1.0, 2.0, 5.0])
def test_a_step_downhill_pushes_nearly_equal_embeddings_apart_wherever_they_lie(directions, offset, spread):
    z = (offset + normal(1024, spread)).requires_grad_()
    (gradient,) = torch.autograd.grad(sigreg(normalize_embeddings(z, "squash"), directions), z)
    push = gradient.mean(0) - gradient
    assert F.cosine_similarity(push.flatten(), (z - z.mean(0)).flatten(), dim=0) > 0.8
    assert ((z - len(z) * gradient).std(0) > 1.05 * z.std(0)).all()


@pytest.mark.parametrize(("offset", "cost"), [(0.0, 0.402), (1.0, 1.06), (5.0, 1.93)])
def test_equal_embeddings_cost_more_off_the_origin_and_are_moved_without_being_parted(offset, cost):
    directions = unit_directions(16, 4096, torch.Generator().manual_seed(0)).double()
    z = torch.full((8, 16), offset, dtype=torch.float64, requires_grad=True)
    value = sigreg(normalize_embeddings(z, "squash"), directions)
    assert value.item() == pytest.approx(cost, abs=0.02)
    (gradient,) = torch.autograd.grad(value, z)
    torch.testing.assert_close(gradient, gradient[:1].expand_as(gradient))
    assert (gradient.mean() > 0) == (offset > 0)


@pytest.mark.parametrize("scale", [2.0, 10.0, 100.0])
def test_squashed_embeddings_are_pulled_inward_however_far_out(directions, scale):
    assert outwardness(normal(1024, scale), directions, "squash") < -0.6


def test_without_normalization_far_out_embeddings_feel_noise(directions):
    assert abs(outwardness(normal(1024, 100.0), directions, "none")) < 0.1


@pytest.mark.parametrize("offset", [5.0, 50.0])
def test_squashed_embeddings_far_off_center_are_pulled_back(directions, offset):
    embeddings = normal(1024, 1.0)
    embeddings[:, 3] += offset
    gradients = torch.autograd.grad(
        sigreg(normalize_embeddings(embeddings.requires_grad_(), "squash"), directions), embeddings
    )
    assert gradients[0].mean(0).argmax() == 3


def test_squashing_leaves_embeddings_of_ordinary_scale_alone():
    assert torch.equal(normalize_embeddings(normal(64, 1.0), "squash"), normal(64, 1.0))


def test_squashed_channels_are_seen_at_scale_two():
    seen = normalize_embeddings(normal(64, 100.0), "squash")
    torch.testing.assert_close(seen.square().mean(0).sqrt(), torch.full((16,), 2.0, dtype=torch.float64))


def test_standardized_embeddings_are_pulled_neither_in_nor_out(directions):
    assert abs(outwardness(normal(1024, 3.0), directions, "standardize")) < 1e-3


def test_constant_channels_survive_standardization(directions):
    flat = torch.ones(8, 16).requires_grad_()
    value = sigreg(normalize_embeddings(flat, "standardize"), directions.float())
    assert value.item() == pytest.approx(0.402, abs=1e-3)
    assert torch.autograd.grad(value, flat)[0].isfinite().all()


@pytest.mark.parametrize("how", ["none", "standardize", "squash"])
def test_autocast_does_not_lower_the_precision(directions, how):
    z, directions = normal(64, 1.5).float(), directions.float()
    outside = sigreg(normalize_embeddings(z, how), directions)
    with torch.autocast("cpu", torch.bfloat16):
        inside = sigreg(normalize_embeddings(z, how), directions)
    assert torch.equal(inside, outside)
    assert sigreg(normalize_embeddings(z.bfloat16(), how), directions).dtype == torch.float32


def test_mismatched_shapes_are_named(directions):
    with pytest.raises(ValueError, match=r"\(3, 4\), \(16, 64\)"):
        sigreg(torch.zeros(3, 4), directions)


def test_unknown_normalization_is_named():
    with pytest.raises(ValueError, match="'whiten'"):
        normalize_embeddings(normal(4, 1.0), "whiten")
