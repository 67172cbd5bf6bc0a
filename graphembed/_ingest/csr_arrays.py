"""CSR arrays handed over as they are: by experts, by other doors, or from a file."""

from collections.abc import Iterable
from typing import Any

import numpy as np

from graphembed._ingest.csr import (
    Csr,
    assemble,
    check_compressed,
    has_sorted_rows,
    resolve_directed,
)
from graphembed._ingest.edge_list import (
    BLOCK,
    FLOAT32,
    Array,
    EdgeList,
    bad_weight_message,
    check_n_nodes,
    first_bad_weight,
    name_pair,
    plain_array,
    weight_array,
)
from graphembed._ingest.ids import matrix_ids
from graphembed._ingest.sparse import expand
from graphembed.exceptions import GraphFormatError


def read_csr(
    indptr: Any,
    indices: Any,
    weights: Any | None,
    *,
    node_ids: Iterable[Any] | None,
    directed: bool | None,
    canonical: bool = False,
) -> tuple[Csr, Array]:
    """Check CSR arrays; those that are canonical already are not copied.

    Canonical: rows that rise strictly, weights that are normal float32 numbers. With
    `canonical`, others are refused instead of converted.

    Returns
    -------
    tuple of (Csr, node_ids)
        Arrays that may share memory with the caller's.
    """
    indptr, indices = plain_array(indptr), plain_array(indices)
    n_nodes = max(len(indptr) - 1, 0) if indptr.ndim == 1 else 0
    if indptr.ndim == 1:
        check_n_nodes(n_nodes)
    if weights is not None:
        weights = weight_array(plain_array(weights), len(indices), "weights")
    check_compressed(indptr, indices, n_nodes)
    ids = matrix_ids(node_ids, n_nodes, "node_ids")
    if weights is not None:
        _check_weights(indptr, indices, weights, ids)
    if not (has_sorted_rows(indptr, indices) and _fit_float32(weights)):
        if canonical:
            raise GraphFormatError(
                "the arrays are not canonical: rows must rise strictly, and weights must be "
                "normal float32 numbers > 0"
            )
        edges = EdgeList(expand(indptr, n_nodes), indices, weights, ids, directed, both_ways=True)
        return assemble(edges), ids
    indptr, indices = indptr.astype(np.int64, copy=False), indices.astype(np.int32, copy=False)
    if weights is not None:
        weights = None if _all_one(weights) else weights.astype(np.float32, copy=False)
    return Csr(
        indptr, indices, weights, resolve_directed(indptr, indices, weights, ids, directed)
    ), ids


def _fit_float32(weights: Array | None) -> bool:
    """Tell whether finite weights >= 0 can become float32 one by one (then none is zero)."""
    if weights is None or not len(weights):
        return True
    return bool(weights.min() >= FLOAT32.tiny and weights.max() <= FLOAT32.max)


def _all_one(weights: Array) -> bool:
    blocks = range(0, len(weights), BLOCK)
    return all(bool((weights[start : start + BLOCK] == 1).all()) for start in blocks)


def _check_weights(indptr: Array, indices: Array, weights: Array, ids: Array) -> None:
    bad = first_bad_weight(weights)
    if bad is not None:
        row = int(np.searchsorted(indptr, bad, side="right")) - 1
        edge = f"edge {name_pair(ids, row, indices[bad])} at position {bad}"
        raise GraphFormatError(bad_weight_message(edge, weights[bad]))
