"""Replay: patches of remembered cases join every batch."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import Field

from clbench.errors import InputError
from clbench.strategies.memory import CaseMemory, Selection, Unit
from clbench.strategies.rehearsal import Background, Rehearsal


class Replay(Rehearsal):
    """From the second task on, every batch is joined by patches of remembered cases of earlier tasks.

    The memory holds references to the prepared cases, never voxels; at the end of each task it is decided anew which
    cases (or slices) it holds. Their patches are drawn and augmented as those of the current task are, a third of them
    with foreground, and come on top of the current batch, which stays that of ``naive``.

    A remembered case keeps the labels of its own task. In a class-incremental stream old masks therefore show new
    classes as background, and new masks show old classes as background; ``background=marginal`` takes that for what it
    is: background or any class that is not annotated in that mask.

    Args:
        budget: how much is kept of the cases seen, in the unit below.
        unit: ``fraction`` of the cases, at least one of each task (``balanced``) or of all; or a number of ``cases`` or
            ``slices`` (2-D plans) in all.
        selection: ``balanced`` keeps and draws every task alike; ``reservoir`` keeps and draws everything seen so far
            with the same chance.
        share: memory patches for each patch of the current batch.
        background: of partly annotated masks: ``marginal`` adds up the probabilities of the background and of the
            classes that are not annotated, in old masks and new ones; ``given`` takes it as background. The same where
            all labels are annotated, as in every domain stream.
        seed: of selection and patches.

    Equation: L(θ) on the union of B current patches and round(share · B) memory patches; with ``marginal`` the mean of
        the losses over groups of patches with the same annotated labels, weighted by their number.

    Source: Chaudhry et al. 2019, arXiv 1902.10486 (experience replay); reservoir: Vitter 1985, doi 10.1145/3147.3165;
        marginal loss: Cermelli et al. 2020, arXiv 2002.00718, equation 5.
    Differs from the source in: whole cases are remembered instead of single samples, as a hospital would keep them; the
        memory changes at the end of a task; as ``fraction`` it grows with the stream, and a case once dropped never
        comes back.
    Defaults: ``share`` is the best of 0.25, 0.5 and 1 in the sweep of 100 steps below, and of 0.5 and 1 in that of all
        steps, where ``naive`` and ``joint`` are of another processor; larger ones, which cost more than a second batch,
        were not tried. One seed: with 100 steps another draw alone moved the end by 0.08 (``gss``), and 1 learns less
        of each task. It is that of Avalanche, too. A quarter of the cases is ours. By default each task draws its own
        quarter: where tasks share their patients, as in ``acdc-classes``, all that is kept stands for more than a
        quarter of the images (``replayed_fraction``).
    Note: ``gem`` has this ``share``, too; ``der``, ``derpp``, ``fdr``, ``gss`` and ``agem`` have 0.5, which was swept
        in ``agem`` alone. Their rows look at half as many memory patches per step, that of ``derpp`` at as many in two
        draws.
    Memory: 32 bytes per reference; ``cost.json`` says which fraction of the old images (``replayed_fraction``) and how
        many bytes of the cache (``replayed_bytes``) they stand for.
    Time: share · 100 % of a step, so twice that of ``naive`` by default.
    """

    def __init__(
        self,
        budget: Annotated[float, Field(gt=0)] = 0.25,
        unit: Unit = "fraction",
        selection: Selection = "balanced",
        share: Annotated[float, Field(gt=0)] = 1.0,
        background: Background = "marginal",
        seed: int = 0,
    ) -> None:
        super().__init__(CaseMemory(budget, unit, selection, seed, "replay"), share, background, seed)

    def check(self, network: Any) -> None:
        """Refuse slices of a volume that is not trained on by slices."""
        refuse_slices(network, self.memory)

    def before_forward(self, strategy: Any, **_: Any) -> None:
        """Join memory patches to the batch."""
        self.join(strategy)


def refuse_slices(network: Any, memory: CaseMemory) -> None:
    """Refuse a memory of slices for a network of volumes.

    Raises:
        InputError: the network is 3-D.
    """
    if memory.unit == "slices" and len(network.topology.strides[0]) != 2:
        raise InputError(f"{memory.purpose}.unit=slices needs a 2-D plan; this stream is trained on volumes: use cases")
