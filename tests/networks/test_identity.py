"""Networks that are told the task: what a task learned is answered bit for bit, whatever came after."""

import pytest
import torch
import torch.nn.functional as F

from clbench.networks.adapted import AdaptedNetwork
from clbench.networks.head import grow_head
from clbench.networks.identity import select_task
from clbench.networks.progressive import ProgressiveNetwork, _levels
from clbench.networks.taps import tap
from clbench.networks.unet import build_unet


def unet(classes=2, dims=2, *, deep_supervision=False, seed=0):
    return build_unet(
        in_channels=1,
        classes=classes,
        dims=dims,
        patch_size=(16,) * dims,
        spacing_mm=(1.0,) * dims,
        base_features=4,
        max_features=8,
        deep_supervision=deep_supervision,
        seed=seed,
    )


def progressive(**options):
    network = ProgressiveNetwork(unet(**options), lateral=0.5, seed=1)
    return network, lambda classes: network.add_column(unet(classes, **options))


def adapted(**options):
    network = AdaptedNetwork(unet(**options))
    return network, lambda classes: network.add_task(classes, torch.Generator().manual_seed(2))


def image(dims=2, seed=0):
    return torch.randn(2, 1, *(16,) * dims, generator=torch.Generator().manual_seed(seed))


def learn(network, seed=0):
    """A few steps on all that may be trained."""
    network.train()
    optimizer = torch.optim.SGD([value for value in network.parameters() if value.requires_grad], lr=0.1)
    for step in range(3):
        optimizer.zero_grad()
        output = network(image(seed=seed + step))
        (output if isinstance(output, torch.Tensor) else output[0]).square().mean().backward()
        optimizer.step()
    network.eval()


def answer(network, task, x=None):
    select_task(network, task)
    with torch.no_grad():
        return network(image() if x is None else x)


@pytest.mark.parametrize("make", [progressive, adapted])
def test_what_earlier_tasks_answer_stays_bit_for_bit(make):
    network, add = make()
    learn(network)
    first = answer(network, 1)
    add(3)
    learn(network, seed=10)
    second = answer(network, 2)
    add(4)
    learn(network, seed=20)
    assert answer(network, 1).equal(first)
    assert answer(network, 2).equal(second)
    assert [answer(network, task).shape[1] for task in (1, 2, 3)] == [2, 3, 4]


@pytest.mark.parametrize("make", [progressive, adapted])
def test_a_task_not_learned_yet_is_answered_as_the_newest(make):
    network, add = make()
    add(3)
    network.eval()
    assert answer(network, 5).equal(answer(network, 2))


@pytest.mark.parametrize("make", [progressive, adapted])
def test_training_is_always_for_the_newest_task(make):
    network, add = make()
    add(3)
    select_task(network, 1)
    network.train()
    assert network(image()).shape[1] == 3


@pytest.mark.parametrize("make", [progressive, adapted])
def test_old_heads_no_longer_grow(make):
    network, add = make()
    add(3)
    grow_head(network, 3, seed=0)
    network.eval()
    assert answer(network, 1).shape[1] == 2


@pytest.mark.parametrize("make", [progressive, adapted])
def test_only_what_is_new_is_trained(make):
    network, add = make()
    before = {name for name, _ in network.named_parameters()}
    add(2)
    trained = {name for name, value in network.named_parameters() if value.requires_grad}
    assert trained
    assert not trained & before


@pytest.mark.parametrize("make", [progressive, adapted])
def test_deep_supervision_gives_a_list_while_training(make):
    network, add = make(deep_supervision=True)
    add(3)
    assert [level.shape[1] for level in network.train()(image())] == [3] * len(network.train()(image()))
    assert network.eval()(image()).shape == (2, 3, 16, 16)


@pytest.mark.parametrize("make", [progressive, adapted])
def test_volumes_work_as_well(make):
    network, add = make(dims=3)
    add(3)
    assert network.eval()(image(dims=3)).shape == (2, 3, 16, 16, 16)


@pytest.mark.parametrize("make", [progressive, adapted])
def test_features_of_the_answering_task_can_be_tapped(make):
    network, add = make()
    add(3)
    with tap(network, ["last"]) as taps:
        network.train()(image())
        assert taps.features["last"].shape == (2, 4, 16, 16)
        assert taps.features["last"].requires_grad


def test_a_new_column_starts_on_its_own():
    network, add = progressive()
    learn(network)
    add(3)
    assert answer(network.eval(), 2).equal(unet(3).eval()(image()))


def test_a_column_hears_those_before_it_once_its_connections_have_learned():
    network, add = progressive()
    add(2)
    learn(network)
    before = answer(network, 2)
    with torch.no_grad():
        for parameter in network.columns[0].parameters():
            parameter += 0.1
    assert not answer(network, 2).equal(before)


def test_a_lateral_connection_by_hand():
    network, add = progressive()
    add(2)
    lateral = network.laterals[0]["bottleneck"]
    with torch.no_grad():
        lateral.expand.weight.normal_(generator=torch.Generator().manual_seed(0))
    features = torch.randn(1, 8, 2, 2)
    hidden = F.leaky_relu(torch.einsum("hc,bcxy->bhxy", lateral.reduce.weight[:, :, 0, 0], features), 0.01)
    expected = torch.einsum("ch,bhxy->bcxy", lateral.expand.weight[:, :, 0, 0], hidden)
    torch.testing.assert_close(lateral([features]), expected)


def test_a_new_task_starts_as_the_first_ones_network():
    network, add = adapted()
    learn(network)
    first = answer(network, 1)
    add(3)
    torch.testing.assert_close(answer(network.eval(), 2)[:, :2], first)


def test_filters_are_mixed_by_rows_of_the_controller():
    network, add = adapted()
    add(2)
    names = dict(network.network.named_parameters())
    plain = next(name for name in names if name.startswith("encoder") and names[name].ndim == 4)
    transposed = next(name for name in names if "transp_conv" in name and names[name].ndim == 4)
    for name in (plain, transposed):
        controller = network.adapters[0][name.replace(".", "/")]
        with torch.no_grad():
            controller.normal_(generator=torch.Generator().manual_seed(0))
        form = "oi,ciyx->coyx" if name == transposed else "oi,icyx->ocyx"
        torch.testing.assert_close(network.weights_of(2)[name], torch.einsum(form, controller, names[name]))


def test_a_network_without_tasks_is_told_nothing():
    assert not select_task(unet(), 1)


def bare(network):
    """The columns as plain networks: copies that know of no other column."""
    copies = [unet(2, seed=number) for number in range(network.tasks)]
    for own, column in zip(copies, network.columns, strict=True):
        own.load_state_dict(column.state_dict())
    return copies


def test_the_third_column_is_a_plain_network_whose_levels_are_given_what_enters_the_others():
    """Written out with plain networks: what enters a level of column 1 and 2, without what was added to it there."""
    network, add = progressive()
    for classes in (2, 2):
        add(classes)
    generator = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for lateral in network.laterals.parameters():
            lateral += 0.3 * torch.randn(lateral.shape, generator=generator)
    network.eval()
    entered = []
    for number, column in enumerate(bare(network)):
        entered.append({})
        for name, block in _levels(column).items():

            def enter(_module, inputs, name=name, number=number):
                x, *others = inputs
                entered[number][name] = x
                if not number:
                    return None
                reduce, expand = (getattr(network.laterals[number - 1][name], part) for part in ("reduce", "expand"))
                earlier = torch.cat([entered[other][name] for other in range(number)], 1)
                return (x + expand(F.leaky_relu(reduce(earlier), 0.01)), *others)

            block.register_forward_pre_hook(enter)
        with torch.no_grad():
            expected = column.eval()(image())
        torch.testing.assert_close(answer(network, number + 1), expected)
