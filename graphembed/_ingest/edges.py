"""Edge arrays of shape (m, 2) or (m, 3), and iterables of tuples."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from graphembed._ingest.edge_list import Array, EdgeList, plain_array, refuse_set, weights_from_list
from graphembed._ingest.ids import ids_from, index_edges
from graphembed.exceptions import GraphFormatError


def read_edges(
    edges: Any, *, directed: bool, nodes: Iterable[Any] | None, weighted: bool
) -> EdgeList:
    """Read rows (source, target) or (source, target, weight)."""
    refuse_set(edges, "edges")
    if isinstance(edges, np.ndarray):
        edges = plain_array(edges)
    if isinstance(edges, np.ndarray) and edges.dtype.kind != "O":
        source, target, weights = _columns_of_array(edges, weighted)
    else:
        source, target, weights = _columns_of_rows(edges, weighted)
    node_ids, source, target = index_edges(source, target, nodes)
    return EdgeList(source, target, weights, node_ids, directed)


def _columns_of_array(edges: Array, weighted: bool) -> tuple[Array, Array, Array | None]:
    if edges.ndim != 2 or edges.shape[1] not in (2, 3):
        raise GraphFormatError(f"an edge array must have shape (m, 2) or (m, 3), got {edges.shape}")
    weights = None
    if weighted and edges.shape[1] == 3:
        weights = edges[:, 2]
        if weights.dtype.kind not in "biuf":
            weights = _parsed(weights)
    source = ids_from(edges[:, 0], "the source of edge {}")
    target = ids_from(edges[:, 1], "the target of edge {}")
    return source, target, weights


def _parsed(weights: Array) -> Array:
    """Turn weights that numpy made strings, because the ids were strings, back into numbers."""
    try:
        return weights.astype(np.float64)
    except (TypeError, ValueError) as error:
        raise GraphFormatError(
            f"the third column of an edge array must hold numbers: {error}"
        ) from error


def _columns_of_rows(edges: Any, weighted: bool) -> tuple[Array, Array, Array | None]:
    rows = list(edges)
    if not {type(row) for row in rows} <= {tuple, list}:
        _check_rows(rows)
    widths = set(map(len, rows))
    if not widths <= {2} and widths != {3}:
        _check_widths(rows)
    source = ids_from([row[0] for row in rows], "the source of edge {}")
    target = ids_from([row[1] for row in rows], "the target of edge {}")
    if not weighted or widths != {3}:
        return source, target, None
    return source, target, weights_from_list([row[2] for row in rows], rows)


def _check_rows(rows: list[Any]) -> None:
    for position, row in enumerate(rows):
        if not isinstance(row, tuple | list | np.ndarray):
            raise GraphFormatError(
                "an edge must be a tuple (source, target) or (source, target, weight), "
                f"got {row!r} at position {position}"
            )


def _check_widths(rows: list[Any]) -> None:
    wanted = len(rows[0]) if len(rows[0]) in (2, 3) else 2
    for position, row in enumerate(rows):
        if len(row) != wanted:
            raise GraphFormatError(
                f"edges must be 2-tuples, or all 3-tuples; the edge at position {position} has "
                f"{len(row)} entries: {row!r} (a matrix goes through Graph.from_dense)"
            )
