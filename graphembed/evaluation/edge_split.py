"""Removal of edges for link prediction, by the protocol of node2vec (Grover & Leskovec 2016)."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from scipy.sparse.csgraph import minimum_spanning_tree

from graphembed._validation import check_params, draw_seed, float_in
from graphembed.graph import Graph

IntArray = npt.NDArray[np.int64]
PairArray = npt.NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class EdgeSplit:
    """A graph without some of its edges, and the node pairs to train and test a classifier on.

    Pairs are node indices of shape (n, 2), the smaller one first, whether the graph is directed
    or not: where two nodes are joined by arcs both ways, they are one pair. No pair is a
    self-loop and none occurs twice, in any of the four arrays. The arrays are read-only.

    Attributes
    ----------
    train_graph : Graph
        The graph to embed: all nodes, and the edges that were kept.
    train_pairs : ndarray of shape (n_train, 2), dtype=int32
        Pairs joined by an edge of `train_graph`.
    train_negatives : ndarray of shape (n_train, 2), dtype=int32
        Pairs without an edge in the original graph, in neither direction.
    test_pairs : ndarray of shape (n_test, 2), dtype=int32
        The removed edges; `train_graph` joins these pairs in neither direction.
    test_negatives : ndarray of shape (n_test, 2), dtype=int32
        Pairs without an edge in the original graph, in neither direction, disjoint from
        `train_negatives`.
    """

    train_graph: Graph
    train_pairs: PairArray
    train_negatives: PairArray
    test_pairs: PairArray
    test_negatives: PairArray


def split_edges(graph: Any, *, test_fraction: float = 0.5, random_state: Any = None) -> EdgeSplit:
    """Remove edges at random, keep the graph connected, and draw as many non-edges.

    Grover & Leskovec 2016, section 4.4: a fraction of the edges is removed while the rest keeps
    the connected components of the graph (weak components of a directed one), and as many node
    pairs without an edge are the negatives. Which edges must stay is drawn anew: a minimum
    spanning forest for random edge weights.

    Parameters
    ----------
    graph : Graph, or anything Graph.from_any takes
        The graph to split. Both directions of an edge are removed together, those of a directed
        graph, too: with the arc back at hand, the removed one would be no secret. Self-loops are
        kept and never become a pair.
    test_fraction : float, default=0.5
        Fraction of the edges to remove, in (0, 1); self-loops are not counted, and two opposite
        arcs of a directed graph are counted once.
    random_state : None, int, numpy.random.Generator or numpy.random.RandomState, default=None
        Decides the removed edges and the negatives.

    Returns
    -------
    EdgeSplit
        The remaining graph and the pairs. `train_pairs` are all its edges without self-loops, or
        a random part of them where the graph is so dense that fewer non-edges are left.

    Raises
    ------
    ValueError
        If `test_fraction` is not in (0, 1), asks for no edge or for more than can be removed
        without disconnecting nodes, or if the graph has too few non-edges.

    See Also
    --------
    link_prediction : Scores an embedding of `train_graph`.

    Notes
    -----
    Negatives are uniform over the pairs without an edge in either direction: ranks among the
    non-edges are drawn without replacement and located by binary search among the edges. Both
    classes of both parts have the same size. Time O(m log m), memory O(m) for `m` edges.
    """
    check_params(
        {"test_fraction": test_fraction},
        {"test_fraction": float_in(0, 1, inclusive="neither")},
    )
    rng = np.random.default_rng(draw_seed(random_state))
    whole = graph if isinstance(graph, Graph) else Graph.from_any(graph)
    space = _PairSpace(whole.n_nodes)
    arc_ranks, edges = _number_edges(whole, space)
    n_test = round(test_fraction * len(edges))
    if n_test == 0:
        raise ValueError(
            f"test_fraction={test_fraction} of {len(edges)} edges (self-loops not counted) "
            "removes none; the graph is too small or test_fraction too low"
        )
    n_free = space.size - len(edges)
    if n_free < n_test + 1:
        raise ValueError(
            f"test_fraction={test_fraction} needs {n_test} pairs without an edge for testing and "
            f"at least 1 for training, but the graph has only {n_free}"
        )

    removable = _removable_edges(edges, space, rng)
    if n_test > len(removable):
        # rounded down, so that the fraction named in the message is one that works
        possible = math.floor(1e4 * len(removable) / len(edges)) / 1e4
        raise ValueError(
            f"test_fraction={test_fraction} would remove {n_test} of {len(edges)} edges, but only "
            f"{len(removable)} can be removed without disconnecting nodes; "
            f"test_fraction must be <= {possible:g} for this graph"
        )
    removed = np.sort(rng.choice(removable, n_test, replace=False, shuffle=False))
    kept = np.setdiff1d(edges, removed, assume_unique=True)
    n_train = min(len(kept), n_free - n_test)
    if n_train < len(kept):
        kept = np.sort(rng.choice(kept, n_train, replace=False, shuffle=False))
    free = _sample_free_pairs(edges, space, n_test + n_train, rng)
    return EdgeSplit(
        train_graph=_without(whole, np.isin(arc_ranks, removed, kind="sort")),
        train_pairs=_pairs(space, kept),
        train_negatives=_pairs(space, np.sort(free[n_test:])),
        test_pairs=_pairs(space, removed),
        test_negatives=_pairs(space, np.sort(free[:n_test])),
    )


class _PairSpace:
    """All pairs with source < target in lexicographic order, numbered from 0 without gaps."""

    def __init__(self, n_nodes: int) -> None:
        self.n_nodes = n_nodes
        self._first_rank = _pairs_before(np.arange(n_nodes + 1), n_nodes)
        self.size = int(self._first_rank[-1])

    def rank(self, source: IntArray, target: IntArray) -> IntArray:
        """Return the numbers of pairs, which must come with source < target."""
        return self._first_rank[source] + target - source - 1

    def pair(self, rank: IntArray) -> tuple[IntArray, IntArray]:
        """Return the pairs with these numbers."""
        source = np.searchsorted(self._first_rank, rank, side="right") - 1
        return source, rank - self._first_rank[source] + source + 1


def _pairs_before(node: IntArray, n_nodes: int) -> IntArray:
    """Return how many pairs have a source below `node`."""
    return node * np.int64(n_nodes - 1) - node * (node - 1) // 2


def _pairs(space: _PairSpace, ranks: IntArray) -> PairArray:
    pairs = np.column_stack(space.pair(ranks)).astype(np.int32)
    pairs.flags.writeable = False
    return pairs


def _number_edges(graph: Graph, space: _PairSpace) -> tuple[IntArray, IntArray]:
    """Return the pair number of every stored arc, and those of all edges once, ascending.

    Opposite arcs have the same number; a self-loop has -1 and is no edge here.
    """
    source = np.repeat(np.arange(graph.n_nodes, dtype=np.int64), np.diff(graph.indptr))
    target = graph.indices.astype(np.int64)
    ranks = space.rank(np.minimum(source, target), np.maximum(source, target))
    ranks[source == target] = -1
    if graph.directed:
        return ranks, _distinct(ranks[source != target])
    return ranks, ranks[source < target]  # rows and their targets ascend, so do the numbers


def _distinct(numbers: IntArray) -> IntArray:
    """Return the different numbers, ascending; sorting beats the hash table of np.unique."""
    ordered = np.sort(numbers)
    return ordered[np.append(True, ordered[1:] != ordered[:-1])] if len(ordered) else ordered


def _removable_edges(edges: IntArray, space: _PairSpace, rng: np.random.Generator) -> IntArray:
    """Return the edges outside a random spanning forest."""
    source, target = space.pair(edges)
    priority = rng.permutation(len(edges))
    # priorities from 1 up: csgraph reads an entry of 0 as no edge
    weights = sp.csr_array(
        # int32, because csgraph of scipy 1.11 takes no other indices
        (priority + 1.0, (source.astype(np.int32), target.astype(np.int32))),
        shape=(space.n_nodes, space.n_nodes),
    )
    forest = minimum_spanning_tree(weights, overwrite=True)
    in_forest = np.zeros(len(edges), dtype=bool)
    in_forest[np.argsort(priority)[forest.data.astype(np.int64) - 1]] = True
    return edges[~in_forest]


def _sample_free_pairs(
    edges: IntArray, space: _PairSpace, n_pairs: int, rng: np.random.Generator
) -> IntArray:
    """Draw different pairs uniformly outside the sorted `edges`, in random order."""
    free_ranks = _sample_without_replacement(space.size - len(edges), n_pairs, rng)
    # edges[i] - i free pairs come before edge i
    return free_ranks + np.searchsorted(edges - np.arange(len(edges)), free_ranks, side="right")


def _sample_without_replacement(population: int, size: int, rng: np.random.Generator) -> IntArray:
    """Draw `size` different numbers below `population`, in random order, in O(size) memory."""
    if population <= 4 * size:
        return rng.permutation(population)[:size]
    drawn = np.empty(0, dtype=np.int64)
    while len(drawn) < size:
        more = rng.integers(population, size=size + size // 2 + 8, dtype=np.int64)
        drawn = _distinct(np.concatenate([drawn, more]))
    # `drawn` is a uniform set of its size, so a random part of it is one, too
    return rng.permutation(drawn)[:size]


def _without(graph: Graph, dropped: npt.NDArray[np.bool_]) -> Graph:
    """Return `graph` without the marked arcs."""
    kept_before = np.concatenate([[0], np.cumsum(~dropped)])
    weights = None if graph.weights is None else graph.weights[~dropped]
    if weights is not None and (weights == 1.0).all():
        weights = None  # the graph's own convention
    return Graph._trusted(
        kept_before[graph.indptr].astype(np.int64),
        graph.indices[~dropped],
        weights,
        graph.node_ids,
        graph.directed,
        graph.node_types,
        graph.type_names,
    )
