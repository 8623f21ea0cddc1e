"""Assembly: from a configuration and a stream to the parts of a run."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import asdict

import torch
from torch import nn

from clbench.config import Experiment, RunConfig
from clbench.data.plan import Plan
from clbench.device import resolve_precision
from clbench.errors import unknown
from clbench.networks import NETWORKS, build_network
from clbench.networks.head import grow_head
from clbench.seeding import derive
from clbench.strategies.compose import build_plugins, with_revisions
from clbench.strategies.template import SegmentationStrategy, StepListener
from clbench.streams.card import card_text
from clbench.streams.stream import Stream


def resolve(config: RunConfig, stream: Stream, device: torch.device) -> Experiment:
    """Everything the result depends on, with nothing left to choose.

    Raises:
        InputError: no such network.
    """
    if config.network not in NETWORKS:
        raise unknown("network", config.network, NETWORKS)
    plan = stream.plan(config.preset)
    return Experiment(
        stream=stream.key,
        card=hashlib.sha256(card_text(config.stream).encode()).hexdigest(),
        strategy=config.strategy,
        options=with_revisions(config.options),
        seed=config.seed,
        preset=config.preset,
        training=config.training_for(plan.dims),
        plan=asdict(plan),
        network=config.network,
        precision=resolve_precision(config.precision, device),
        compile=config.compile,
    )


def network_factory(experiment: Experiment, stream: Stream, plan: Plan, channels: int) -> Callable[[int], nn.Module]:
    """``classes -> network`` with this seed's initial weights.

    The head starts with the labels known before training (all labels of a domain stream, those of the first task
    otherwise) and grows in the stream's increments, so that its rows are those a run would have grown.
    """
    sizes = [1 + max(stream.labels_seen(task.index)) for task in stream.tasks]
    training = experiment.training

    def build(classes: int) -> nn.Module:
        network: nn.Module = build_network(
            experiment.network,
            plan=plan,
            in_channels=channels,
            classes=sizes[0],
            base_features=training.base_features,
            max_features=training.max_features,
            deep_supervision=training.deep_supervision,
            seed=derive(experiment.seed, "network"),
        )
        for size in sizes:
            if sizes[0] < size <= classes:
                grow_head(network, size, derive(experiment.seed, "head", size))
        return network

    return build


def build_strategy(
    experiment: Experiment,
    factory: Callable[[int], nn.Module],
    first_classes: int,
    *,
    device: torch.device,
    workers: int,
    on_step: StepListener,
) -> SegmentationStrategy:
    """The Avalanche strategy of an experiment with its plugins, on a network with its initial weights."""
    return SegmentationStrategy(
        network=factory(first_classes),
        fresh_network=factory,
        recipe=experiment.training,
        seed=experiment.seed,
        device=device,
        precision=experiment.precision,
        plugins=build_plugins(experiment.options, experiment.seed),
        workers=workers,
        compiled=experiment.compile,
        on_step=on_step,
    )
