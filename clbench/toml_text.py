"""TOML that strangers wrote: parsed without letting a small file take the machine's memory."""

from __future__ import annotations

import re
import tomllib
from typing import Any

from clbench.errors import InputError

MOST_CHARACTERS = 2**18
MOST_PARTS = 32
# A dotted key of n parts takes the parser n * n of memory: 100 kB of dots would take 10 GB.
_DEEP = re.compile(rf"""(?<![\w"'-])(?:[\w"'-]++[ \t]*+\.[ \t]*+){{{MOST_PARTS}}}""")


def parse_toml(text: str, what: str) -> dict[str, Any]:
    """The values of a TOML text.

    Args:
        text: of at most ``MOST_CHARACTERS``, with keys of at most ``MOST_PARTS`` parts.
        what: is parsed, such as ``"card my.toml"``, for messages.

    Raises:
        InputError: it is not TOML, or too long or deep for anything that clbench reads.
    """
    if len(text) > MOST_CHARACTERS or _DEEP.search(text):
        raise InputError(f"{what} is not valid TOML for clbench: too long, or keys too deep")
    try:
        return tomllib.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(f"{what} is not valid TOML: {error}") from None
