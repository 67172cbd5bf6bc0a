"""The rules of a text file of edges: what its lines mean, and what is wrong with a bad one.

`graphembed._kernels._parse` reads the plain lines by these rules; all others come here.
"""

import csv
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO

import numpy as np

from graphembed.exceptions import GraphFormatError

_COMMENTS = ("#", "%")
_HEADERS = (("source", "target"), ("src", "dst"), ("from", "to"), ("u", "v"))
_BOM = b"\xef\xbb\xbf"
_SHOWN = 200  # characters of a bad field in a message


@dataclass(frozen=True)
class Row:
    """The fields of a line, and where it stands in the file."""

    path: Path
    number: int
    fields: list[str]

    def error(self, problem: str) -> GraphFormatError:
        """Name the line."""
        return _error(self.path, self.number, problem)


@dataclass(frozen=True)
class Layout:
    """How the lines of a file are to be read.

    `start` and `line` say where the edges begin: the byte, and the number of the line before.
    Columns are positions; `weight` is None where there are no weights.
    """

    path: Path
    start: int
    line: int
    delimiter: str
    source: int
    target: int
    weight: int | None
    width: int

    def read(self, line: bytes, number: int) -> tuple[str, str, float] | None:
        """Read one line: source, target and weight, or None if it is blank or a comment.

        Raises
        ------
        GraphFormatError
            If it is no edge.
        """
        text = _strip(_decode(line, self.path, number))
        if not text:
            return None
        row = Row(self.path, number, _split(text, self.delimiter, self.path, number))
        if len(row.fields) != self.width:
            raise row.error(
                f"{self.width} columns wanted, got {len(row.fields)}: {_show(row.fields)}"
            )
        source, target = row.fields[self.source], row.fields[self.target]
        if not (source and target):
            raise row.error(f"an empty id: {_show(row.fields)}")
        return source, target, 1.0 if self.weight is None else _weight(row, self.weight)


def check_text(block: bytes, path: Path, number: int) -> None:
    """Refuse what is not UTF-8 or holds a NUL byte, naming the line; the first is `number`."""
    try:
        block.decode("utf-8")
    except UnicodeDecodeError as error:
        line = block.count(b"\n", 0, error.start)
        _decode(block.split(b"\n")[line], path, number + line)
    at = block.find(b"\0")
    if at >= 0:
        raise _error(
            path, number + block.count(b"\n", 0, at), "a NUL byte; this is not a text file"
        )


def read_layout(
    path: Path,
    file: IO[bytes],
    *,
    source: str | None,
    target: str | None,
    weight: str | None,
    delimiter: str | None,
    header: bool | None,
) -> Layout | None:
    """Find out from its first lines how a file is to be read; None if it holds no lines of edges.

    Only the two first lines that are neither blank nor comments are read. The columns for source,
    target and weight that it finds are three different ones.
    """
    if (source is None) != (target is None):
        raise ValueError(f"give both source= and target=, got {source!r} and {target!r}")
    if delimiter is not None and (not isinstance(delimiter, str) or len(delimiter) != 1):
        raise ValueError(f"delimiter must be None or one character, got {delimiter!r}")
    if header is False and source is not None:
        raise ValueError("source= and target= name columns of a header, but header=False")
    rows: list[Row] = []
    end, start, number = 0, 0, 0
    # The first two lines that hold something; the file is read no further.
    for number, line in enumerate(file, 1):
        if number == 1:
            _check_kind_of_file(line, path)
            start = len(_BOM) if line.startswith(_BOM) else 0
        end += len(line)
        text = _strip(_decode(line.removeprefix(_BOM) if number == 1 else line, path, number))
        if text:
            delimiter = delimiter or next((sign for sign in "\t,;" if sign in text), " ")
            rows.append(Row(path, number, _split(text, delimiter, path, number)))
            if len(rows) == 1:
                after_first = end, number
            else:
                break
    if not rows or delimiter is None:
        return None
    has_header = header is True or source is not None
    if header is None and not has_header:
        has_header = _looks_like_header([row.fields for row in rows])
    find = _named_columns if has_header else _unnamed_columns
    columns = find(rows[0], source, target, weight)
    begin, before = after_first if has_header else (start, 0)
    return Layout(path, begin, before, delimiter, *columns)


def _error(path: Path, number: int, problem: str) -> GraphFormatError:
    return GraphFormatError(f"{path}, line {number}: {problem}")


def _show(fields: list[str]) -> str:
    shown = str([field[:_SHOWN] for field in islice(fields, 10)])
    return shown if len(fields) <= 10 else shown.removesuffix("]") + ", ...]"


def _check_kind_of_file(first: bytes, path: Path) -> None:
    if first.startswith(b"\x89GEMB"):
        raise GraphFormatError(f"{path} is a saved graph or model: read it with Graph.load")
    if first.startswith(b"%%MatrixMarket"):
        raise GraphFormatError(
            f"{path} is a Matrix Market file: read it with scipy.io.mmread and Graph.from_scipy"
        )


def _decode(line: bytes, path: Path, number: int) -> str:
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError as error:
        reason = f"byte 0x{line[error.start]:02x} at position {error.start}: {error.reason}"
        raise _error(path, number, f"not UTF-8: {reason}") from None
    if "\0" in text:
        raise _error(path, number, "a NUL byte; this is not a text file")
    return text


def _strip(line: str) -> str:
    """Remove what surrounds an edge; empty for blank lines and comments."""
    line = line.removesuffix("\n").strip(" \r")
    return "" if line.isspace() or line.startswith(_COMMENTS) else line


def _split(line: str, delimiter: str, path: Path, number: int) -> list[str]:
    if delimiter == " ":
        return line.split()
    if '"' not in line:
        return [field.strip() for field in line.split(delimiter)]
    try:
        fields = next(csv.reader([line], delimiter=delimiter, skipinitialspace=True, strict=True))
    except csv.Error as error:
        raise _error(path, number, f"{error}: {line[:80]!r}") from error
    return [field.strip() for field in fields]


def _looks_like_header(fields: list[list[str]]) -> bool:
    """Known column names, or names above numbers."""
    first = fields[0]
    if tuple(field.lower() for field in first[:2]) in _HEADERS:
        return True
    if len(fields) < 2 or len(first) != len(fields[1]) or len(first) < 2:
        return False
    numeric = [[_is_number(field) for field in row] for row in fields]
    names_above_ids = not any(numeric[0][:2]) and all(numeric[1][:2])
    name_above_weight = len(first) > 2 and not numeric[0][2] and numeric[1][2]
    return names_above_ids or name_above_weight


def _is_number(field: str) -> bool:
    with suppress(ValueError):
        float(field)
        return True
    return False


_Positions = tuple[int, int, int | None, int]  # of source, target and weight; number of columns


def _named_columns(
    row: Row, source: str | None, target: str | None, weight: str | None
) -> _Positions:
    names = row.fields
    lowered = [name.lower() for name in names]
    if source is None or target is None:
        known = ((s, t) for s, t in _HEADERS if s in lowered and t in lowered)
        source, target = next(known, (None, None))
    ends = (0, 1) if source is None or target is None else (_find(row, source), _find(row, target))
    if ends[0] == ends[1] or len(names) < 2:
        raise row.error(f"source and target must be two columns, got the header {_show(names)}")
    weight_column = None
    if weight is not None and (weight != "weight" or "weight" in lowered):
        weight_column = _find(row, weight)
        if weight_column in ends:
            raise row.error(
                f"the weight must be a column of its own, got {names[weight_column]!r}, which "
                "holds ids; name another, or ignore weights with weight=None"
            )
    return *ends, weight_column, len(names)


def _find(row: Row, name: str) -> int:
    names = row.fields
    if name in names:
        return names.index(name)
    lowered = [other.lower() for other in names]
    if name.lower() in lowered:
        return lowered.index(name.lower())
    raise row.error(f"no column {name!r} in the header {_show(names)}")


def _unnamed_columns(
    row: Row, source: str | None, target: str | None, weight: str | None
) -> _Positions:
    width = len(row.fields)
    if weight not in (None, "weight"):
        raise row.error(f"weight={weight!r} names a column, but the file has no header")
    if width < 2:
        raise row.error(f"2 or 3 columns wanted, got 1: {row.fields[0][:_SHOWN]!r}")
    if width > 3 and weight is not None:
        raise row.error(
            f"2 or 3 columns wanted, got {width}; name the weight in a header line, or ignore "
            "weights with weight=None",
        )
    return 0, 1, 2 if width == 3 and weight is not None else None, width


def _weight(row: Row, column: int) -> float:
    field = row.fields[column]
    try:
        value = float(field)
    except ValueError:
        raise row.error(f"the weight must be a number, got {field[:_SHOWN]!r}") from None
    if not 0 <= value < np.inf:
        raise row.error(f"the weight must be finite and >= 0, got {field[:_SHOWN]!r}")
    return value
