"""Numbers of things: one is told otherwise than none and several."""

import pytest

from clbench.wording import counted


@pytest.mark.parametrize(
    ("number", "words", "text"),
    [
        *((0, ("run",), "0 runs"), (1, ("run",), "1 run"), (2, ("run",), "2 runs")),
        *((1, ("row writes", "rows write"), "1 row writes"), (2, ("row writes", "rows write"), "2 rows write")),
    ],
)
def test_one_thing_is_told_as_one(number, words, text):
    assert counted(number, *words) == text
