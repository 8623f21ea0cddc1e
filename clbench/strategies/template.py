"""SegmentationStrategy: Avalanche's training loop with the recipe of medical segmentation."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from avalanche.logging import BaseLogger
from avalanche.training.plugins import EvaluationPlugin
from avalanche.training.templates import SupervisedTemplate
from torch import Tensor, nn

from clbench.data.loading import Batches, load
from clbench.data.patches import PatchDataset
from clbench.functional.losses import dice_ce
from clbench.networks.head import grow_head
from clbench.networks.unet import load_weights, weights
from clbench.precision import compile_options, forward_precision
from clbench.seeding import derive
from clbench.strategies.plugin import StrategyPlugin


class Recipe(Protocol):
    """The training values the template reads; ``clbench.config.Training`` has them."""

    @property
    def batch_size(self) -> int: ...  # noqa: D102

    @property
    def optimizer(self) -> str: ...  # noqa: D102

    @property
    def learning_rate(self) -> float: ...  # noqa: D102

    @property
    def momentum(self) -> float: ...  # noqa: D102

    @property
    def weight_decay(self) -> float: ...  # noqa: D102

    @property
    def poly_power(self) -> float: ...  # noqa: D102

    @property
    def gradient_clip(self) -> float: ...  # noqa: D102


@dataclass
class TrainingState:
    """Where training stands inside a task: what a checkpoint stores besides the task number.

    Attributes:
        step: steps done in the current task.
        tensors: network weights, optimizer buffers and plugin state by name.
    """

    step: int
    tensors: dict[str, Tensor] = field(default_factory=dict)


StepListener = Callable[["SegmentationStrategy"], None]


class SegmentationStrategy(SupervisedTemplate):  # type: ignore[misc]
    """Trains a segmentation network through a stream; continual-learning methods come as plugins.

    Over Avalanche's template it adds: stateless patches loaded from any step, a fresh optimizer and polynomial decay
    per task, Dice + cross-entropy with deep supervision, autocast, gradient clipping, a head that grows with the
    labels, and state that can be saved after any step.

    Args:
        network: the network, on any device.
        fresh_network: ``classes -> network`` with the initial weights of this seed, for ``reset_network``.
        recipe: training values.
        seed: the run's seed; the global torch stream is reseeded from (seed, task, step) at every step, so that code
            that draws from it (dropout, third-party plugins) also resumes exactly.
        device: where to train.
        precision: ``float32`` or ``bfloat16`` (autocast of the forward pass; losses stay in float32).
        plugins: name -> plugin, in the order their hooks run.
        workers: loader processes; 0 loads in this process. Results do not depend on it.
        compiled: train through ``torch.compile``; results move by float noise.
        on_step: called after every step.
    """

    def __init__(
        self,
        *,
        network: nn.Module,
        fresh_network: Callable[[int], nn.Module],
        recipe: Recipe,
        seed: int,
        device: torch.device,
        precision: str,
        plugins: Mapping[str, Any],
        workers: int = 0,
        compiled: bool = False,
        on_step: StepListener | None = None,
    ) -> None:
        self.recipe, self.seed, self.precision = recipe, seed, precision
        self.workers, self.compiled = workers, compiled
        self.fresh_network, self.named_plugins, self.on_step = fresh_network, dict(plugins), on_step
        self.loss_terms: dict[str, Tensor] = {}
        self.patches: PatchDataset
        self.resume_from: TrainingState | None = None
        self._compiled_forward: Callable[[Tensor], Any]
        super().__init__(
            model=network.to(device),
            optimizer=_optimizer(network, recipe),
            criterion=dice_ce,
            train_mb_size=recipe.batch_size,
            device=device,
            plugins=list(plugins.values()),
            evaluator=EvaluationPlugin(loggers=[BaseLogger()]),  # clbench scores whole volumes by itself
        )

    @property
    def step(self) -> int:
        """Steps done in the current task."""
        return int(self.clock.train_exp_iterations)

    @property
    def steps(self) -> int:
        """Steps of the current task."""
        return len(self.patches) // int(self.recipe.batch_size)

    @property
    def learning_rate(self) -> float:
        """Of the coming step: polynomial decay within the task."""
        return float(self.recipe.learning_rate * (1 - self.step / self.steps) ** self.recipe.poly_power)

    @property
    def learning_rate_used(self) -> float:
        """Of the step just done."""
        return float(self.optimizer.param_groups[0]["lr"])

    def train_task(self, experience: Any, resume_from: TrainingState | None = None) -> None:
        """Train one experience, from a saved state if one is given; no Avalanche evaluation."""
        self.resume_from = resume_from
        self.train(experience, eval_streams=[])

    # What Avalanche calls, in this order.

    def train_dataset_adaptation(self, **kwargs: Any) -> None:
        """Take the experience's patches; plugins may swap ``self.patches`` afterwards."""
        super().train_dataset_adaptation(**kwargs)
        self.patches = self.experience.patches

    def make_train_dataloader(self, **_: Any) -> None:
        """Batches in step order from the first step that is still to do."""
        first = 0 if self.resume_from is None else self.resume_from.step
        batches = Batches(self.patches, int(self.recipe.batch_size), first)
        self.dataloader = load(batches, self.workers, self.device)

    def model_adaptation(self, model: nn.Module | None = None) -> nn.Module:
        """Grow the network to what the experience needs."""
        return self.grown(self.model if model is None else model, self.experience)

    def grown(self, network: nn.Module, experience: Any) -> nn.Module:
        """A network with what the plugins add for an experience, and heads for the labels seen so far."""
        for plugin in self.stateful_plugins().values():
            network = plugin.grow(network, experience, self.fresh_network)
        grow_head(network, experience.classes, derive(self.seed, "head", experience.classes))
        return network.to(self.device)

    def make_optimizer(self, **_: Any) -> None:
        """A fresh optimizer for every task."""
        self.optimizer = _optimizer(self.model, self.recipe)

    def _before_training_epoch(self, **kwargs: Any) -> None:
        if self.resume_from is not None:
            self.load_state(self.resume_from)
            self.resume_from = None
        if self.compiled:
            # Anew for each task: heads grow, and feature taps come and go, which a compiled network does not notice.
            torch.compiler.reset()
            self._compiled_forward = torch.compile(self.model, options=compile_options(self.device, self.precision))
        super()._before_training_epoch(**kwargs)

    def _before_training_iteration(self, **kwargs: Any) -> None:
        torch.manual_seed(derive(self.seed, "step", self.experience.index, self.step))
        for group in self.optimizer.param_groups:
            group["lr"] = self.learning_rate
        self.loss_terms = {}
        super()._before_training_iteration(**kwargs)

    def forward(self) -> Any:
        """Logits of the mini-batch under autocast; a list of them with deep supervision."""
        with forward_precision(self.device, self.precision):
            return self._compiled_forward(self.mb_x) if self.compiled else super().forward()

    def criterion(self) -> Tensor:
        """Dice + cross-entropy in float32; its terms are kept for the log."""
        terms = self._criterion(self.mb_output, self.mb_y)
        self.loss_terms.update({name: value.detach() for name, value in terms.items()})
        total: Tensor = sum(terms.values())
        return total

    def optimizer_step(self) -> None:
        """Clip the gradient, then step."""
        if self.recipe.gradient_clip:
            nn.utils.clip_grad_norm_(self.model.parameters(), self.recipe.gradient_clip)
        super().optimizer_step()

    def _after_training_iteration(self, **kwargs: Any) -> None:
        super()._after_training_iteration(**kwargs)
        if self.on_step is not None:
            self.on_step(self)

    # State.

    def reset_network(self) -> None:
        """Put the initial weights of this seed back."""
        load_weights(self.model, weights(self.fresh_network(self.experience.classes)))

    def save_state(self, *, optimizer: bool = True) -> TrainingState:
        """A copy of all state on the CPU, as a checkpoint stores it.

        Args:
            optimizer: False leaves the optimizer's buffers out, which the next task starts without.
        """
        tensors = {f"network/{name}": value for name, value in weights(self.model).items()}
        for name, value in _optimizer_tensors(self.optimizer).items() if optimizer else ():
            tensors[f"optimizer/{name}"] = value
        for plugin_name, plugin in self.stateful_plugins().items():
            tensors.update({f"plugin/{plugin_name}/{name}": value for name, value in plugin.state_tensors().items()})
        return TrainingState(self.step, {name: value.detach().cpu().clone() for name, value in tensors.items()})

    def load_state(self, state: TrainingState) -> None:
        """Restore what ``save_state`` gave, in a network whose head already has its size."""
        load_weights(self.model, under(state.tensors, "network/"))
        buffers = under(state.tensors, "optimizer/")
        if buffers:
            _load_optimizer(self.optimizer, buffers)
        for name, plugin in self.stateful_plugins().items():
            kept = under(state.tensors, f"plugin/{name}/")
            plugin.load_state_tensors({key: value.to(self.device) for key, value in kept.items()})
        self.clock.train_exp_iterations = state.step

    def stateful_plugins(self) -> dict[str, StrategyPlugin]:
        """The plugins that are clbench's own, by name; others keep their state to themselves."""
        return {name: plugin for name, plugin in self.named_plugins.items() if isinstance(plugin, StrategyPlugin)}


def under(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """The tensors whose names begin with a prefix, which is taken off."""
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def _optimizer(network: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    parameters = list(network.parameters())
    if recipe.optimizer == "adamw":
        return torch.optim.AdamW(
            parameters,
            recipe.learning_rate,
            betas=(recipe.momentum, 0.999),
            weight_decay=recipe.weight_decay,
            fused=True,
        )
    return torch.optim.SGD(
        parameters,
        recipe.learning_rate,
        momentum=recipe.momentum,
        nesterov=recipe.momentum > 0,
        weight_decay=recipe.weight_decay,
        fused=True,
    )


def _optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, Tensor]:
    """Optimizer buffers as ``position/name``; positions follow the network's parameter order."""
    state = optimizer.state_dict()["state"]
    return {
        f"{position}/{name}": value
        for position, buffers in state.items()
        for name, value in buffers.items()
        if isinstance(value, Tensor)
    }


def _load_optimizer(optimizer: torch.optim.Optimizer, tensors: Mapping[str, Tensor]) -> None:
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in tensors.items():
        position, name = key.split("/")
        state.setdefault(int(position), {})[name] = value
    optimizer.load_state_dict({"state": state, "param_groups": optimizer.state_dict()["param_groups"]})
