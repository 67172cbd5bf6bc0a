"""Tables that the walk kernels draw from; empty where they are not needed."""

import numpy as np
from numpy.typing import NDArray

from graphembed import _walks
from graphembed._kernels import _alias, _partite
from graphembed._threads import run_parallel
from graphembed.graph import Graph

_COLOUR_STEPS = 2**23  # nodes and arcs between which Ctrl-C is heard


def first_order_cells(graph: Graph, n_threads: int) -> NDArray[np.uint64]:
    """Alias cells of every row, if the graph is weighted. O(n_arcs) time, 8 bytes per arc."""
    if graph.weights is None:
        return np.empty(0, np.uint64)
    return alias_cells(graph.indptr, graph.weights, n_threads)


def alias_cells(
    indptr: NDArray[np.int64], weights: NDArray[np.float32], n_threads: int
) -> NDArray[np.uint64]:
    """Alias cells of every row of a CSR structure. O(n_arcs) time, 8 bytes per arc."""
    cells = np.empty(len(weights), np.uint64)

    def kernel(begin: int, end: int, n: int) -> None:
        _alias.build_alias(indptr, weights, cells, begin, end, n)

    run_parallel(kernel, len(indptr) - 1, n_threads, work=len(weights))
    return cells


def build_filter(graph: Graph, n_threads: int) -> NDArray[np.uint8]:
    """Byte per arc that rules out most missing arcs. O(n_arcs) time."""
    bits = np.empty(graph.n_arcs, np.uint8)

    def kernel(begin: int, end: int, n: int) -> None:
        _walks.build_filter(graph.indptr, graph.indices, bits, begin, end, n)

    run_parallel(kernel, graph.n_nodes, n_threads, work=graph.n_arcs)
    return bits


def out_strengths(graph: Graph, n_threads: int) -> NDArray[np.float64]:
    """Sum of the weights of every row; the degree, if the graph is unweighted."""
    if graph.is_weighted:
        return strengths(graph, n_threads)
    return graph.degrees.astype(np.float64)


def strengths(graph: Graph, n_threads: int) -> NDArray[np.float64]:
    """Sum of the weights of every row, if the graph is weighted."""
    if graph.weights is None:
        return np.empty(0, np.float64)
    return row_sums(graph.indptr, graph.weights, n_threads)


def row_sums(
    indptr: NDArray[np.int64], weights: NDArray[np.float32], n_threads: int
) -> NDArray[np.float64]:
    """Sum of the weights of every row of a CSR structure."""
    sums = np.empty(len(indptr) - 1, np.float64)

    def kernel(begin: int, end: int, n: int) -> None:
        _alias.sum_rows(indptr, weights, sums, begin, end, n)

    run_parallel(kernel, len(indptr) - 1, n_threads, work=len(weights))
    return sums


def random_order(n: int, seed: int, n_threads: int) -> NDArray[np.int32]:
    """The numbers 0 .. n - 1 in random order."""
    order = np.empty(n, np.int32)

    def kernel(begin: int, end: int, n_now: int) -> None:
        _walks.permute(order, 0, n, seed, begin, end, n_now)

    run_parallel(kernel, n, n_threads, work=n)
    return order


def is_bipartite(graph: Graph) -> bool:
    """Whether the nodes of an undirected graph have two colours, each edge both.

    O(n_nodes + n_arcs) time at most, on one thread, and 5 bytes per node; mostly an odd cycle is
    soon found.
    """
    colours, queue = np.zeros(graph.n_nodes, np.int8), np.empty(graph.n_nodes, np.int32)
    state = np.zeros(3, np.int64)
    while state[0] < graph.n_nodes:
        args = (graph.indptr, graph.indices, colours, queue, state, _COLOUR_STEPS)
        if not _partite.two_colour(*args):
            return False
    return True
