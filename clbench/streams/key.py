"""StreamKey: the name under which the results of a stream stand, put together and taken apart."""

from __future__ import annotations

import re
from dataclasses import dataclass

from clbench.errors import InputError

_KEY = re.compile(
    r"(?P<name>[^@+]+)(@(?P<version>[^@+]*))?"
    r"(\+order-(?P<order>[1-9][0-9]{0,3}(-[1-9][0-9]{0,3})*))?(?P<phantom>\+phantom)?"
)


@dataclass(frozen=True)
class StreamKey:
    """``name@version+order-3-1-2+phantom``; all but the name may be absent, and ``str`` gives it back.

    Attributes:
        name: of a shipped stream, or the path of a card.
        version: as written; empty when none is given.
        order: positions in the card, from 1, of the tasks in the order they are learned; empty for the card's order.
        phantom: whether the data are the procedural twin.
    """

    name: str
    version: str = ""
    order: tuple[int, ...] = ()
    phantom: bool = False

    def __str__(self) -> str:
        version = f"@{self.version}" if self.version else ""
        order = "+order-" + "-".join(map(str, self.order)) if self.order else ""
        return f"{self.name}{version}{order}" + ("+phantom" if self.phantom else "")


def parse_key(stream: str) -> StreamKey:
    """Take apart what names a stream; the path of a card file (ending in ``.toml``) has no parts.

    Raises:
        InputError: the parts are not those of a key, or not in its order.
    """
    if stream.endswith(".toml"):
        return StreamKey(stream)
    found = _KEY.fullmatch(stream)
    if found is None:
        raise InputError(
            f"'{stream}' does not name a stream; write name, name@1 or, with all parts, name@1+order-3-1-2+phantom"
        )
    order = tuple(int(number) for number in found["order"].split("-")) if found["order"] else ()
    return StreamKey(found["name"], found["version"] or "", order, phantom=found["phantom"] is not None)
