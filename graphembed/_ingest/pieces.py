"""The bytes of a text file, in pieces of whole lines, plain or gzipped."""

import gzip
import itertools
import os
import zlib
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from queue import SimpleQueue
from threading import Lock
from typing import IO, Any, TypeVar, cast

import numpy as np

from graphembed._ingest.edge_list import Array
from graphembed._ingest.threads import n_threads
from graphembed._kernels._parse import PADDING
from graphembed._threads import Crew
from graphembed.exceptions import GraphFormatError

PIECE = 1 << 21  # bytes that a thread parses at a time
_PACKED, _UNPACKED = 1 << 18, 1 << 20  # bytes of gzip that are read, and unpacked, in one step
_LONGEST = 1 << 31  # no id is so long
_T = TypeVar("_T")


@dataclass(frozen=True)
class Piece:
    """Whole lines: ``buffer[:size]``, and behind them a newline and readable bytes.

    `fraction` tells how much of the file has been read, `spare` takes buffers that are free again.
    """

    buffer: bytearray
    size: int
    fraction: float
    spare: list[bytearray]

    @property
    def text(self) -> Array:
        """The buffer as an array."""
        return np.frombuffer(self.buffer, np.uint8)

    def give_back(self) -> None:
        """Let the buffer be filled again: first touch of a new one costs as much as reading."""
        self.spare.append(self.buffer)


def decompressed(raw: IO[bytes]) -> IO[bytes]:
    """Unpack a file if it is a gzip stream."""
    return cast(IO[bytes], gzip.GzipFile(fileobj=raw)) if _is_packed(raw) else raw


def _is_packed(raw: IO[bytes]) -> bool:
    start = raw.read(2)
    raw.seek(0)
    return start == b"\x1f\x8b"


class _Unpacked:
    """The text of a gzip stream, unpacked in large steps: each one hands over the GIL."""

    def __init__(self, raw: IO[bytes]) -> None:
        self._chunks = _unpack(raw)
        self._rest = memoryview(b"")

    def readinto(self, view: memoryview) -> int:
        """Fill a buffer, or a part of it; 0 at the end."""
        while not self._rest:
            chunk = next(self._chunks, None)
            if chunk is None:
                return 0
            self._rest = memoryview(chunk)
        count = min(len(view), len(self._rest))
        view[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count


def _unpack(raw: IO[bytes]) -> Iterator[bytes]:
    """Unpack the members of a gzip stream, zeros behind a member left out."""
    packed = raw.read(_PACKED)
    while packed:
        member = zlib.decompressobj(zlib.MAX_WBITS | 16)  # a gzip header, and its checksums
        while not member.eof:
            chunk = member.decompress(packed, _UNPACKED)
            packed = member.unconsumed_tail
            if chunk:
                yield chunk
            elif not (packed or member.eof):
                packed = raw.read(_PACKED)
                if not packed:
                    raise EOFError("it ends before its end-of-stream marker")
        packed = member.unused_data.lstrip(b"\0")
        while not packed and (more := raw.read(_PACKED)):
            packed = more.lstrip(b"\0")


def map_pieces(
    raw: IO[bytes], start: int, work: Callable[[Piece], _T]
) -> Generator[_T, None, None]:
    """Do some work on every piece of a file, and give the results in order.

    With more than one thread, each in turn reads and unpacks a piece, and then works on it while
    others read: reading, unpacking and the kernels release the GIL.

    Parameters
    ----------
    raw : file
        The file as it is on the disk.
    start : int
        The byte of the text where to begin.
    work : callable
        What to do with a piece.

    Returns
    -------
    generator
        What `work` returned. An error of reading or of `work` is raised in its place. Closing the
        generator ends the threads.

    Notes
    -----
    Memory: n_threads + 2 pieces of 2 MB, or of the longest line, and what `work` returned of them.
    """
    pieces = _read(raw, start)
    count = n_threads()
    return (work(piece) for piece in pieces) if count == 1 else _map(pieces, work, count)


def _map(
    pieces: Iterator[Piece], work: Callable[[Piece], _T], n_threads: int
) -> Generator[_T, None, None]:
    crew = Crew()
    places: SimpleQueue[None] = SimpleQueue()  # one for every piece that may be begun
    numbers, turn = itertools.count(), Lock()
    ready: dict[int, tuple[_T | None, BaseException | None]] = {}

    def work_on_one() -> None:
        result, failure = None, None
        try:
            with turn:
                number = next(numbers)
                piece = next(pieces, None)
            if piece is not None:
                result = work(piece)
        except BaseException as error:
            failure = error
        ready[number] = result, failure
        crew.ring()

    def work_on_pieces() -> None:
        places.get()
        while not crew.stopped:
            work_on_one()
            places.get()

    try:
        for _ in range(n_threads + 1):
            places.put(None)
        crew.start(work_on_pieces, n_threads)
        for number in itertools.count():
            crew.wait_for(lambda: number in ready or bool(crew.errors))  # noqa: B023
            if crew.errors:
                raise crew.errors[0]
            result, failure = ready.pop(number)
            if failure is not None:
                raise failure
            if result is None:
                return
            yield result
            places.put(None)
    finally:
        crew.stopped = True
        for _ in range(n_threads):
            places.put(None)
        crew.stop()


def _read(raw: IO[bytes], start: int) -> Iterator[Piece]:
    whole = max(1, os.fstat(raw.fileno()).st_size)
    raw.seek(0)
    if _is_packed(raw):
        file: Any = _Unpacked(raw)
        _fill(file, bytearray(start + PADDING), b"")
    else:
        file = raw
        raw.seek(start)
    length = PIECE + PADDING
    rest = b""
    at_end = False
    spare: list[bytearray] = []
    while not at_end:
        buffer = spare.pop() if spare else bytearray(length)
        if len(buffer) != length:
            buffer = bytearray(length)
        at_end, used = _fill(file, buffer, rest)
        size = used if at_end else buffer.rfind(b"\n", 0, used) + 1
        rest = bytes(memoryview(buffer)[size:used])
        if size:
            buffer[size : size + 1] = b"\n"
            yield Piece(buffer, size, min(1.0, raw.tell() / whole), spare)
        elif length > _LONGEST:
            raise GraphFormatError(f"a line is longer than {_LONGEST} bytes")
        length = max(PIECE, 2 * len(rest)) + PADDING


def _fill(file: Any, buffer: bytearray, rest: bytes) -> tuple[bool, int]:
    """Fill a buffer behind the rest of the piece before; returns (at the end, bytes in it)."""
    room = len(buffer) - PADDING
    used = len(rest)
    with memoryview(buffer) as view:
        view[:used] = rest
        while used < room:
            count = file.readinto(view[used:room])
            if not count:
                return True, used
            used += count
    return False, used
