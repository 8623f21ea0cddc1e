"""Wording: numbers of things as people write them."""

from __future__ import annotations


def counted(number: int, thing: str, things: str = "") -> str:
    """``1 run``, ``2 runs``.

    Args:
        number: how many.
        thing: one of them.
        things: several of them; without it the thing with an s.
    """
    return f"{number} {thing if number == 1 else things or f'{thing}s'}"
