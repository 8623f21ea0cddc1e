"""The whole experiment: a configuration becomes a finished run folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from clbench.allocator import keep_freed_memory
from clbench.assembly import build_strategy, network_factory, resolve
from clbench.bookkeeping import Bookkeeper
from clbench.config import Experiment, RunConfig
from clbench.data.layouts.patients import WARNING
from clbench.data.nifti import channel_count
from clbench.data.prepare import Prepared, prepare_cases
from clbench.device import device_name, resolve_device, use_deterministic_kernels, use_threads, workers_for
from clbench.errors import check_out
from clbench.evaluate import Inference
from clbench.failure import NotFiniteError
from clbench.naming import Naming, salted
from clbench.provenance import collect
from clbench.recording import stream_record
from clbench.reporter import Reporter, SilentReporter
from clbench.runfolder import RunFolder, read_run
from clbench.stopping import StopRequest, stop_at_once_on_signals, stop_on_signals
from clbench.strategies.compose import build_plugins, parse_strategy, regime_of
from clbench.streams.benchmark import Sampling, make_benchmark, require_labels
from clbench.streams.load import cache_root, load_stream
from clbench.streams.soundness import every_problem_told, sound_stream
from clbench.streams.stream import Stream
from clbench.wording import counted

PREDICTIONS = ("none", "final", "all")
"""Choices of ``--predictions``, each with all label maps of the one before."""


def run_config(config: RunConfig, reporter: Reporter | None = None) -> Path:
    """Train a strategy through a stream and score every task after every task.

    A complete run is left as it is; an incomplete one goes on from its last checkpoint.

    Args:
        config: what to run.
        reporter: told where the run is.

    Returns:
        The run folder, complete.

    Raises:
        InputError: data, card or folder do not fit; found before anything is written but whole cache entries.
        RunError: training failed, or another process writes the folder.
        KeyboardInterrupt: stopped by a signal, after a checkpoint.
    """
    reporter = reporter or SilentReporter()
    try:
        with stop_at_once_on_signals():
            return _run(config, reporter)
    finally:
        reporter.done()


def _run(config: RunConfig, reporter: Reporter) -> Path:
    check_out(config.out)
    device = resolve_device(config.device)
    use_threads(config.threads)
    keep_freed_memory()
    use_deterministic_kernels(device)
    reporter.stage(f"reading the data of {config.stream}")
    with every_problem_told(cache_root()):
        stream = load_stream(config.stream, data=config.data, phantom=config.phantom, order=config.order)
    stream = sound_stream(stream, cache_root(), exclude_bad=config.exclude_bad)
    for trap in (trap for trap in stream.traps if trap.action.startswith(WARNING)):
        reporter.warn(trap.action.removeprefix(WARNING))
    for case_id, reason in stream.excluded.items():
        reporter.warn(f"case {case_id} is left out: {reason}")
    experiment = resolve(config, stream, device)
    identity = _identity(experiment, stream, salted() if config.anonymize else Naming())
    path, status = RunFolder.look(config.out, **identity)
    if status == "complete":
        _tell_of_predictions(path, config.predictions, reporter)
        reporter.stage(f"{path} is complete; nothing to do")
        return path
    prepared = _prepare(config, experiment, stream, reporter)
    with _open(config, identity, device_name(device)) as folder:
        if folder.status != "complete":  # another process may have been faster
            with stop_on_signals() as stop:
                parts = (config, experiment, stream, prepared, folder, reporter, stop)
                try:
                    _carry_out(*parts)
                except NotFiniteError as failure:
                    reporter.stage(f"going back to keep the state before step {failure.step} of task {failure.task}")
                    _carry_out(*parts, watch=failure)
        return folder.path


def _tell_of_predictions(path: Path, wanted: str, reporter: Reporter) -> None:
    """Say so when a complete run kept fewer label maps than are asked for now; they are no part of its identity."""
    kept = str(read_run(path).config_given.get("predictions", "none"))
    if kept in PREDICTIONS and PREDICTIONS.index(kept) < PREDICTIONS.index(wanted):
        reporter.warn(
            f"{path} was run with --predictions {kept} and has no more than that; "
            f"for --predictions {wanted} remove that folder or choose another --out"
        )


def _prepare(config: RunConfig, experiment: Experiment, stream: Stream, reporter: Reporter) -> Mapping[str, Prepared]:
    """The prepared cases; what is wrong with network, options or data is found here, before there is a run folder."""
    plan = stream.plan(config.preset)
    network = network_factory(experiment, stream, plan, channel_count(stream.cases[0]))(0)
    for plugin in build_plugins(experiment.options, experiment.seed).values():
        plugin.check(network)
    reporter.stage(f"preparing {counted(len(stream.cases), 'case')}")
    prepared = prepare_cases(
        stream.cases, plan, cache_root(), workers=workers_for(config.workers, resolve_device(config.device))
    )
    require_labels(stream, prepared)
    return prepared


def _identity(experiment: Experiment, stream: Stream, naming: Naming) -> dict[str, Any]:
    """What tells one run folder from another."""
    return {
        "strategy": experiment.strategy,
        "seed": experiment.seed,
        "config_resolved": experiment.model_dump(mode="json"),
        "config_hash": experiment.hash,
        "stream": stream_record(stream, naming),
    }


def _open(config: RunConfig, identity: Mapping[str, Any], device: str) -> RunFolder:
    given = config.model_dump(mode="json", exclude={"data", "out"})
    return RunFolder.create_or_resume(
        config.out,
        **identity,
        regime=regime_of(parse_strategy(config.strategy)),
        config_given={**given, "stream": Path(config.stream).name},
        provenance=collect(device),
    )


def _carry_out(
    config: RunConfig,
    experiment: Experiment,
    stream: Stream,
    prepared: Mapping[str, Prepared],
    folder: RunFolder,
    reporter: Reporter,
    stop: StopRequest,
    watch: NotFiniteError | None = None,
) -> None:
    device = resolve_device(config.device)
    plan, training = stream.plan(config.preset), experiment.training
    regime = regime_of(parse_strategy(config.strategy))
    sampling = Sampling(plan, config.seed, training.steps, training.batch_size, augment=training.augment)
    experiences = make_benchmark(stream, prepared, sampling, joint=regime == "joint").train_stream
    inference = Inference(plan, training.overlap, device, experiment.precision)
    channels = prepared[stream.cases[0].case_id].image.shape[0]
    books = Bookkeeper(config, stream, prepared, inference, folder, reporter, regime, stop, watch)
    strategy = build_strategy(
        experiment,
        network_factory(experiment, stream, plan, channels),
        experiences[0].classes,
        device=device,
        workers=workers_for(config.workers, device),
        on_step=books.after_step,
    )
    position = books.restore(strategy, experiences)
    if position.nothing_done:
        books.score(strategy, 0)
    for experience in experiences[position.tasks_scored :]:
        if not position.trained(experience.index):
            begun = position.resume_in(experience.index)
            with books.training(strategy, experience, begun):
                strategy.train_task(experience, begun)
            books.after_training(strategy, experience)
        books.score(strategy, experience.index)
    books.finish()
