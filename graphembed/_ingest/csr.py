"""From an `EdgeList` to a canonical CSR, and the checks of arrays that claim to be one."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import scipy.sparse as sp

from graphembed._ingest.arcs import SortedArcs, sort_arcs, write_csr
from graphembed._ingest.edge_list import (
    BLOCK,
    Array,
    EdgeList,
    bad_weight_message,
    check_n_nodes,
    first_bad_weight,
    name_pair,
)
from graphembed._kernels import _csr
from graphembed.exceptions import GraphFormatError

_ARCS_PER_CALL = 2**20  # between two calls Ctrl-C is heard


@dataclass(frozen=True)
class Csr:
    """Rows of sorted, distinct targets; `weights` is None where every weight is 1."""

    indptr: Array
    indices: Array
    weights: Array | None
    directed: bool


def assemble(edges: EdgeList) -> Csr:
    """Drop zero weights, sum parallel edges, store undirected edges in both directions.

    O(n_nodes + n_edges) time. Sums are made in float64, in the order of the edges: both arcs of an
    undirected edge get the same bits.
    """
    n_nodes = len(edges.node_ids)
    check_n_nodes(n_nodes)
    _check_weights(edges)
    weights = None if edges.weights is None else _contiguous(edges.weights, np.float64)
    arcs = sort_arcs(
        _contiguous(edges.source, np.int32),
        _contiguous(edges.target, np.int32),
        weights,
        n_nodes,
        mirror=not (edges.both_ways or edges.directed),
    )
    del weights
    weighted = arcs.unlike and not edges.pattern
    if weighted and arcs.bad >= 0:
        raise _beyond_float32(arcs, edges.node_ids)
    indptr, indices, sums = write_csr(arcs, weighted=weighted)
    del arcs
    directed = bool(edges.directed)
    if edges.both_ways and not edges.directed:
        directed = resolve_directed(indptr, indices, sums, edges.node_ids, edges.directed)
    return Csr(indptr, indices, sums, directed)


def _contiguous(array: Array, dtype: type) -> Array:
    return np.ascontiguousarray(array, dtype)


def _check_weights(edges: EdgeList) -> None:
    weights = edges.weights
    bad = None if weights is None else first_bad_weight(weights)
    if weights is not None and bad is not None:
        raise GraphFormatError(bad_weight_message(edges.describe(bad), weights[bad]))


def _beyond_float32(arcs: SortedArcs, node_ids: Array) -> GraphFormatError:
    total = arcs.total(arcs.bad)
    size, change = ("large", "divide") if total > 1 else ("small", "multiply")
    return GraphFormatError(
        f"edge {name_pair(node_ids, *arcs.pair(arcs.bad))}: the weight {total!r} (parallel edges "
        f"summed) is too {size} for float32; {change} all weights by a constant"
    )


def is_symmetric(indptr: Array, indices: Array, weights: Array | None) -> bool:
    """Tell whether every arc of a canonical CSR has its equal reverse.

    O(n_nodes + n_arcs) time, 8 bytes a node. Weights are compared as float32.
    """
    n_nodes = len(indptr) - 1
    indptr, indices = _contiguous(indptr, np.int64), _contiguous(indices, np.int32)
    values = np.empty(0, np.float32) if weights is None else _contiguous(weights, np.float32)
    cursor = indptr[:-1].copy()
    slices = np.searchsorted(indptr, np.arange(0, len(indices), _ARCS_PER_CALL)).tolist()
    return all(
        _csr.is_symmetric(indptr, indices, values, cursor, begin, end)
        for begin, end in pairwise([*slices, n_nodes])
    )


def _asymmetric(
    indptr: Array, indices: Array, weights: Array | None, node_ids: Array
) -> GraphFormatError:
    n_nodes = len(indptr) - 1
    values = np.ones(len(indices), np.int8) if weights is None else weights
    matrix = sp.csr_array((values, indices, indptr), shape=(n_nodes, n_nodes))
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
    if is_symmetric(indptr, indices, weights):
        return False
    if directed is None:
        return True
    raise _asymmetric(indptr, indices, weights, node_ids)
