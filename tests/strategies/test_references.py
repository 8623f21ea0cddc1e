"""naive, single and cumulative against a plain training loop, a fresh network, all cases so far."""

import pytest
import torch

from clbench.data.patches import PatchSampler, PoolEntry
from clbench.networks.unet import weights
from clbench.strategies.cumulative import Cumulative
from clbench.strategies.single import Single
from rehearsing import make_strategy, train
from strategies.plain import dice_plus_ce

RATE, DECAY, CLIP = 0.003, 0.1, 1.6
OPTIMIZERS = {
    "sgd": lambda parameters: torch.optim.SGD(parameters, RATE, momentum=0.9, nesterov=True, weight_decay=DECAY),
    "adamw": lambda parameters: torch.optim.AdamW(parameters, RATE, betas=(0.9, 0.999), weight_decay=DECAY),
}


def train_by_hand(network, experience, optimizer):
    """Three steps of two patches each, at a rate that decays polynomially; returns the norms of the gradients."""
    norms = []
    for step in range(3):
        (x, second_x), (y, second_y) = zip(*(experience.patches[2 * step + slot][:2] for slot in range(2)), strict=True)
        optimizer.param_groups[0]["lr"] = RATE * (1 - step / 3) ** 0.9
        optimizer.zero_grad()
        output = network(torch.stack([x, second_x]))
        dice_plus_ce(output.softmax(1), torch.stack([y, second_y])).backward()
        norms.append(torch.nn.utils.clip_grad_norm_(network.parameters(), CLIP).item())
        optimizer.step()
    return norms


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_naive_is_a_plain_training_loop_with_a_new_optimizer_for_each_task(name, network, domain_benchmark):
    recipe = {"optimizer": name, "learning_rate": RATE, "weight_decay": DECAY, "gradient_clip": CLIP}
    strategy, _ = train(domain_benchmark, {}, **recipe)
    norms = []
    for experience in domain_benchmark.train_stream:
        norms += train_by_hand(network, experience, OPTIMIZERS[name](network.parameters()))
    assert min(norms) < CLIP < max(norms)  # both sides of it are looked at
    for key, expected in weights(network).items():
        torch.testing.assert_close(weights(strategy.model)[key], expected, rtol=0, atol=2e-5)


@pytest.mark.parametrize("stream", ["domain_benchmark", "class_benchmark"])
def test_single_learns_each_task_as_a_fresh_network_does(stream, request):
    benchmark = request.getfixturevalue(stream)
    single = make_strategy(benchmark, {"single": Single()})
    for experience in benchmark.train_stream:
        single.train_task(experience)
        alone = make_strategy(benchmark, {}, classes=experience.classes)
        alone.train_task(experience)
        assert all(value.equal(weights(alone.model)[name]) for name, value in weights(single.model).items())


def cases(patches, steps):
    """The cases that patches are cut from at the first so many steps."""
    return {patches.sampler.entry(step, slot).prepared.case.case_id for step in range(steps) for slot in range(2)}


def test_cumulative_draws_from_the_cases_of_all_tasks_so_far(domain_benchmark):
    strategy, so_far = make_strategy(domain_benchmark, {"cumulative": Cumulative()}), set()
    for number, experience in enumerate(domain_benchmark.train_stream, start=1):
        so_far |= cases(experience.patches, 50)
        strategy.train_task(experience)
        assert cases(strategy.patches, 100) == so_far
        assert len(so_far) == 2 * number
        assert len(strategy.patches) == 6  # the steps of one task


def test_cumulative_trains_on_masks_that_show_the_labels_of_all_tasks_so_far(class_benchmark):
    _, watch = train(class_benchmark, {"cumulative": Cumulative()})
    first = class_benchmark.train_stream[0]  # all tasks have the same cases
    for number, (x, y) in enumerate(watch.batches):
        task, step = number // 3 + 1, number % 3
        pool = [PoolEntry(entry.prepared, tuple(range(1, task + 1))) for entry in first.pools[0]]
        sampler = PatchSampler(pool, first.sampling.plan, seed=0, task_index=task, batch_size=2)
        expected = [sampler(step, slot) for slot in range(2)]
        assert x.equal(torch.stack([patch.image for patch in expected]))
        assert y.equal(torch.stack([patch.mask for patch in expected]).long())
    assert [watch.batches[3 * task][1].max().item() for task in range(3)] == [1, 2, 3]
