"""The bytes of a text file, in pieces of whole lines, plain or gzipped."""

import gzip
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import IO, cast

import numpy as np

from graphembed._ingest.edge_list import Array
from graphembed._ingest.threads import n_threads
from graphembed._kernels._parse import PADDING
from graphembed.exceptions import GraphFormatError

PIECE = 1 << 23  # bytes read at a time
BLOCK = 1 << 17  # bytes that a thread parses at a time
_LONGEST = 1 << 31  # no id is so long


@dataclass(frozen=True)
class Piece:
    """Whole lines: ``buffer[:size]``, and behind them a newline and readable bytes.

    `fraction` tells how much of the file has been read. The buffer is used again: a piece is gone
    when the next but one is asked for.
    """

    buffer: bytearray
    size: int
    fraction: float

    @property
    def text(self) -> Array:
        """The buffer as an array."""
        return np.frombuffer(self.buffer, np.uint8)

    def cuts(self) -> Array:
        """Starts of blocks of whole lines, and the end."""
        cuts = [0]
        while cuts[-1] < self.size:
            end = self.buffer.find(b"\n", cuts[-1] + BLOCK - 1, self.size)
            cuts.append(self.size if end < 0 else end + 1)
        return np.array(cuts)


def decompressed(raw: IO[bytes]) -> IO[bytes]:
    """Unpack a file if it is a gzip stream."""
    start = raw.read(2)
    raw.seek(0)
    return cast(IO[bytes], gzip.GzipFile(fileobj=raw)) if start == b"\x1f\x8b" else raw


def read_pieces(raw: IO[bytes], start: int) -> Iterator[Piece]:
    """Read a file from byte `start` of its text on.

    With more than one thread, a piece is read and unpacked while the one before it is in use. Reading
    and unpacking release the GIL. Memory: two buffers of 8 MB, or of the longest line.

    Parameters
    ----------
    raw : file
        The file as it is on the disk.
    start : int
        Where to begin.

    Yields
    ------
    Piece
        Lines of the file, in order.
    """
    raw.seek(0)
    file = decompressed(raw)
    file.seek(start)
    pieces = _fill_buffers(file, raw)
    if n_threads() == 1:
        yield from pieces
        return
    with ThreadPoolExecutor(1) as pool:
        reading = pool.submit(next, pieces, None)
        while piece := reading.result():
            reading = pool.submit(next, pieces, None)
            yield piece


def _fill_buffers(file: IO[bytes], raw: IO[bytes]) -> Iterator[Piece]:
    whole = max(1, os.fstat(raw.fileno()).st_size)
    buffer, other = bytearray(PIECE + PADDING), bytearray(PIECE + PADDING)
    rest = b""
    at_end = False
    while not at_end:
        at_end, used = _fill(file, buffer, rest)
        size = used if at_end else buffer.rfind(b"\n", 0, used) + 1
        rest = bytes(memoryview(buffer)[size:used])
        if size:
            buffer[size : size + 1] = b"\n"
            yield Piece(buffer, size, min(1.0, raw.tell() / whole))
            buffer, other = other, buffer
        elif len(buffer) > _LONGEST:
            raise GraphFormatError(f"a line is longer than {_LONGEST} bytes")
        if len(buffer) - PADDING <= len(rest):
            buffer = bytearray(2 * len(buffer))


def _fill(file: IO[bytes], buffer: bytearray, rest: bytes) -> tuple[bool, int]:
    """Fill a buffer behind the rest of the piece before; returns (at the end, bytes in it)."""
    room = len(buffer) - PADDING
    used = len(rest)
    with memoryview(buffer) as view:
        view[:used] = rest
        while used < room:
            count = file.readinto(view[used:room])  # type: ignore[attr-defined]  # every binary file
            if not count:
                return True, used
            used += count
    return False, used
