"""Whose case is it: the patient in a case's name, and names that look like several cases of one patient."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from clbench.data.case import Case, Trap
from clbench.errors import InputError

OPTION = "patient"
WARNING = "warning: "  # begins what a trap says that a run must say, too
_EXAMPLE = r"(patient\d+)_frame\d+"
_MOMENT = re.compile(
    r"(?P<prefix>.*\d.*)[_-]"
    r"(?:frame|fr|f|phase|ed|es|systole|diastole|slice|visit|v|session|ses|scan|run|time|timepoint|tp|t|day|week|month"
    r"|year|baseline|bl|followup|fu|pre|post|left|right|l|r)(?:[_-]?\d+)?",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"(?P<prefix>.*\d)[_-]\d+")


def patient_pattern(text: str) -> re.Pattern[str]:
    """The regular expression of a card's ``patient``.

    Args:
        text: with one group, or a group named ``patient``, around the patient's part of a case's name.

    Raises:
        InputError: not a regular expression, no group, or several of which none is named ``patient``.
    """
    try:
        pattern = re.compile(text)
    except (re.error, OverflowError, RecursionError) as error:
        raise InputError(
            f"{OPTION} = '{text}' is no regular expression ({error}); write such as '{_EXAMPLE}'"
        ) from None
    if pattern.groups == 0:
        raise InputError(
            f"{OPTION} = '{text}' has no group; put brackets around the patient's part, such as '{_EXAMPLE}'"
        )
    if pattern.groups > 1 and OPTION not in pattern.groupindex:
        raise InputError(
            f"{OPTION} = '{text}' has {pattern.groups} groups; name that of the patient (?P<{OPTION}>...), "
            "or write the others (?:...)"
        )
    return pattern


def with_patients(cases: Iterable[Case], options: Mapping[str, Any], where: Path) -> list[Case]:
    """The cases, each with its patient: itself where the card does not say how to find another.

    Args:
        cases: of one data set, each its own patient.
        options: of the layout; ``patient`` is a regular expression that whole names must match.
        where: folder or file of the names, for messages.

    Raises:
        InputError: the expression is none, or names do not match it or have nothing in its group.
    """
    listed = list(cases)
    if not options.get(OPTION):
        return listed
    pattern = patient_pattern(str(options[OPTION]))
    group = OPTION if OPTION in pattern.groupindex else 1
    matches = {case.case_id: pattern.fullmatch(case.case_id) for case in listed}
    found = {name: match[group] or "" for name, match in matches.items() if match}
    told = f"{OPTION} = '{pattern.pattern}' of the card"
    if strange := sorted(matches.keys() - found.keys()):
        raise InputError(
            f"{where}: {told} does not match {_first_of(strange)}; correct the expression, which must match whole "
            f"names, such as '{_EXAMPLE}' patient001_frame01"
        )
    if wrong := sorted(name for name, patient in found.items() if not patient or patient.startswith(("-", "."))):
        raise InputError(
            f"{where}: {told} takes '{found[wrong[0]]}' for the patient of {_first_of(wrong)}; correct the expression "
            "so that its group holds a name that begins with a letter or digit"
        )
    return [replace(case, patient_id=found[case.case_id]) for case in listed]


def _first_of(names: Sequence[str]) -> str:
    return f"case {names[0]}" + (f" and {len(names) - 1} more" if len(names) > 1 else "")


def several_cases_trap(cases: Iterable[Case], options: Mapping[str, Any], where: str) -> tuple[Trap, ...]:
    """A trap when every case counts as a patient although names look like several cases of one.

    Such are ``patient001_frame01`` and ``patient001_frame12``, ``sub-3_ses-1`` and ``sub-3_ses-2``, or ``p7_01`` and
    ``p7_02``; not ``hippocampus_001`` and ``hippocampus_002``, where what is shared names the data set.

    Args:
        cases: of one data set.
        options: of the layout; where they have ``patient``, nothing is said.
        where: folder or file of the names, relative to the data set.
    """
    names = sorted(case.case_id for case in cases)
    twins = [] if options.get(OPTION) else _moments(names) or _numbers(names)
    if not twins:
        return ()
    action = (
        f"{WARNING}{twins[0]} and {twins[1]} look like cases of one patient but count as two, who may be learned and "
        f"tested; set {OPTION} in the card, such as {OPTION} = '{_EXAMPLE}'"
    )
    return (Trap("cases-of-one-patient", where, action),)


def _moments(names: Iterable[str]) -> list[str]:
    """Cases that share what stands before a frame, visit, side or the like; a prefix of all cases names no patient."""
    groups = _by_prefix(names, _MOMENT)
    several = [found for prefix, found in groups.items() if len(found) > 1]
    return several[0] if several and len(groups) > 1 else []


def _numbers(names: Iterable[str]) -> list[str]:
    """Cases that share a number before their last one, where there are at least as many patients as cases of any.

    Of sites (``site1_001``) it is the other way round: few, with many cases each.
    """
    groups = {prefix: found for prefix, found in _by_prefix(names, _NUMBER).items() if prefix not in found}
    several = [found for found in groups.values() if len(found) > 1]
    return several[0] if several and max(map(len, several)) <= len(groups) else []


def _by_prefix(names: Iterable[str], ending: re.Pattern[str]) -> dict[str, list[str]]:
    """Prefix -> names with that ending behind it; a name without the ending is a prefix of its own."""
    groups: dict[str, list[str]] = {}
    for name in names:
        match = ending.fullmatch(name)
        groups.setdefault(match["prefix"] if match else name, []).append(name)
    return groups
