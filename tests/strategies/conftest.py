"""A tiny benchmark of three tasks and a network for it, to use strategies and plugins without the command line."""

import pytest

from clbench.data.prepare import prepare_cases
from clbench.networks import build_network
from clbench.streams.benchmark import Sampling, make_benchmark
from clbench.streams.load import load_stream
from toy import write_class_stream, write_domain_stream

STEPS, BATCH = 3, 2


def _experiences(folder, write, **sampling):
    card = write(folder)
    stream = load_stream(str(card), data=folder)
    plan = stream.plan("default")
    prepared = prepare_cases(stream.cases, plan, folder / "cache")
    joint = sampling.pop("joint", False)
    return make_benchmark(stream, prepared, Sampling(plan, 0, STEPS, BATCH, **sampling), joint=joint)


@pytest.fixture(scope="session")
def domain_benchmark(tmp_path_factory):
    return _experiences(tmp_path_factory.mktemp("domain"), write_domain_stream)


@pytest.fixture(scope="session")
def class_benchmark(tmp_path_factory):
    return _experiences(tmp_path_factory.mktemp("class"), write_class_stream)


@pytest.fixture(scope="session")
def joint_class_benchmark(tmp_path_factory):
    return _experiences(tmp_path_factory.mktemp("joint"), write_class_stream, joint=True)


@pytest.fixture
def network(domain_benchmark):
    plan = domain_benchmark.train_stream[0].patches.sampler.plan
    return build_network(
        "unet", plan=plan, in_channels=1, classes=4, base_features=4, max_features=8, deep_supervision=False, seed=0
    )
