"""Data frames (pandas, polars, pyarrow, ...), read through narwhals."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from graphembed._ingest.edge_list import Array, EdgeList, weight_array, weights_from_list
from graphembed._ingest.ids import ids_from, index_edges
from graphembed._validation import import_optional
from graphembed.exceptions import GraphFormatError


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
    sources, targets = (_ids(table[name], name) for name in ends)
    weights = None
    if weight is not None and (weight in columns or weight != "weight"):
        weights = _weights(table[_pick(columns, weight, "weight")], sources, targets)
    node_ids, source_index, target_index = index_edges(sources, targets, nodes)
    return EdgeList(source_index, target_index, weights, node_ids, directed)


def _pick(columns: list[str], name: str | None, role: str) -> str:
    wanted = role if name is None else name
    if wanted not in columns:
        raise GraphFormatError(
            f"the data frame has no column {wanted!r}; say which one it is with {role}=, "
            f"columns: {columns}"
        )
    return wanted


def _ids(series: Any, name: str) -> Array:
    _check_complete(series, name)
    return ids_from(_values(series), f"column {name!r}, row {{}}")


def _weights(series: Any, sources: Array, targets: Array) -> Array:
    _check_complete(series, series.name)
    values = _values(series)
    if values.dtype == object:
        pairs = list(zip(sources.tolist(), targets.tolist(), strict=True))
        return weights_from_list(values.tolist(), pairs)
    return weight_array(values, len(sources), f"column {series.name!r}")


def _values(series: Any) -> Array:
    return np.asarray(series.to_numpy())


def _check_complete(series: Any, name: str) -> None:
    missing = series.is_null().to_numpy()
    if missing.any():
        raise GraphFormatError(
            f"column {name!r} has a missing value in row {int(np.argmax(missing))}"
        )
