"""The phantom is worth running on: sites differ, and training helps."""

import pytest

from clbench.assembly import build_strategy, network_factory, resolve
from clbench.config import make_config
from clbench.continual import score_matrix
from clbench.data.prepare import prepare_cases
from clbench.device import resolve_device
from clbench.evaluate import Inference, evaluate
from clbench.streams.benchmark import Sampling, make_benchmark
from clbench.streams.load import load_stream

STREAMS = ["prostate-sites", "cardiac-vendors", "hippocampus-sites"]
SHORT, LONG = 30, 150


def scores_after_first_task(stream, prepared, steps):
    """Row 1 of R after ``steps`` steps on the first site."""
    settings = [f"training.steps={steps}"]
    config = make_config(stream=stream.name, strategy="naive", preset="smoke", phantom=True, settings=settings)
    device, plan = resolve_device("cpu"), stream.plan("smoke")
    experiment = resolve(config, stream, device)
    training = experiment.training
    sampling = Sampling(plan, config.seed, training.steps, training.batch_size, augment=training.augment)
    first = make_benchmark(stream, prepared, sampling).train_stream[0]
    factory = network_factory(experiment, stream, plan, channels=1)
    strategy = build_strategy(
        experiment, factory, first.classes, device=device, workers=0, on_step=lambda strategy: None
    )
    strategy.train_task(first)
    inference = Inference(plan, training.overlap, device, experiment.precision)
    rows = evaluate(strategy.model, stream, prepared, inference, after_task=1, tasks=stream.tasks)
    labels = [tuple(stream.labels)] * len(stream.tasks)
    return score_matrix(list(rows), labels, "domain").scores[1]


@pytest.mark.slow
@pytest.mark.parametrize("name", STREAMS)
def test_a_network_trained_on_one_site_is_worse_on_others_and_longer_training_helps(name, tmp_path, monkeypatch):
    monkeypatch.setenv("CLBENCH_CACHE", str(tmp_path))
    stream = load_stream(name, phantom=True)
    prepared = prepare_cases(stream.cases, stream.plan("smoke"), tmp_path)
    short, long = (scores_after_first_task(stream, prepared, steps) for steps in (SHORT, LONG))
    assert long[0] > short[0]
    assert long[0] > 0.6
    assert min(long[1:]) < long[0] - 0.2
