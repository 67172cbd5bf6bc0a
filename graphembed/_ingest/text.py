"""Edge lists in text files: csv, tsv or separated by blanks, plain or gzipped."""

import gzip
import os
import re
import zlib
from collections.abc import Iterable, Iterator
from contextlib import closing
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import IO, Any

import numpy as np

from graphembed._ingest.edge_list import Array, EdgeList
from graphembed._ingest.ids import index_edges, object_array
from graphembed._ingest.pieces import Piece, decompressed, read_pieces
from graphembed._ingest.rows import Layout, check_text, read_layout
from graphembed._ingest.threads import run
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
        try:
            layout = read_layout(path, decompressed(raw), **options)
        except _DAMAGED as error:
            raise _damaged(path, 0, error) from error
        if layout is None:
            empty = np.empty(0, np.int32)
            ids, source, target = index_edges(empty, empty, nodes)
            return EdgeList(source, target, None, ids, directed)
        try:
            edges = _read_integers(raw, layout)
            ids, source, target = index_edges(edges.source, edges.target, nodes, reuse=True)
        except _NotIntegers:
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
                room = max(len(old), min(room, 16 * self.count))
                self._columns[k] = np.empty(room, wanted[k])
                self._columns[k][:begin] = old[:begin]
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
    return GraphFormatError(f"{path}, after line {lines}: the gzip stream is damaged: {error}")


@dataclass
class _Parsed:
    """What the kernel made of a piece; `odd` are the lines it left: place, number, text."""

    piece: Piece
    text: Array
    cuts: Array
    places: Array
    ids: Array
    weights: Array
    odd: list[tuple[int, int, bytes]]
    is_wide: bool


class _Parser:
    """Parses the pieces of a file in blocks, side by side."""

    def __init__(self, layout: Layout, *, words: bool) -> None:
        self.layout = layout
        delimiter = layout.delimiter if layout.delimiter in _PLAIN_DELIMITERS else "\0"
        weight = -1 if layout.weight is None else layout.weight
        self._columns = np.array(
            [ord(delimiter), layout.source, layout.target, weight, layout.width], np.int64
        )
        self._kernel = _parse.read_words if words else _parse.read_integers
        self._n_ids = 4 if words else 2
        self._ids, self._odd = np.empty((0, self._n_ids), np.int64), np.empty((0, 4), np.int64)
        self._weights = np.empty(0)

    def pieces(self, raw: IO[bytes]) -> Iterator[_Parsed]:
        """Parse all pieces; memory: 4 to 10 bytes for every byte of a piece."""
        lines = self.layout.line
        with closing(read_pieces(raw, self.layout.start)) as pieces:
            while True:
                try:
                    piece = next(pieces, None)
                except _DAMAGED as error:
                    raise _damaged(self.layout.path, lines, error) from error
                if piece is None:
                    return
                parsed, n_lines = self._parse(piece, lines)
                lines += n_lines
                yield parsed

    def _parse(self, piece: Piece, lines: int) -> tuple[_Parsed, int]:
        text, cuts = piece.text, piece.cuts()
        n_blocks = len(cuts) - 1
        room = piece.size // 2 + n_blocks + 1
        if len(self._ids) < room:
            self._ids, self._odd = np.empty((room, self._n_ids), np.int64), np.empty((room, 4), np.int64)
            self._weights = np.empty(room if self.layout.weight is not None else 0)
        tally = np.empty((n_blocks, _parse.TALLY_SIZE), np.int64)
        run(
            lambda *part: self._kernel(
                text, cuts, self._columns, _powers(), self._ids, self._weights, self._odd, tally, *part
            ),
            n_blocks,
            work=piece.size // 8,
        )
        if tally[:, _parse.TALLY_WORDS].any():
            raise _NotIntegers
        first_lines = 1 + lines + np.cumsum(tally[:, _parse.TALLY_LINES])
        first_lines -= tally[:, _parse.TALLY_LINES]
        for b in np.flatnonzero(tally[:, _parse.TALLY_FOREIGN]).tolist():
            check_text(bytes(piece.buffer[cuts[b] : cuts[b + 1]]), self.layout.path, int(first_lines[b]))
        places = np.concatenate([[0], np.cumsum(tally[:, _parse.TALLY_EDGES])])
        odd = []
        for b in np.flatnonzero(tally[:, _parse.TALLY_ODD]).tolist():
            first = int(cuts[b]) // 2 + b
            for slot, line, begin, end in self._odd[first : first + int(tally[b, _parse.TALLY_ODD])].tolist():
                odd.append((int(places[b]) + slot, int(first_lines[b]) + line, bytes(piece.buffer[begin:end])))
        is_wide = bool(tally[:, _parse.TALLY_WIDE].any())
        parsed = _Parsed(piece, text, cuts, places, self._ids, self._weights, odd, is_wide)
        return parsed, int(tally[:, _parse.TALLY_LINES].sum())


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
    for parsed in _Parser(layout, words=False).pieces(raw):
        found = [(slot, layout.read(line, number)) for slot, number, line in parsed.odd]
        ends = {slot: _integers(row[0], row[1]) for slot, row in found if row}
        is_wide = parsed.is_wide or any(not 0 <= i < 2**31 for pair in ends.values() for i in pair)
        begin, n_edges = edges.count, int(parsed.places[-1])
        columns = edges.extend(n_edges, parsed.piece.fraction, np.int64 if is_wide else np.int32)
        run(
            lambda *part: _parse.gather_integers(
                parsed.ids, parsed.weights, parsed.cuts, parsed.places, *columns, *part  # noqa: B023
            ),
            len(parsed.places) - 1,
            work=n_edges // 4,
        )
        for slot, pair in ends.items():
            columns[0][slot], columns[1][slot] = pair
        _finish(edges, begin, columns[2], found)
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
    spans = np.empty((0, 4), np.int64)
    for parsed in _Parser(layout, words=True).pieces(raw):
        found = [(slot, layout.read(line, number)) for slot, number, line in parsed.odd]
        begin, n_edges = edges.count, int(parsed.places[-1])
        columns = edges.extend(n_edges, parsed.piece.fraction)
        spans = spans if len(spans) >= n_edges else np.empty((n_edges, 4), np.int64)
        run(
            lambda *part: _parse.gather_words(
                parsed.ids, parsed.weights, parsed.cuts, parsed.places, spans, columns[2], *part  # noqa: B023
            ),
            len(parsed.places) - 1,
            work=n_edges // 4,
        )
        text, dropped = _add_words(parsed.text, spans, found)
        kept = np.delete(spans[:n_edges], dropped, axis=0) if dropped else spans[:n_edges]
        numbers = table.number(text, kept.reshape(-1, 2)).reshape(-1, 2)
        slots = np.delete(np.arange(n_edges), dropped) if dropped else slice(None)
        columns[0][slots], columns[1][slots] = numbers[:, 0], numbers[:, 1]
        _finish(edges, begin, columns[2], found)
    return edges, _interpret(table.words(), layout.path)


def _add_words(
    text: Array, spans: Array, found: list[tuple[int, tuple[str, str, float] | None]]
) -> tuple[Array, list[int]]:
    """Put the ids of odd lines behind the text; returns it, and the slots that hold no edge."""
    more = bytearray()
    for slot, row in found:
        for k, word in enumerate(row[:2] if row else ()):
            raw = word.encode()
            spans[slot, 2 * k : 2 * k + 2] = len(text) + len(more), len(raw)
            more += raw
    if more:
        text = np.concatenate([text, np.frombuffer(more, np.uint8)])
    return text, [slot for slot, row in found if row is None]


def _finish(
    edges: _Edges,
    begin: int,
    weights: Array,
    found: list[tuple[int, tuple[str, str, float] | None]],
) -> None:
    """Fill in the weights of odd lines, and take out those that hold no edge."""
    if edges.has_weights:
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
