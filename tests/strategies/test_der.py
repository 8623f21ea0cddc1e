"""DER and DER++: patches come back as they were, and the network is held to what it said of them."""

import pytest
import torch

from clbench.errors import InputError
from clbench.functional.losses import dice_ce
from clbench.strategies.compose import parse_strategy
from clbench.strategies.der import DER
from clbench.strategies.derpp import DERPP
from clbench.strategies.fdr import FDR
from rehearsing import make_strategy, train

PLUGINS = {"der": DER, "derpp": DERPP}


def watched(kind):
    """A plugin that writes down the terms of every step."""

    class Watched(kind):
        def __init__(self, **options):
            super().__init__(**options)
            self.terms, self.drawn = [], []

        def add_terms(self, strategy, output, y, numbers):
            super().add_terms(strategy, output, y, numbers)
            self.drawn.append((strategy.experience.index, strategy.step, numbers, len(strategy.mb_x)))

        def after_update(self, strategy, **_):
            self.terms.append({name: value.item() for name, value in strategy.loss_terms.items()})

    return Watched


@pytest.mark.parametrize("name", PLUGINS)
def test_the_task_at_hand_is_trained_on_the_batches_of_naive(domain_benchmark, name):
    _, naive = train(domain_benchmark, {})
    _, ours = train(domain_benchmark, {name: PLUGINS[name]()})
    for (x, y), (plain_x, plain_y) in zip(ours.batches, naive.batches, strict=True):
        assert x.equal(plain_x)
        assert y.equal(plain_y)


@pytest.mark.parametrize("logits", ["seen", "final"])
@pytest.mark.parametrize("name", PLUGINS)
def test_numbers_name_the_patches_seen_so_far(domain_benchmark, name, logits):
    plugin = watched(PLUGINS[name])(logits=logits, patches=4)
    train(domain_benchmark, {name: plugin})
    assert len(plugin.numbers) == 4
    if logits == "seen":
        assert [place[:2] for place in plugin.drawn] == [(t, s) for t in (1, 2, 3) for s in range(3)][1:]
    else:
        assert [place[:2] for place in plugin.drawn] == [(t, s) for t in (2, 3) for s in range(3)]
    for task, step, numbers, own in plugin.drawn:
        assert own == 2
        assert max(numbers) < (task - 1) * 6 + (step * 2 if logits == "seen" else 0)


def test_with_weights_that_stand_still_the_logits_are_met(domain_benchmark):
    """What is stored for a number is what the network says of that patch, so the patch comes back as it was."""
    plugin = watched(DER)()
    train(domain_benchmark, {"der": plugin}, learning_rate=1e-12)
    errors = [terms["der"] for terms in plugin.terms if "der" in terms]
    assert len(errors) == 8
    assert max(errors) < 1e-5  # rounding to half precision
    other = watched(DER)()
    train(domain_benchmark, {"der": other})
    assert other.terms[-1]["der"] > 1e-3


@pytest.mark.parametrize("patches", [2, 3, 4])
def test_a_patch_that_the_batch_drives_out_is_still_held_to_its_own_logits(domain_benchmark, patches):
    """With so few places most of the patches drawn for a step are gone from the reservoir after it."""

    class Held(DER):
        driven_out = 0

        def before_backward(self, strategy, **_):
            drawn = set(self._drawn[2]) if self._drawn else set()
            super().before_backward(strategy)
            self.driven_out += len(drawn - set(self.numbers.tolist()))

    plugin = watched(Held)(patches=patches)
    train(domain_benchmark, {"der": plugin}, learning_rate=1e-12)
    errors = [terms["der"] for terms in plugin.terms if "der" in terms]
    assert len(errors) == 8
    assert plugin.driven_out > 0
    assert max(errors) < 1e-5


def test_logits_that_are_not_stored_are_not_taken_from_another_patch(domain_benchmark):
    plugin = DER(patches=4)
    strategy, _ = train(domain_benchmark, {"der": plugin})
    with pytest.raises(RuntimeError, match="not stored"):
        plugin.add_terms(strategy, torch.zeros(1, 2, 16, 16), torch.zeros(1, 16, 16), [10_000])


def test_final_logits_are_those_of_the_finished_network(domain_benchmark):
    plugin = DER(logits="final", patches=3)
    strategy = make_strategy(domain_benchmark, {"der": plugin})
    strategy.train_task(first := domain_benchmark.train_stream[0])
    for position, number in enumerate(plugin.numbers.tolist()):
        with torch.no_grad():
            expected = strategy.model(first.patches[number][0][None])[0]
        torch.testing.assert_close(plugin.stored[position].float(), expected, atol=1e-2, rtol=1e-3)


def squared(now, then):
    return ((now - then) ** 2).mean()


def apart(now, then):
    return ((now.softmax(0) - then.softmax(0)) ** 2).sum(0).sqrt().mean()


@pytest.mark.parametrize(
    ("kind", "options", "formula", "own"),
    [
        (DER, {"alpha": 0.3}, squared, 1),
        (DERPP, {"alpha": 0.3, "beta": 0.0}, squared, 2),
        (FDR, {"weight": 0.3}, apart, 1),
    ],
)
def test_the_charge_is_the_factor_times_the_distance_to_what_is_stored(domain_benchmark, kind, options, formula, own):
    """Patch by patch, from the stored logits, at weights that training has moved since."""
    seen = []

    class Check(kind):
        def add_terms(self, strategy, output, y, numbers):
            there = dict(zip(self.numbers.tolist(), self.stored.float(), strict=True))
            count = len(numbers) // own
            drawn = zip(output.detach()[:count], numbers[:count], strict=True)
            expected = sum(formula(now, there[number]).item() for now, number in drawn) / count
            before = strategy.loss.item()
            super().add_terms(strategy, output, y, numbers)
            seen.append((strategy.loss.item() - before, 0.3 * expected))

    train(domain_benchmark, {"plugin": Check(**options)})
    assert max(expected for _, expected in seen) > 1e-3
    for found, expected in seen:
        assert found == pytest.approx(expected, abs=2e-6)


def test_the_masks_of_derpp_are_those_of_its_second_draw(domain_benchmark):
    seen = []

    class Check(DERPP):
        def add_terms(self, strategy, output, y, numbers):
            before = strategy.loss.item()
            super().add_terms(strategy, output, y, numbers)
            half, tasks = len(numbers) // 2, domain_benchmark.train_stream
            masks = torch.stack([tasks[number // 6].patches[number % 6][1] for number in numbers[half:]])
            expected = sum(dice_ce(output[half:], masks).values()).item()
            seen.append((strategy.loss.item() - before, self.beta * expected))

    train(domain_benchmark, {"derpp": Check(alpha=0.0, beta=0.7)})
    assert len(seen) == 8
    for found, expected in seen:
        assert found == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("name", PLUGINS)
def test_a_grown_head_is_held_to_the_channels_it_had(class_benchmark, name):
    plugin = watched(PLUGINS[name])(patches=4)
    strategy, watch = train(class_benchmark, {name: plugin}, deep_supervision=True)
    assert strategy.model.classes == 4
    assert torch.isfinite(torch.tensor(watch.losses)).all()
    assert [int(count) for count in plugin.channels] == [2 + number // 6 for number in plugin.numbers.tolist()]
    assert plugin.stored.shape[1] == plugin.channels.max()


def test_stored_bytes_are_two_for_each_logit_and_the_numbers(domain_benchmark):
    plugin = DER(patches=4)
    train(domain_benchmark, {"der": plugin})
    assert plugin.stored_bytes == 4 * (4 * 16 * 16 * 2 + 8 + 8)
    assert 0 < plugin.replayed_fraction <= 1


@pytest.mark.parametrize(
    "plugin", [DER(alpha=0.0), DERPP(alpha=0.0, beta=0.0), FDR(weight=0.0)], ids=["der", "derpp", "fdr"]
)
def test_what_charges_nothing_looks_at_nothing_again(domain_benchmark, plugin):
    train(domain_benchmark, {"plugin": plugin})
    assert (plugin.replayed_fraction, plugin.replayed_bytes) == (0, 0)


def test_state_survives_save_and_load(domain_benchmark):
    plugin, loaded = DER(patches=4), DER(patches=4)
    train(domain_benchmark, {"der": plugin})
    loaded.load_state_tensors(plugin.state_tensors())
    assert all(loaded.state_tensors()[name].equal(value) for name, value in plugin.state_tensors().items())


def test_two_rehearsals_do_not_combine():
    with pytest.raises(InputError, match="replay and derpp each decide what is looked at again"):
        parse_strategy("derpp+replay")
    assert parse_strategy("derpp+ewc") == ["ewc", "derpp"]
