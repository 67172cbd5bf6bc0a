"""Random walks as an array."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from tqdm import tqdm

from graphembed._validation import (
    check_params,
    draw_seed,
    effective_n_threads,
    int_at_least,
    n_jobs_like,
    random_state_like,
    verbosity,
)
from graphembed.graph import Graph
from graphembed.samplers._metapath import metapath_like
from graphembed.samplers.walker import (
    DEFAULT_MEMORY_BUDGET,
    LAW_CONSTRAINTS,
    Walker,
    walk_seed,
    walks_per_block,
)

# Rows per block at least: between blocks the progress bar moves.
_ROWS_PER_BLOCK = 2**10

WALK_CONSTRAINTS = {
    "walk_length": int_at_least(1),
    "n_walks": int_at_least(1),
    "random_state": random_state_like(),
    "n_jobs": n_jobs_like(),
    "verbose": verbosity(),
}
METAPATH_CONSTRAINTS = {"metapath": metapath_like()}


def sample_walks(
    G: Any,
    *,
    walk_length: int = 80,
    n_walks: int = 10,
    p: float = 1.0,
    q: float = 1.0,
    strategy: str = "auto",
    memory_budget: int = DEFAULT_MEMORY_BUDGET,
    start_nodes: ArrayLike | None = None,
    metapath: Sequence[Any] | None = None,
    random_state: Any = None,
    n_jobs: int | None = None,
    weight: Any = "weight",
    directed: bool | None = None,
    nodes: Any = None,
    source: Any = None,
    target: Any = None,
    verbose: int = 0,
) -> NDArray[np.int32]:
    """Sample random walks from every node.

    After a step ``t -> v`` the weight of ``v -> x`` is ``w_vx / p`` if ``x == t``, ``w_vx`` if
    there is an edge ``t -> x``, else ``w_vx / q`` (Grover and Leskovec 2016, eq. 2). The first
    step, and every step if ``p == q == 1``, is drawn in proportion to ``w_vx``.

    Parameters
    ----------
    G : Graph or anything `Graph.from_any` accepts
        The graph; edges of weight 0 are never walked.
    walk_length : int, default=80
        Nodes per walk, the start node included.
    n_walks : int, default=10
        Walks per start node.
    p : float, default=1.0
        Return parameter: small values keep the walk near its last node.
    q : float, default=1.0
        In-out parameter: small values drive the walk outwards.
    strategy : {"auto", "rejection", "alias"}, default="auto"
        How second-order steps are drawn: by rejection (1 byte per arc), or from precomputed alias
        tables, one per edge. Both obey the same law; the walks differ. "auto" needs neither on an
        undirected graph if ``q == 1`` or the graph is bipartite, see the notes; else it takes the
        tables if they fit into `memory_budget` and have no more cells than there are steps.
    memory_budget : int, default=128 MiB
        Bytes of second-order alias tables allowed.
    start_nodes : array_like of int, shape (n_starts,), optional
        Node indices to start from; by default all nodes, or those of the metapath's first type.
    metapath : sequence of node types, optional
        Types that the walk follows, over and over, such as ``["author", "paper", "author"]``; the
        last is the first. From a node, the next one is drawn among its neighbours of the next
        type, in proportion to the weights (Dong et al. 2017, eq. 3, where there are none). A walk
        that finds no such neighbour ends. `G` must be a graph with node types, which
        ``Graph.from_any(..., node_types=...)`` makes; `p` and `q` must be 1.
    random_state : None, int, numpy.random.Generator or RandomState, default=None
        Seed. The same seed gives the same walks for any `n_jobs`.
    n_jobs : int, optional
        Number of threads; None means 1, -1 all cores.
    weight, directed, nodes, source, target
        Passed on to `Graph.from_any`.
    verbose : int, default=0
        1 shows a progress bar.

    Returns
    -------
    ndarray of shape (n_walks * n_starts, walk_length), dtype=int32
        Node indices; -1 after a walk has reached a node without out-edges. Row
        ``r * n_starts + i`` is the r-th walk from ``start_nodes[i]``.

    Raises
    ------
    ValueError
        If a parameter is out of range.
    GraphFormatError
        If `G` cannot be read as a graph.
    MemoryError
        If ``strategy="alias"`` and the tables exceed `memory_budget`.

    Notes
    -----
    O(1) time per first-order step and per step by alias tables; a rejection step costs a few
    trials, each with a look at one byte of a filter and, if that does not settle it, a bisection
    in an adjacency list. A step whose trials are refused enumerates its law, for ``q > 1`` in
    proportion to the shorter of two adjacency lists. On a bipartite graph (users and items) no
    neighbour of ``v`` but ``t`` itself is near ``t``: the weight of the return arc is
    divided by ``p``, that of all others by ``q``. So only ``q / p`` matters, and a step is O(1)
    without a look at adjacency; that a graph is bipartite is found in O(n_nodes + n_arcs). Where a
    directed graph has no arc from ``t`` to ``x`` but one from ``x`` to ``t``, the authors'
    reference program counts ``x`` as adjacent to ``t``; here the paper's definition by the distance
    from ``t`` to ``x`` holds.

    References
    ----------
    Dong, Y., Chawla, N. and Swami, A. (2017). metapath2vec: Scalable representation learning for
    heterogeneous networks. KDD.

    Grover, A. and Leskovec, J. (2016). node2vec: Scalable feature learning for networks. KDD.

    Examples
    --------
    >>> from graphembed import sample_walks
    >>> walks = sample_walks([("a", "b"), ("b", "c")], walk_length=4, n_walks=2, random_state=0)
    >>> walks.shape
    (6, 4)
    """
    constraints = {**LAW_CONSTRAINTS, **WALK_CONSTRAINTS, **METAPATH_CONSTRAINTS}
    check_params(locals(), constraints, owner="sample_walks")
    graph = Graph.from_any(
        G, weight=weight, directed=directed, nodes=nodes, source=source, target=target
    )
    starts = _check_start_nodes(start_nodes, graph.n_nodes)
    n_threads = effective_n_threads(n_jobs)
    walker = Walker(
        graph, p=p, q=q, strategy=strategy, memory_budget=memory_budget,
        n_steps=n_walks * len(starts) * walk_length, n_threads=n_threads, metapath=metapath,
    )  # fmt: skip
    if walker.starts is not None:
        starts = walker.starts if start_nodes is None else _check_types(starts, walker.starts)
    n_rows = n_walks * len(starts)
    seed = walk_seed(draw_seed(random_state))
    walks = np.empty((n_rows, walk_length), np.int32)
    rows_per_block = max(_ROWS_PER_BLOCK, walks_per_block(walk_length))
    bar = tqdm(total=walks.size, desc="walks", unit="steps", unit_scale=True, disable=not verbose)
    with bar:
        for first in range(0, n_rows, rows_per_block):
            block = walks[first : first + rows_per_block]
            ids = np.arange(first, first + len(block), dtype=np.int64)
            walker.walk(
                _repeat(starts, first, len(block)), ids, block, seed=seed, n_threads=n_threads
            )
            bar.update(block.size)
    return walks


def _repeat(values: NDArray[np.int32], first: int, n: int) -> NDArray[np.int32]:
    """The places first, first + 1, ... of an endless repetition of the values."""
    begin = first % len(values)
    if begin + n <= len(values):
        return values[begin : begin + n]
    return np.take(values, np.arange(begin, begin + n), mode="wrap")


def _check_types(starts: NDArray[np.int32], allowed: NDArray[np.int32]) -> NDArray[np.int32]:
    wrong = np.flatnonzero(~np.isin(starts, allowed))
    if len(wrong):
        raise ValueError(
            "start_nodes must be of the metapath's first type, which node "
            f"{starts[wrong[0]]} at position {wrong[0]} is not"
        )
    return starts


def _check_start_nodes(start_nodes: ArrayLike | None, n_nodes: int) -> NDArray[np.int32]:
    if start_nodes is None:
        return np.arange(n_nodes, dtype=np.int32)
    starts = np.asarray(start_nodes)
    if starts.shape == (0,):
        return np.empty(0, np.int32)
    if starts.ndim != 1 or starts.dtype.kind not in "iu":
        raise ValueError(
            "start_nodes must be a 1-D array of node indices (ints), "
            f"got shape {starts.shape} and dtype {starts.dtype}"
        )
    wrong = np.flatnonzero((starts < 0) | (starts >= n_nodes))
    if len(wrong):
        raise ValueError(
            f"start_nodes must be in [0, {n_nodes}), got {starts[wrong[0]]} at position {wrong[0]}"
        )
    return starts.astype(np.int32)
