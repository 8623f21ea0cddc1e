"""Files that are either whole or absent: atomic writes, canonical JSON, hashes."""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from clbench.errors import InputError, out_error

TEMPORARY = ".partial-"
"""Start of the names of files and folders that are being written; whoever finds one may ignore or remove it."""

MOST_DIGITS = 300  # before the point: sums of such numbers are still finite

LONGEST_LIST = 100  # characters of a list on one line
_BRACKET = re.compile(r"[\[\]{}]")
_NUMBERS = {int, float}  # whose lists Python writes as JSON does


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A temporary path beside ``path`` to write to; it takes the place of ``path`` when the block ends well.

    The content reaches the disk before the name does, so that a crash leaves the old file or the new one.
    """
    temporary = path.with_name(f"{TEMPORARY}{os.getpid()}-{path.name}")
    try:
        yield temporary
        sync(temporary)
        temporary.replace(path)
        sync(path.parent)
    finally:
        with suppress(OSError):  # what is left is known by its name, and removed by the next command
            temporary.unlink(missing_ok=True)


def write_bytes(path: Path, content: bytes) -> None:
    """Write a file atomically."""
    with replacing(path) as temporary:
        temporary.write_bytes(content)


def publish(path: Path, content: bytes) -> None:
    """Write a table, page or figure atomically: on a full disk the one made before stays as it was.

    Raises:
        InputError: there is no such place.
        DiskError: the disk is full or fails.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(path, content)
    except OSError as error:
        raise out_error(path, error) from None


def write_json(path: Path, content: Any) -> None:
    """Write ``json_bytes(content)`` atomically."""
    write_bytes(path, json_bytes(content))


def json_bytes(content: Any) -> bytes:
    """Indented JSON in UTF-8 with the keys in the given order and short lists on one line; equal content, equal bytes.

    Raises:
        ValueError: on NaN or infinity, which JSON does not have; use None.
    """
    return f"{_json(content, '')}\n".encode()


def _json(content: Any, indent: str) -> str:
    """JSON text of a value whose first line stands behind ``indent``; ``json`` itself indents in Python, and slower."""
    if isinstance(content, dict) and content:
        lines = [f"{_json_key(key)}: {_json(value, f'{indent} ')}" for key, value in content.items()]
        return _over_lines("{", lines, "}", indent)
    if isinstance(content, (list, tuple)) and content:
        kinds = set(map(type, content))
        if kinds <= _NUMBERS and len(line := repr(list(content))) <= LONGEST_LIST and "n" not in line:
            return line  # in which no number is nan or inf
        if not any(issubclass(kind, (dict, list, tuple)) for kind in kinds):
            line = f"[{', '.join(map(_scalar, content))}]"
            if len(line) <= LONGEST_LIST and not _BRACKET.search(line, 1, len(line) - 1):
                return line
        return _over_lines("[", [_json(value, f"{indent} ") for value in content], "]", indent)
    return _scalar(content)


def _scalar(content: Any) -> str:
    """JSON text of a value that is no collection of others; of numbers without the start-up of ``json``'s encoder."""
    if content is None:
        return "null"
    if (type(content) is float and math.isfinite(content)) or type(content) is int:
        return repr(content)
    return _on_one_line(content)


_on_one_line = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode


def _json_key(key: Any) -> str:
    """A key as JSON has it: always a string."""
    return _on_one_line(key) if isinstance(key, str) else _on_one_line({key: 0})[1 : -len(": 0}")]


def _over_lines(opened: str, parts: Sequence[str], closed: str, indent: str) -> str:
    return f"{opened}\n{indent} " + f",\n{indent} ".join(parts) + f"\n{indent}{closed}"


def read_json(path: Path) -> Any:
    """The content of a JSON file.

    Raises:
        InputError: missing, unreadable, not JSON, or with numbers that no run comes to and that would overflow later.
    """
    try:
        text = path.read_text(encoding="utf-8")
        return json.loads(text, parse_int=_whole, parse_float=_real, parse_constant=_refused)
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}; is this a whole run folder?") from None
    except (ValueError, RecursionError):
        raise InputError(f"{path} is damaged: not JSON; restore it, or remove the run folder and run again") from None


def _whole(text: str) -> int:
    if len(text) > MOST_DIGITS:
        raise ValueError("a number of too many digits")
    return int(text)


def _real(text: str) -> float:
    number = float(text)
    if not abs(number) <= 10.0**MOST_DIGITS:
        raise ValueError("a number too large")
    return number


def _refused(name: str) -> float:
    raise ValueError(f"{name} is no number of JSON")


def content_hash(content: Any) -> str:
    """SHA-256 (hex) of content for JSON, in whatever order its keys are."""
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()


def sync(path: Path) -> None:
    """Make sure that a file or folder is on the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def file_hash(path: Path) -> str:
    """SHA-256 (hex) of a file's bytes."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
