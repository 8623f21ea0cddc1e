"""The Fisher information against its closed form for a linear softmax classifier."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from clbench.functional.fisher import fisher_diagonal


def classifier(features=2, classes=3, seed=0):
    network = nn.Conv1d(features, classes, 1)
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for value in network.parameters():
            value.copy_(torch.randn(value.shape, generator=generator))
    return network


def patch(voxels, features=2, classes=3, seed=1):
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(1, features, voxels, generator=generator)
    return x, torch.randint(classes, (1, voxels), generator=generator)


def error(network, x, y):
    """(V, K): one-hot label minus probability, the gradient of the log-likelihood by the logits."""
    probabilities = network(x).softmax(1)[0].T.detach()
    return nn.functional.one_hot(y[0], probabilities.shape[1]) - probabilities


def test_given_labels_give_the_closed_form():
    network, samples = classifier(), [patch(4, seed=seed) for seed in range(5)]
    found = fisher_diagonal(network, samples, labels="given")
    gradients = [error(network, x, y).T @ x[0].T / 4 for x, y in samples]  # (K, C), mean over voxels
    expected = torch.stack([gradient.square() for gradient in gradients]).mean(0)
    torch.testing.assert_close(found["weight"][..., 0], expected)
    biases = torch.stack([error(network, x, y).mean(0).square() for x, y in samples]).mean(0)
    torch.testing.assert_close(found["bias"], biases)


@pytest.mark.parametrize("voxels", [1, 8])
def test_sampled_labels_give_the_true_fisher(voxels):
    network, (x, y) = classifier(), patch(voxels)
    found = fisher_diagonal(network, [(x, y)] * 3000, labels="sampled", generator=torch.Generator().manual_seed(2))
    p = network(x).softmax(1)[0].detach()  # (K, V)
    expected = (p * (1 - p)) @ x[0].T.square() / voxels  # per voxel
    torch.testing.assert_close(found["weight"][..., 0], expected, rtol=0.15, atol=1e-4)


def test_sampled_labels_ignore_the_masks_and_follow_the_generator():
    network, (x, y) = classifier(), patch(6)
    runs = [
        fisher_diagonal(network, [(x, labels)], labels="sampled", generator=torch.Generator().manual_seed(seed))
        for labels, seed in [(y, 0), (2 - y, 0), (y, 1)]
    ]
    assert torch.equal(runs[0]["weight"], runs[1]["weight"])
    assert not torch.equal(runs[0]["weight"], runs[2]["weight"])


def test_every_sample_counts():
    network, samples = classifier(), [patch(4, seed=seed) for seed in range(3)]
    alone = [fisher_diagonal(network, [sample], labels="given")["weight"] for sample in samples]
    together = fisher_diagonal(network, iter(samples), labels="given")["weight"]
    torch.testing.assert_close(together, torch.stack(alone).mean(0))


class Noisy(nn.Module):
    """A network with everything that could leak: dropout, a frozen part, an unused part, its own modes."""

    def __init__(self):
        super().__init__()
        self.dropout, self.body, self.frozen, self.unused = (
            nn.Dropout(0.5),
            classifier(2, 2),
            classifier(2, 3),
            nn.Linear(2, 2),
        )
        self.frozen.requires_grad_(False)
        self.frozen.eval()

    def forward(self, x):
        return self.frozen(self.body(self.dropout(x)))


def test_nothing_of_the_caller_is_touched():
    network, sample = Noisy(), patch(5)
    gradient = torch.full_like(network.body.weight, 7.0)
    network.body.weight.grad = gradient.clone()
    modes = [module.training for module in network.modules()]
    torch.manual_seed(0)
    state = torch.get_rng_state()
    with torch.no_grad():
        found = fisher_diagonal(network, [sample], labels="sampled", generator=torch.Generator())
    assert torch.equal(torch.get_rng_state(), state)
    assert torch.equal(network.body.weight.grad, gradient)
    assert [module.training for module in network.modules()] == modes
    assert sorted(found) == ["body.bias", "body.weight", "unused.bias", "unused.weight"]
    assert (found["unused.weight"] == 0).all()
    assert found["body.weight"].sum() > 0
    assert not any(value.requires_grad for value in found.values())


def test_modes_are_restored_after_an_error():
    network = Noisy()
    with pytest.raises(RuntimeError):
        fisher_diagonal(network, [(torch.zeros(1, 9, 4), torch.zeros(1, 4, dtype=torch.int64))], labels="given")
    assert network.training
    assert not network.frozen.training


def test_computed_in_float32_under_autocast():
    network, sample = classifier(), patch(5)
    with torch.autocast("cpu", torch.bfloat16):
        inside = fisher_diagonal(network, [sample], labels="given")
    assert torch.equal(inside["weight"], fisher_diagonal(network, [sample], labels="given")["weight"])


@pytest.mark.parametrize(
    ("samples", "labels", "match"),
    [
        ([], "given", "at least one sample"),
        ([(torch.zeros(2, 2, 4), torch.zeros(2, 4, dtype=torch.int64))], "given", "one image"),
        ([patch(3)], "sampled", "generator"),
    ],
)
def test_what_cannot_be_estimated_is_refused(samples, labels, match):
    with pytest.raises(ValueError, match=match):
        fisher_diagonal(classifier(), samples, labels=labels)
