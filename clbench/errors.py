"""The two ways clbench ends early: the user's mistake (exit 2) and a failure (exit 1)."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class InputError(ValueError):
    """A mistake in what the user gave: the message says what, where and how to mend it. Exit code 2."""


class RunError(RuntimeError):
    """A failure that is not the user's mistake, such as a loss that became NaN. Exit code 1."""


def unknown(kind: str, name: str, known: Iterable[str]) -> InputError:
    """The error for a name that is not in a registry, with near matches.

    Args:
        kind: what the name should have been, such as ``"strategy"``.
        name: what was given.
        known: the names that exist.

    Returns:
        An InputError to raise; it lists up to three near matches, or all known names when none is near.
    """
    names = sorted(known)
    near = get_close_matches(name, names, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(names)}"
    return InputError(f"unknown {kind} '{name}'; {hint}")
