"""Mutations that keep the form of a file and change what it says, so that readers are reached behind their parsers."""

from __future__ import annotations

import csv
import gzip
import io
import json
import math
import re
from copy import deepcopy
from random import Random
from typing import Any

import numpy as np
from nibabel.nifti1 import header_dtype as nifti1_fields
from nibabel.nifti2 import header_dtype as nifti2_fields

TEXTS = (
    "",
    " ",
    "=cmd()",
    "<script>alert(1)</script>",
    "../../x",
    "/etc/passwd",
    "a\0b",
    "\x1b[2J",
    "\ud800",
    "a" * 300,
    "-1",
    "1e400",
)
NUMBERS = (0, 1, -1, 2, 0.5, -0.0, 1e308, math.inf, -math.inf, math.nan, 2**31, 2**63, -(2**63), 10**400)
NASTY: tuple[Any, ...] = (None, True, False, [], {}, [[]], [None], {"": None}, *NUMBERS, *TEXTS)
WORDS = (
    *("inf", "nan", "true", "1e999", "99999999999999999999", "-1", "0", "0.5", "none", "last_linear", "2020-01-01"),
    *("[]", "{}", "[[1]]", "[0]", "[1, 2]", '["a"]', "{ a = 1 }", '""', '"\\u0000"', '"all"', '"a.toml"', '"../../x"'),
    *('"=cmd()"', '"<script>"', "[16, 16]", "[0.0, 0.0, 0.0]", '"seed:3"', '"domain"', '"class"', '"float32"'),
)
_KEY_VALUE = re.compile(r"^(\s*[\w\".-]+\s*=\s*)(.*)$")


def of_json(content: bytes, rng: Random) -> bytes:
    """JSON with some values replaced, moved, renamed or removed."""
    document = json.loads(content)
    for _ in range(rng.randint(1, 3)):
        places = list(_places(document))
        if not places:
            return json.dumps(rng.choice(NASTY)).encode()
        holder, key = rng.choice(places)
        how = rng.randrange(5)
        if how == 0:
            del holder[key]
        elif how == 1:
            other, place = rng.choice(places)
            holder[key] = deepcopy(other[place])
        elif how == 2 and isinstance(holder, dict):
            holder[rng.choice([*TEXTS, *holder])] = holder.pop(key)
        elif how == 3 and isinstance(holder[key], (int, float)):
            holder[key] = rng.choice(NUMBERS)
        else:
            holder[key] = rng.choice(NASTY)
    return json.dumps(document, indent=1).encode()


def _places(node: Any) -> Any:
    """Every list or object with each of its keys."""
    for key, value in list(
        node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    ):
        yield node, key
        yield from _places(value)


def of_lines(content: bytes, rng: Random) -> bytes:
    """Lines ``key = value`` with some values or keys replaced, and lines moved, doubled or removed."""
    lines = content.decode("utf-8", "replace").split("\n")
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(lines))
        found = _KEY_VALUE.match(lines[at])
        others = [other for line in lines if (other := _KEY_VALUE.match(line))]
        how = rng.randrange(6)
        if found and how < 3:
            lines[at] = found[1] + (rng.choice(WORDS) if how else rng.choice(others)[2])
        elif found and how == 3:
            lines[at] = rng.choice(others)[1] + found[2]
        elif how == 4 and len(lines) > 1:
            lines.insert(rng.randrange(len(lines)), lines.pop(at))
        elif how == 5:
            lines[at : at + 1] = [lines[at]] * rng.choice((0, 2))
        lines = lines or [""]
    return "\n".join(lines).encode()


def of_table(content: bytes, rng: Random) -> bytes:
    """A CSV table with some cells replaced and rows doubled or removed."""
    rows = list(csv.reader(io.StringIO(content.decode("utf-8", "replace"), newline="")))
    for _ in range(rng.randint(1, 3)):
        row = rng.choice(rows)
        how = rng.randrange(4)
        if how < 2 and row:
            row[rng.randrange(len(row))] = (
                str(rng.choice([*NUMBERS, *TEXTS])) if how else rng.choice(rng.choice(rows) or [""])
            )
        elif how == 2:
            rows.append(list(row))
        elif len(rows) > 1:
            rows.remove(row)
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows(rows)
    return text.getvalue().encode("utf-8", "replace")


def of_nifti(content: bytes, rng: Random) -> bytes:
    """A NIfTI image with some fields of its header, or its length, changed."""
    fields = nifti2_fields if content[:1] == b"\x1c" else nifti1_fields
    changed = bytearray(content)
    for _ in range(rng.randint(1, 3)):
        if rng.randrange(8) == 0:
            end = rng.randrange(len(changed) + 1)
            changed[end:] = bytes(rng.choice((0, 8, 400)))
            continue
        name = rng.choice([name for name in fields.names or () if name != "sizeof_hdr"])
        kind, start = fields.fields[name][:2]
        item = kind.base
        at = start + item.itemsize * rng.randrange(max(1, kind.itemsize // item.itemsize))
        changed[at : at + item.itemsize] = _packed(item, rng)
    return bytes(changed)


def _packed(kind: np.dtype[Any], rng: Random) -> bytes:
    """One value of a type, such as a header has and such as it has not."""
    if kind.kind not in "iuf":
        return rng.randbytes(kind.itemsize)
    value = rng.choice([*NUMBERS, 3, 4, 5, 8, 16, 64, 348, 352, 512, 544])
    with np.errstate(all="ignore"):
        if kind.kind == "f":
            return np.array(min(value, 1.7e308), dtype=np.float64).astype(kind).tobytes()
        whole = value if isinstance(value, int) else int(value) if math.isfinite(value) else -1
        return (whole % 2 ** (8 * kind.itemsize)).to_bytes(kind.itemsize, "little")


def of_packed_nifti(content: bytes, rng: Random) -> bytes:
    """A gzipped NIfTI image, changed inside."""
    return gzip.compress(of_nifti(gzip.decompress(content), rng), compresslevel=1, mtime=0)


def of_safetensors(content: bytes, rng: Random) -> bytes:
    """A safetensors file with another header, or other lengths."""
    length = int.from_bytes(content[:8], "little")
    header, data = of_json(content[8 : 8 + length], rng), content[8 + length :]
    stated = len(header) if rng.randrange(6) else rng.choice((0, 1, len(header) + 1, 2**31, 2**63))
    return stated.to_bytes(8, "little") + header + data[: rng.choice((len(data), len(data), 0, 3))]
