"""The arcs of a graph by target."""

from dataclasses import dataclass

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from graphembed.graph import Graph


@dataclass(frozen=True)
class InRows:
    """CSR of the in-neighbours; `order` holds the arc of every place, it is empty if that is it."""

    indptr: NDArray[np.int64]
    indices: NDArray[np.int32]
    weights: NDArray[np.float32] | None
    order: NDArray[np.int64]


def in_rows(graph: Graph, n_threads: int) -> InRows:
    """Sort the arcs by target; those of an undirected graph are sorted so already."""
    if not graph.directed:
        return InRows(graph.indptr, graph.indices, graph.weights, np.empty(0, np.int64))
    shape = (graph.n_nodes, graph.n_nodes)
    arcs = np.arange(graph.n_arcs)
    by_target = sp.csr_array((arcs, graph.indices, graph.indptr), shape).tocsc()
    order = by_target.data
    return InRows(
        by_target.indptr.astype(np.int64, copy=False),
        by_target.indices.astype(np.int32, copy=False),
        None if graph.weights is None else graph.weights[order],
        order,
    )
