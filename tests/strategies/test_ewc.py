"""EWC: what is remembered, and what leaving it costs."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn

from clbench.errors import InputError
from clbench.strategies.ewc import EWC
from clbench.strategies.patches import training_patches

WEIGHT = 3.0


class Tasks:
    """A linear classifier that 'learns' three tasks by being set to given weights."""

    def __init__(self, plugin):
        self.plugin = plugin
        self.model = nn.Sequential(nn.Conv2d(2, 3, 1))
        self.strategy = SimpleNamespace(model=self.model, device=torch.device("cpu"), loss_terms={}, train_mb_size=1)

    def learn(self, task, weight):
        generator = torch.Generator().manual_seed(task)
        data = [
            (torch.randn(2, 2, 2, generator=generator), torch.randint(3, (2, 2), generator=generator)) for _ in range(4)
        ]
        self.set(weight)
        self.strategy.experience = SimpleNamespace(current_experience=task - 1, dataset=data)
        self.plugin.after_training_exp(self.strategy)

    def set(self, weight):
        with torch.no_grad():
            for parameter in self.model.parameters():
                parameter.fill_(weight)

    def penalty(self, weight):
        self.set(weight)
        self.strategy.loss = torch.zeros(())
        self.plugin.before_backward(self.strategy)
        return self.strategy.loss


def test_weights_that_are_not_trained_are_neither_remembered_nor_charged():
    tasks = Tasks(EWC(weight=WEIGHT, samples=4))
    tasks.model[0].bias.requires_grad_(False)
    tasks.learn(1, 0.0)
    tasks.learn(2, 1.0)
    assert set(tasks.plugin.past.anchors) == {"0.weight"}
    assert tasks.penalty(0.0) > 0


def after_two_tasks(**options):
    tasks = Tasks(EWC(weight=WEIGHT, samples=4, **options))
    tasks.learn(1, 0.0)
    tasks.learn(2, 1.0)
    return tasks


def total(quadratic):
    return sum(value.double().sum().item() for value in quadratic.importances.values())


def importance(task, weight, **options):
    """Of one task learned alone."""
    tasks = Tasks(EWC(weight=WEIGHT, samples=4, **options))
    tasks.learn(task, weight)
    return total(tasks.plugin.past)


def test_nothing_is_charged_in_the_first_task():
    assert Tasks(EWC(weight=WEIGHT)).penalty(5.0).item() == 0


def test_both_earlier_tasks_are_protected():
    tasks = after_two_tasks()
    first, second = importance(1, 0.0), importance(2, 1.0)
    for weight in (0.0, 0.5, 1.0, 2.0):
        expected = WEIGHT / 2 * (first * weight**2 + second * (weight - 1) ** 2)
        assert tasks.penalty(weight).item() == pytest.approx(expected, rel=1e-5)


def test_staying_at_the_last_task_still_costs_for_the_first_one():
    tasks = after_two_tasks()
    loss = tasks.penalty(1.0)
    loss.backward()
    assert all((parameter.grad > 0).any() for parameter in tasks.model.parameters())


def test_penalty_is_linear_in_the_weight():
    one, three = after_two_tasks(), after_two_tasks()
    three.plugin.weight = 3 * WEIGHT
    assert three.penalty(2.0).item() == pytest.approx(3 * one.penalty(2.0).item(), rel=1e-6)


def test_online_form_keeps_one_memory_with_a_decayed_sum():
    online = after_two_tasks(mode="online", gamma=0.25)
    expected = 0.25 * importance(1, 0.0) + importance(2, 1.0)
    assert total(online.plugin.past) == pytest.approx(expected, rel=1e-5)
    assert online.penalty(1.0).item() == 0


@pytest.mark.parametrize("mode", ["separate", "online"])
def test_memory_does_not_grow_with_the_number_of_tasks(mode):
    tasks = after_two_tasks(mode=mode)
    before = tasks.plugin.stored_bytes
    tasks.learn(3, 2.0)
    assert tasks.plugin.stored_bytes == before


@pytest.mark.parametrize("mode", ["separate", "online"])
def test_state_survives_save_and_load(mode):
    tasks = after_two_tasks(mode=mode)
    loaded = Tasks(EWC(weight=WEIGHT, mode=mode))
    loaded.plugin.load_state_tensors(tasks.plugin.state_tensors())
    assert loaded.penalty(2.0).item() == tasks.penalty(2.0).item()


def test_a_grown_head_is_not_held_by_rows_it_did_not_have():
    tasks = after_two_tasks()
    before = tasks.penalty(2.0).item()
    tasks.model[0] = nn.Conv2d(2, 5, 1)
    tasks.strategy.model = tasks.model
    assert tasks.penalty(2.0).item() == pytest.approx(before, rel=1e-6)


def test_sampled_and_given_labels_differ():
    sampled, given = after_two_tasks(fisher="sampled"), after_two_tasks(fisher="given")
    assert sampled.penalty(2.0).item() != given.penalty(2.0).item()


def test_a_huge_weight_holds_the_weights_where_they_were():
    tasks = Tasks(EWC(weight=1e6, samples=4))
    tasks.learn(1, 0.0)
    memory = tasks.plugin.past
    # The minimum of (theta - 5)^2 + weight / 2 * F * theta^2, weight by weight.
    with torch.no_grad():
        for name, parameter in tasks.model.named_parameters():
            parameter.copy_(10 / (2 + 1e6 * memory.importances[name]))
            assert parameter[memory.importances[name] > 1e-3].abs().max() < 0.02
    tasks.strategy.loss = sum(((parameter - 5) ** 2).sum() for parameter in tasks.model.parameters())
    tasks.plugin.before_backward(tasks.strategy)
    tasks.strategy.loss.backward()
    assert all(parameter.grad.abs().max() < 1e-3 for parameter in tasks.model.parameters())


def test_importance_patches_come_from_all_slots_of_a_batch():
    taken = []

    class Recording(list):
        def __getitem__(self, index):
            taken.append(index)
            return super().__getitem__(index)

    patch = (torch.zeros(2, 2, 2), torch.zeros(2, 2, dtype=torch.int64))
    strategy = SimpleNamespace(
        experience=SimpleNamespace(dataset=Recording([patch] * 240)), train_mb_size=8, device=torch.device("cpu")
    )
    assert len(list(training_patches(strategy, 60))) == 60
    assert {index % 8 for index in taken} == set(range(8))
    assert max(taken) >= 200


def test_gamma_without_the_online_form_is_refused():
    with pytest.raises(InputError, match=r"ewc.gamma does nothing in mode separate"):
        EWC(gamma=0.5)
