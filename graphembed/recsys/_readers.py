"""Files of interactions: adjacency lists, atomic files of RecBole, MovieLens, csv."""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np

from graphembed._ingest.edge_list import Array
from graphembed.exceptions import FileFormatError
from graphembed.recsys._entries import Entries, iso_times, locate, plain
from graphembed.recsys._text import (
    Fields,
    IdColumn,
    Piece,
    parse_integers,
    parse_numbers,
    read_pieces,
    split_blanks,
    split_columns,
)

Universe = tuple[Array, Array] | None
Names = Mapping[str, str | None]

_DATE = re.compile(rb"\d{4}-\d")  # how an ISO date begins


def read_lightgcn(path: Path, like: Universe) -> Entries:
    """Read lines of a user and the items of that user."""
    users, items = IdColumn(), IdColumn()
    counts, lines = [], []
    for piece in read_pieces(path):
        fields, first = split_blanks(piece)
        begins = np.flatnonzero(first)
        users.add(fields[begins])
        items.add(fields[~first])
        counts.append(np.diff(begins, append=len(fields)) - 1)
        lines.append(fields[begins].lines)
    count = _joined(counts, np.int64)
    line = _joined(lines, np.int64)
    user_ids, rows = _place(users, like and like[0], line, path, "user")
    if (np.bincount(rows) > 1).any():  # such as a file of user, item and weight
        order = np.argsort(rows, kind="stable")
        k = int(order[1:][rows[order][1:] == rows[order][:-1]].min())
        raise FileFormatError(
            f"{path}, line {line[k]}: the user {plain(user_ids[rows[k]])!r} had a line before, but "
            "adjacency lists have one line for each user: read lines of user, item and rating with "
            "from_movielens"
        )
    item_ids, columns = _place(items, like and like[1], np.repeat(line, count), path, "item")
    return Entries(np.repeat(rows, count), columns, None, None, user_ids, item_ids)


def _joined(arrays: list[Array], dtype: type) -> Array:
    return np.concatenate(arrays) if arrays else np.empty(0, dtype)


def _place(
    column: IdColumn, universe: Array | None, lines: Array, path: Path, role: str
) -> tuple[Array, Array]:
    """Return all ids, and the places among them of those of a column."""
    try:
        ids, codes = column.finish()
    except UnicodeDecodeError as error:
        raise FileFormatError(f"{path}: an id of the {role}s is not UTF-8: {error}") from error
    if universe is None:
        return ids, codes
    place = locate(ids, universe)
    if universe.dtype == object and ids.dtype != object:  # a file that happens to hold numbers
        place = np.maximum(place, locate(ids.astype(str).astype(object), universe))
    if (place < 0).any():
        k = int(np.argmax(place[codes] < 0))
        raise ValueError(
            f"{path}, line {lines[k]}: the {role} {plain(ids[codes[k]])!r} is not in the table "
            "given as like=: read the file without it, and join the two with align()"
        )
    return universe, place[codes]


class _Columns(NamedTuple):
    """Where the columns of a file are; -1 where there is none."""

    width: int
    delimiter: str
    quotes: bool
    user: int
    item: int
    rating: int
    time: int


def _read_columns(path: Path, pieces: Iterator[Piece], where: _Columns, like: Universe) -> Entries:
    users, items = IdColumn(), IdColumn()
    values: list[Array] = []
    times: list[Array] = []
    lines: list[Array] = []
    dated = None
    for piece in pieces:
        fields = split_columns(piece, where.delimiter, where.width, quotes=where.quotes)
        users.add(fields[where.user])
        items.add(fields[where.item])
        if where.rating >= 0:
            values.append(_ratings(fields[where.rating]))
        if where.time >= 0:
            moments = fields[where.time]
            if dated is None and len(moments):
                start, end = int(moments.starts[0]), int(moments.ends[0])
                dated = _DATE.match(moments.piece.text[start:end].tobytes()) is not None
            times.append(_dates(moments) if dated else _moments(moments))
        if like is not None:
            lines.append(fields[where.user].lines)
    line = _joined(lines, np.int64)
    user_ids, rows = _place(users, like and like[0], line, path, "user")
    item_ids, columns = _place(items, like and like[1], line, path, "item")
    return Entries(
        rows,
        columns,
        None if where.rating < 0 else _joined(values, np.int64),
        None if where.time < 0 else _joined(times, np.int64),
        user_ids,
        item_ids,
    )


def _ratings(fields: Fields) -> Array:
    values = parse_numbers(fields, "the rating must be a number")
    bad = ~((values > 0) & (values < np.inf))
    if bad.any():
        k = int(np.argmax(bad))
        raise fields.error(k, "the rating must be finite and > 0 (or leave the column out)")
    return values


def _moments(fields: Fields) -> Array:
    values = parse_numbers(fields, "the time must be a number")
    if not np.isfinite(values).all():
        raise fields.error(int(np.argmin(np.isfinite(values))), "the time must be finite")
    return values


def _dates(fields: Fields) -> Array:
    moments = np.empty(len(fields), np.int64)
    bounds = zip(fields.starts.tolist(), fields.ends.tolist(), strict=True)
    for k, (start, end) in enumerate(bounds):
        word = fields.piece.text[start:end].tobytes().decode(errors="replace")
        try:
            moments[k : k + 1] = iso_times([word], "time")
        except ValueError:
            wish = "the time must be an ISO date such as 2024-05-01T12:00:00, as in other lines"
            raise fields.error(k, wish) from None
    return moments


def _split_first(path: Path) -> tuple[str, Iterator[Piece]]:
    """Take the first line off a file."""
    pieces = read_pieces(path)
    first = next(pieces, None)
    if first is None:
        raise FileFormatError(f"{path}: the file is empty")
    end = int(np.argmax(first.text == 10))
    try:
        line = first.text[:end].tobytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise FileFormatError(f"{path}, line 1: not UTF-8: {error}") from error

    def rest() -> Iterator[Piece]:
        if end + 1 < len(first.text):
            yield Piece(path, first.line + 1, first.text[end + 1 :])
        yield from pieces

    return line, rest()


def read_recbole(path: Path, names: Names, like: Universe) -> Entries:
    """Read an atomic file: a header of ``name:type``, and columns between tabs."""
    header, rest = _split_first(path)
    parts = [field.strip().partition(":") for field in header.split("\t")]
    if not all(kind in ("token", "float", "token_seq", "float_seq") for _, _, kind in parts):
        raise FileFormatError(
            f"{path}, line 1: a header of name:type, with the types token, float, token_seq and "
            f"float_seq between tabs, wanted, got {header[:80]!r}"
        )
    kinds = {name: kind for name, _, kind in parts}
    defaults = {"rating": "rating", "time": "timestamp"}
    wanted = {
        role: None if name not in kinds and name == defaults.get(role) else name
        for role, name in names.items()
    }
    where = _find(path, list(kinds), wanted, "\t", quotes=False)
    for role, name in wanted.items():
        kind = "token" if role in ("user", "item") else "float"
        if name is not None and kinds[name] != kind:
            raise FileFormatError(
                f"{path}, line 1: the column {name!r} must have the type {kind}, got {kinds[name]}"
            )
    return _read_columns(path, rest, where, like)


def read_csv(path: Path, names: Names, delimiter: str | None, like: Universe) -> Entries:
    """Read columns whose names stand in the first line."""
    if delimiter is not None and (len(delimiter) != 1 or delimiter in '"\n\r\0'):
        raise ValueError(f"delimiter must be one character, got {delimiter!r}")
    header, rest = _split_first(path)
    sign = delimiter or next((sign for sign in "\t,;" if sign in header), ",")
    columns = [field.strip().strip('"') for field in header.split(sign)]
    return _read_columns(path, rest, _find(path, columns, names, sign, quotes=True), like)


def _find(
    path: Path, columns: list[str], names: Names, delimiter: str, *, quotes: bool
) -> _Columns:
    for role, name in names.items():
        if name is not None and name not in columns:
            raise ValueError(
                f"{path} has no column {name!r}; say with {role}= which one it is: {columns}"
            )
    places = [-1 if name is None else columns.index(name) for name in names.values()]
    return _Columns(len(columns), delimiter, quotes, *places)


def read_movielens(path: Path, like: Universe) -> Entries:
    """Read columns of user, item, rating and time, without a header or with that of MovieLens."""
    header, rest = _split_first(path)
    delimiter = next((sign for sign in ("::", "\t", ",") if sign in header), " ")
    fields = header.split(None if delimiter == " " else delimiter)
    if not 2 <= len(fields) <= 4:
        raise FileFormatError(
            f"{path}, line 1: user, item, rating and time wanted, separated by '::', tabs, commas "
            f"or blanks, got {header[:80]!r}"
        )
    has_header = len(fields) > 2 and re.search(r"\d", fields[2]) is None
    places = [column if column < len(fields) else -1 for column in range(4)]
    where = _Columns(len(fields), delimiter, delimiter == ",", *places)
    return _read_columns(path, rest if has_header else read_pieces(path), where, like)


def read_lists(path: Path) -> tuple[Array, Array]:
    """Read lines of a count and so many numbers, line k of row k; returns (indptr, indices)."""
    counts, numbers = [], []
    for piece in read_pieces(path):
        fields, first = split_blanks(piece)
        values, bad = parse_integers(fields)
        if bad.any():
            raise fields.error(int(np.argmax(bad)), "a whole number wanted")
        begins = np.flatnonzero(first)
        held = np.diff(begins, append=len(fields)) - 1
        wrong = values[begins] != held
        if wrong.any():
            k = int(np.argmax(wrong))
            raise fields.error(
                int(begins[k]), f"the line holds {held[k]} numbers after their count"
            )
        if len(begins) != np.count_nonzero(piece.text == 10):
            raise FileFormatError(f"{path}: a blank line; a row without numbers is written as 0")
        counts.append(held)
        numbers.append(values[~first])
    indptr = np.append(0, np.cumsum(_joined(counts, np.int64)))
    return indptr, _joined(numbers, np.int64)
