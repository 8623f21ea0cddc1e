"""EWC: elastic weight consolidation, one penalty per earlier task or one running penalty."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import Field
from torch import Tensor

from clbench.errors import InputError
from clbench.functional.fisher import fisher_diagonal
from clbench.functional.importance import accumulate
from clbench.functional.quadratic import Quadratic, merge_quadratics, quadratic
from clbench.seeding import derive, forked_rng, torch_generator
from clbench.strategies.anchored import trained_weights
from clbench.strategies.patches import training_patches
from clbench.strategies.plugin import StrategyPlugin, add_loss, task_index


class EWC(StrategyPlugin):
    """Elastic weight consolidation: the Fisher information says how much each weight mattered to a task.

    After each task the diagonal of the Fisher information is estimated on the task's own training patches, in
    evaluation mode and in float32; later tasks pay for leaving the weights it ended with. Channels that a head grows
    later are free.

    Args:
        weight: factor of the penalty.
        mode: ``separate`` sums the penalties of every earlier task, each around the weights it ended with; ``online``
            has one penalty, around the last weights, with a running Fisher.
        gamma: decay of the running Fisher; other values than 1 need ``mode=online``.
        fisher: labels of the log-likelihood: ``sampled`` from the network's output (the true Fisher information) or
            ``given`` by the masks (the empirical Fisher information).
        samples: training patches in the estimate: evenly spaced steps, slots of the batch in turn.
        seed: of the sampled labels.

    Equation: L_t(θ) + weight / 2 · Σ_{k<t} Σ_i F_{k,i} (θ_i − θ_{k,i})², with F_k the Fisher information of a voxel:
        mean over patches of (∂/∂θ Σ_v log p(y_v | x))² / V over its V voxels, y drawn from the network. With
        ``mode=online`` the sum over k is one term: the last weights, and F = gamma · F_old + F_new.

    Source: Kirkpatrick et al. 2017, arXiv 1612.00796, equation 3; online form: Schwarz et al. 2018, arXiv 1805.06370,
        section 4 (and Huszar 2018, arXiv 1712.03847).
    Differs from the source in: a sample is a patch. With ``sampled`` labels the information is that of one voxel, mean
        over voxels, so that the weight means the same for every patch size; with ``given`` labels it is the squared
        gradient of the patch's mean log-likelihood, as stock Avalanche computes it. Weights of papers that sum over
        voxels, or that square the gradient of a whole batch, do not carry over.
    Defaults: ``weight`` is the best of 10, 100, 1000 and 10000 in the sweep below. At 10, the Fisher information of a
        network that has learned its task is too small to hold any weight.
    Memory: 8 bytes per weight in both modes, since the sum of the penalties is itself one quadratic and is kept as
        such.
    Time: a few percent of a step, and ``samples`` forward and backward passes of one patch after each task.
    """

    def __init__(
        self,
        weight: Annotated[float, Field(ge=0)] = 1000.0,
        mode: Literal["separate", "online"] = "separate",
        gamma: Annotated[float, Field(ge=0, le=1)] = 1.0,
        fisher: Literal["sampled", "given"] = "sampled",
        samples: Annotated[int, Field(ge=1)] = 64,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if mode == "separate" and gamma != 1.0:
            raise InputError("ewc.gamma does nothing in mode separate; set ewc.mode=online or leave gamma at 1")
        self.weight, self.mode, self.gamma = weight, mode, gamma
        self.fisher, self.samples, self.seed = fisher, samples, seed
        self.past: Quadratic | None = None

    def before_backward(self, strategy: Any, **_: Any) -> None:
        """Add the penalty of every earlier task."""
        if self.past is not None:
            add_loss(strategy, "ewc", self.weight * self.past(dict(strategy.model.named_parameters())))

    def after_training_exp(self, strategy: Any, **_: Any) -> None:
        """Estimate the Fisher information of the task just learned and remember its weights."""
        task = task_index(strategy)
        with forked_rng(derive(self.seed, "ewc", task)):  # data sets of other people may draw from the global streams
            importances = fisher_diagonal(
                strategy.model,
                training_patches(strategy, self.samples),
                labels=self.fisher,
                generator=torch_generator(self.seed, "ewc-labels", task),
            )
        anchors = trained_weights(strategy.model)
        new = quadratic(anchors, importances)
        if self.past is not None and self.mode == "separate":
            new = merge_quadratics(self.past, new)
        elif self.past is not None:
            new = quadratic(anchors, accumulate(self.past.importances, importances, self.gamma))
        self.past = new

    def state_tensors(self) -> dict[str, Tensor]:
        """``anchor/NAME``, ``importance/NAME`` and ``floor`` of the one quadratic; nothing in the first task."""
        if self.past is None:
            return {}
        anchors = {f"anchor/{name}": value for name, value in self.past.anchors.items()}
        importances = {f"importance/{name}": value for name, value in self.past.importances.items()}
        return anchors | importances | {"floor": self.past.floor}

    def load_state_tensors(self, tensors: Mapping[str, Tensor]) -> None:
        """Restore what ``state_tensors`` gave."""
        kept: dict[str, dict[str, Tensor]] = {"anchor": {}, "importance": {}}
        for key, value in sorted(tensors.items()):
            kind, _, name = key.partition("/")
            if name:
                kept[kind][name] = value
        self.past = Quadratic(kept["anchor"], kept["importance"], tensors["floor"]) if tensors else None
