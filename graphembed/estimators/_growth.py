"""Growth of a fitted skip-gram model: rows of some nodes are trained, all others stay.

The plan: find the nodes whose edges have changed; start new rows at the mean of their neighbours;
then train the rows of one table against the other table, which stays as it is meanwhile: first
the input rows, then the context rows. Given the other table rows do not depend on each other, so
neither the order nor the number of threads matters (see `_kernels/_growth.h`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from graphembed._kernels import _growth, _skipgram
from graphembed._threads import run_parallel
from graphembed._validation import draw_seed
from graphembed.estimators._grid import INSTRUCTIONS, SkipGramConfig, aligned_table
from graphembed.estimators._skipgram import noise_of
from graphembed.exceptions import FileFormatError
from graphembed.graph import Graph, NodeIndex
from graphembed.samplers._tables import out_strengths
from graphembed.samplers.walker import Walker, walk_seed, walks_per_block

# A row is trained on so many walks for each of its node's visits in fit, on average, ...
_WALKS_PER_VISIT = 0.4
# ... at this share of fit's learning rate: it starts near its place. See ADR 11.
_RATE = 0.5
_LOT = 4  # contexts that share their negatives; more stale gains for one row would overshoot
_EMPTY_WEIGHTS = np.empty(0, np.float32)


@dataclass(frozen=True)
class Memory:
    """What a fitted model keeps to grow; row i belongs to the i-th node of the model.

    Attributes
    ----------
    context : ndarray of shape (n_nodes, n_components), dtype=float32
        The context vectors.
    visits : ndarray of shape (n_nodes,), dtype=int64
        How often the walks of an epoch have visited each node.
    prints : ndarray of shape (n_nodes,), dtype=uint64
        Fingerprint of each node's edges: which of them have changed can be told without the graph.
    seed : int
        Where the random numbers of the next growth come from.
    directed : bool
        Whether the graph is directed.
    """

    context: NDArray[np.float32]
    visits: NDArray[np.int64]
    prints: NDArray[np.uint64]
    seed: int
    directed: bool

    def as_arrays(self) -> dict[str, NDArray[Any]]:
        """Arrays of a model file."""
        return {
            "context": self.context,
            "visits": self.visits,
            "prints": self.prints,
            "seed": np.array([self.seed], np.uint64),
            "directed": np.array([self.directed], np.int64),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, NDArray[Any]]) -> "Memory | None":
        """Read the arrays of a model file; None if it has none of them.

        Raises
        ------
        FileFormatError
            If they do not fit the embedding; the message is the problem.
        """
        shape = arrays["embedding"].shape
        wanted = {
            "context": (np.float32, shape),
            "visits": (np.int64, shape[:1]),
            "prints": (np.uint64, shape[:1]),
            "seed": (np.uint64, (1,)),
            "directed": (np.int64, (1,)),
        }
        if not wanted.keys() & arrays.keys():
            return None
        for name, (dtype, expected) in wanted.items():
            array = arrays.get(name)
            if array is None or array.dtype != dtype or array.shape != expected:
                raise FileFormatError(f"its array {name!r} does not fit its embedding")
        if (arrays["visits"] < 1).any() or not np.isfinite(arrays["context"]).all():
            raise FileFormatError("its context vectors or visits are not what fit leaves")
        seed, directed = int(arrays["seed"][0]), bool(arrays["directed"][0])
        return cls(arrays["context"], arrays["visits"], arrays["prints"], seed, directed)


@dataclass(frozen=True)
class Plan:
    """How a grown model trains: the settings of `fit`.

    Attributes
    ----------
    config : SkipGramConfig
        The hyper-parameters of skip-gram.
    law : dict
        Keyword arguments of `Walker`.
    walk_length, n_walks : int
        Nodes of a walk, walks from every node.
    n_threads : int
        Threads at most; the result does not depend on it.
    """

    config: SkipGramConfig
    law: dict[str, Any]
    walk_length: int
    n_walks: int
    n_threads: int


@dataclass(frozen=True)
class Grown:
    """A grown model: its nodes (the old ones first), vectors, memory, and which were trained."""

    node_ids: NDArray[Any]
    embedding: NDArray[np.float32]
    memory: Memory
    rows: NDArray[np.int64]


def fingerprints(graph: Graph, n_counted: int, n_threads: int) -> NDArray[np.uint64]:
    """Sum of a hash of (neighbour, weight) over each node's edges to the first nodes.

    O(n_nodes + n_arcs) time, 8 bytes per node.
    """
    prints = np.empty(graph.n_nodes, np.uint64)
    weights = _EMPTY_WEIGHTS if graph.weights is None else graph.weights
    run_parallel(
        lambda a, b, n: _growth.fingerprint_rows(
            graph.indptr, graph.indices, weights, n_counted, prints, a, b, n
        ),
        graph.n_nodes,
        n_threads,
        work=graph.n_arcs,
    )
    return prints


def grow(
    G: Graph,
    node_ids: NDArray[Any],
    embedding: NDArray[np.float32],
    memory: Memory,
    plan: Plan,
    update: str,
) -> Grown:
    """Train the rows that `update` names on a graph that holds the old nodes and new ones.

    With ``update="none"`` the vectors of new nodes alone; the vectors that a new node gets are the
    same whatever `update` is.

    Raises
    ------
    ValueError
        If `G` lacks an old node, or is directed and the graph before was not, or the reverse.
    """
    if G.directed != memory.directed:
        was, is_now = ("directed" if x else "undirected" for x in (memory.directed, G.directed))
        raise ValueError(
            f"G must be {was}, as the graph of fit was, but is read as {is_now}: "
            f"pass directed={memory.directed}"
        )
    graph = in_order(G, node_ids)
    n_old = len(node_ids)
    touched = np.ones(graph.n_nodes, bool)
    touched[:n_old] = fingerprints(graph, n_old, plan.n_threads)[:n_old] != memory.prints
    if not touched.any():
        return Grown(node_ids, embedding, memory, np.empty(0, np.int64))
    growth = _Growth(graph, embedding, memory, plan)
    rows = growth.rows_to_train(touched, update)
    growth.train(rows, "input")
    n_components = embedding.shape[1]
    vectors = np.ascontiguousarray(growth.input[:, :n_components])
    if update == "none":
        return Grown(graph.node_ids, vectors, memory, rows)
    growth.train(rows, "context")
    prints = fingerprints(graph, graph.n_nodes, plan.n_threads)
    context = np.ascontiguousarray(growth.context[:, :n_components])
    grown_memory = Memory(context, growth.visits, prints, growth.seed, graph.directed)
    return Grown(graph.node_ids, vectors, grown_memory, rows)


def in_order(graph: Graph, node_ids: NDArray[Any]) -> Graph:
    """Return the graph with these nodes first, in this order, then the others.

    O(n_nodes + n_arcs) time and memory, nothing if they are in this order already.
    """
    n_old, n_nodes = len(node_ids), graph.n_nodes
    try:
        old = NodeIndex(graph.node_ids).positions(node_ids)
    except KeyError as error:
        raise _lacking(error.args[0], graph) from None
    if np.array_equal(old, np.arange(n_old)):
        return graph
    is_new = np.ones(n_nodes, bool)
    is_new[old] = False
    node_of = np.concatenate([old, np.flatnonzero(is_new)])
    row_of = np.empty(n_nodes, np.int32)
    row_of[node_of] = np.arange(n_nodes, dtype=np.int32)
    moved = _arcs(graph)[node_of]
    moved = sp.csr_array((moved.data, row_of[moved.indices], moved.indptr), shape=moved.shape)
    moved.sort_indices()
    return _as_graph(moved, graph, graph.node_ids[node_of], weighted=graph.weights is not None)


def _lacking(node: Any, graph: Graph) -> ValueError:
    """Say which node of the model a graph lacks, or that its ids are of another kind."""
    node = node.item() if isinstance(node, np.generic) else node
    others = {type(other): other for other in reversed(graph.node_ids.tolist())}
    if type(node) in others:
        return ValueError(
            "G must hold all nodes of the model, not the changes alone: it lacks the node "
            f"{node!r}; pass nodes=model.node_ids_ to keep nodes that have lost their edges, or "
            "fit anew to be rid of them"
        )
    found = " or ".join(f"{kind.__name__}, such as {id_!r}" for kind, id_ in others.items())
    return ValueError(
        f"G must have ids of the kind of the model's, {type(node).__name__}, such as {node!r}, but "
        f"its ids are {found} (ids from a file are int if all of them are whole numbers, else "
        "str): convert them, or fit anew"
    )


def _arcs(graph: Graph) -> sp.csr_array:
    weights = np.ones(graph.n_arcs, np.float32) if graph.weights is None else graph.weights
    shape = (graph.n_nodes, graph.n_nodes)
    return sp.csr_array((weights, graph.indices, graph.indptr), shape=shape)


def _as_graph(arcs: sp.csr_array, like: Graph, ids: NDArray[Any], *, weighted: bool) -> Graph:
    return Graph._trusted(
        arcs.indptr.astype(np.int64, copy=False),
        arcs.indices.astype(np.int32, copy=False),
        arcs.data.astype(np.float32, copy=False) if weighted else None,
        ids,
        like.directed,
    )


class _Growth:
    """The two tables with their new rows, and the training of some rows."""

    def __init__(
        self, graph: Graph, embedding: NDArray[np.float32], memory: Memory, plan: Plan
    ) -> None:
        self.plan, self.n_old, self.n_nodes = plan, len(embedding), graph.n_nodes
        self.seed = draw_seed(memory.seed)
        self.arcs = _arcs(graph)
        # The arcs that lead to each node; an undirected graph has them in its own rows.
        self.inward = self.arcs.T.tocsr() if graph.directed else self.arcs
        # What leaves each node per unit of weight: visits / strength
        self.flow = np.zeros(self.n_nodes)
        self.visits = self._count_visits(graph, memory.visits)
        self.walkers = [Walker(graph, **plan.law, n_threads=plan.n_threads)]
        if graph.directed:
            self.walkers.append(Walker(self._reversed(graph), **plan.law, n_threads=plan.n_threads))
        n_old, n_components = embedding.shape
        stride = -(-n_components // _skipgram.LANES) * _skipgram.LANES
        self.input = aligned_table(self.n_nodes, stride)
        self.context = aligned_table(self.n_nodes, stride)
        self.input[:n_old, :n_components] = embedding
        self.context[:n_old, :n_components] = memory.context
        self._start_rows(n_components)
        self.cells = self._noise()

    def _count_visits(self, graph: Graph, visits: NDArray[np.int64]) -> NDArray[np.int64]:
        """Visits of the new nodes: their own walks, and arrivals in one step from old nodes."""
        n_old = len(visits)
        strengths = out_strengths(graph, self.plan.n_threads)
        np.divide(visits, strengths[:n_old], out=self.flow[:n_old], where=strengths[:n_old] > 0)
        coming = self.inward[n_old:]
        flows = np.append(coming.data * self.flow[coming.indices], 0.0)
        arrivals = np.add.reduceat(flows, coming.indptr[:-1])
        arrivals = np.where(np.diff(coming.indptr) > 0, np.rint(arrivals), 0.0).astype(np.int64)
        visits = np.concatenate([visits, self.plan.n_walks + arrivals])
        np.divide(visits, strengths, out=self.flow, where=strengths > 0)
        return visits

    def _reversed(self, graph: Graph) -> Graph:
        """The graph on which a first-order walk goes back where a walk on `graph` came from."""
        arcs = sp.csr_array(
            (self.inward.data * self.flow[self.inward.indices], self.inward.indices,
             self.inward.indptr), shape=self.inward.shape,
        )  # fmt: skip
        return _as_graph(arcs, graph, graph.node_ids, weighted=True)

    def _start_rows(self, n_components: int) -> None:
        """New rows: the mean of the neighbours' rows, then of rows so made, and so on.

        Nodes that no path joins to an old one start as in `fit`.
        """
        n_old = self.n_old
        edges = self.arcs[n_old:]
        if len(self.walkers) > 1:
            edges = edges + self.inward[n_old:]
        known = np.arange(self.n_nodes) < n_old
        sources = np.repeat(np.arange(edges.shape[0]), np.diff(edges.indptr))
        reached = np.unique(sources[known[edges.indices]])
        while len(reached):
            self._average(edges, reached, known)
            known[n_old + reached] = True
            around = np.unique(edges[reached].indices).astype(np.int64)
            reached = around[~known[around]] - n_old
        rows = np.flatnonzero(~known)
        start = np.empty((len(rows), self.input.shape[1]), np.float32)
        _skipgram.fill_uniform(start, n_components, self.seed, 0, len(rows), 1)
        self.input[rows] = start

    def _average(
        self, edges: sp.csr_array, rows: NDArray[np.int64], known: NDArray[np.bool_]
    ) -> None:
        """Put new rows at the mean of their known neighbours, weighted by the edges."""
        part = edges[rows]
        indptr, heads = part.indptr.astype(np.int64), part.indices.astype(np.int32)
        weights = np.where(known[heads], part.data, 0).astype(np.float32)
        means = np.empty((len(rows), self.input.shape[1]), np.float32)
        for table in (self.input, self.context):
            arrays = (indptr, heads, weights, table, means)
            run_parallel(
                partial(_growth.average_rows, *arrays),
                len(rows),
                self.plan.n_threads,
                work=len(heads) * means.shape[1] // 64,
            )
            table[self.n_old + rows] = means

    def _noise(self) -> NDArray[np.uint64]:
        """Alias cells of the negatives: all nodes in one part."""
        noise = noise_of(self.visits, self.plan.config.ns_exponent)
        members = np.arange(self.n_nodes, dtype=np.int32)[np.newaxis]
        scratch = np.empty(members.shape)
        cells = np.empty(2 * self.n_nodes, np.uint64)
        _skipgram.build_noise(members, noise, scratch, cells[np.newaxis], 0, 1, 1)
        return cells

    def rows_to_train(self, touched: NDArray[np.bool_], update: str) -> NDArray[np.int64]:
        """The touched nodes; with their neighbours; all; or, for "none", the new ones alone."""
        chosen = touched.copy()
        if update == "neighbourhood":
            chosen[self.arcs[touched].indices] = True
            chosen[self.inward[touched].indices] = True
        elif update != "touched":
            chosen[: self.n_old] = update == "all"
        return np.flatnonzero(chosen)

    def train(self, rows: NDArray[np.int64], which: str) -> None:
        """Train these rows of one table against the other."""
        plan, c = self.plan, self.plan.config
        n_walks = max(1, round(_WALKS_PER_VISIT * c.epochs * plan.n_walks * plan.walk_length))
        length = min(c.window + 1, plan.walk_length)
        rows_per_block = max(1, walks_per_block(length) // n_walks)
        for first in range(0, len(rows), rows_per_block):
            block = rows[first : first + rows_per_block]
            numbers = block if which == "input" else block + self.n_nodes
            walks = self._walks(block, numbers, n_walks, length)
            self._train_block(block, numbers, walks, which)

    def _walks(
        self, block: NDArray[np.int64], numbers: NDArray[np.int64], n_walks: int, length: int
    ) -> NDArray[np.int32]:
        """`n_walks` walks from each node; on a directed graph every other one goes backwards."""
        walks = np.empty((len(block), n_walks, length), np.int32)
        n_kinds = len(self.walkers)
        for kind, walker in enumerate(self.walkers):
            which = np.arange(kind, n_walks, n_kinds)
            starts = np.repeat(block.astype(np.int32), len(which))
            ids = (numbers[:, np.newaxis] * n_walks + which).ravel()
            part = np.empty((len(starts), length), np.int32) if n_kinds > 1 else walks
            part = part.reshape(len(starts), length)
            walker.walk(starts, ids, part, seed=walk_seed(self.seed), n_threads=self.plan.n_threads)
            if n_kinds > 1:
                walks[:, which] = part.reshape(len(block), len(which), length)
        return walks.reshape(-1, length)

    def _train_block(
        self,
        block: NDArray[np.int64],
        numbers: NDArray[np.int64],
        walks: NDArray[np.int32],
        which: str,
    ) -> None:
        c = self.plan.config
        table, other = self.input, self.context
        if which == "context":
            table, other = other, table
        rows = table[block]
        rate = _RATE * c.learning_rate
        run_parallel(
            lambda a, b, n: _growth.train_rows(
                walks, numbers, rows, other, self.cells, c.window, c.shrink_windows, c.negative,
                min(_LOT, c.negative_sharing), rate, min(rate, c.min_learning_rate), INSTRUCTIONS,
                self.seed, a, b, n,
            ),
            len(block),
            self.plan.n_threads,
            work=walks.size * (c.negative + 1) * table.shape[1] // 256,
        )  # fmt: skip
        table[block] = rows
