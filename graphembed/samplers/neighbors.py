"""Sampled neighbourhoods of nodes, layer by layer, for training on mini-batches."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from graphembed._kernels import _neighbors
from graphembed._threads import run_parallel
from graphembed._validation import (
    Constraint,
    boolean,
    check_params,
    draw_seed,
    effective_n_threads,
    int_at_least,
    n_jobs_like,
    optional,
    random_state_like,
)
from graphembed.graph import Graph
from graphembed.samplers._in_rows import in_rows
from graphembed.samplers._numbers import Numbers
from graphembed.samplers._seeds import check_seeds, refuse_repeated
from graphembed.samplers._tables import alias_cells, row_sums

__all__ = ["NeighborBatch", "NeighborBlock", "NeighborSampler"]

_NO_VALUES = np.empty(0, np.float32)


def _is_fanouts(value: Any) -> bool:
    return (
        isinstance(value, Sequence)
        and not isinstance(value, str)
        and len(value) > 0
        and all(
            isinstance(k, (int, np.integer))
            and not isinstance(k, bool)
            and (k == -1 or 1 <= k < 2**31)
            for k in value
        )
    )


def fanouts_like() -> Constraint:
    """Numbers of neighbours, one for each layer."""
    return Constraint(
        _is_fanouts, "a sequence of ints, one for each layer: >= 1, or -1 for all neighbours"
    )


NEIGHBOR_CONSTRAINTS = {
    "fanouts": fanouts_like(),
    "replace": boolean(),
    "weighted": optional(boolean()),
    "random_state": random_state_like(),
    "n_jobs": n_jobs_like(),
}


@dataclass(frozen=True)
class NeighborBlock:
    """The edges that one layer reads, row by row of their targets.

    The targets are the first `n_target` of the `n_source` sources.

    Attributes
    ----------
    indptr : ndarray of shape (n_target + 1,), dtype=int64
        Edges into target i are ``indptr[i] : indptr[i + 1]``.
    indices : ndarray of shape (n_edges,), dtype=int32
        Source of every edge, as a place in the batch's `node_index`.
    arcs : ndarray of shape (n_edges,), dtype=int64
        Place of every edge in the graph's `indices` and `weights`; in an undirected graph, where an
        edge is two arcs, the place in the target's row.
    weights : ndarray of shape (n_edges,), dtype=float32, or None
        What an edge counts, see `NeighborSampler`; None means that every edge counts 1.
    n_source : int
        Number of sources.
    """

    indptr: NDArray[np.int64]
    indices: NDArray[np.int32]
    arcs: NDArray[np.int64]
    weights: NDArray[np.float32] | None
    n_source: int

    @property
    def n_target(self) -> int:
        """Number of targets."""
        return len(self.indptr) - 1


@dataclass(frozen=True)
class NeighborBatch:
    """What is needed to compute the last layer at some seeds.

    Attributes
    ----------
    blocks : list of NeighborBlock
        One for each layer, the first layer's first; the targets of a block are the sources of the
        next, and the targets of the last one are the seeds.
    node_index : ndarray of shape (n_nodes,), dtype=int32
        The sources of the first block as indices of the graph: the seeds, then the others by first
        appearance.
    """

    blocks: list[NeighborBlock]
    node_index: NDArray[np.int32]


class NeighborSampler:
    """Sample the neighbourhoods of seeds, layer by layer (Hamilton et al. 2017, algorithm 2).

    For each seed some of the arcs that lead to it are sampled, then for the seeds and the nodes
    these come from, and so on. What is sampled for a target is a function of (seed, number of the
    batch, layer, target): neither of the other seeds nor of the threads.

    Parameters
    ----------
    graph : Graph
        The graph; the neighbours of a node are those with an arc to it.
    fanouts : sequence of int
        Neighbours sampled per node: of the seeds first, then of their neighbours, and so on; one
        number for each layer. -1 takes all.
    replace : bool, default=False
        Whether a neighbour may be drawn several times. If not, a node with no more neighbours than
        asked for has them all.
    weighted : bool, optional
        Whether neighbours are drawn in proportion to the weights of their arcs, one after the
        other. By default they are if the graph has weights.
    random_state : None, int, numpy.random.Generator or numpy.random.RandomState
        Seed of the draws.
    n_jobs : int, optional
        Threads; -1 means all cores.

    Attributes
    ----------
    graph : Graph
        The graph.
    fanouts : tuple of int
        Neighbours per node, of the seeds first.
    weighted : bool
        Whether draws are in proportion to weights.

    Raises
    ------
    ValueError
        If a parameter is out of range; the message names it.

    Notes
    -----
    The weights of a block are such that the mean over the sampled edges of ``weight * x`` has the
    expectation of the mean over all: those of the arcs where draws are uniform; the mean weight of
    the row where they are by weight with replacement; and without, for k of d neighbours,
    ``w / (1 - exp(-w t)) * k / d``, t the time at which a next neighbour would have arrived (Cohen
    and Kaplan 2007), which is w where all are taken.

    Memory: nothing for an unweighted undirected graph. Else 8 bytes per arc and per node if draws
    are by weight; if the graph is directed, the arcs by target besides: 8 bytes per node and 12 per
    arc, 4 more with weights. A batch takes 12 to 16 bytes per sampled edge (24 while edges are
    drawn by weight) and, while it is sampled, 12 to 24 per node.

    Construction takes O(n_nodes + n_arcs) time if the graph is directed or has weights. A batch
    takes time linear in the sampled edges; only where few neighbours outweigh all others, time
    linear in the degree.

    Examples
    --------
    >>> from graphembed import Graph
    >>> from graphembed.samplers import NeighborSampler
    >>> graph = Graph.from_any([(0, 1), (1, 2), (2, 3)])
    >>> batch = NeighborSampler(graph, [2, 2], random_state=0).sample([1])
    >>> batch.node_index
    array([1, 0, 2, 3], dtype=int32)
    >>> [(block.n_source, block.n_target) for block in batch.blocks]
    [(4, 3), (3, 1)]
    """

    def __init__(
        self,
        graph: Graph,
        fanouts: Sequence[int],
        *,
        replace: bool = False,
        weighted: bool | None = None,
        random_state: Any = None,
        n_jobs: int | None = None,
    ) -> None:
        given = {
            "fanouts": fanouts,
            "replace": replace,
            "weighted": weighted,
            "random_state": random_state,
            "n_jobs": n_jobs,
        }
        check_params(given, NEIGHBOR_CONSTRAINTS, owner="NeighborSampler")
        if weighted and graph.weights is None:
            raise ValueError("weighted=True, but the graph has no weights")
        self.graph = graph
        self.fanouts = tuple(int(k) for k in fanouts)
        self.replace = bool(replace)
        self.weighted = graph.weights is not None if weighted is None else bool(weighted)
        self._seed = draw_seed(random_state)
        self._n_threads = effective_n_threads(n_jobs)
        rows = in_rows(graph)
        self._rows = rows
        self._weights = _NO_VALUES if rows.weights is None else rows.weights
        self._cells, self._strengths = np.empty(0, np.uint64), np.empty(0, np.float64)
        if self.weighted:
            self._cells = alias_cells(rows.indptr, self._weights, self._n_threads)
            self._strengths = row_sums(rows.indptr, self._weights, self._n_threads)

    def sample(self, seeds: ArrayLike, batch: int = 0) -> NeighborBatch:
        """Sample one batch.

        Parameters
        ----------
        seeds : array_like of int, shape (n_seeds,)
            Node indices, all different.
        batch : int, default=0
            Number of the batch: another number, other draws.

        Returns
        -------
        NeighborBatch
            The blocks of the layers, and the nodes they read.

        Raises
        ------
        IndexError
            If a seed is not a node index.
        ValueError
            If seeds are repeated or of another type.
        """
        blocks, numbers = [], self._start(seeds, batch)
        for layer, fanout in enumerate(self.fanouts):
            targets = numbers.node_index
            slots, arcs, nodes, values = self._draw(targets, fanout, batch, layer)
            numbers.number(nodes)
            weights = None if self._rows.weights is None else values
            blocks.append(NeighborBlock(slots, nodes, arcs, weights, numbers.count))
        return NeighborBatch(blocks[::-1], numbers.node_index)

    def sample_subgraph(self, seeds: ArrayLike, batch: int = 0) -> NeighborBatch:
        """Sample one batch in which every node has one sample of its neighbours.

        In `sample` a node that several layers read has a sample for each. Here the neighbours of a
        node are sampled once, when it first appears, and all layers may share the one block
        that is returned. Its last nodes, those that the last fan-out has brought in, have no edges.

        Parameters
        ----------
        seeds : array_like of int, shape (n_seeds,)
            Node indices, all different.
        batch : int, default=0
            Number of the batch.

        Returns
        -------
        NeighborBatch
            One block with as many targets as sources, and its nodes.

        Raises
        ------
        IndexError
            If a seed is not a node index.
        ValueError
            If seeds are repeated or of another type.
        """
        numbers = self._start(seeds, batch)
        hops, ends, done = [], [np.zeros(1, np.int64)], 0
        for layer, fanout in enumerate(self.fanouts):
            targets = numbers.node_index[done:]
            done = numbers.count
            hop = self._draw(targets, fanout, batch, layer)
            numbers.number(hop[2])
            hops.append(hop)
            ends.append(hop[0][1:] + ends[-1][-1])
        ends.append(np.full(numbers.count - done, ends[-1][-1]))
        _, arcs, nodes, values = (np.concatenate(column) for column in zip(*hops, strict=True))
        weights = None if self._rows.weights is None else values
        indptr = np.concatenate(ends)
        block = NeighborBlock(indptr, nodes, arcs, weights, numbers.count)
        return NeighborBatch([block], numbers.node_index)

    def _start(self, seeds: ArrayLike, batch: int) -> Numbers:
        """Check the arguments of a batch and number its seeds."""
        check_params({"batch": batch}, {"batch": int_at_least(0, bits=64)})
        checked = check_seeds(seeds, self.graph.n_nodes)
        numbers = Numbers(self.graph.n_nodes)
        numbers.number(checked.copy())
        if numbers.count < len(checked):
            refuse_repeated(checked)
        return numbers

    def _draw(
        self, targets: NDArray[np.int32], fanout: int, batch: int, layer: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int32], NDArray[np.float32]]:
        """Sample neighbours: the slots of the targets; arcs, nodes and values of the slots."""
        rows, replace = self._rows, self.replace
        slots = np.zeros(len(targets) + 1, np.int64)

        def count(begin: int, end: int, n: int) -> None:
            _neighbors.count_slots(rows.indptr, targets, fanout, replace, slots[1:], begin, end, n)

        run_parallel(count, len(targets), self._n_threads, work=len(targets))
        np.cumsum(slots, out=slots)
        n_slots = int(slots[-1])
        arcs, nodes = np.empty(n_slots, np.int64), np.empty(n_slots, np.int32)
        values = _NO_VALUES if rows.weights is None else np.empty(n_slots, np.float32)
        keys = np.empty(n_slots if self.weighted and not replace else 0)
        key = _neighbors.layer_key(self._seed, batch, layer)

        def sample(begin: int, end: int, n: int) -> None:
            _neighbors.sample_slots(
                rows.indptr, rows.indices, self._weights, self._cells, self._strengths, rows.order,
                targets, slots, fanout, replace, arcs, nodes, values, keys, key, begin, end, n,
            )  # fmt: skip

        steps = n_slots * (8 if len(self._cells) else 2)
        run_parallel(sample, len(targets), self._n_threads, work=steps)
        return slots, arcs, nodes, values
