"""Matrices: scipy sparse, CSR arrays and dense arrays."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from graphembed._ingest.csr import check_compressed, check_range
from graphembed._ingest.edge_list import Array, EdgeList, check_n_nodes, plain_array, weight_array
from graphembed._ingest.ids import matrix_ids
from graphembed.exceptions import GraphFormatError


def read_scipy(
    matrix: Any, *, directed: bool | None, nodes: Iterable[Any] | None, weighted: bool
) -> EdgeList:
    """Read any scipy sparse array or matrix; entry (i, j) is the arc i -> j."""
    n_nodes = _check_square(matrix.shape, matrix.dtype)
    node_ids = matrix_ids(nodes, n_nodes)
    if matrix.format in ("csr", "csc"):
        check_compressed(matrix.indptr, matrix.indices, n_nodes)
        weight_array(matrix.data, len(matrix.indices), "data")
        major, minor, values = expand(matrix.indptr, n_nodes), matrix.indices, matrix.data
        source, target = (major, minor) if matrix.format == "csr" else (minor, major)
    else:
        if matrix.format == "bsr":
            _check_blocks(matrix)
        entries = matrix.tocoo()
        source, target, values = entries.row, entries.col, entries.data
        check_range(source, n_nodes, "row")
        check_range(target, n_nodes, "col")
    return EdgeList(
        source, target, values, node_ids, directed, both_ways=True, pattern=not weighted
    )


def read_dense(
    array: Any, *, directed: bool | None, nodes: Iterable[Any] | None, weighted: bool
) -> EdgeList:
    """Read a dense adjacency matrix; zero means no edge."""
    matrix = plain_array(array)
    n_nodes = _check_square(matrix.shape, matrix.dtype)
    node_ids = matrix_ids(nodes, n_nodes)
    source, target = np.nonzero(matrix)
    values = matrix[source, target]
    return EdgeList(
        source, target, values, node_ids, directed, both_ways=True, pattern=not weighted
    )


def expand(indptr: Array, n_nodes: int) -> Array:
    """Row number of every stored entry."""
    return np.repeat(np.arange(n_nodes, dtype=np.int32), np.diff(indptr))


def _check_square(shape: tuple[int, ...], dtype: Any) -> int:
    if len(shape) != 2 or shape[0] != shape[1]:
        raise GraphFormatError(f"an adjacency matrix must be square, got shape {shape}")
    if dtype.kind not in "biuf":
        raise GraphFormatError(
            f"an adjacency matrix must hold real numbers, got dtype {dtype}; convert it to float64"
        )
    check_n_nodes(shape[0])
    return int(shape[0])


def _check_blocks(matrix: Any) -> None:
    try:
        matrix.check_format(full_check=True)
    except ValueError as error:
        raise GraphFormatError(f"the bsr matrix is damaged: {error}") from error
