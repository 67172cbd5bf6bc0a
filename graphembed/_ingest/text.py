"""Edge lists in text files: csv, tsv or separated by blanks, plain or gzipped."""

import gzip
import os
import re
import zlib
from collections.abc import Iterable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import IO, Any

import numpy as np

from graphembed._ingest.edge_list import Array, EdgeList
from graphembed._ingest.ids import index_edges, object_array
from graphembed._ingest.pieces import Piece, decompressed, map_pieces
from graphembed._ingest.rows import Layout, check_text, read_layout
from graphembed._ingest.words import WordTable
from graphembed._kernels import _parse
from graphembed.exceptions import GraphFormatError

_INTEGER = re.compile(r"0|-?[1-9][0-9]*")
_INT64 = np.iinfo(np.int64)
_PLAIN_DELIMITERS = " \t,;|:"  # the kernel leaves lines with others to `Layout.read`


class _NotIntegers(Exception):  # noqa: N818  # no error: the file is read again, as one of words
    """An id is no integer, or does not fit int64."""


def read_text(
    path: str | os.PathLike[str],
    *,
    directed: bool,
    nodes: Iterable[Any] | None,
    **options: Any,
) -> EdgeList:
    """Read an edge list; `Graph.from_edge_list_file` states the rules."""
    path = Path(path)
    with path.open("rb") as raw:
        if not raw.seekable():
            raise GraphFormatError(
                f"{path} is a pipe, which cannot be read twice: write its text into a file first"
            )
        try:
            layout = read_layout(path, decompressed(raw), **options)
        except _DAMAGED as error:
            raise _damaged(path, 0, error) from error
        if layout is None:
            empty = np.empty(0, np.int32)
            ids, source, target = index_edges(empty, empty, nodes)
            return EdgeList(source, target, None, ids, directed)
        edges = None
        with suppress(_NotIntegers):
            edges = _read_integers(raw, layout)
            ids, source, target = index_edges(edges.source, edges.target, nodes, reuse=True)
        if edges is None:
            edges, ids = _read_words(raw, layout)
            source, target = edges.source, edges.target
            if nodes is not None:
                ids, rank, _ = index_edges(ids, ids, nodes)
                source, target = rank[source], rank[target]
    return EdgeList(source, target, edges.weights, ids, directed)


# ---------------------------------------------------------------- columns that grow


@dataclass
class _Edges:
    """Columns of edges that grow to the length that is expected of them."""

    has_weights: bool
    count: int = 0
    _columns: list[Array] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._columns = [np.empty(0, np.int32), np.empty(0, np.int32), np.empty(0, np.float64)]

    def extend(self, count: int, fraction: float, dtype: type = np.int32) -> list[Array]:
        """Make room for more edges, and return it: source, target, weight.

        `fraction` of the file has been read when these are there.
        """
        begin, self.count = self.count, self.count + count
        wanted = [dtype if dtype is np.int64 else self._columns[0].dtype.type] * 2 + [np.float64]
        for k in range(2 + self.has_weights):
            old = self._columns[k]
            if len(old) < self.count or old.dtype != wanted[k]:
                room = max(self.count, int(1.03 * self.count / max(fraction, 1e-3)))
                room = max(len(old), min(room, 256 * self.count))
                self._columns[k] = np.empty(room, wanted[k])
                self._columns[k][:begin] = old[:begin]
        if not self.has_weights:
            return [column[begin : self.count] for column in self._columns[:2]] + self._columns[2:]
        return [column[begin : self.count] for column in self._columns]

    def remove(self, slots: list[int]) -> None:
        """Take out edges."""
        first = slots[0]
        for column in self._columns[: 2 + self.has_weights]:
            rest = np.delete(column[first : self.count], np.subtract(slots, first))
            column[first : first + len(rest)] = rest
        self.count -= len(slots)

    @property
    def source(self) -> Array:
        return self._columns[0][: self.count]

    @property
    def target(self) -> Array:
        return self._columns[1][: self.count]

    @property
    def weights(self) -> Array | None:
        return self._columns[2][: self.count] if self.has_weights else None


# ---------------------------------------------------------------- pieces of lines


_DAMAGED = (EOFError, gzip.BadGzipFile, zlib.error)


def _damaged(path: Path, lines: int, error: Exception) -> GraphFormatError:
    where = f"after line {lines}" if lines else "near its start"
    return GraphFormatError(f"{path}, {where}: the gzip stream is damaged: {error}")


@dataclass(frozen=True)
class _Parsed:
    """What the kernel made of a piece: `slots` for edges, some of them odd lines that it left."""

    piece: Piece
    tally: list[int]
    ids: Array
    weights: Array
    odd: Array
    hashes: Array

    @property
    def n_slots(self) -> int:
        return self.tally[_parse.TALLY_EDGES]


_Row = tuple[str, str, float]  # source, target, weight
_NO_ROOM: tuple[Array, Array, Array] = (np.empty((0, 2)), np.empty(0), np.empty((0, 4)))


class _Parser:
    """Parses the pieces of a file, side by side."""

    def __init__(self, layout: Layout, table: WordTable | None = None) -> None:
        self.layout = layout
        self._table = table
        delimiter = layout.delimiter if layout.delimiter in _PLAIN_DELIMITERS else "\0"
        weight = -1 if layout.weight is None else layout.weight
        self._columns = np.array(
            [ord(delimiter), layout.source, layout.target, weight, layout.width], np.int64
        )
        self._free: list[tuple[Array, Array, Array]] = []

    def pieces(self, raw: IO[bytes]) -> Iterator[tuple[_Parsed, list[tuple[int, _Row | None]]]]:
        """Parse all pieces; odd lines come as (slot, edge or None)."""
        lines = self.layout.line
        with closing(map_pieces(raw, self.layout.start, self._parse)) as pieces:
            while True:
                try:
                    parsed = next(pieces, None)
                except _DAMAGED as error:
                    raise _damaged(self.layout.path, lines, error) from error
                if parsed is None:
                    return
                if parsed.tally[_parse.TALLY_WORDS]:
                    raise _NotIntegers
                yield parsed, self._read_odd(parsed, lines)
                lines += parsed.tally[_parse.TALLY_LINES]
                self._free.append((parsed.ids, parsed.weights, parsed.odd))
                parsed.piece.give_back()

    def _parse(self, piece: Piece) -> _Parsed:
        """Run the kernel; memory: 8 to 20 bytes for every byte of the piece."""
        room = piece.size // 2 + 1
        ids, weights, odd = _NO_ROOM
        with suppress(IndexError):  # several threads come for them
            ids, weights, odd = self._free.pop()
        if len(ids) < room:
            ids = np.empty((room, 2 if self._table is None else 4), np.int64)
            weights = np.empty(room if self.layout.weight is not None else 0)
            odd = np.empty((room, 4), np.int64)
        tally = np.empty(_parse.TALLY_SIZE, np.int64)
        kernel = _parse.read_integers if self._table is None else _parse.read_words
        text = piece.text
        kernel(text, self._columns, _powers(), ids, weights, odd, tally, 0, piece.size)
        hashes = np.empty(0, np.uint64)
        if self._table is not None:
            spans = ids[: tally[_parse.TALLY_EDGES]].reshape(-1, 2)
            hashes = self._table.hashes(text, spans)
        return _Parsed(piece, tally.tolist(), ids, weights, odd, hashes)

    def _read_odd(self, parsed: _Parsed, lines: int) -> list[tuple[int, _Row | None]]:
        buffer = parsed.piece.buffer
        if parsed.tally[_parse.TALLY_FOREIGN]:
            check_text(bytes(memoryview(buffer)[: parsed.piece.size]), self.layout.path, lines + 1)
        return [
            (slot, self.layout.read(bytes(memoryview(buffer)[begin:end]), lines + 1 + line))
            for slot, line, begin, end in parsed.odd[: parsed.tally[_parse.TALLY_ODD]].tolist()
        ]


@cache
def _powers() -> Array:
    """The 128 most significant bits of the powers of five, as `ge_scale` wants them.

    Inverses are rounded up where 5^-exponent fits 64 bits, all else is cut off.
    """
    rows = []
    for exponent in range(-_parse.MAX_EXPONENT, _parse.MAX_EXPONENT + 1):
        power = 5 ** abs(exponent)
        if exponent < 0:
            extra = 0 if exponent >= -27 else power.bit_length()
            power = (1 << (power.bit_length() + 127 + extra)) // power + 1
        shift = power.bit_length() - 128
        power = power >> shift if shift > 0 else power << -shift
        rows.append((power >> 64, power & (2**64 - 1)))
    return np.array(rows, np.uint64)


# ---------------------------------------------------------------- integers, or words


def _read_integers(raw: IO[bytes], layout: Layout) -> _Edges:
    edges = _Edges(layout.weight is not None)
    for parsed, found in _Parser(layout).pieces(raw):
        ends = {slot: _integers(row[0], row[1]) for slot, row in found if row}
        is_wide = any(not 0 <= number < 2**31 for pair in ends.values() for number in pair)
        is_wide |= bool(parsed.tally[_parse.TALLY_WIDE])
        begin = edges.count
        columns = edges.extend(
            parsed.n_slots, parsed.piece.fraction, np.int64 if is_wide else np.int32
        )
        _parse.split_integers(parsed.ids, columns[0], columns[1])
        for slot, pair in ends.items():
            columns[0][slot], columns[1][slot] = pair
        _finish(edges, begin, columns[2], parsed, found)
    return edges


def _integers(source: str, target: str) -> tuple[int, int]:
    ends = source, target
    # 20 characters: int() refuses a thousand digits
    if not all(_INTEGER.fullmatch(end) and len(end) <= 20 for end in ends):
        raise _NotIntegers
    numbers = int(source), int(target)
    if not all(_INT64.min <= number <= _INT64.max for number in numbers):
        raise _NotIntegers
    return numbers


def _read_words(raw: IO[bytes], layout: Layout) -> tuple[_Edges, Array]:
    edges = _Edges(layout.weight is not None)
    table = WordTable()
    for parsed, found in _Parser(layout, table).pieces(raw):
        spans = parsed.ids[: parsed.n_slots].reshape(-1, 2)
        text = _add_words(parsed.piece.text, spans, found)
        for slot, _ in found:
            table.hash_some(text, spans, parsed.hashes, 2 * slot, 2 * slot + 2)
        dropped = [slot for slot, row in found if row is None]
        slots: Array | slice = slice(None)
        hashes = parsed.hashes
        if dropped:
            slots = np.delete(np.arange(parsed.n_slots), dropped)
            spans = spans.reshape(-1, 4)[slots].reshape(-1, 2)
            hashes = hashes.reshape(-1, 2)[slots].reshape(-1)
        begin = edges.count
        columns = edges.extend(parsed.n_slots, parsed.piece.fraction)
        numbers = table.number(text, spans, hashes).reshape(-1, 2)
        columns[0][slots], columns[1][slots] = numbers[:, 0], numbers[:, 1]
        _finish(edges, begin, columns[2], parsed, found)
    return edges, _interpret(table.words(), layout.path)


def _add_words(text: Array, spans: Array, found: list[tuple[int, _Row | None]]) -> Array:
    """Put the ids of odd lines behind the text."""
    more = bytearray()
    for slot, row in found:
        for k, word in enumerate(row[:2] if row else ()):
            raw = word.encode()
            spans[2 * slot + k] = len(text) + len(more), len(raw)
            more += raw
    return np.concatenate([text, np.frombuffer(more, np.uint8)]) if more else text


def _finish(
    edges: _Edges,
    begin: int,
    weights: Array,
    parsed: _Parsed,
    found: list[tuple[int, _Row | None]],
) -> None:
    """Fill in the weights, and take out the lines that hold no edge."""
    if edges.has_weights:
        weights[:] = parsed.weights[: parsed.n_slots]
        for slot, row in found:
            weights[slot] = row[2] if row else 0.0
    if dropped := [begin + slot for slot, row in found if row is None]:
        edges.remove(dropped)


def _interpret(words: list[str], path: Path) -> Array:
    """Refuse integers that do not fit int64, if every id is one; else all are strings."""
    if all(map(_INTEGER.fullmatch, words)):
        longest = max(words, key=lambda word: (len(word.lstrip("-")), word.lstrip("-")))
        raise GraphFormatError(
            f"{path}: integer ids must fit int64, got {longest[:80]}; make one id a word, and all "
            "are read as strings"
        )
    return object_array(words, len(words))
