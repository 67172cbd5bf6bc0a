"""Edge lists in text files: csv, tsv or separated by blanks, plain or gzipped."""

import csv
import gzip
import os
import re
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import chain, count
from pathlib import Path
from typing import IO, Any, Self, cast

import numpy as np

from graphembed._ingest.edge_list import Array, EdgeList, first_bad_weight
from graphembed._ingest.ids import index_edges, object_array
from graphembed.exceptions import GraphFormatError

_CHUNK = 1 << 22  # bytes of text held as Python strings at a time
_COMMENTS = ("#", "%")
_INTEGER = re.compile(r"0|-?[1-9][0-9]*")
_HEADERS = (("source", "target"), ("src", "dst"), ("from", "to"), ("u", "v"))
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class _Rows:
    """The fields of some lines, and where these lines stand in the file."""

    path: str
    fields: list[list[str]]
    lines: Sequence[int]

    def without_first(self) -> Self:
        return type(self)(self.path, self.fields[1:], self.lines[1:])

    def error(self, row: int, problem: str) -> GraphFormatError:
        return GraphFormatError(f"{self.path}, line {self.lines[row]}: {problem}")


@dataclass(frozen=True)
class _Columns:
    """Positions of source, target and weight (None: no weights), and the number of columns."""

    source: int
    target: int
    weight: int | None
    width: int


def read_text(
    path: str | os.PathLike[str],
    *,
    source: str | None,
    target: str | None,
    weight: str | None,
    directed: bool,
    nodes: Iterable[Any] | None,
    delimiter: str | None,
    header: bool | None,
) -> EdgeList:
    """Read an edge list; `Graph.from_edge_list_file` states the rules."""
    if (source is None) != (target is None):
        raise ValueError(f"give both source= and target=, got {source!r} and {target!r}")
    if delimiter is not None and (not isinstance(delimiter, str) or len(delimiter) != 1):
        raise ValueError(f"delimiter must be None or one character, got {delimiter!r}")
    if header is False and source is not None:
        raise ValueError("source= and target= name columns of a header, but header=False")
    columns: _Columns | None = None
    index: defaultdict[str, int] = defaultdict(count().__next__)
    ends: list[Array] = []
    weights: list[Array] = []
    for rows in _read_rows(Path(path), delimiter):
        if columns is None:
            has_header = header is True or source is not None
            if header is None and not has_header:
                has_header = _looks_like_header(rows.fields)
            find = _named_columns if has_header else _unnamed_columns
            columns = find(rows, source, target, weight)
            rows = rows.without_first() if has_header else rows
        _check_widths(rows, columns.width)
        ends.append(_number(rows, columns, index))
        if columns.weight is not None:
            weights.append(_parse_weights(rows, columns.weight))
    pairs = np.concatenate(ends) if ends else np.empty((0, 2), np.int32)
    ids = _interpret(list(index), Path(path))
    node_ids, rank, _ = index_edges(ids, ids, nodes)
    return EdgeList(
        rank[pairs[:, 0]],
        rank[pairs[:, 1]],
        np.concatenate(weights) if weights else None,
        node_ids,
        directed,
    )


def _read_rows(path: Path, delimiter: str | None) -> Iterator[_Rows]:
    """Yield the lines that hold edges, split into fields, some thousand at a time."""
    number = 1
    with path.open("rb") as raw:
        file = _decompressed(raw)
        while lines := _read_lines(file, path, number):
            text = _decode(lines, path, number)
            found = [
                (position, line)
                for position, line in enumerate((x.strip(" \r") for x in text), number)
                if line and not line.isspace() and not line.startswith(_COMMENTS)
            ]
            number += len(lines)
            if found:
                numbers = [position for position, _ in found]
                edges = [line for _, line in found]
                delimiter = delimiter or _guess_delimiter(edges[0])
                yield _Rows(str(path), _split(edges, delimiter, path, numbers), numbers)


def _decompressed(raw: IO[bytes]) -> IO[bytes]:
    start = raw.read(2)
    raw.seek(0)
    return cast(IO[bytes], gzip.GzipFile(fileobj=raw)) if start == b"\x1f\x8b" else raw


def _read_lines(file: IO[bytes], path: Path, number: int) -> list[bytes]:
    try:
        lines = file.readlines(_CHUNK)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise GraphFormatError(
            f"{path}, after line {number - 1}: the gzip stream is damaged: {error}"
        ) from error
    if number == 1 and lines:
        _check_kind_of_file(lines[0], path)
        lines[0] = lines[0].removeprefix(_BOM)
    return lines


def _check_kind_of_file(first: bytes, path: Path) -> None:
    if first.startswith(b"\x89GEMB"):
        raise GraphFormatError(f"{path} is a saved graph or model: read it with Graph.load")
    if first.startswith(b"%%MatrixMarket"):
        raise GraphFormatError(
            f"{path} is a Matrix Market file: read it with scipy.io.mmread and Graph.from_scipy"
        )


def _decode(lines: list[bytes], path: Path, number: int) -> list[str]:
    try:
        text = b"".join(lines).decode("utf-8")
    except UnicodeDecodeError:
        for position, line in enumerate(lines, number):
            try:
                line.decode("utf-8")
            except UnicodeDecodeError as error:
                raise GraphFormatError(f"{path}, line {position}: not UTF-8: {error}") from error
        raise
    if "\0" in text:
        position = number + text[: text.index("\0")].count("\n")
        raise GraphFormatError(f"{path}, line {position}: a NUL byte; this is not a text file")
    return text.removesuffix("\n").split("\n")


def _guess_delimiter(line: str) -> str:
    return next((sign for sign in "\t,;" if sign in line), " ")


def _split(lines: list[str], delimiter: str, path: Path, numbers: list[int]) -> list[list[str]]:
    if delimiter == " ":
        return [line.split() for line in lines]
    if not any('"' in line for line in lines):
        return [[field.strip() for field in line.split(delimiter)] for line in lines]
    rows = []
    for line, number in zip(lines, numbers, strict=True):
        try:
            fields = next(
                csv.reader([line], delimiter=delimiter, skipinitialspace=True, strict=True)
            )
        except csv.Error as error:
            raise GraphFormatError(f"{path}, line {number}: {error}: {line[:80]!r}") from error
        rows.append([field.strip() for field in fields])
    return rows


def _looks_like_header(fields: list[list[str]]) -> bool:
    """Known column names, or names above numbers."""
    first = fields[0]
    if tuple(field.lower() for field in first[:2]) in _HEADERS:
        return True
    if len(fields) < 2 or len(first) != len(fields[1]) or len(first) < 2:
        return False
    numeric = [[_is_number(field) for field in row] for row in fields[:2]]
    names_above_ids = not any(numeric[0][:2]) and all(numeric[1][:2])
    name_above_weight = len(first) > 2 and not numeric[0][2] and numeric[1][2]
    return names_above_ids or name_above_weight


def _is_number(field: str) -> bool:
    with suppress(ValueError):
        float(field)
        return True
    return False


def _named_columns(
    rows: _Rows, source: str | None, target: str | None, weight: str | None
) -> _Columns:
    names = rows.fields[0]
    lowered = [name.lower() for name in names]
    if source is None or target is None:
        known = ((s, t) for s, t in _HEADERS if s in lowered and t in lowered)
        source, target = next(known, (None, None))
    ends = (
        (0, 1) if source is None or target is None else (_find(rows, source), _find(rows, target))
    )
    if ends[0] == ends[1] or len(names) < 2:
        raise rows.error(0, f"source and target must be two columns, got the header {names}")
    weight_column = None
    if weight is not None and (weight != "weight" or "weight" in lowered):
        weight_column = _find(rows, weight)
    return _Columns(*ends, weight_column, len(names))


def _find(rows: _Rows, name: str) -> int:
    names = rows.fields[0]
    if name in names:
        return names.index(name)
    lowered = [other.lower() for other in names]
    if name.lower() in lowered:
        return lowered.index(name.lower())
    raise rows.error(0, f"no column {name!r} in the header {names}")


def _unnamed_columns(
    rows: _Rows, source: str | None, target: str | None, weight: str | None
) -> _Columns:
    width = len(rows.fields[0])
    if weight not in (None, "weight"):
        raise rows.error(0, f"weight={weight!r} names a column, but the file has no header")
    if width < 2:
        raise rows.error(0, f"2 or 3 columns wanted, got 1: {rows.fields[0][0]!r}")
    if width > 3 and weight is not None:
        raise rows.error(
            0,
            f"2 or 3 columns wanted, got {width}; name the weight in a header line, or ignore "
            "weights with weight=None",
        )
    return _Columns(0, 1, 2 if width == 3 and weight is not None else None, width)


def _check_widths(rows: _Rows, width: int) -> None:
    if set(map(len, rows.fields)) <= {width}:
        return
    for row, fields in enumerate(rows.fields):
        if len(fields) != width:
            raise rows.error(row, f"{width} columns wanted, got {len(fields)}: {fields}")


def _number(rows: _Rows, columns: _Columns, index: defaultdict[str, int]) -> Array:
    """Turn the ids of some rows into numbers, counted by first appearance."""
    before = len(index)
    ids = chain.from_iterable((row[columns.source], row[columns.target]) for row in rows.fields)
    numbers = np.fromiter(map(index.__getitem__, ids), np.int32, count=2 * len(rows.fields))
    pairs = numbers.reshape(-1, 2)
    if "" in index and index[""] >= before:
        row = int(np.argmax((pairs == index[""]).any(axis=1)))
        raise rows.error(row, f"an empty id: {rows.fields[row]}")
    return pairs


def _parse_weights(rows: _Rows, column: int) -> Array:
    values = np.empty(len(rows.fields), np.float64)
    row = 0
    try:
        for row, fields in enumerate(rows.fields):
            values[row] = float(fields[column])
    except ValueError:
        field = rows.fields[row][column]
        raise rows.error(row, f"the weight must be a number, got {field!r}") from None
    bad = first_bad_weight(values)
    if bad is not None:
        field = rows.fields[bad][column]
        raise rows.error(bad, f"the weight must be finite and >= 0, got {field!r}")
    return values


def _interpret(tokens: list[str], path: Path) -> Array:
    """Integers if every id is written as one, else strings: "007" is not 7."""
    if not all(map(_INTEGER.fullmatch, tokens)):
        return object_array(tokens, len(tokens))
    try:
        return np.array(list(map(int, tokens)), dtype=np.int64)
    except OverflowError:
        longest = max(tokens, key=lambda token: abs(int(token)))
        raise GraphFormatError(
            f"{path}: integer ids must fit int64, got {longest}; make one id a word, and all are "
            "read as strings"
        ) from None
