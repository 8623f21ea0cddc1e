"""Large files that are mostly zeros, small on the disk; their bytes depend on nothing but what they hold."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Iterator
from itertools import groupby
from pathlib import Path

import numpy as np

from clbench.data.phantom.files import gzip_trailer, stored_blocks

_PIECE = 4096  # a page of most file systems
_MATCH = 258  # longest run that deflate can name


def write_with_holes(path: Path, data: bytes) -> None:
    """Write a file whose pages of zeros are holes, which take no room where the file system knows them."""
    with path.open("wb") as file:
        at = 0
        for zero, piece in _pieces(data):
            if not zero:
                file.seek(at)
                file.write(piece)
            at += len(piece)
        file.truncate(at)


def sparse_gzip(data: bytes) -> bytes:
    """A gzip file that holds runs of zeros as deflate runs and all else uncompressed, as ``stored_gzip`` does."""
    header = b"\x1f\x8b\x08\x00" + struct.pack("<I", 0) + b"\x00\xff"
    blocks = [_zero_block(len(piece)) if zero else stored_blocks(piece) for zero, piece in _pieces(data)]
    return header + b"".join(blocks) + stored_blocks(b"", last=True) + gzip_trailer(zlib.crc32(data), len(data))


def _pieces(data: bytes) -> Iterator[tuple[bool, bytes]]:
    """Stretches of the data, alternately zero and not."""
    whole = np.frombuffer(data, dtype=np.uint8, count=len(data) // _PIECE * _PIECE).reshape(-1, _PIECE)
    at = 0
    for zero, run in groupby(not bool(page.any()) for page in whole):
        size = _PIECE * len(list(run))
        yield zero, data[at : at + size]
        at += size
    if at < len(data):
        yield False, data[at:]


def _zero_block(count: int) -> bytes:
    """Deflate blocks for ``count`` zeros: literals and runs in the fixed code, then an empty stored block to align.

    Source: RFC 1951, section 3.2.6.
    """
    matches, literals = divmod(count - 1, _MATCH)
    literal, match, end = "00110000", "11000101" + "00000", "0000000"
    bits = "010" + literal * (1 + literals) + match * matches + end + "000"
    flags = np.frombuffer(bits.encode(), dtype=np.uint8) == ord("1")
    return np.packbits(flags, bitorder="little").tobytes() + b"\x00\x00\xff\xff"
