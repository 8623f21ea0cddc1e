"""Strategies: how a model learns a stream. One file each; the registry imports them lazily."""

from __future__ import annotations

from clbench.strategies.spec import StrategySpec

STRATEGIES: dict[str, StrategySpec] = {
    "naive": StrategySpec("fine-tuning on task after task; forgets", reference=True),
    "joint": StrategySpec("one training on all tasks at once; the upper bound", regime="joint", reference=True),
    "cumulative": StrategySpec(
        "each stage trains on all tasks so far", plugin="clbench.strategies.cumulative:Cumulative", reference=True
    ),
    "single": StrategySpec(
        "a fresh network for each task; what a task alone can give",
        plugin="clbench.strategies.single:Single",
        regime="single",
        reference=True,
    ),
    "ewc": StrategySpec(
        "elastic weight consolidation: Fisher-weighted pull to earlier weights",
        plugin="clbench.strategies.ewc:EWC",
        penalty="weight",
        needs_past=True,
    ),
    "segreg": StrategySpec(
        "SIGReg on U-Net feature maps: latent features pulled to an isotropic Gaussian",
        plugin="clbench.strategies.segreg:SegReg",
        penalty="weight",
        family="latent",
    ),
    "replay": StrategySpec(
        "patches of remembered cases join every batch",
        plugin="clbench.strategies.replay:Replay",
        needs_past=True,
        family="rehearsal",
    ),
}
