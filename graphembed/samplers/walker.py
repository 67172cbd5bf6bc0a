"""The law of random walks on a graph: first order, node2vec's, and along a metapath."""

import itertools
import logging
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphembed import _walks
from graphembed._threads import run_parallel
from graphembed._validation import (
    int_at_least,
    one_of,
    positive_float,
)
from graphembed.graph import Graph
from graphembed.samplers._metapath import MetapathArcs, metapath_arcs
from graphembed.samplers._tables import (
    build_filter,
    first_order_cells,
    is_bipartite,
    strengths,
)

logger = logging.getLogger(__name__)

DEFAULT_MEMORY_BUDGET = 128 * 2**20  # bytes of second-order alias tables that "auto" may build

# Nodes per block of walks: between blocks Python looks for Ctrl-C, and the progress bar moves.
_NODES_PER_BLOCK = 2**22
# Long walks are walked in parts of at least _STEPS_PER_CALL steps, many of them at a time.
_STEPS_PER_CALL = 2**12

_ARCS_PER_BLOCK = 2**20  # gathered at a time, so that no array of n_arcs is made
_CELLS_PER_BLOCK = 2**21  # of second-order alias cells, between which Ctrl-C is heard
_SCRATCH_ROWS = 64  # rows of work space while the second-order tables are built

_FILTER_BYTES_PER_STEP = 16  # a step saves as much time as this many bytes of a filter take

_EMPTY_CELLS = np.empty(0, np.uint64)
_EMPTY_WEIGHTS = np.empty(0, np.float32)
_EMPTY_STRENGTHS = np.empty(0, np.float64)

LAW_CONSTRAINTS = {
    "p": positive_float(),
    "q": positive_float(),
    "strategy": one_of("auto", "rejection", "alias"),
    "memory_budget": int_at_least(0, bits=63),
}


class Walker:
    """The walk law of one graph with its tables built.

    A walk is a function of ``(seed, walk id, start)``: it does not depend on the number of
    threads, on the block it is drawn in, or on the other walks.

    Parameters
    ----------
    graph : Graph
        Where to walk.
    p, q : float, default=1.0
        Return and in-out parameter of the second-order law; with both 1 the walk is first order.
    strategy : {"auto", "rejection", "alias"}, default="auto"
        How second-order steps are drawn. "auto" does without either where only the return arc's
        weight differs: on undirected graphs if ``q == 1`` or the graph is bipartite. Else it takes
        the alias tables if they fit into `memory_budget` and have no more cells than there are
        steps to walk, else rejection.
    memory_budget : int, default=128 MiB
        Bytes of second-order alias tables allowed.
    n_steps : int, default=0
        Steps that will be walked: whether tables that only save time pay.
    n_threads : int, default=1
        Threads that build the tables.
    metapath : sequence of node types, optional
        Walk along a metapath, see `sample_walks`; then `p` and `q` are 1.

    Attributes
    ----------
    strategy : str
        "first-order", "return", "rejection", "alias" or "metapath": what is used.
    starts : ndarray of int32, or None
        The nodes that walks begin at; None means all.

    Raises
    ------
    MemoryError
        If ``strategy="alias"`` is asked for and its tables exceed `memory_budget`.

    Notes
    -----
    Memory: nothing for an unweighted first-order walk; 8 bytes per arc of alias cells if the graph
    is weighted, and for "return" and "rejection" 8 bytes per node more; for "rejection" 1 byte per
    arc; 8 bytes times the sum over all arcs of the head's out-degree for "alias". For "metapath"
    there are 4 bytes (12 if weighted, 16 while built) per arc that some step may take, and 8 bytes
    per node for each of the types for which the metapath leaves a type: mostly one or two. To see
    whether a graph is bipartite takes 5 bytes per node for a moment.
    """

    def __init__(
        self,
        graph: Graph,
        *,
        p: float = 1.0,
        q: float = 1.0,
        strategy: str = "auto",
        memory_budget: int = DEFAULT_MEMORY_BUDGET,
        n_steps: int = 0,
        n_threads: int = 1,
        metapath: Sequence[Any] | None = None,
    ) -> None:
        self.graph = graph
        self.p, self.q = float(p), float(q)
        self._work_per_step = 0.25  # of run_parallel's elementary steps
        self.starts: NDArray[np.int32] | None = None
        self._arcs: MetapathArcs | None = None
        if metapath is not None:
            if p != 1.0 or q != 1.0:
                raise ValueError(f"p and q must be 1 with a metapath, got p={p!r} and q={q!r}")
            self._arcs = metapath_arcs(graph, metapath, n_threads)
            self.starts, self.strategy = self._arcs.starts, "metapath"
            return
        self._weights = _EMPTY_WEIGHTS if graph.weights is None else graph.weights
        self._cells = first_order_cells(graph, n_threads)
        ratio = _return_ratio(graph, self.p, self.q, strategy)
        if ratio is None:
            self.strategy = _choose_strategy(graph, strategy, memory_budget, n_steps)
        else:
            self.strategy = "first-order" if ratio == 1.0 else "return"
            if (self.p, self.q) != (1.0, 1.0):
                logger.info("walks by %s: a return counts %g times", self.strategy, ratio)
        self._ratio = 1.0 if ratio is None else ratio
        self._strengths = _EMPTY_STRENGTHS
        self._offsets = np.empty(0, np.int64)
        self._second_cells = _EMPTY_CELLS
        self._filter = np.empty(0, np.uint8)
        if self.strategy == "rejection":
            # Far from q = 1 a step takes more trials, and at most an enumeration.
            most = 2 + int(graph.degrees.max(initial=0)) / 2
            weighs = self.p if graph.is_weighted else 1.0  # a heavy return arc is refused p times
            self._work_per_step = min(most, max(self.q, 1.0 / self.q, weighs))
            self._strengths = strengths(graph, n_threads)
            if n_steps * _FILTER_BYTES_PER_STEP >= graph.n_arcs:
                self._filter = build_filter(graph, n_threads)
        elif self.strategy == "return":
            if graph.is_weighted and self._ratio < 1.0:  # so is it here
                most = 2 + int(graph.degrees.max(initial=0)) / 2
                self._work_per_step = max(0.25, min(most, 1.0 / self._ratio))
            self._strengths = strengths(graph, n_threads)
        elif self.strategy == "alias":
            self._offsets, self._second_cells = self._second_order_cells(n_threads)

    def walk(
        self,
        starts: NDArray[np.int32],
        walk_ids: NDArray[np.int64],
        walks: NDArray[np.int32],
        *,
        seed: int,
        n_threads: int = 1,
    ) -> None:
        """Fill row ``i`` of `walks` with walk ``walk_ids[i]`` from node ``starts[i]``.

        Parameters
        ----------
        starts : ndarray of shape (n_rows,), dtype=int32
            Start nodes (indices).
        walk_ids : ndarray of shape (n_rows,), dtype=int64
            Number of each walk; the same number and start give the same walk.
        walks : ndarray of shape (n_rows, walk_length), dtype=int32
            Filled; -1 after a walk has reached a node without out-edges.
        seed : int
            Unsigned 64-bit seed.
        n_threads : int, default=1
            Number of threads.
        """
        n_rows, walk_length = walks.shape
        nodes_per_call = int(_NODES_PER_BLOCK / max(1.0, self._work_per_step))
        steps_per_call = max(_STEPS_PER_CALL, nodes_per_call // max(2**6, n_rows))
        for first in range(0, walk_length, steps_per_call):
            steps = (first, min(first + steps_per_call, walk_length))
            kernel = self._kernel(starts, walk_ids, walks, steps, seed)
            work = n_rows * (steps[1] - steps[0]) * self._work_per_step
            run_parallel(kernel, n_rows, n_threads, work=int(work))

    def _kernel(
        self,
        starts: NDArray[np.int32],
        walk_ids: NDArray[np.int64],
        walks: NDArray[np.int32],
        steps: tuple[int, int],
        seed: int,
    ) -> Callable[[int, int, int], None]:
        """Do some steps of some rows."""
        g, arcs, rows = self.graph, self._arcs, (starts, walk_ids, walks)
        if arcs is not None:
            return lambda begin, end, n: _walks.metapath_walks(
                arcs.indptr, arcs.indices, arcs.cells, arcs.layers, *rows, *steps, seed,
                begin, end, n,
            )  # fmt: skip

        def first_order(begin: int, end: int, n: int) -> None:
            _walks.first_order_walks(
                g.indptr, g.indices, self._cells, *rows, *steps, seed, begin, end, n
            )

        def returning(begin: int, end: int, n: int) -> None:
            _walks.return_walks(
                g.indptr, g.indices, self._weights, self._cells, self._strengths, *rows,
                self._ratio, *steps, seed, begin, end, n,
            )  # fmt: skip

        def alias(begin: int, end: int, n: int) -> None:
            _walks.alias_walks(
                g.indptr, g.indices, self._cells, self._offsets, self._second_cells, *rows, *steps,
                seed, begin, end, n,
            )  # fmt: skip

        def rejection(begin: int, end: int, n: int) -> None:
            _walks.rejection_walks(
                g.indptr, g.indices, self._weights, self._cells, self._strengths, self._filter,
                *rows, self.p, self.q, g.directed, *steps, seed, begin, end, n,
            )  # fmt: skip

        kernels = {
            "first-order": first_order,
            "return": returning,
            "alias": alias,
            "rejection": rejection,
        }
        return kernels[self.strategy]

    def _second_order_cells(self, n_threads: int) -> tuple[NDArray[np.int64], NDArray[np.uint64]]:
        g = self.graph
        offsets = np.zeros(g.n_arcs + 1, np.int64)
        np.cumsum(g.degrees[g.indices], out=offsets[1:])
        cells = np.empty(offsets[-1], np.uint64)
        n_blocks = min(g.n_nodes, _SCRATCH_ROWS)
        scratch = np.empty((n_blocks, g.degrees.max(initial=1)), np.float64)

        marks = np.arange(0, len(cells), _CELLS_PER_BLOCK)
        edges = np.searchsorted(offsets[g.indptr], marks).tolist()
        for first, last in itertools.pairwise([*dict.fromkeys(edges), g.n_nodes]):

            def kernel(begin: int, end: int, n: int, first: int = first, last: int = last) -> None:
                _walks.build_second_order_alias(
                    g.indptr, g.indices, self._weights, offsets, scratch, cells, self.p, self.q,
                    g.directed, first, last, begin, end, n,
                )  # fmt: skip

            run_parallel(kernel, min(n_blocks, last - first), n_threads, work=_CELLS_PER_BLOCK)
        return offsets, cells


def _return_ratio(graph: Graph, p: float, q: float, strategy: str) -> float | None:
    """What the return arc's weight is multiplied by, if all others keep theirs.

    That is 1/p if q = 1. On a bipartite graph every other neighbour is at distance 2 from the last
    node, so that all other weights are divided by q, and only q/p matters. Asked for an undirected
    graph alone: there the return arc exists and has the weight of the arc walked.
    """
    if p == 1.0 and q == 1.0:
        return 1.0
    if strategy != "auto" or graph.directed:
        return None
    if q == 1.0:
        return 1.0 / p
    return q / p if is_bipartite(graph) else None


def _choose_strategy(graph: Graph, strategy: str, memory_budget: int, n_steps: int) -> str:
    if strategy == "rejection":
        return strategy
    n_cells = _count_second_order_cells(graph)
    scratch = _SCRATCH_ROWS * int(graph.degrees.max(initial=1))
    n_bytes = 8 * (n_cells + graph.n_arcs + 1 + scratch)
    fits = n_bytes <= memory_budget
    if strategy == "alias" and not fits:
        raise MemoryError(
            f"strategy='alias' needs {n_bytes:,} bytes of tables for this graph, more than "
            f"memory_budget={memory_budget:,}: raise memory_budget or use strategy='rejection'"
        )
    chosen = "alias" if fits and (strategy == "alias" or n_cells <= n_steps) else "rejection"
    logger.info(
        "second-order walks by %s: alias tables would take %d bytes (budget %d) for %d steps",
        chosen, n_bytes, memory_budget, n_steps,
    )  # fmt: skip
    return chosen


def _count_second_order_cells(graph: Graph) -> int:
    degrees = graph.degrees
    blocks = range(0, graph.n_arcs, _ARCS_PER_BLOCK)
    return sum(int(degrees[graph.indices[i : i + _ARCS_PER_BLOCK]].sum()) for i in blocks)


def walk_seed(seed: int) -> int:
    """Seed of the walks of a run: the trainer draws its own numbers from other streams.

    Parameters
    ----------
    seed : int
        The run's unsigned 64-bit seed.

    Returns
    -------
    int
        An unsigned 64-bit seed.
    """
    return seed ^ 0x77616C6B73  # "walks"


def walks_per_block(walk_length: int) -> int:
    """Rows of a block of walks that Ctrl-C need not wait for.

    Parameters
    ----------
    walk_length : int
        Nodes per walk.

    Returns
    -------
    int
        At least 1.
    """
    return max(1, _NODES_PER_BLOCK // walk_length)
