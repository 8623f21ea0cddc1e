"""A tiny benchmark of three tasks and a network for it, to use strategies and plugins without the command line."""

from types import SimpleNamespace

import pytest
import torch

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
def network_named(domain_benchmark):
    """``name -> network`` for the tiny benchmark."""

    def build(name):
        plan = domain_benchmark.train_stream[0].patches.sampler.plan
        return build_network(
            name, plan=plan, in_channels=1, classes=4, base_features=4, max_features=8, deep_supervision=False, seed=0
        )

    return build


@pytest.fixture
def network(network_named):
    return network_named("unet")


@pytest.fixture
def step_of(network):
    """``(plugin, task, step) -> strategy, features`` of one forward pass, with the plugin's terms as the loss."""
    unet = network

    def run(plugin, task=1, step=0, precision=torch.float32, steps=10, images=None, network=unet):
        strategy = SimpleNamespace(
            model=network,
            experience=SimpleNamespace(current_experience=task - 1),
            clock=SimpleNamespace(train_exp_iterations=step),
            steps=steps,
            loss=torch.zeros(()),
            loss_terms={},
        )
        plugin.before_training_exp(strategy)
        x = torch.randn(2, 1, 16, 16, generator=torch.Generator().manual_seed(1)) if images is None else images
        plugin.before_forward(strategy)
        with torch.autocast("cpu", precision, enabled=precision != torch.float32):
            network(x)
        plugin.after_forward(strategy)
        with torch.no_grad():
            network(x + 1.0)  # somebody else's pass, which must not count
        plugin.before_backward(strategy)
        features = dict(plugin.features)
        plugin.after_training_exp(strategy)
        return strategy, features

    return run
