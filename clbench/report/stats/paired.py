"""Paired comparisons of two strategies on the same patients."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np

from clbench.continual import Floats


@dataclass(frozen=True)
class Comparison:
    """How one strategy differs from another on the patients both were scored on.

    Attributes:
        patients: those counted.
        difference: mean of first less second.
        rank_biserial: -1 (second better for every patient) to 1 (first better); 0 without a difference.
        p: of the two-sided Wilcoxon signed-rank test; NaN without patients.
        p_holm: the same, corrected for all comparisons made together.
    """

    patients: int
    difference: float
    rank_biserial: float
    p: float
    p_holm: float = math.nan


def compare(first: Floats, second: Floats) -> Comparison:
    """Wilcoxon's signed-rank test with its effect sizes.

    Args:
        first: (P,) a score of each patient.
        second: (P,) the same of the other strategy; patients that lack one of both are left out.

    Returns:
        The comparison; its Holm-corrected p is still to be had from all of a family's.

    Source: Wilcoxon 1945, doi 10.2307/3001968, with zeros ranked and then left out (Pratt 1959); Kerby 2014, doi
        10.2466/11.IT.3.1 (matched-pairs rank biserial correlation).
    """
    return _compare_pairs([(first, second)])[0]


def _compare_pairs(pairs: Iterable[tuple[Floats, Floats]]) -> list[Comparison]:
    """``compare`` of each pair."""
    found = [first - second for first, second in pairs]
    differences = [difference[np.isfinite(difference)] for difference in found]
    return [_comparison(*own) for own in zip(differences, _p_values(differences), strict=True)]


def _comparison(difference: Floats, p: float) -> Comparison:
    """Effect sizes beside a p value; of a pair without patients, or without a difference, too."""
    from scipy.stats import rankdata

    if not difference.size:
        return Comparison(0, math.nan, math.nan, p)
    if not difference.any():
        return Comparison(difference.size, 0.0, 0.0, p)
    moved = difference[difference != 0]
    rank = rankdata(np.abs(moved))
    biserial = float((np.sign(moved) * rank).sum() / rank.sum())
    return Comparison(difference.size, math.fsum(difference) / difference.size, biserial, p)


def _p_values(differences: Sequence[Floats]) -> list[float]:
    """P of Wilcoxon's test of each: 1 where nothing differs, NaN without patients.

    They are exact up to 50 patients without zeros or ties. scipy takes rows of one length at once, but
    chooses one method for all of them, which a zero or a tie in one row changes for the others. So rows with such are
    tested alone.
    """
    from scipy.stats import wilcoxon

    p_values = [1.0 if difference.size else math.nan for difference in differences]
    together: dict[tuple[int, int], list[int]] = defaultdict(list)
    for at, difference in enumerate(differences):
        if difference.any():
            together[difference.size, -1 if _is_plain(difference) else at].append(at)
    for places in together.values():
        found = wilcoxon(np.stack([differences[at] for at in places]), zero_method="pratt", axis=1)
        for at, p in zip(places, np.atleast_1d(found.pvalue).tolist(), strict=True):
            p_values[at] = p
    return p_values


def _is_plain(difference: Floats) -> bool:
    """Whether no value is zero and no two have the same size."""
    return bool(difference.all()) and len(set(np.abs(difference).tolist())) == difference.size


def compare_all(scores: Mapping[str, Mapping[str, float]], base: str, *, picked: bool = False) -> dict[str, Comparison]:
    """Every row of a table against one, with p corrected for all comparisons that could have been told.

    Args:
        scores: row -> patient -> score.
        base: the row that the others are compared with.
        picked: whether it was picked by these scores, such as the best: p are then corrected over all pairs of rows.

    Returns:
        row -> comparison, whose difference is that row less ``base``.
    """
    others = [row for row in scores if row != base]
    untold = list(combinations(others, 2)) if picked else []
    pairs = [*((row, base) for row in others), *untold]
    found = _compare_pairs(_on_shared_patients(scores[one], scores[other]) for one, other in pairs)
    corrected = holm([comparison.p for comparison in found])
    return {row: replace(found[at], p_holm=corrected[at]) for at, row in enumerate(others)}


def _on_shared_patients(first: Mapping[str, float], second: Mapping[str, float]) -> tuple[Floats, Floats]:
    both = sorted(first.keys() & second.keys())
    return np.array([first[patient] for patient in both]), np.array([second[patient] for patient in both])


def holm(p_values: Sequence[float]) -> list[float]:
    """P values corrected for their number so that the chance of any false alarm stays at the level.

    Args:
        p_values: of one family; NaN for a test that could not be made, which is not counted.

    Returns:
        Corrected p values in the same order, at most 1, in the order of the uncorrected ones.

    Source: Holm 1979, Scandinavian Journal of Statistics 6, 65-70.
    """
    known = [at for at, p in enumerate(p_values) if not math.isnan(p)]
    corrected = [math.nan] * len(p_values)
    largest = 0.0
    for made, at in enumerate(sorted(known, key=lambda at: p_values[at])):
        largest = max(largest, min(1.0, (len(known) - made) * p_values[at]))
        corrected[at] = largest
    return corrected
