"""Data frames (pandas, polars, pyarrow, ...), read through narwhals."""

from collections.abc import Iterable
from importlib.util import find_spec
from typing import Any

import numpy as np

from graphembed._ingest.edge_list import Array, EdgeList, weight_array, weights_from_list
from graphembed._ingest.ids import ids_from, index_edges, object_array
from graphembed._ingest.words import WordTable
from graphembed._validation import import_optional
from graphembed.exceptions import GraphFormatError

_ROWS = 2**17  # rows hashed in one go


def read_frame(
    frame: Any,
    *,
    source: str | None,
    target: str | None,
    weight: str | None,
    directed: bool,
    nodes: Iterable[Any] | None,
) -> EdgeList:
    """Read one edge per row; the columns are "source" and "target" unless named."""
    nw = import_optional("narwhals", extra="all")
    try:
        table = nw.from_native(frame)
    except TypeError as error:
        raise GraphFormatError(f"this is not a data frame: {error}") from error
    if isinstance(table, nw.LazyFrame):
        table = table.collect()
    columns = list(table.columns)
    ends = [_pick(columns, source, "source"), _pick(columns, target, "target")]
    for name in ends:
        _check_complete(table[name], name)
    texts = None
    if all(table[name].dtype == nw.String for name in ends) and find_spec("pyarrow"):
        texts = _arrow_texts([table[name] for name in ends])
    if texts is not None:
        node_ids, source_index, target_index = _index_strings(texts, ends, nodes)
    else:
        sources, targets = (_ids(table[name], name) for name in ends)
        node_ids, source_index, target_index = index_edges(sources, targets, nodes)
    weights = None
    if weight is not None and (weight in columns or weight != "weight"):
        if weight in ends:
            raise GraphFormatError(
                f"the weight must be a column of its own, got {weight!r}, which holds ids; name "
                "another, or ignore weights with weight=None"
            )
        values = table[_pick(columns, weight, "weight")]
        weights = _weights(values, node_ids, source_index, target_index)
    return EdgeList(source_index, target_index, weights, node_ids, directed)


_Text = tuple[Array, Array]  # bytes, and (begin, length) of each string in them


def _arrow_texts(columns: list[Any]) -> list[_Text] | None:
    """The strings of the columns; None if there is more than strings in a column of objects.

    Whether objects are strings had been judged by the first of them.
    """
    import pyarrow as pa

    try:
        return [_spans(column.to_arrow()) for column in columns]
    except (pa.ArrowInvalid, pa.ArrowTypeError, UnicodeEncodeError):
        return None


def _index_strings(
    texts: list[_Text], names: list[str], nodes: Iterable[Any] | None
) -> tuple[Array, Array, Array]:
    """Number the strings of two columns by first appearance, without making objects."""
    (source_text, source_spans), (target_text, target_spans) = texts
    text = np.concatenate([source_text, target_text])
    target_spans[:, 0] += len(source_text)
    table = WordTable()
    numbers = np.empty((len(source_spans), 2), np.int32)
    for start in range(0, len(numbers), _ROWS):
        rows = slice(start, start + _ROWS)
        spans = np.hstack([source_spans[rows], target_spans[rows]]).reshape(-1, 2)
        numbers[rows] = table.number(text, spans, table.hashes(text, spans)).reshape(-1, 2)
    try:
        words = table.words()
    except UnicodeDecodeError:
        for spans, name in zip((source_spans, target_spans), names, strict=True):
            _check_utf8(text, spans, name)
        raise
    ids = object_array(words, len(words))
    if nodes is None:
        return ids, numbers[:, 0], numbers[:, 1]
    ids, rank, _ = index_edges(ids, ids, nodes)
    return ids, rank[numbers[:, 0]], rank[numbers[:, 1]]


def _check_utf8(text: Array, spans: Array, name: str) -> None:
    for row, (begin, length) in enumerate(spans.tolist()):
        try:
            text[begin : begin + length].tobytes().decode("utf-8")
        except UnicodeDecodeError as error:
            raise GraphFormatError(
                f"column {name!r}, row {row}: not UTF-8: {error.reason}; clean the column, or "
                "decode it with its own encoding"
            ) from None


def _spans(strings: Any) -> _Text:
    """Bytes of an arrow array of strings, and (begin, length) of each."""
    array = strings.cast("large_string")
    if hasattr(array, "combine_chunks"):
        array = array.combine_chunks()
    _, offsets, data = array.buffers()
    bounds = np.frombuffer(offsets, np.int64)[array.offset : array.offset + len(array) + 1]
    text = np.frombuffer(data or b"", np.uint8)
    return text, np.column_stack([bounds[:-1], np.diff(bounds)])


def _pick(columns: list[str], name: str | None, role: str) -> str:
    wanted = role if name is None else name
    if wanted not in columns:
        raise GraphFormatError(
            f"the data frame has no column {wanted!r}; say which one it is with {role}=, "
            f"columns: {columns}"
        )
    return wanted


def _ids(series: Any, name: str) -> Array:
    return ids_from(_values(series), f"column {name!r}, row {{}}")


def _weights(series: Any, node_ids: Array, source: Array, target: Array) -> Array:
    _check_complete(series, series.name)
    values = _values(series)
    if values.dtype == object:
        pairs = list(zip(node_ids[source].tolist(), node_ids[target].tolist(), strict=True))
        return weights_from_list(values.tolist(), pairs)
    return weight_array(values, len(source), f"column {series.name!r}")


def _values(series: Any) -> Array:
    return np.asarray(series.to_numpy())


def _check_complete(series: Any, name: str) -> None:
    missing = series.is_null().to_numpy()
    if missing.any():
        raise GraphFormatError(
            f"column {name!r} has a missing value in row {int(np.argmax(missing))}"
        )
