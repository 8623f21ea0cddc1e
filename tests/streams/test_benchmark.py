"""Streams as Avalanche benchmarks."""

import pytest
import torch

from clbench.data.prepare import prepare_cases
from clbench.streams.benchmark import Sampling, make_benchmark, merge_pools, training_pool
from clbench.streams.load import load_stream
from toy import write_class_stream, write_domain_stream


def load(folder, write):
    stream = load_stream(str(write(folder)), data=folder)
    prepared = prepare_cases(stream.cases, stream.plan("default"), folder / "cache")
    return stream, prepared, Sampling(stream.plan("default"), seed=0, steps=3, batch_size=2)


@pytest.fixture(scope="module")
def domain(tmp_path_factory):
    return load(tmp_path_factory.mktemp("domain"), write_domain_stream)


@pytest.fixture(scope="module")
def classes(tmp_path_factory):
    return load(tmp_path_factory.mktemp("class"), write_class_stream)


def cases_of(patches):
    return {entry.prepared.case.case_id for entry in patches.sampler.pool}


def test_one_experience_per_task_in_order(domain):
    train = make_benchmark(*domain).train_stream
    assert [(e.index, e.name, e.classes, e.current_experience) for e in train] == [
        (1, "site1", 4, 0),
        (2, "site2", 4, 1),
        (3, "site3", 4, 2),
    ]


def test_training_sees_training_cases_only(domain):
    stream = domain[0]
    for task, experience in zip(stream.tasks, make_benchmark(*domain).train_stream, strict=True):
        assert cases_of(experience.patches) == {case.case_id for case in task.train}


def test_patches_so_far_are_the_union_at_the_same_steps(domain):
    second = make_benchmark(*domain).train_stream[1]
    union = {case.case_id for task in domain[0].tasks[:2] for case in task.train}
    assert cases_of(second.patches_so_far()) == union
    assert len(second.patches_so_far()) == len(second.patches)


def test_joint_has_all_cases_and_the_budget_of_all_tasks(domain):
    (joint,) = make_benchmark(*domain, joint=True).train_stream
    assert cases_of(joint.patches) == {case.case_id for task in domain[0].tasks for case in task.train}
    assert len(joint.patches) == 3 * 3 * 2


def test_a_class_task_annotates_its_own_label_only(classes):
    for experience, label in zip(make_benchmark(*classes).train_stream, (1, 2, 3), strict=True):
        seen = torch.cat([experience.patches[i][1].flatten() for i in range(6)]).unique().tolist()
        assert set(seen) <= {0, label}
        assert label in seen
    assert [e.classes for e in make_benchmark(*classes).train_stream] == [2, 3, 4]


def test_joint_and_cumulative_annotate_all_labels_they_know(classes):
    stream, prepared, _ = classes
    pools = [training_pool(task, prepared) for task in stream.tasks]
    assert {entry.labels for entry in merge_pools(pools)} == {(1, 2, 3)}
    assert {entry.labels for entry in merge_pools(pools[:2])} == {(1, 2)}
    assert len(merge_pools(pools)) == len(pools[0])
