"""StrategySpec: what the registry knows of a strategy before any heavy import."""

from __future__ import annotations

from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal

Regime = Literal["sequential", "joint", "single"]
Family = Literal["regularization", "distillation", "rehearsal", "projection", "architecture", "latent"]


@dataclass(frozen=True)
class StrategySpec:
    """A strategy as the registry lists it.

    Attributes:
        summary: one line for ``clbench list``.
        plugin: ``module:Class`` of its Avalanche plugin, or ``""`` when the regime alone makes the strategy.
        regime: ``sequential`` trains task after task; ``joint`` trains once on all of them; ``single`` trains a
            fresh network on each task.
        penalty: the option that scales it; 0 must give the bytes of ``naive`` on the same network. ``""`` when it has
            none.
        factors: instead of it, the options that scale its loss terms when it also ``replaces_loss``, so that 0 for all
            of them gives these bytes only where masks show every label.
        needs_past: True when it does something only from the second task on, so that ``joint`` excludes it.
        reference: True for rows that bound the others (not a continual learner).
        task_identity: True when it is told the task at test time.
        replays: True when it can look at images of earlier tasks again.
        chained: True when what it holds to is of the last task alone (an anchor, a teacher), so that the tasks before
            that one are protected because it was itself held to them.
        anchors_head: True when it holds the rows that the head had, or what they answered, to what they were.
        shares_background: True when it changes these rows itself before a task, so that it does not go with the former.
        replaces_loss: True when it reads partly annotated masks in its own way, so that two such do not go together.
        family: under which heading of the documentation it stands.
        network: key of the network that is part of it; ``""`` when it works with any.
        revision: version of its arithmetic, part of a result's identity from 2 on: raised with a change that moves the
            numbers of published runs of this strategy alone.
    """

    summary: str
    plugin: str = ""
    regime: Regime = "sequential"
    penalty: str = ""
    factors: tuple[str, ...] = ()
    needs_past: bool = False
    reference: bool = False
    task_identity: bool = False
    replays: bool = False
    chained: bool = False
    anchors_head: bool = False
    shares_background: bool = False
    replaces_loss: bool = False
    family: Family = "regularization"
    network: str = ""
    revision: int = 1

    @property
    def scales(self) -> tuple[str, ...]:
        """The options that its loss terms are linear in."""
        return (self.penalty,) if self.penalty else self.factors

    def load(self) -> Any:
        """Import the plugin class; call only when ``plugin`` is not empty."""
        module, _, name = self.plugin.partition(":")
        return getattr(import_module(module), name)
