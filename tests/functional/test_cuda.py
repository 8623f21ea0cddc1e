"""On a GPU: the same voxels and labels are drawn as on the CPU, and the values agree."""

from __future__ import annotations

import pytest
import torch

from clbench.functional.fisher import fisher_diagonal
from clbench.functional.losses import dice_ce
from clbench.functional.quadratic import quadratic_penalty
from clbench.functional.sampling import sample_embeddings
from clbench.functional.sigreg import normalize_embeddings, sigreg, unit_directions

pytestmark = pytest.mark.gpu
DEVICES = ("cpu", "cuda")


def generator(seed=0):
    return torch.Generator().manual_seed(seed)


def test_the_same_voxels_are_drawn():
    features = torch.randn(2, 4, 16, 16, generator=generator())
    cpu, cuda = (sample_embeddings(features.to(device), 10, generator(1)).cpu() for device in DEVICES)
    assert torch.equal(cpu, cuda)


def test_sigreg_agrees():
    embeddings, directions = torch.randn(64, 8, generator=generator()), unit_directions(8, 32, generator(1))
    seen = [sigreg(normalize_embeddings(embeddings.to(d), "squash"), directions.to(d)).cpu() for d in DEVICES]
    torch.testing.assert_close(*seen)


def test_losses_and_penalties_agree():
    logits, target = torch.randn(2, 3, 8, 8, generator=generator()), torch.randint(3, (2, 8, 8), generator=generator())
    for name in ("dice", "ce"):
        torch.testing.assert_close(*(dice_ce(logits.to(d), target.to(d))[name].cpu() for d in DEVICES))
    torch.testing.assert_close(
        *(quadratic_penalty({"w": logits.to(d)}, {"w": torch.zeros(2, 3, 8, 8, device=d)}).cpu() for d in DEVICES)
    )


@pytest.mark.parametrize("labels", ["sampled", "given"])
def test_the_fisher_information_agrees(labels):
    found = []
    for device in DEVICES:
        network = torch.nn.Conv2d(1, 3, 1)
        torch.nn.init.constant_(network.weight, 0.5)
        torch.nn.init.zeros_(network.bias)
        x, y = torch.randn(1, 1, 8, 8, generator=generator()), torch.randint(3, (1, 8, 8), generator=generator())
        sample = (x.to(device), y.to(device))
        found.append(
            fisher_diagonal(network.to(device), [sample], labels=labels, generator=generator(2))["weight"].cpu()
        )
    torch.testing.assert_close(*found)
