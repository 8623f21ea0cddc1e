"""Order: which task of a card is learned first, second, ...; for studies of how much that matters."""

from __future__ import annotations

import re
from collections.abc import Sequence

from clbench.errors import InputError
from clbench.seeding import derive
from clbench.streams.card import Card

_LIST = re.compile(r"[0-9]{1,4}(,[0-9]{1,4})*", re.ASCII)
_SEED = re.compile(r"seed:(?P<seed>[0-9]{1,18})", re.ASCII)


def resolve_order(card: Card, order: str | Sequence[int]) -> tuple[int, ...]:
    """The positions of a card's tasks in the order asked for.

    Args:
        card: of a domain stream.
        order: ``"3,1,2"`` or ``(3, 1, 2)``, a permutation of 1 to T; ``"seed:7"`` for one drawn with that seed; or the
            name of one of the card's own orders.

    Returns:
        Positions from 1; empty when they are those of the card, so that one order has one name.

    Raises:
        InputError: none of these, or the stream is class-incremental.
    """
    if card.kind == "class":
        raise InputError(
            f"stream {card.name} is class-incremental and takes no order: its tasks must add the labels in ascending "
            "order; leave the order out"
        )
    positions = _named(card, order) if isinstance(order, str) else tuple(order)
    if sorted(positions) != list(range(1, len(card.tasks) + 1)):
        given = ",".join(map(str, positions))
        tasks = ", ".join(f"{number} {task.name}" for number, task in enumerate(card.tasks, start=1))
        raise InputError(
            f"order {given} of stream {card.name} must name each of its {len(card.tasks)} tasks once: {tasks}"
        )
    return () if list(positions) == sorted(positions) else positions


def _named(card: Card, order: str) -> tuple[int, ...]:
    """The positions that a text stands for, not yet checked to be a permutation."""
    names = [task.name for task in card.tasks]
    if order in card.orders:
        return tuple(names.index(name) + 1 for name in card.orders[order])
    if drawn := _SEED.fullmatch(order):
        return drawn_order(len(names), int(drawn["seed"]))
    text = order.replace(" ", "")
    if not _LIST.fullmatch(text):
        known = f"an order of the card ({', '.join(card.orders)})" if card.orders else "an order of the card (none)"
        raise InputError(f"order '{order}' of stream {card.name} is neither a list such as 2,1,3, seed:7, nor {known}")
    return tuple(int(number) for number in text.split(","))


def drawn_order(tasks: int, seed: int) -> tuple[int, ...]:
    """A permutation of 1 to ``tasks`` that depends on the two numbers alone, on every machine; all are equally likely.

    Positions are sorted by a seed derived for each: no library's shuffle, whose draws may change, has a part in it.
    """
    return tuple(sorted(range(1, tasks + 1), key=lambda position: derive(seed, "task-order", tasks, position)))
