"""Edges drawn in proportion to their weights, and low-degree nodes with more of them."""

from collections.abc import Iterator

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from graphembed import _walks
from graphembed._kernels import _alias
from graphembed._threads import run_parallel
from graphembed.graph import Graph
from graphembed.samplers._tables import out_strengths
from graphembed.samplers.walker import Walker, walk_seed

_ARCS_PER_BLOCK = 2**20  # between two blocks Ctrl-C is heard
_TERMS_PER_BLOCK = 2**20  # of the products that `expand_low_degrees` sums at a time


class EdgeSampler:
    """Arcs of a graph, drawn independently in proportion to their weights.

    An arc is a walk of one step from a node drawn in proportion to the sum of its out-arcs'
    weights, so the tables are the walker's and one alias table over the nodes. Draw k is a
    function of (seed, k).

    Parameters
    ----------
    graph : Graph
        The graph; it has an arc.
    seed : int
        The run's unsigned 64-bit seed.
    n_threads : int
        Threads that draw; the draws do not depend on it.

    Attributes
    ----------
    frequencies : ndarray of shape (n_nodes,), dtype=float64
        Weighted degree of every node: out- and in-arcs if the graph is directed.

    Notes
    -----
    Memory: 16 bytes per node; if the graph is weighted, 8 bytes per arc.
    """

    def __init__(self, graph: Graph, seed: int, n_threads: int) -> None:
        self.seed, self.n_threads = seed, n_threads
        self.n_nodes = graph.n_nodes
        self._walker = Walker(graph, n_threads=n_threads)
        out = out_strengths(graph, n_threads)
        self._cells = np.empty(graph.n_nodes, np.uint64)
        ends = np.array([0, graph.n_nodes], np.int64)
        shares = out / (out.max(initial=0.0) or 1.0)
        _alias.build_alias(ends, shares.astype(np.float32), self._cells, 0, 1, 1)
        self.frequencies = out.copy()
        if graph.directed:
            weights = graph.weights
            for first in range(0, graph.n_arcs, _ARCS_PER_BLOCK):
                block = slice(first, first + _ARCS_PER_BLOCK)
                more = 1.0 if weights is None else weights[block].astype(np.float64)
                np.add.at(self.frequencies, graph.indices[block], more)

    def blocks(
        self, n_samples: int, max_rows: int
    ) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int32]]]:
        """Draw arcs, block by block.

        Parameters
        ----------
        n_samples : int
            How many in all.
        max_rows : int
            How many at a time.

        Yields
        ------
        numbers : ndarray of shape (n_rows,), dtype=int64
            Which draws these are.
        arcs : ndarray of shape (n_rows, 2), dtype=int32
            Tail and head of each, as indices. The array is used again for the next block.
        """
        buffer = np.empty((min(n_samples, max_rows), 2), np.int32)
        for first in range(0, n_samples, max_rows):
            arcs = buffer[: min(max_rows, n_samples - first)]
            numbers = np.arange(first, first + len(arcs), dtype=np.int64)
            tails = self._draw_tails(first, len(arcs))
            self._walker.walk(
                tails, numbers, arcs, seed=walk_seed(self.seed), n_threads=self.n_threads
            )
            yield numbers, arcs

    def _draw_tails(self, first: int, count: int) -> NDArray[np.int32]:
        tails = np.empty(count, np.int32)

        def kernel(begin: int, end: int, n: int) -> None:
            _walks.draw_nodes(tails, self._cells, first, self.seed, begin, end, n)

        run_parallel(kernel, count, self.n_threads, work=count // 4)
        return tails


def expand_low_degrees(graph: Graph, below: int) -> Graph:
    """Join nodes of low degree to neighbours of their neighbours.

    A node i with fewer than `below` out-arcs gets arcs to j, at most until it has `below` of them,
    with weight ``sum over k of w_ik w_kj / d_k`` (Tang et al. 2015, eq. 9; d_k is the weighted
    out-degree of k), the heaviest first, of equals the lowest index. Arcs that exist keep their
    weights.

    Parameters
    ----------
    graph : Graph
        The graph.
    below : int
        Out-degree from which on a node is left alone.

    Returns
    -------
    Graph
        A directed graph, since a new arc j -> i may be missing.

    Notes
    -----
    O(n_arcs + sum of the degrees of the low nodes' neighbours) time: many leaves of one hub cost
    the square of its degree. Some 50 MB (more if one node has more than 2^20 second neighbours) and
    32 to 48 bytes per arc while it works.
    """
    out = out_strengths(graph, 1)
    weights = np.ones(graph.n_arcs) if graph.weights is None else graph.weights.astype(np.float64)
    shape = (graph.n_nodes, graph.n_nodes)
    arcs = sp.csr_array((weights, graph.indices, graph.indptr), shape)
    low = np.flatnonzero((graph.degrees > 0) & (graph.degrees < below))
    first_step = arcs[low]
    n_terms = np.concatenate([[0], np.cumsum(graph.degrees[first_step.indices])])
    n_terms = n_terms[first_step.indptr]
    share = np.divide(1.0, out, out=np.zeros(len(out)), where=out > 0)
    first_step.data *= share[first_step.indices]
    new = []
    begin = 0
    while begin < len(low):
        end = int(np.searchsorted(n_terms, n_terms[begin] + _TERMS_PER_BLOCK, side="right")) - 1
        end = max(end, begin + 1)
        room = below - graph.degrees[low[begin:end]]
        terms = (first_step[begin:end] @ arcs).tocoo()
        new.append(_heaviest(terms, low[begin:end], room, first_step[begin:end]))
        begin = end
    if new:
        tails, heads, proximity = (np.concatenate(column) for column in zip(*new, strict=True))
        arcs = sp.csr_array(arcs + sp.csr_array((proximity, (tails, heads)), shape=shape))
    arcs.sort_indices()
    return Graph.from_csr(
        arcs.indptr, arcs.indices, arcs.data, node_ids=graph.node_ids, directed=True
    )


def _heaviest(
    proximity: sp.coo_array,
    nodes: NDArray[np.int64],
    room: NDArray[np.int64],
    neighbours: sp.csr_array,
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float32]]:
    """Of row i the ``room[i]`` heaviest entries that are neither nodes[i] nor its neighbours."""
    row, column = proximity.row.astype(np.int64), proximity.col.astype(np.int64)
    # Rounded: how a sparse product rounds is not the same on all processors
    weight = proximity.data.astype(np.float32)
    known = neighbours.tocoo()
    width = proximity.shape[1]
    old = np.isin(row * width + column, known.row.astype(np.int64) * width + known.col)
    keep = ~old & (column != nodes[row]) & (weight > 0)
    row, column, weight = row[keep], column[keep], weight[keep]
    order = np.lexsort((column, -weight, row))
    row, column, weight = row[order], column[order], weight[order]
    place = np.arange(len(row)) - np.searchsorted(row, row)
    keep = place < room[row]
    return nodes[row[keep]], column[keep], weight[keep]
