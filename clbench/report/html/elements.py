"""Elements of a page: every text that comes from data is escaped here and nowhere else."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from html import escape

VOID = {"img", "input", "meta"}


class Markup(str):
    """Text that is HTML already; everything else is escaped before it enters an element."""

    __slots__ = ()


def element(name: str, /, *content: str, **attributes: str | bool | None) -> Markup:
    """One element with its attributes and content escaped.

    Args:
        name: of the element.
        content: texts, or ``Markup`` that stays as it is.
        attributes: values; True for one without value, False or None for none. ``class_`` is ``class``, other ``_``
            become ``-``.
    """
    given = {key.rstrip("_").replace("_", "-"): value for key, value in attributes.items()}
    texts = "".join(
        f" {key}" if value is True else f' {key}="{escape(value, quote=True)}"'
        for key, value in given.items()
        if value is not None and value is not False
    )
    inner = joined(content)
    return Markup(f"<{name}{texts}>" if name in VOID else f"<{name}{texts}>{inner}</{name}>")


def joined(parts: Iterable[str]) -> Markup:
    """Parts one after the other, escaped unless they are ``Markup``."""
    return Markup("".join(part if isinstance(part, Markup) else escape(_visible(part)) for part in parts))


def _visible(text: str) -> str:
    """Text without control characters, which a browser drops or misreads."""
    return "".join(
        character if character.isprintable() or character == "\n" else "\N{REPLACEMENT CHARACTER}" for character in text
    )


def image(content: bytes, kind: str, alt: str) -> Markup:
    """A picture inside the page."""
    return element("img", src=f"data:image/{kind};base64,{base64.b64encode(content).decode()}", alt=alt)


def scrollable(table: Markup, label: str) -> Markup:
    """A table that may be wider than the window; the keyboard can scroll it."""
    return element("div", table, class_="scroll", role="region", aria_label=label, tabindex="0")
