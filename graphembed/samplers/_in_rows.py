"""The arcs of a graph by target."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from graphembed._kernels import _neighbors
from graphembed._threads import run_parallel
from graphembed.graph import Graph


@dataclass(frozen=True)
class InRows:
    """CSR of the in-neighbours; `order` holds the arc of every place, it is empty if that is it."""

    indptr: NDArray[np.int64]
    indices: NDArray[np.int32]
    weights: NDArray[np.float32] | None
    order: NDArray[np.int64]


def in_rows(graph: Graph) -> InRows:
    """Deal the arcs to their targets; those of an undirected graph lie so already."""
    if not graph.directed:
        return InRows(graph.indptr, graph.indices, graph.weights, np.empty(0, np.int64))
    n_nodes, n_arcs = graph.n_nodes, graph.n_arcs
    indptr = np.zeros(n_nodes + 1, np.int64)
    sources, order = np.empty(n_arcs, np.int32), np.empty(n_arcs, np.int64)

    def count(begin: int, end: int, n: int) -> None:
        _neighbors.count_targets(graph.indices, indptr[1:], begin, end)

    run_parallel(count, n_arcs, 1, work=n_arcs)
    np.cumsum(indptr, out=indptr)
    places = indptr[:-1].copy()

    def deal(begin: int, end: int, n: int) -> None:
        _neighbors.deal_by_target(graph.indptr, graph.indices, places, sources, order, begin, end)

    run_parallel(deal, n_nodes, 1, work=n_arcs)
    weights = None if graph.weights is None else graph.weights[order]
    return InRows(indptr, sources, weights, order)
