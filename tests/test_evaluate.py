"""Evaluation on whole volumes, with networks whose answers are known."""

import nibabel
import numpy as np
import pytest
import torch
from torch import nn

from clbench.data.case import Case
from clbench.data.plan import Plan
from clbench.data.prepare import prepare_cases
from clbench.evaluate import Inference, evaluate, scored_tasks
from clbench.streams.stream import Stream, Task

CPU = torch.device("cpu")


class Threshold(nn.Module):
    """Calls everything brighter than the mean foreground."""

    def __init__(self, sign=1.0):
        super().__init__()
        self.sign, self.calls, self.windows = sign, 0, 0

    def forward(self, x):
        assert not self.training
        self.calls, self.windows = self.calls + 1, self.windows + len(x)
        return torch.cat([-self.sign * x, self.sign * x], dim=1) * 10


def write_case(folder, name, shape, affine, empty=False):
    mask = np.zeros(shape, np.uint8)
    if not empty:
        mask[shape[0] // 4 : shape[0] // 2, shape[1] // 3 : shape[1] // 2, 1:-1] = 1
    image = 100.0 * mask + (np.indices(shape).sum(0) % 2 if empty else 0)
    for suffix, array in (("", image.astype(np.float32)), ("_gt", mask)):
        nibabel.save(nibabel.Nifti1Image(array, affine), folder / f"{name}{suffix}.nii.gz")
    return Case(name, name, (folder / f"{name}.nii.gz",), folder / f"{name}_gt.nii.gz", {1: 1})


def stream_of(cases, plan, kind="domain"):
    tasks = (Task(1, "a", (1,), (), tuple(cases[:1]), tuple(cases[1:])),)
    return Stream("toy", 1, kind, {"organ": 1}, tasks, {"default": plan})


def rows_of(folder, shapes, plan, network, affine=None, **fields):
    grid = np.diag([1.0, 1.0, 1.0, 1.0]) if affine is None else affine
    cases = [write_case(folder, f"case{number}", shape, grid) for number, shape in enumerate(shapes)]
    stream = stream_of(cases, plan)
    inference = Inference(plan, 0.5, CPU, "float32")
    prepared = prepare_cases(cases, plan, folder / "cache")
    return list(evaluate(network, stream, prepared, inference, after_task=1, tasks=stream.tasks, **fields))


def dice_of(rows):
    return [row for row in rows if row.metric == "dice"]


PLANS = {
    "2d": Plan(2, (0.0, 0.0, 0.0), (16, 16)),
    "3d": Plan(3, (0.0, 0.0, 0.0), (16, 16, 16)),
}


@pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
@pytest.mark.parametrize("shape", [(16, 16, 16), (40, 33, 20), (9, 12, 5)], ids=str)
def test_a_perfect_network_scores_one_on_volumes_of_any_size(tmp_path, plan, shape):
    rows = rows_of(tmp_path, [shape, shape], plan, Threshold().train())
    perfect = {"dice": 1.0, "hd95_mm": 0.0, "assd_mm": 0.0, "nsd_2mm": 1.0}
    assert [(row.split, row.label, row.metric, row.value) for row in rows] == [
        (split, "organ", metric, value) for split in ("val", "test") for metric, value in perfect.items()
    ]


def test_an_inverted_network_scores_zero(tmp_path):
    rows = dice_of(rows_of(tmp_path, [(16, 16, 4)] * 2, PLANS["2d"], Threshold(-1.0)))
    assert [row.value for row in rows] == [0.0, 0.0]


def test_the_score_is_taken_on_the_native_grid(tmp_path):
    kept = []
    plan = Plan(2, (1.0, 1.0, 0.0), (16, 16))
    affine = np.diag([-0.5, 0.5, 3.0, 1.0])  # other spacing and a flipped axis
    rows = rows_of(
        tmp_path,
        [(64, 48, 6)] * 2,
        plan,
        Threshold(),
        affine,
        keep=lambda case, labels, raw, task: kept.append((labels, raw)),
    )
    ((labels, raw),) = kept  # test cases only
    assert labels.shape == raw.mask.shape == (64, 48, 6)
    assert labels.dtype == np.uint8
    overlap = 2 * (labels & raw.mask).sum() / (labels.sum() + raw.mask.sum())
    assert dice_of(rows)[-1].value == pytest.approx(overlap, abs=1e-12)
    assert overlap > 0.8


def test_an_empty_truth_is_not_counted_when_the_prediction_is_empty_and_zero_otherwise(tmp_path):
    case = write_case(tmp_path, "empty", (16, 16, 4), np.eye(4), empty=True)
    plan = PLANS["2d"]
    stream, prepared = stream_of([case, case], plan), prepare_cases([case], plan, tmp_path / "cache")
    inference = Inference(plan, 0.5, CPU, "float32")

    class Nothing(nn.Module):
        def forward(self, x):
            return torch.cat([x * 0 + 1, x * 0], dim=1)

    rows = evaluate(Nothing(), stream, prepared, inference, after_task=0, tasks=stream.tasks)
    assert all(np.isnan(row.value) for row in rows)
    rows = list(evaluate(Threshold(), stream, prepared, inference, after_task=0, tasks=stream.tasks))
    worst = {
        "dice": 0.0,
        "nsd_2mm": 0.0,
        "hd95_mm": np.hypot(16, np.hypot(16, 4)),
        "assd_mm": np.hypot(16, np.hypot(16, 4)),
    }
    assert all(row.value == pytest.approx(worst[row.metric]) for row in rows)
    assert {row.metric for row in rows} == set(worst)


def test_each_case_is_predicted_once_however_many_tasks_share_it(tmp_path):
    case = write_case(tmp_path, "shared", (16, 16, 4), np.eye(4))
    tasks = tuple(Task(index, f"t{index}", (1,), (), (), (case,)) for index in (1, 2))
    stream = Stream("toy", 1, "domain", {"organ": 1}, tasks, {"default": PLANS["2d"]})
    network = Threshold()
    prepared = prepare_cases([case], PLANS["2d"], tmp_path / "cache")
    inference = Inference(PLANS["2d"], 0.5, CPU, "float32")
    rows = list(evaluate(network, stream, prepared, inference, after_task=2, tasks=tasks))
    assert [row.on_task for row in dice_of(rows)] == [1, 2]
    assert network.windows == 4


def test_the_training_mode_is_put_back(tmp_path):
    network = Threshold().train()
    rows_of(tmp_path, [(16, 16, 4)] * 2, PLANS["2d"], network)
    assert network.training


def tasks_scored(kind, after_task, *, alone=False):
    tasks = tuple(Task(index, f"t{index}", (index,), (), (), ()) for index in (1, 2, 3))
    stream = Stream("toy", 1, kind, {"a": 1, "b": 2, "c": 3}, tasks, {"default": PLANS["2d"]})
    return [task.index for task in scored_tasks(stream, after_task, alone=alone)]


def test_a_domain_stream_scores_all_tasks_always():
    assert [tasks_scored("domain", after) for after in (0, 1, 3)] == [[1, 2, 3]] * 3


def test_a_class_stream_scores_what_was_taught():
    assert [tasks_scored("class", after) for after in (0, 1, 2, 3)] == [[], [1], [1, 2], [1, 2, 3]]
    assert tasks_scored("class", 2, alone=True) == [2]
