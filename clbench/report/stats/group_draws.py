"""GroupDraws: the metrics of every run of a table on resampled patients, from which rows and differences are told."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import get_args

import numpy as np

from clbench.continual import NEEDS, Floats, Regime, resampled_metric
from clbench.metrics import METRICS
from clbench.report.groups import Group, references_of
from clbench.report.stats.intervals import Resampled
from clbench.report.stats.panel import Ints, panel_of
from clbench.report.stats.resampling import RESAMPLES, influences, over_seeds, patient_draws, seed_draws


@dataclass(frozen=True)
class GroupDraws:
    """Metrics of a group's M runs, in the order of its rows.

    Attributes:
        places: label of a row -> seed -> which run.
        points: metric -> (M,) on all patients.
        draws: metric -> (B, M) on resampled patients.
        moved: metric -> (P, M) influence of each patient.
        stratum: (P,) of each patient.
        seed: of the draws.
    """

    places: Mapping[str, Mapping[int, int]]
    points: Mapping[str, Floats]
    draws: Mapping[str, Floats]
    moved: Mapping[str, Floats]
    stratum: Ints
    seed: int

    def row(self, label: str, key: str) -> Resampled:
        """A metric of a row, over all of its seeds."""
        places = self.places[label]
        return self._over_seeds(list(places), *(of[..., list(places.values())] for of in self._arrays(key)))

    def seeds_of_both(self, label: str, base: str) -> list[int]:
        """The seeds that two rows share."""
        return sorted(self.places[label].keys() & self.places[base].keys())

    def difference(self, label: str, base: str, key: str) -> Resampled:
        """A metric of a row less that of another, seed by seed over the seeds of both: at least one."""
        seeds = self.seeds_of_both(label, base)
        one, other = ([self.places[row][seed] for seed in seeds] for row in (label, base))
        return self._over_seeds(seeds, *(of[..., one] - of[..., other] for of in self._arrays(key)))

    def _arrays(self, key: str) -> tuple[Floats, Floats, Floats]:
        return self.points[key], self.draws[key], self.moved[key]

    def _over_seeds(self, seeds: Sequence[int], points: Floats, draws: Floats, moved: Floats) -> Resampled:
        counts = seed_draws(seeds, len(draws), self.seed)
        return Resampled(points, over_seeds(draws, counts), moved.mean(axis=1), self.stratum)


def draw_group(
    group: Group, keys: Sequence[str], metric: str = "dice", *, resamples: int = RESAMPLES, seed: int = 0
) -> GroupDraws:
    """One bootstrap over patients that all runs of a table share.

    Args:
        group: the table's runs.
        keys: metrics of ``METRIC_KEYS``.
        metric: the score behind them.
        resamples: of the bootstrap.
        seed: of its draws.
    """
    runs = [run for row in group.rows for run in row.runs]
    panel, statistics = panel_of(runs, metric), _statistics(group, keys, metric)
    points = {key: found[0] for key, found in statistics(panel.matrices(np.ones((1, panel.patients)))).items()}
    draws = patient_draws(panel, statistics, resamples=resamples, seed=seed)
    numbers = iter(range(len(runs)))
    places = {row.label: {run.seed: next(numbers) for run in row.runs} for row in group.rows}
    return GroupDraws(places, points, draws, influences(panel, statistics), panel.stratum, seed)


def _statistics(group: Group, keys: Sequence[str], metric: str) -> Callable[[Floats], dict[str, Floats]]:
    """Maps matrices (B, M, T + 1, T) of all runs of a group to the metrics (B, M) of each."""
    runs = [run for row in group.rows for run in row.runs]
    place = {run.path: at for at, run in enumerate(runs)}
    found_for = [group.reference_runs(run) for run in runs]
    references = {
        name: np.array([place[found[name].path] if name in found else -1 for found in found_for])
        for name in {NEEDS[key] for key in keys if key in NEEDS}
    }
    members = {regime: [at for at, run in enumerate(runs) if run.regime == regime] for regime in get_args(Regime)}
    kind, higher = group.rows[0].runs[0].stream.kind, METRICS[metric].higher_is_better

    def of(matrices: Floats) -> dict[str, Floats]:
        found = {key: np.full(matrices.shape[:2], np.nan) for key in keys}
        for regime, places in members.items():
            if not places:
                continue
            known = references_of({name: _chosen(matrices, at[places]) for name, at in references.items()})
            chosen = _of_runs(matrices, places)
            for key in keys:
                values = resampled_metric(key, chosen, kind, regime, **known, higher_is_better=higher)
                found[key][:, places] = values
        return found

    return of


def _of_runs(matrices: Floats, places: Sequence[int] | Ints) -> Floats:
    """``matrices[:, places]`` in the memory order of ``Panel.matrices``; a view where these are all runs."""
    if list(places) == list(range(matrices.shape[1])):
        return matrices
    return np.moveaxis(np.moveaxis(matrices, (2, 3), (0, 1))[..., places], (0, 1), (2, 3))


def _chosen(matrices: Floats, places: Ints) -> Floats:
    """The matrices of some runs, NaN for those at -1."""
    return np.where((places >= 0)[:, None, None], _of_runs(matrices, places), np.nan)
