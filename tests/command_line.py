"""The command line as a user meets it: what a command printed, on which stream, and how it ended."""

from __future__ import annotations

import io
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass

from clbench.cli import execute
from toy import TINY

PROGRESS = (
    *("reading the data of ", "preparing ", "scoring ", "nothing to score yet", "task ", "untrained: "),
    *("after task ", "going on after "),
)


@dataclass(frozen=True)
class Answer:
    """How a command ended: exit code and what it wrote on either stream."""

    code: int
    out: str
    err: str

    @property
    def complaints(self) -> list[str]:
        """Lines on standard error that are not progress."""
        return [line for line in self.err.splitlines() if not line.startswith(PROGRESS)]


def clbench(*words: object) -> Answer:
    """Run one command in this process."""
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = execute([str(word) for word in words])
    return Answer(code, out.getvalue(), err.getvalue())


def run_words(stream: object, data: object, out: object, *more: object, strategy: str = "naive") -> list[str]:
    """``clbench run`` that takes a second or two; later words win over these."""
    settings = [word for setting in TINY for word in ("--set", setting)]
    fixed = ["--preset", "smoke", "--device", "cpu", "--precision", "float32", "--threads", "1"]
    words = ["run", "--stream", stream, "--strategy", strategy, "--data", data, "--out", out]
    return [str(word) for word in (*words, *fixed, *settings, *more)]
