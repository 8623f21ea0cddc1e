"""Voxel embeddings: which are drawn, and what comes back."""

from __future__ import annotations

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from clbench.functional.sampling import draw_embeddings, sample_embeddings


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def numbered(batch, channels, *space):
    """Features whose first channel counts the voxels of the batch and whose others repeat it, negated."""
    count = torch.arange(batch * torch.Size(space).numel(), dtype=torch.float64).reshape(batch, 1, *space)
    return torch.cat([count, *[-count] * (channels - 1)], dim=1)


@pytest.mark.parametrize("space", [(7,), (6, 5), (4, 3, 5)])
@pytest.mark.parametrize("count", [1, 9])
def test_embeddings_are_whole_feature_vectors_of_distinct_voxels(space, count):
    drawn = sample_embeddings(numbered(2, 3, *space), count, generator())
    assert drawn.shape == (count, 3)
    assert drawn[:, 0].unique().numel() == count
    assert torch.equal(drawn[:, 1], -drawn[:, 0])


def test_asking_for_more_than_there_is_gives_every_voxel_once():
    drawn = sample_embeddings(numbered(2, 1, 3, 2), 100, generator())
    assert torch.equal(drawn[:, 0].sort().values, torch.arange(12.0, dtype=torch.float64))


@pytest.mark.parametrize("count", [4, 200])
def test_every_voxel_is_equally_likely(count):
    features = numbered(2, 1, 500)
    hits = torch.zeros(1000)
    for seed in range(1000 // count * 20):
        hits[sample_embeddings(features, count, generator(seed))[:, 0].long()] += 1
    halves = hits[:500].sum() / hits.sum()
    assert hits.mean().item() == pytest.approx(20)
    assert halves.item() == pytest.approx(0.5, abs=0.02)
    assert hits.var().item() == pytest.approx(20 * (1 - count / 1000), rel=0.2)


@pytest.mark.parametrize("count", [3, 40])
def test_the_generator_alone_decides(count):
    features = numbered(2, 1, 50)
    first, second = (sample_embeddings(features, count, generator(5)) for _ in range(2))
    assert torch.equal(first, second)
    assert not torch.equal(first, sample_embeddings(features, count, generator(6)))


def test_gradients_reach_the_drawn_voxels_only():
    features = numbered(2, 2, 4, 4).requires_grad_()
    sample_embeddings(features, 5, generator()).sum().backward()
    assert features.grad is not None
    assert (features.grad == 1).sum() == 10
    assert (features.grad == 0).sum() == 54


@pytest.mark.parametrize(("shape", "count"), [((2, 3), 4), ((2, 3, 4), 0)])
def test_impossible_requests_are_refused(shape, count):
    with pytest.raises(ValueError, match="cannot draw"):
        sample_embeddings(torch.zeros(shape), count, generator())


@pytest.mark.parametrize("shape", [(2, 3, 8), (2, 3, 5, 4), (2, 3, 4, 3, 2)])
@pytest.mark.parametrize("layout", ["rows", "channels last"])
def test_drawing_inside_a_network_gives_the_gradients_of_plain_indexing(shape, layout):
    values = torch.randn(shape, generator=generator(1))
    if layout == "channels last" and len(shape) > 3:
        values = values.contiguous(memory_format=torch.channels_last if len(shape) == 4 else torch.channels_last_3d)
    drawn = sample_embeddings(numbered(shape[0], 1, *shape[2:]), 5, generator())[:, 0].long()
    gradients = []
    for inside in (False, True):
        features = values.clone().requires_grad_()
        going_on = features * 2
        embeddings = going_on.movedim(1, -1).flatten(0, -2)[drawn]
        if inside:
            going_on, embeddings = draw_embeddings(going_on, 5, generator())
        (torch.nn.functional.leaky_relu_(going_on).square().sum() + embeddings.pow(3).sum()).backward()
        gradients.append(features.grad)
    assert torch.equal(*gradients)


class Layouts(TorchDispatchMode):
    """Strides of the gradient and of the features that each backward pass of a leaky ReLU gets."""

    def __init__(self):
        super().__init__()
        self.seen = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if func is torch.ops.aten.leaky_relu_backward.default:
            self.seen.append((args[0].stride(), args[1].stride()))
        return func(*args, **(kwargs or {}))


def test_what_overwrites_the_features_meets_its_gradient_in_their_layout():
    features = torch.randn(2, 3, 4, 4, requires_grad=True)
    through, _ = draw_embeddings(features, 5, generator())
    out = torch.nn.functional.leaky_relu_(through)
    with Layouts() as layouts:
        out.backward(torch.ones(2, 3, 4, 4).contiguous(memory_format=torch.channels_last))
    assert layouts.seen == [(features.stride(), features.stride())]


def test_what_was_drawn_without_gradients_may_be_overwritten_with_them():
    with torch.no_grad():
        through, _ = draw_embeddings(torch.randn(2, 3, 4, 4), 5, generator())
    through.mul_(torch.tensor(2.0, requires_grad=True)).sum().backward()
