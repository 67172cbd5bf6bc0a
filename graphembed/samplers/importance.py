"""Importance neighbourhoods: for every seed the nodes that short random walks visit most."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from graphembed._kernels import _importance
from graphembed._threads import run_parallel
from graphembed._validation import (
    boolean,
    check_params,
    draw_seed,
    effective_n_threads,
    float_in,
    int_at_least,
    int_in,
    n_jobs_like,
    optional,
    random_state_like,
)
from graphembed.graph import Graph
from graphembed.samplers._in_rows import in_rows
from graphembed.samplers._seeds import check_seeds
from graphembed.samplers._tables import first_order_cells, is_bipartite, out_strengths

__all__ = ["importance_neighbors"]

IMPORTANCE_CONSTRAINTS = {
    "n_walks": int_in(1, 10**6),
    "walk_length": int_in(1, _importance.MAX_TRAVERSALS),
    "restart": float_in(0, 1),
    "top": int_at_least(1),
    "beta": float_in(0, 4),
    "stride": optional(int_in(1, 16)),
    "random_state": random_state_like(),
    "n_jobs": n_jobs_like(),
    "exact": boolean(),
}
# Steps of the walks from one seed, which are made in one call: about one second.
_MAX_STEPS = 5 * 10**7
_LEAST = 1e-30  # penalty, so that scores stay above 0 in float32


def importance_neighbors(
    graph: Graph,
    seeds: ArrayLike | None = None,
    *,
    n_walks: int = 1000,
    walk_length: int = 2,
    restart: float = 0.5,
    top: int = 50,
    beta: float = 0.0,
    stride: int | None = None,
    random_state: Any = None,
    n_jobs: int | None = None,
    exact: bool = False,
) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
    """Find the nodes that random walks from each seed visit most (Ying et al. 2018, section 3.1).

    A walk starts at the seed and makes up to `walk_length` traversals. A traversal is `stride`
    steps, each along an arc drawn in proportion to its weight, and visits the node where it ends.
    After each traversal the walk ends with probability `restart`, and the next one starts at the
    seed; it also ends at a node without arcs. Visits of the seed itself do not count. So the
    expected number of visits of v per walk is, with P the matrix of step probabilities,

    ``sum over t = 1 .. walk_length of (1 - restart) ** (t - 1) * P ** (t * stride) [seed, v]``

    Parameters
    ----------
    graph : Graph
        The graph; a directed one is walked along its arcs.
    seeds : array_like of int, shape (n_seeds,), optional
        Node indices. None means all nodes.
    n_walks : int, default=1000
        Walks from each seed, up to a million; `n_walks * walk_length * stride` may be up to 5e7.
    walk_length : int, default=2
        Traversals of a walk at most; up to 64.
    restart : float, default=0.5
        Probability that a walk ends after a traversal.
    top : int, default=50
        Nodes to find for each seed (T in the paper).
    beta : float, default=0
        Correction for popularity, from 0 to 4: a visit of v counts ``d(v) ** -beta``, where d is
        the sum of the weights of the arcs to v. In the long run visits of an undirected graph are
        in proportion to d, so 1 takes away what is mere popularity. It counts at least 1e-30 of
        what a visit of the node with the smallest d counts.
    stride : int, optional
        Steps of a traversal. None means 2 if the graph is undirected and bipartite, so that only
        nodes of the seed's side are visited (item, user, item), and else 1.
    random_state : None, int, numpy.random.Generator or numpy.random.RandomState
        Seed of the walks, and of the order of ties.
    n_jobs : int, optional
        Threads; -1 means all cores.
    exact : bool, default=False
        Take the expected visits instead of the counts; `n_walks` does not matter then.

    Returns
    -------
    indices : ndarray of shape (n_seeds, top), dtype=int32
        Nodes, the most visited first; -1 where fewer than `top` were visited.
    weights : ndarray of shape (n_seeds, top), dtype=float32
        Their shares of the visits of a row, which sum to 1; 0 where fewer were visited.

    Raises
    ------
    IndexError
        If a seed is not a node index.
    ValueError
        If a parameter is out of range; the message names it.

    Notes
    -----
    A row is a function of (random state, seed): neither of the other seeds nor of the threads.
    Nodes with equal scores are in the order of a hash of (random state, seed, node). Scores are
    compared as float32, so that what is equal but for rounding is a tie.

    Walks take O(n_walks * walk_length * stride) time for each seed, and memory for the result, 8
    bytes per arc if there are weights, and up to 44 bytes per walk and traversal for each thread.
    Exact mode takes O(walk_length * stride * n_arcs) time for each seed, less where few nodes are
    within reach, and 129 bytes per node for each thread; sums are in float64.

    Examples
    --------
    >>> from graphembed import Graph
    >>> from graphembed.samplers import importance_neighbors
    >>> graph = Graph.from_any([("u1", "a"), ("u1", "b"), ("u2", "b"), ("u2", "c"), ("u3", "b")])
    >>> indices, weights = importance_neighbors(graph, [1], top=2, exact=True)
    >>> graph.node_ids[indices], weights
    (array([['b', 'c']], dtype=object), array([[0.95, 0.05]], dtype=float32))
    """
    given = {
        "n_walks": n_walks, "walk_length": walk_length, "restart": restart, "top": top,
        "beta": beta, "stride": stride, "random_state": random_state, "n_jobs": n_jobs,
        "exact": exact,
    }  # fmt: skip
    check_params(given, IMPORTANCE_CONSTRAINTS, owner="importance_neighbors")
    if seeds is None:
        starts = np.arange(graph.n_nodes, dtype=np.int32)
    else:
        starts = check_seeds(seeds, graph.n_nodes)
    key, n_threads = draw_seed(random_state), effective_n_threads(n_jobs)
    nodes = np.full((len(starts), top), -1, np.int32)
    weights = np.zeros((len(starts), top), np.float32)
    if graph.n_arcs == 0 or len(starts) == 0:
        return nodes, weights
    if stride is None:
        stride = 2 if not graph.directed and is_bipartite(graph) else 1
    steps = int(n_walks) * int(walk_length) * int(stride)
    if not exact and steps > _MAX_STEPS:
        raise ValueError(
            f"importance_neighbors: n_walks * walk_length * stride must be at most {_MAX_STEPS}, "
            f"got {n_walks} * {walk_length} * {stride}: lower n_walks, or use exact=True"
        )
    walks = _Walks(graph, key, n_threads, int(walk_length), float(restart), int(stride), beta)
    if exact:
        walks.push(starts, nodes, weights)
    else:
        walks.sample(starts, int(n_walks), nodes, weights)
    return nodes, weights


class _Walks:
    """The law of the walks, and the two ways to its top."""

    def __init__(
        self,
        graph: Graph,
        key: int,
        n_threads: int,
        walk_length: int,
        restart: float,
        stride: int,
        beta: float,
    ) -> None:
        self.graph, self.key, self.n_threads = graph, key, n_threads
        self.length = 1 if restart == 1 else walk_length
        self.survival, self.stride = 1 - restart, stride
        self.penalties = _penalties(graph, beta)

    def sample(
        self,
        seeds: NDArray[np.int32],
        n_walks: int,
        nodes: NDArray[np.int32],
        weights: NDArray[np.float32],
    ) -> None:
        """Count the visits of walks."""
        graph = self.graph
        cells = first_order_cells(graph, self.n_threads)
        limits = (2.0**63 * self.survival ** np.arange(self.length)).astype(np.uint64)
        most = min(n_walks * self.length, graph.n_nodes)
        bits = int(2 * most).bit_length()

        def kernel(begin: int, end: int, n: int) -> None:
            _importance.sample_top(
                graph.indptr, graph.indices, cells, self.penalties, seeds, nodes, weights, n_walks,
                self.stride, limits, np.zeros((n, 1 << bits), np.uint64),
                np.empty((n, most + 1), np.uint32), np.empty((n, most), np.uint64), bits, self.key,
                begin, end, n,
            )  # fmt: skip

        steps = len(seeds) * n_walks * self.length * self.stride
        run_parallel(kernel, len(seeds), self.n_threads, work=steps)

    def push(
        self, seeds: NDArray[np.int32], nodes: NDArray[np.int32], weights: NDArray[np.float32]
    ) -> None:
        """Compute the expected visits."""
        graph, side = self.graph, _importance.SIDE
        none, rows = np.empty(0, np.float32), in_rows(graph)
        given = none if graph.weights is None else graph.weights
        into = none if rows.weights is None else rows.weights
        strengths = out_strengths(graph, self.n_threads)
        n_words = (graph.n_nodes + 63) // 64
        room = 2 * nodes.shape[1] + 16

        def kernel(begin: int, end: int, n: int) -> None:
            _importance.exact_top(
                graph.indptr, graph.indices, given, strengths, rows.indptr, rows.indices, into,
                self.penalties, seeds, nodes, weights, self.length, self.stride, self.survival,
                np.zeros((n, 2, graph.n_nodes, side)), np.zeros((n, 2, n_words), np.uint64),
                np.empty((n, side, room), np.uint64), self.key, begin, end, n,
            )  # fmt: skip

        n_sides = -(-len(seeds) // side)
        work = n_sides * self.length * self.stride * graph.n_arcs
        run_parallel(kernel, n_sides, self.n_threads, work=work)


def _penalties(graph: Graph, beta: float) -> NDArray[np.float32]:
    """What a visit of every node counts, 1 at most; empty if all count 1."""
    if beta == 0:
        return np.empty(0, np.float32)
    into = np.bincount(graph.indices, weights=graph.weights, minlength=graph.n_nodes)
    least = into[into > 0].min()
    penalties: NDArray[np.float64] = np.maximum(np.maximum(into / least, 1.0) ** -beta, _LEAST)
    return penalties.astype(np.float32)
