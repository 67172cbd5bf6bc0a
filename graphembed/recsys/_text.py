"""Text files of numbers and words, read by whole columns: no loop over the lines."""

import csv
import gzip
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from graphembed._ingest.edge_list import Array
from graphembed._ingest.ids import object_array
from graphembed._ingest.words import WordTable
from graphembed.exceptions import FileFormatError
from graphembed.recsys._entries import code_integers

_PIECE = 1 << 20  # bytes of whole lines that are split at a time; their columns stay in cache
_LONGEST = 18  # digits of a number that fits int64 for certain
_EXACT = 16  # 15 digits and a point: digits and power of ten are exact in float64, so one rounding
_BLANKS = np.zeros(256, bool)
_BLANKS[[9, 10, 32]] = True
_SHOWN = 80  # characters of a bad field in a message


@dataclass(frozen=True)
class Piece:
    """Whole lines of a file, as bytes: newlines only, no carriage returns; `line` is the first."""

    path: Path
    line: int
    text: Array

    def error(self, position: int, problem: str) -> FileFormatError:
        """Name the line of a byte."""
        line = self.line + int(np.count_nonzero(self.text[:position] == 10))
        return FileFormatError(f"{self.path}, line {line}: {problem}")

    def show(self, start: int, end: int) -> str:
        """Quote a field."""
        return repr(self.text[start : min(end, start + _SHOWN)].tobytes().decode(errors="replace"))


@dataclass(frozen=True)
class Fields:
    """Some fields of a piece: where they begin and end."""

    piece: Piece
    starts: Array
    ends: Array

    def __getitem__(self, chosen: Array | slice) -> "Fields":
        return Fields(self.piece, self.starts[chosen], self.ends[chosen])

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def lines(self) -> Array:
        """Number of the line of every field."""
        newlines = np.flatnonzero(self.piece.text == 10)
        return self.piece.line + np.searchsorted(newlines, self.starts)

    def error(self, k: int, wish: str) -> FileFormatError:
        """Say what field `k` should have been."""
        shown = self.piece.show(int(self.starts[k]), int(self.ends[k]))
        return self.piece.error(int(self.starts[k]), f"{wish}, got {shown}")


def read_pieces(path: Path) -> Iterator[Piece]:
    """Read a text file, plain or gzipped, in pieces of whole lines."""
    with path.open("rb") as raw:
        packed = raw.read(2) == b"\x1f\x8b"
    line, rest, first = 1, b"", True
    try:
        with gzip.open(path) if packed else path.open("rb") as file:
            while chunk := file.read(_PIECE):
                if first:
                    chunk, first = chunk.removeprefix(b"\xef\xbb\xbf"), False
                block, newline, tail = (rest + chunk).rpartition(b"\n")
                if newline:
                    yield (piece := _piece(path, line, block + newline))
                    line += int(np.count_nonzero(piece.text == 10))
                rest = tail
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise FileFormatError(f"{path}: the gzip stream is damaged: {error}") from error
    if rest:
        yield _piece(path, line, rest + b"\n")


def _piece(path: Path, line: int, block: bytes) -> Piece:
    text = block.replace(b"\r\n", b"\n") if b"\r" in block else block
    piece = Piece(path, line, np.frombuffer(text, np.uint8))
    zero = text.find(b"\0")
    if zero >= 0:
        raise piece.error(zero, "a NUL byte; this is not a text file")
    return piece


def split_blanks(piece: Piece) -> tuple[Fields, Array]:
    """Split lines at blanks; returns the fields, and which of them begin a line."""
    blank = _BLANKS[piece.text]
    edges = np.flatnonzero(np.diff(blank, prepend=True))
    fields = Fields(piece, edges[::2], edges[1::2])
    line = np.searchsorted(np.flatnonzero(piece.text == 10), fields.starts)
    return fields, np.diff(line, prepend=-1) > 0


def split_columns(piece: Piece, delimiter: str, n_columns: int, *, quotes: bool) -> list[Fields]:
    """Split lines into columns, the same number in each; blank lines are left out.

    With `quotes`, fields may stand in quotes, as in csv.
    """
    if delimiter == " ":
        fields, first = split_blanks(piece)
        begins = np.flatnonzero(first)
    else:
        if delimiter == "::":
            tabs = piece.text.tobytes().replace(b"::", b"\t")
            piece = Piece(piece.path, piece.line, np.frombuffer(tabs, np.uint8))
            delimiter = "\t"
        elif quotes and (piece.text == ord('"')).any():
            piece = _unquoted(piece, delimiter)
            delimiter = "\0"
        ends = np.flatnonzero((piece.text == ord(delimiter)) | (piece.text == 10))
        starts = np.concatenate([[0], ends[:-1] + 1])
        fields = _strip(Fields(piece, starts, ends))
        begins = np.flatnonzero(np.concatenate([[True], piece.text[ends[:-1]] == 10]))
    widths = np.diff(begins, append=len(fields))
    keep = (widths > 1) | (fields.starts[begins] < fields.ends[begins])
    wrong = keep & (widths != n_columns)
    if wrong.any():
        k = int(np.argmax(wrong))
        start = int(fields.starts[begins[k]])
        raise piece.error(start, f"{n_columns} columns wanted, got {int(widths[k])}")
    begins = begins[keep]
    return [fields[begins + column] for column in range(n_columns)]


def _unquoted(piece: Piece, delimiter: str) -> Piece:
    """Take the quotes of a csv file away; NUL bytes separate the fields of what is left."""
    lines = []
    text = piece.text.tobytes().decode(errors="surrogateescape").split("\n")
    for number, line in enumerate(text):
        try:
            fields = next(csv.reader([line], delimiter=delimiter, strict=True), [])
        except csv.Error as error:
            raise FileFormatError(f"{piece.path}, line {piece.line + number}: {error}") from error
        lines.append("\0".join(fields))
    return Piece(
        piece.path,
        piece.line,
        np.frombuffer("\n".join(lines).encode(errors="surrogateescape"), np.uint8),
    )


def _strip(fields: Fields) -> Fields:
    """Take blanks around the fields away."""
    text, starts, ends = fields.piece.text, fields.starts, fields.ends
    while (blank := (starts < ends) & (text[starts] == 32)).any():
        starts = starts + blank
    while (blank := (starts < ends) & (text[ends - 1] == 32)).any():
        ends = ends - blank
    return Fields(fields.piece, starts, ends)


def parse_integers(fields: Fields) -> tuple[Array, Array]:
    """Read whole numbers; returns them, and which fields are none ("007" and "-0" are not)."""
    text, starts = fields.piece.text, fields.starts
    if not len(fields):
        return np.empty(0, np.int64), np.empty(0, bool)
    minus = text[starts] == 45
    begin = starts + minus
    n_digits = fields.ends - begin
    bad = (n_digits < 1) | (n_digits > _LONGEST)
    bad |= (text[begin] == 48) & ((n_digits > 1) | minus)
    values = np.zeros(len(fields), np.int64)
    for k in range(min(int(n_digits.max()), _LONGEST)):
        inside = k < n_digits
        digit = text[np.minimum(begin + k, len(text) - 1)] - np.uint8(48)
        bad |= inside & (digit > 9)
        values = np.where(inside, 10 * values + digit, values)
    return np.where(minus, -values, values), bad


def parse_numbers(fields: Fields, wish: str) -> Array:
    """Read numbers: int64 if all are whole, else float64."""
    values, bad = parse_integers(fields)
    if not bad.any():
        return values
    floats = values.astype(np.float64)
    floats[bad], rest = _parse_decimals(fields[bad])
    odd = np.flatnonzero(bad)[rest]
    blob = fields.piece.text.tobytes()
    bounds = zip(fields.starts[odd].tolist(), fields.ends[odd].tolist(), strict=True)
    words = [blob[start:end] for start, end in bounds]
    try:
        floats[odd] = np.array(words, np.float64)
    except ValueError:
        for k, word in zip(odd.tolist(), words, strict=True):
            try:
                float(word)
            except ValueError:
                raise fields.error(k, wish) from None
        raise
    return floats


def _parse_decimals(fields: Fields) -> tuple[Array, Array]:
    """Read numbers such as 3.5, correctly rounded; returns them, and which fields are none."""
    text, starts = fields.piece.text, fields.starts
    lengths = fields.ends - starts
    bad = (lengths < 2) | (lengths > _EXACT)
    values, places = np.zeros(len(fields), np.int64), np.full(len(fields), -1)
    for k in range(min(int(lengths.max()), _EXACT)):
        inside = k < lengths
        sign = text[np.minimum(starts + k, len(text) - 1)]
        is_point = inside & (sign == 46)
        bad |= is_point & (places >= 0) | inside & ~is_point & (sign - np.uint8(48) > 9)
        values = np.where(inside & ~is_point, 10 * values + sign - 48, values)
        places += inside & ((places >= 0) | is_point)
    bad |= places < 0
    return values / 10.0 ** np.maximum(places, 0), bad


class IdColumn:
    """A column of ids that grows: integers if every one is written as an integer, else words."""

    def __init__(self) -> None:
        self._codes: list[Array] = []  # the integers themselves, or the numbers of words
        self._words: WordTable | None = None

    def add(self, fields: Fields) -> None:
        """Put fields behind the column."""
        empty = fields.starts == fields.ends
        if empty.any():
            raise fields.error(int(np.argmax(empty)), "an id must not be empty")
        if self._words is None:
            values, bad = parse_integers(fields)
            if not bad.any():
                self._codes.append(values)
                return
            self._words = WordTable()
            self._codes = [self._number(*_spell(values)) for values in self._codes]
        spans = np.column_stack([fields.starts, fields.ends - fields.starts])
        self._codes.append(self._number(fields.piece.text, spans))

    def _number(self, text: Array, spans: Array) -> Array:
        assert self._words is not None
        return self._words.number(text, spans, self._words.hashes(text, spans))

    def finish(self) -> tuple[Array, Array]:
        """Return the distinct ids, and the place among them of every id of the column."""
        codes = np.concatenate(self._codes) if self._codes else np.empty(0, np.int64)
        if self._words is None:
            return code_integers(codes)
        words = self._words.words()
        return object_array(words, len(words)), codes


def _spell(values: Array) -> tuple[Array, Array]:
    """Write integers as text; returns it, and (begin, length) of each."""
    words = list(map(str, values.tolist()))
    lengths = np.fromiter(map(len, words), np.int64, len(words))
    text = np.frombuffer("".join(words).encode() + b" ", np.uint8)
    return text, np.column_stack([np.cumsum(lengths) - lengths, lengths])
