"""From an `EdgeList` to a canonical CSR, and the checks of arrays that claim to be one."""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp

from graphembed._ingest.edge_list import (
    BLOCK,
    FLOAT32,
    Array,
    EdgeList,
    bad_weight_message,
    check_n_nodes,
    first_bad_weight,
    name_pair,
)
from graphembed.exceptions import GraphFormatError


@dataclass(frozen=True)
class Csr:
    """Rows of sorted, distinct targets; `weights` is None where every weight is 1."""

    indptr: Array
    indices: Array
    weights: Array | None
    directed: bool


def assemble(edges: EdgeList) -> Csr:
    """Drop zero weights, sum parallel edges, store undirected edges in both directions.

    O(n_nodes + n_edges) time: two counting sorts, one merge. Sums are made in float64.
    """
    n_nodes = len(edges.node_ids)
    check_n_nodes(n_nodes)
    source, target, weights = edges.source, edges.target, edges.weights
    if weights is not None:
        _check_weights(edges)
        if not np.all(weights):
            kept = weights != 0
            source, target, weights = source[kept], target[kept], weights[kept]
    once = not (edges.both_ways or edges.directed)
    if once:
        source, target = np.minimum(source, target), np.maximum(source, target)
    values = np.ones(len(source), np.int32) if weights is None else weights.astype(np.float64)
    matrix = _summed(source, target, values, n_nodes)
    del source, target, weights, values
    matrix = _with_float32_weights(matrix, edges)
    if once:
        matrix = matrix.maximum(matrix.T.tocsr())  # the diagonal is in both: counted once
    directed = bool(edges.directed)
    if edges.both_ways and not edges.directed:
        directed = not _is_symmetric(matrix)
        if directed and edges.directed is False:
            raise _asymmetric(matrix, edges.node_ids)
    weighted = matrix.dtype == np.float32
    return Csr(
        matrix.indptr.astype(np.int64, copy=False),
        matrix.indices.astype(np.int32, copy=False),
        matrix.data if weighted else None,
        directed,
    )


def _check_weights(edges: EdgeList) -> None:
    weights = edges.weights
    bad = None if weights is None else first_bad_weight(weights)
    if weights is not None and bad is not None:
        raise GraphFormatError(bad_weight_message(edges.describe(bad), weights[bad]))


def _summed(source: Array, target: Array, values: Array, n_nodes: int) -> sp.csr_array:
    """Sort by (source, target), keeping the order of parallel edges, and add these up."""
    entries = sp.coo_array((values, (source, target)), shape=(n_nodes, n_nodes))
    entries.has_canonical_format = True  # keeps tocsc() from summing: sums are made once, below
    matrix = entries.tocsc().tocsr()
    matrix.has_canonical_format = False
    matrix.sum_duplicates()
    return matrix


def _with_float32_weights(matrix: sp.csr_array, edges: EdgeList) -> sp.csr_array:
    """Return the matrix with float32 values, or int8 ones where every weight is 1."""
    sums = matrix.data
    if edges.pattern or np.all(sums == 1):
        sums = np.ones(len(sums), np.int8)
    else:
        bad = (sums > FLOAT32.max) | (sums < FLOAT32.tiny)
        if bad.any():
            position = int(np.argmax(bad))
            row = int(np.searchsorted(matrix.indptr, position, side="right")) - 1
            pair = name_pair(edges.node_ids, row, matrix.indices[position])
            size = "large" if sums[position] > 1 else "small"
            change = "divide" if sums[position] > 1 else "multiply"
            raise GraphFormatError(
                f"edge {pair}: the weight {float(sums[position])!r} (parallel edges summed) is "
                f"too {size} for float32; {change} all weights by a constant"
            )
        sums = sums.astype(np.float32)
    return _matrix(matrix.indptr, matrix.indices, sums)


def _matrix(indptr: Array, indices: Array, values: Array) -> sp.csr_array:
    n_nodes = len(indptr) - 1
    matrix = sp.csr_array((values, indices, indptr), shape=(n_nodes, n_nodes))
    matrix.has_canonical_format = True
    return matrix


def _is_symmetric(matrix: sp.csr_array) -> bool:
    other = matrix.T.tocsr()
    return bool(
        np.array_equal(matrix.indptr, other.indptr)
        and np.array_equal(matrix.indices, other.indices)
        and np.array_equal(matrix.data, other.data)
    )


def _asymmetric(matrix: sp.csr_array, node_ids: Array) -> GraphFormatError:
    difference = (matrix - matrix.T.tocsr()).tocoo()
    row, column = int(difference.row[0]), int(difference.col[0])
    there, back = matrix[row, column], matrix[column, row]
    return GraphFormatError(
        f"directed=False needs a symmetric matrix: edge {name_pair(node_ids, row, column)} at "
        f"position ({row}, {column}) has weight {float(there)!r}, its reverse {float(back)!r}"
    )


def check_compressed(indptr: Array, indices: Array, n_rows: int) -> None:
    """Refuse index arrays that are no CSR of a square matrix, naming the first bad position."""
    for name, array in (("indptr", indptr), ("indices", indices)):
        if array.ndim != 1 or array.dtype.kind not in "iu":
            raise GraphFormatError(
                f"{name} must be a 1-D array of integers, got shape {array.shape}, "
                f"dtype {array.dtype}"
            )
    if len(indptr) != n_rows + 1:
        raise GraphFormatError(
            f"indptr must have n_nodes + 1 = {n_rows + 1} entries, got {len(indptr)}"
        )
    if indptr[0] != 0:
        raise GraphFormatError(f"indptr must start with 0, got indptr[0] = {indptr[0]}")
    falls = indptr[1:] < indptr[:-1]
    if falls.any():
        i = int(np.argmax(falls))
        raise GraphFormatError(
            f"indptr must not fall: indptr[{i}] = {indptr[i]}, indptr[{i + 1}] = {indptr[i + 1]}"
        )
    if indptr[-1] != len(indices):
        raise GraphFormatError(
            f"indptr must end with len(indices) = {len(indices)}, got indptr[-1] = {indptr[-1]}"
        )
    check_range(indices, n_rows, "indices")


def check_range(indices: Array, n_nodes: int, name: str) -> None:
    """Refuse node indices outside 0..n_nodes-1."""
    for start in range(0, len(indices), BLOCK):
        block = indices[start : start + BLOCK]
        if int(block.min()) < 0 or int(block.max()) >= n_nodes:
            position = int(np.argmax((block < 0) | (block >= n_nodes)))
            raise GraphFormatError(
                f"{name} must lie in 0..{n_nodes - 1}, got {name}[{start + position}] = "
                f"{block[position]}"
            )


def has_sorted_rows(indptr: Array, indices: Array) -> bool:
    """Tell whether every row rises strictly; reads the arrays in blocks."""
    starts = np.asarray(indptr)
    for start in range(0, len(indices) - 1, BLOCK):
        stop = min(start + BLOCK, len(indices) - 1)
        rising = indices[start + 1 : stop + 1] > indices[start:stop]
        first, last = np.searchsorted(starts, [start + 1, stop + 1])
        rising[starts[first:last] - start - 1] = True  # a new row may start anywhere
        if not rising.all():
            return False
    return True


def resolve_directed(
    indptr: Array, indices: Array, weights: Array | None, node_ids: Array, directed: bool | None
) -> bool:
    """Decide `directed` for canonical arrays; an asymmetric undirected graph is an error."""
    if directed:
        return True
    values = np.ones(len(indices), np.int8) if weights is None else weights
    matrix = _matrix(indptr, indices, values)
    if _is_symmetric(matrix):
        return False
    if directed is None:
        return True
    raise _asymmetric(matrix, node_ids)
