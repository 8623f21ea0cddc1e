"""The whole experiment: a configuration becomes a finished run folder."""

from __future__ import annotations

from pathlib import Path

from clbench.assembly import build_strategy, network_factory, resolve, stream_record
from clbench.bookkeeping import Bookkeeper
from clbench.config import Experiment, RunConfig
from clbench.data.prepare import prepare_cases
from clbench.device import resolve_device, use_deterministic_kernels, use_threads
from clbench.evaluate import Inference
from clbench.provenance import collect
from clbench.reporter import Reporter, SilentReporter
from clbench.runfolder import RunFolder
from clbench.stopping import StopRequest, stop_on_signals
from clbench.strategies.compose import parse_strategy, regime_of
from clbench.streams.benchmark import Sampling, make_benchmark
from clbench.streams.load import cache_root, load_stream
from clbench.streams.stream import Stream


def run_config(config: RunConfig, reporter: Reporter | None = None) -> Path:
    """Train a strategy through a stream and score every task after every task.

    A complete run is left as it is; an incomplete one goes on from its last checkpoint.

    Args:
        config: what to run.
        reporter: told where the run is.

    Returns:
        The run folder, complete.

    Raises:
        InputError: data, card or folder do not fit.
        RunError: training failed, or another process writes the folder.
        KeyboardInterrupt: stopped by a signal, after a checkpoint.
    """
    reporter = reporter or SilentReporter()
    try:
        device = resolve_device(config.device)
        use_threads(config.threads)
        use_deterministic_kernels(device)
        reporter.stage(f"reading the data of {config.stream}")
        stream = load_stream(config.stream, data=config.data, phantom=config.phantom)
        experiment = resolve(config, stream, device)
        with _open(config, experiment, stream, str(device)) as folder:
            if folder.status == "complete":
                reporter.stage(f"{folder.path} is complete; nothing to do")
            else:
                with stop_on_signals() as stop:
                    _carry_out(config, experiment, stream, folder, reporter, stop)
            return folder.path
    finally:
        reporter.done()


def _open(config: RunConfig, experiment: Experiment, stream: Stream, device: str) -> RunFolder:
    given = config.model_dump(mode="json", exclude={"data", "out"})
    return RunFolder.create_or_resume(
        config.out,
        strategy=config.strategy,
        seed=config.seed,
        regime=regime_of(parse_strategy(config.strategy)),
        config_given={**given, "stream": Path(config.stream).name},
        config_resolved=experiment.model_dump(mode="json"),
        config_hash=experiment.hash,
        stream=stream_record(stream),
        provenance=collect(device),
    )


def _carry_out(
    config: RunConfig, experiment: Experiment, stream: Stream, folder: RunFolder, reporter: Reporter, stop: StopRequest
) -> None:
    device = resolve_device(config.device)
    plan, training = stream.plan(config.preset), experiment.training
    regime = regime_of(parse_strategy(config.strategy))
    reporter.stage(f"preparing {len(stream.cases)} cases")
    prepared = prepare_cases(stream.cases, plan, cache_root(), workers=config.workers)
    sampling = Sampling(plan, config.seed, training.steps, training.batch_size, augment=training.augment)
    experiences = make_benchmark(stream, prepared, sampling, joint=regime == "joint").train_stream
    inference = Inference(plan, training.overlap, device, experiment.precision)
    channels = prepared[stream.cases[0].case_id].image.shape[0]
    books = Bookkeeper(config, stream, prepared, inference, folder, reporter, regime, stop)
    strategy = build_strategy(
        experiment,
        network_factory(experiment, stream, plan, channels),
        experiences[0].classes,
        device=device,
        workers=config.workers,
        on_step=books.after_step,
    )
    position = books.restore(strategy, experiences)
    if position.nothing_done:
        books.score(strategy, 0)
    for experience in experiences[position.tasks_scored :]:
        if not position.trained(experience.index):
            with books.training(experience):
                strategy.train_task(experience, position.resume_in(experience.index))
            books.after_training(strategy, experience)
        books.score(strategy, experience.index)
    books.finish()
