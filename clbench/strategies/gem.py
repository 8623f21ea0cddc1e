"""GEM: a step that would make any earlier task worse is turned aside."""

from __future__ import annotations

from typing import Annotated, Any

import torch
from pydantic import Field

from clbench.data.memory import InSteps, JoinedPatches
from clbench.functional.projection import project_to_cone
from clbench.functional.selection import quotas
from clbench.strategies.memory import CaseMemory
from clbench.strategies.rehearsal import Background, Rehearsal, gradient_of, replace_gradient


class GEM(Rehearsal):
    """From the second task on, the gradient is projected so that it points against none of the earlier tasks.

    At every step the gradient of the loss on patches of remembered cases is computed for each earlier task. If that of
    the step (penalties of other parts included) has a negative product with one of them, it is replaced by the nearest
    vector that has none, found by quadratic programming. Cases are remembered as by ``replay``, by reference.

    Args:
        margin: least multiple of every earlier task's gradient that is added whenever the gradient is projected.
        budget: fraction of the cases of each task that is kept, at least one case.
        share: memory patches of all earlier tasks together for each patch of the current batch, at least one per task.
        background: of partly annotated masks, as in ``replay``.
        seed: of selection and patches.

    Equation: g ← g + Gᵀv with v = argmin ½ vᵀ(GGᵀ + ridge) v + (Gg)ᵀv subject to v ≥ margin, if Gg has a negative
        entry; the rows of G are the gradients of the earlier tasks, and ridge is 1e-3 of their mean square.

    Source: Lopez-Paz and Ranzato 2017, arXiv 1706.08840, equations 11 and 12; solver quadprog (Goldfarb and Idnani
        1983, doi 10.1007/BF02591962).
    Differs from the source in: a few fresh patches of remembered cases at every step instead of the whole memory, which
        bounds the time; the ridge is relative, so that it does not depend on the scale of the loss. On optimizers see
        ``agem``.
    Defaults: ``margin`` is that of the authors' code (there ``memory_strength``). In the sweep below 0, which to first
        order and on the drawn patches only keeps the loss of earlier tasks from rising, still forgets 0.41 where
        ``naive`` forgets 0.58, and ends at 0.36; 0.5 has lost nothing by the end, and ends at 0.67. The
        others are ours.
    Memory: 32 bytes per reference; ``cost.json`` has ``replayed_fraction`` and ``replayed_bytes``. During a step one
        gradient (4 bytes per weight) for each earlier task.
    Time: share · 100 % of a step and the overhead of a small batch for each earlier task: less than 3 steps with 5
        earlier tasks by default in 2-D; in 3-D, with 2 patches per batch, 1 + (earlier tasks) / 2 steps.
    """

    def __init__(
        self,
        margin: Annotated[float, Field(ge=0)] = 0.5,
        budget: Annotated[float, Field(gt=0, le=1)] = 0.25,
        share: Annotated[float, Field(gt=0)] = 1.0,
        background: Background = "marginal",
        seed: int = 0,
    ) -> None:
        super().__init__(CaseMemory(budget, "fraction", "balanced", seed, "gem"), share, background, seed)
        self.margin = margin

    def counts(self, strategy: Any) -> list[int]:
        """Memory patches per step of each earlier task."""
        tasks = int(self.memory.entries[:, 0].max())
        return quotas(max(tasks, self.count(strategy)), [self.count(strategy)] * tasks)

    def dataset(self, strategy: Any) -> InSteps:
        """Memory patches of one task after the other."""
        pairs = zip(self.memory.groups(strategy.experience.pools), self.counts(strategy), strict=True)
        tasks = enumerate(pairs, start=1)
        return JoinedPatches([self.patches(strategy, [group], count, task) for task, (group, count) in tasks])

    def after_backward(self, strategy: Any, **_: Any) -> None:
        """Project the gradient."""
        if not len(self.memory):
            return
        x, y, bits = self.draw(strategy)
        counts = self.counts(strategy)
        tasks = zip(*(torch.split(tensor, counts) for tensor in (x, y, torch.tensor(bits))), strict=True)
        found = [gradient_of(strategy, self, own_x, own_y, own.tolist()) for own_x, own_y, own in tasks]
        references = torch.stack(found)
        replace_gradient(strategy, lambda gradient: project_to_cone(gradient, references, margin=self.margin))
