"""What mib, pod and plop charge, against values worked out by hand or from the formulas on probabilities."""

from math import dist, hypot, log, log2, sqrt
from types import SimpleNamespace

import pytest
import torch
from avalanche.core import SupervisedPlugin
from torch import nn

from clbench.functional.losses import dice_ce
from clbench.networks.unet import weights
from clbench.strategies.mib import MiB
from clbench.strategies.plop import PLOP
from clbench.strategies.pod import POD
from rehearsing import train
from strategies.plain import dice_plus_ce, one_hot, soft_dice


def a_step_of(plugin, student, x, **experience):
    """The strategy before its loss is taken, with what a plugin knows of the teacher already loaded."""
    strategy = SimpleNamespace(
        model=student,
        mb_x=x,
        loss=torch.zeros(()),
        loss_terms={},
        _criterion=dice_ce,
        train_mb_size=1,
        device=torch.device("cpu"),
        experience=SimpleNamespace(current_experience=1, **experience),
    )
    plugin.before_training_exp(strategy)
    plugin.before_forward(strategy)
    strategy.mb_output = student(x)
    plugin.after_forward(strategy)
    return strategy


class Answered(SupervisedPlugin):
    """Output, teacher's answer, mask and terms of every step that has a teacher; stands behind the plugin."""

    def __init__(self, taught):
        super().__init__()
        self.taught, self.steps = taught, []

    def before_backward(self, strategy, **_):
        if self.taught.answers:
            terms = {name: value.item() for name, value in strategy.loss_terms.items()}
            output = strategy.mb_output.detach().double()
            self.steps.append((output, self.taught.answers[0].double(), strategy.mb_y, terms, strategy.loss.item()))


def test_mib_with_new_classes_charges_what_its_formulas_say_of_the_probabilities(class_benchmark):
    taught = MiB(weight=0.7, alpha=2.0)
    answered = Answered(taught)
    train(class_benchmark, {"mib": taught, "answered": answered})
    assert [answer.shape[1] for _, answer, *_ in answered.steps] == [2] * 3 + [3] * 3
    for output, answer, y, terms, loss in answered.steps:
        p, q, known = output.softmax(1), answer.softmax(1) ** 2, answer.shape[1]
        wanted = q / q.sum(1, keepdim=True)
        of_new = p[:, known:]  # one new class in each task
        seen_as_background = 1 - of_new.sum(1)
        ce = -torch.where(y == 0, seen_as_background, of_new[:, 0]).log().mean()
        learned = torch.cat([p[:, :1] + of_new, p[:, 1:known]], 1)
        divergence = (wanted * (wanted / learned).log()).sum(1).mean()
        expected = {"ce": ce, "dice": soft_dice(of_new, one_hot(y, [known])), "mib": 0.7 * divergence}
        assert terms == pytest.approx({name: value.item() for name, value in expected.items()}, rel=1e-4)
        assert loss == pytest.approx(sum(expected.values()).item(), rel=1e-4)


def unit(values):
    return [value / hypot(*values) for value in values]


# Two levels of one channel, a picture of four voxels: the teacher passes it on, the student adds 1 and takes 2.
PICTURE = torch.tensor([[[[1.0, 2.0], [3.0, 4.0]]]])
# Means of the squares along each axis: of 1 2 / 3 4 for the teacher, of 2 3 / 4 5 and then 0 1 / 2 3 for the student.
TEACHER, FIRST, SECOND = [2.5, 12.5, 5.0, 10.0], [6.5, 20.5, 10.0, 17.0], [0.5, 6.5, 2.0, 5.0]
FIRST_LEVEL, SECOND_LEVEL = dist(unit(TEACHER), unit(FIRST)), dist(unit(TEACHER), unit(SECOND))


def two_levels(biases, classes=1):
    network = nn.Sequential(nn.Conv2d(1, 1, 1), nn.Conv2d(1, classes, 1))
    for layer, bias in zip(network, biases, strict=True):
        nn.init.ones_(layer.weight)
        nn.init.constant_(layer.bias, bias)
    return network


def test_pod_charges_the_mean_distance_of_the_levels_worked_out_by_hand():
    taught = POD(weight=3.0, scales=1, taps="0, 1")
    taught.load_state_tensors(weights(two_levels([0.0, 0.0])))
    strategy = a_step_of(taught, two_levels([1.0, -2.0]), PICTURE)
    taught.before_backward(strategy)
    assert strategy.loss.item() == pytest.approx(3.0 * (FIRST_LEVEL + SECOND_LEVEL) / 2, rel=1e-5)
    assert strategy.loss_terms["pod"].item() == strategy.loss.item()


@pytest.mark.parametrize(("classes", "factor"), [(2, 1.0), (3, sqrt(3 / 1)), (6, sqrt(6 / 4))])
def test_plop_charges_the_distance_of_pod_more_where_few_of_the_classes_are_new(classes, factor):
    taught = PLOP(weight=3.0, scales=1, taps="0")
    teacher = {f"teacher/{name}": value for name, value in weights(two_levels([0.0, 0.0], classes=2)).items()}
    taught.load_state_tensors({**teacher, "thresholds": torch.ones(2)})
    strategy = a_step_of(taught, two_levels([1.0, 0.0], classes), PICTURE)
    taught.before_backward(strategy)
    assert strategy.loss_terms["plop"].item() == pytest.approx(3.0 * factor * FIRST_LEVEL, rel=1e-5)


def reading(first, count):
    """A network that has some of the five channels of the image as its logits."""
    network = nn.Sequential(nn.Conv2d(5, count, 1, bias=False))
    network[0].weight.data = torch.eye(5)[first : first + count, :, None, None]
    return network


def image_of(ours, theirs):
    """An image (5, 1, N) in which a student of three classes and a teacher of two read these probabilities."""
    return torch.cat([torch.tensor(ours), torch.tensor([[1 - p, p] for p in theirs])], 1).log().T[:, None]


def entropy(p):
    return -(p * log2(p) + (1 - p) * log2(1 - p))


TAUGHT = {"teacher/0.weight": weights(reading(3, 2))["0.weight"]}
EVEN = [1 / 3, 1 / 3, 1 / 3]


@pytest.mark.parametrize(
    ("patches", "expected"),
    [
        # The first class has .1 .2 .3 .4, its median the lower; the second .6 .85 .97, as .99 is no background.
        ([([0.1, 0.2, 0.3, 0.97], [0, 0, 0, 0]), ([0.85, 0.4, 0.6, 0.99], [0, 0, 0, 2])], [0.2, 0.85]),
        # Sure voxels alone, or none: the least threshold.
        ([([1e-6, 1e-6, 1e-6, 1e-6], [0, 0, 0, 0])], None),
    ],
)
def test_plop_takes_the_median_entropy_of_background_voxels_for_each_class(patches, expected):
    taught = PLOP(taps="0", samples=len(patches))
    taught.load_state_tensors(TAUGHT)
    data = [(image_of([EVEN] * 4, theirs), torch.tensor([mask])) for theirs, mask in patches]
    a_step_of(taught, reading(0, 3), data[0][0][None], dataset=data)
    thresholds = [0.001, 0.001] if expected is None else [entropy(p) for p in expected]
    assert taught.thresholds.tolist() == pytest.approx(thresholds, rel=1e-5)


def test_of_large_patches_plop_takes_voxels_in_even_steps(monkeypatch):
    monkeypatch.setattr("clbench.strategies.plop.VOXELS_PER_PATCH", 2)
    taught = PLOP(taps="0", samples=1)
    taught.load_state_tensors(TAUGHT)
    data = [(image_of([EVEN] * 4, [0.1, 0.4, 0.7, 0.9]), torch.zeros(1, 4, dtype=torch.int64))]
    a_step_of(taught, reading(0, 3), data[0][0][None], dataset=data)
    assert taught.thresholds.tolist() == pytest.approx([entropy(0.1), entropy(0.7)], rel=1e-5)


def test_plop_learns_from_masks_whose_background_the_sure_teacher_filled_in():
    taught = PLOP(taps="0")
    taught.load_state_tensors({**TAUGHT, "thresholds": torch.tensor([entropy(0.2), entropy(0.9)])})
    ours = [[0.7, 0.2, 0.1], [0.1, 0.6, 0.3], [0.5, 0.3, 0.2], [0.2, 0.2, 0.6], [0.4, 0.4, 0.2]]
    x = image_of(ours, [0.1, 0.95, 0.3, 0.6, 0.88])[None]
    mask = torch.tensor([[[0, 0, 0, 2, 0]]])
    # Sure of the background, sure of the old class, unsure of the background, a new class, unsure of the old class.
    strategy = a_step_of(taught, reading(0, 3), x)
    terms = strategy._criterion(strategy.mb_output, mask)
    share = 2 / 4  # of the background has a label
    assert terms["ce"].item() == pytest.approx(-share * (log(0.7) + log(0.6) + log(0.6)) / 5, rel=1e-5)
    old, new = 2 * 0.6 / (0.2 + 0.6 + 0.2 + 1), 2 * 0.6 / (0.1 + 0.3 + 0.6 + 1)  # over the three labelled voxels
    assert terms["dice"].item() == pytest.approx(1 - (old + new) / 2, abs=1e-5)


def test_plop_without_new_classes_has_the_usual_loss():
    taught = PLOP(taps="0")
    taught.load_state_tensors({**TAUGHT, "thresholds": torch.ones(2)})
    x = image_of([EVEN] * 2, [0.3, 0.6])[None]
    mask = torch.tensor([[[0, 1]]])
    strategy = a_step_of(taught, reading(3, 2), x)
    expected = dice_plus_ce(torch.tensor([[0.7, 0.4], [0.3, 0.6]])[None, :, None].double(), mask)
    assert sum(strategy._criterion(strategy.mb_output, mask).values()).item() == pytest.approx(expected.item())
