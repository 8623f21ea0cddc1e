"""SegReg: the term it adds, and that it leaves no trace."""

import pytest
import torch

from clbench.errors import InputError
from clbench.functional.dispersive import dispersive
from clbench.functional.sampling import sample_embeddings
from clbench.functional.sigreg import normalize_embeddings, sigreg, unit_directions
from clbench.functional.spectrum import effective_rank
from clbench.functional.vicreg import vicreg_terms
from clbench.networks.taps import tap
from clbench.seeding import torch_generator
from clbench.strategies.segreg import SegReg


def all_features(network, level):
    """A whole level of the images that ``step_of`` shows."""
    with tap(network, [level]) as taps:
        network(torch.randn(2, 1, 16, 16, generator=torch.Generator().manual_seed(1)))
        return taps.features[level]


def test_the_term_is_the_weighted_statistic_of_the_tapped_features(step_of, network):
    plugin = SegReg(weight=2.5, slices=8, voxels=50, seed=4)
    strategy, features = step_of(plugin, task=2, step=7)
    generator = torch_generator(4, "segreg", 2, 7)
    embeddings = sample_embeddings(all_features(network, "last_linear"), 50, generator)
    assert torch.equal(features["last_linear"], embeddings)
    directions = unit_directions(embeddings.shape[1], 8, generator)
    expected = 2.5 * sigreg(normalize_embeddings(embeddings, "squash"), directions)
    assert strategy.loss.item() == pytest.approx(expected.item(), rel=1e-6)
    assert strategy.loss_terms["segreg"].item() == strategy.loss.item()


def test_several_taps_are_averaged(step_of, network):
    strategy, _ = step_of(SegReg(weight=2.5, taps="last, bottleneck", slices=4, voxels=20, seed=4), task=2, step=7)
    generator = torch_generator(4, "segreg", 2, 7)
    found = {  # drawn in the order of the forward pass, judged in that of the option
        level: sample_embeddings(all_features(network, level), 20, generator) for level in ("bottleneck", "last")
    }
    values = [
        sigreg(normalize_embeddings(z, "squash"), unit_directions(z.shape[1], 4, generator))
        for z in (found["last"], found["bottleneck"])
    ]
    assert strategy.loss.item() == pytest.approx(2.5 * sum(values).item() / 2, rel=1e-6)


def test_directions_and_voxels_change_with_the_step_only(step_of, network):
    losses = [step_of(SegReg(), step=step)[0].loss.item() for step in (0, 0, 1)]
    assert losses[0] == losses[1] != losses[2]


def test_the_gradient_reaches_everything_before_the_tap_and_nothing_after(step_of, network):
    strategy, _ = step_of(SegReg())
    strategy.loss.backward()
    assert all(parameter.grad is None for parameter in network.heads.parameters())
    assert all(parameter.grad.abs().sum() > 0 for parameter in network.encoder.parameters())


def test_the_statistic_is_float32_under_autocast(step_of, network):
    strategy, features = step_of(SegReg(), precision=torch.bfloat16)
    assert features["last_linear"].dtype == torch.float32
    assert strategy.loss.dtype == torch.float32
    assert torch.isfinite(strategy.loss)


def test_an_unknown_tap_is_named(step_of, network):
    with pytest.raises(InputError, match="unknown feature tap 'decoder_9'"):
        step_of(SegReg(taps="decoder_9"))


@pytest.mark.parametrize(
    ("regularizer", "expected"),
    [
        ("vicreg", lambda z: 25 * vicreg_terms(z)[0] + vicreg_terms(z)[1]),
        ("dispersive", dispersive),
    ],
)
def test_other_regularizers_see_the_same_embeddings(step_of, regularizer, expected):
    strategy, features = step_of(SegReg(weight=2.0, voxels=50, regularizer=regularizer))
    assert torch.equal(features["last_linear"], step_of(SegReg(voxels=50))[1]["last_linear"])
    seen = normalize_embeddings(features["last_linear"], "squash")
    assert strategy.loss.item() == pytest.approx(2.0 * expected(seen).item(), rel=1e-5)


def test_during_warm_up_the_weight_grows_linearly(step_of):
    full = {step: step_of(SegReg(), step=step)[0].loss.item() for step in (0, 1, 4, 9)}
    warm = {step: step_of(SegReg(warmup=0.5), step=step, steps=8)[0].loss.item() for step in full}
    shares = {step: warm[step] / full[step] for step in full}
    assert shares == pytest.approx({0: 0.25, 1: 0.5, 4: 1.0, 9: 1.0})


def test_the_log_has_statistics_of_every_level_and_leaves_the_loss_alone(step_of):
    logged, features = step_of(SegReg(taps="last, bottleneck", log=True, voxels=64))
    names = {f"segreg.{level}.{key}" for level in ("last", "bottleneck") for key in ("norm", "rank", "normality")}
    assert logged.loss_terms.keys() == {"segreg", *names}
    norm = features["last"].norm(dim=1).mean()
    assert logged.loss_terms["segreg.last.norm"].item() == pytest.approx(norm.item())
    assert logged.loss_terms["segreg.last.rank"].item() == pytest.approx(effective_rank(features["last"]).item())
    assert logged.loss.item() == step_of(SegReg(taps="last, bottleneck", voxels=64))[0].loss.item()


def test_normal_features_are_told_from_others_by_the_logged_normality(step_of):
    def normality(embeddings):
        plugin = SegReg(taps="last", log=True)
        plugin.read = lambda features: (features, embeddings)
        return step_of(plugin)[0].loss_terms["segreg.last.normality"].item()

    generator = torch.Generator().manual_seed(0)
    normal = torch.randn(1024, 8, generator=generator) * 3.0 + 1.0
    signs = torch.randn(1024, 1, generator=generator).sign() * (torch.ones(1024, 8) + 0.1 * normal)
    assert normality(normal) < 2.0 / 1024
    assert normality(signs) > 10 * normality(normal)
