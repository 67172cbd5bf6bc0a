"""LINE: vectors from sampled edges, by first- and second-order proximity."""

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from graphembed._kernels._skipgram import MAX_BLOCK
from graphembed._validation import (
    Constraint,
    float_in,
    int_at_least,
    int_in,
    n_jobs_like,
    one_of,
    optional,
    positive_float,
    random_state_like,
    verbosity,
)
from graphembed.estimators._grid import SkipGramConfig
from graphembed.estimators._skipgram import (
    NegativeSampling,
    OneTable,
    Tables,
    TrainingStats,
    train_edges,
)
from graphembed.estimators._trained import Trained, check_converged
from graphembed.estimators.base import NodeEmbedding
from graphembed.graph import Graph
from graphembed.samplers.edges import EdgeSampler, expand_low_degrees

_SAMPLES_PER_ARC = 75
_FEWEST_SAMPLES = 2**20
_ROWS_PER_BLOCK = 2**12  # normalised at a time
_LEAST_RATE = 1e-4  # of learning_rate; the reference program's


def _normalise(vectors: NDArray[np.float32]) -> None:
    """Give every row the length 1, in place. Squares of float32 are exact in float64."""
    for first in range(0, len(vectors), _ROWS_PER_BLOCK):
        block = vectors[first : first + _ROWS_PER_BLOCK]
        block /= np.sqrt(np.sum(block.astype(np.float64) ** 2, axis=1, keepdims=True))


class LINE(NodeEmbedding):
    """LINE: first- and second-order proximity, trained on sampled edges.

    For an edge (i, j), drawn in proportion to its weight, LINE maximises
    ``log sigma(u_j . u_i) + sum over k negatives of log sigma(-u_n . u_i)`` (Tang et al. 2015,
    eq. 7), n drawn in proportion to degree ** `ns_exponent`. First order: u_j and u_n are the
    nodes' own vectors (eq. 1 to 3). Second order: they are vectors of contexts (eq. 4 to 6).

    Parameters
    ----------
    n_components : int, default=128
        Length of a vector.
    order : {"both", "first", "second"}, default="both"
        Proximity. "both" trains the two separately and puts their vectors side by side.
    components : {"shared", "each"}, default="shared"
        With order="both": `n_components` are shared by the two, half each (the first order has one
        more of an odd number); or each has as many, and a vector is twice as long.
    n_samples : int, optional
        Edges sampled for each order; by default 75 for every arc (an undirected edge has two), at
        least 2 ** 20. 75 is what 50 million samples come to on BlogCatalog, with which the authors'
        program was measured; F1 has nearly stopped to rise there.
    negative : int, default=5
        Negative samples per edge; the paper's K.
    ns_exponent : float, default=0.75
        Negatives are drawn in proportion to (weighted degree) ** `ns_exponent`.
    learning_rate : float, default=0.025
        Step size at the start; it falls linearly to a ten thousandth of it.
    negative_sharing : int, default=8
        Edges that share their negatives, 1 to 64; see `Node2Vec`.
    expand_below : int, optional
        Nodes with fewer out-arcs get arcs to the neighbours of their neighbours, up to so many, in
        proportion to eq. 9 (section 4.3 of the paper). By default none do.
    random_state : None, int, numpy.random.Generator or RandomState, default=None
        Seed. The same seed gives the same vectors, bit by bit, for any `n_jobs`.
    n_jobs : int, default=-1
        Number of threads; -1 means all cores, None means 1.
    verbose : int, default=0
        1 shows a progress bar for each order; 0 prints nothing.

    Attributes
    ----------
    embedding_ : ndarray of shape (n_nodes, n_components), dtype=float32
        Row i is the vector of node ``node_ids_[i]``: of each order a vector of length 1, the first
        order's first. 2 * `n_components` columns with components="each".
    node_ids_ : ndarray of shape (n_nodes,)
        The user's own ids.
    n_nodes_in_ : int
        Number of nodes.
    training_stats_ : dict
        "n_samples" (edges sampled for each order), "n_pairs" (edges trained, both orders together),
        "train_seconds"; empty after `load`.

    See Also
    --------
    DeepWalk : Nodes further apart on walks are alike, too.

    Notes
    -----
    Time O(n_samples * negative * n_components). Memory: the graph; two float32 tables of shape
    (n_nodes, columns of an order), one for the first order, and the vectors of both; about 60 bytes
    for every node; pools of 35 MB, or 64 bytes per node if that is more; and for the sampler 16
    bytes for every node and, if the graph is weighted, 8 for every arc.
    A node without edges keeps its small random start vector, made as long as the others. A directed
    graph has second order only: there a node that no arc leaves keeps it as well. Differences from
    the reference program: a negative that is the edge's own head is left out, and in first order
    one that is its tail; negatives are shared, and come from a random part of the nodes that is
    drawn anew for every pool of edges. As there, negatives of a directed graph are drawn by in- and
    out-degree, though the paper names the out-degree. `transform` knows the fitted nodes alone;
    eq. 10 of the paper (vectors of new nodes) is not built.

    References
    ----------
    Tang, J. et al. (2015). LINE: Large-scale information network embedding. WWW.

    Examples
    --------
    >>> from graphembed import LINE
    >>> model = LINE(n_components=8, n_samples=10_000, random_state=0)
    >>> model.fit([("ann", "bob"), ("bob", "cem"), ("cem", "ann"), ("cem", "dag")])["ann"].shape
    (8,)
    """

    _constraints: ClassVar[dict[str, Constraint]] = {
        "n_components": int_at_least(1),
        "order": one_of("both", "first", "second"),
        "components": one_of("shared", "each"),
        "n_samples": optional(int_at_least(1, bits=63)),
        "negative": int_at_least(1),
        "ns_exponent": float_in(-1.0, 1.0),
        "learning_rate": positive_float(),
        "negative_sharing": int_in(1, MAX_BLOCK),
        "expand_below": optional(int_at_least(1)),
        "random_state": random_state_like(),
        "n_jobs": n_jobs_like(),
        "verbose": verbosity(),
    }

    def __init__(
        self,
        n_components: int = 128,
        *,
        order: str = "both",
        components: str = "shared",
        n_samples: int | None = None,
        negative: int = 5,
        ns_exponent: float = 0.75,
        learning_rate: float = 0.025,
        negative_sharing: int = 8,
        expand_below: int | None = None,
        random_state: Any = None,
        n_jobs: int | None = -1,
        verbose: int = 0,
    ) -> None:
        self.n_components = n_components
        self.order = order
        self.components = components
        self.n_samples = n_samples
        self.negative = negative
        self.ns_exponent = ns_exponent
        self.learning_rate = learning_rate
        self.negative_sharing = negative_sharing
        self.expand_below = expand_below
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.verbose = verbose

    def _check(self) -> None:
        super()._check()
        if self.order == "both" and self.components == "shared" and self.n_components == 1:
            raise ValueError(
                "LINE: n_components must be >= 2 with order='both', which shares them out, got 1; "
                "or say components='each'"
            )

    def _train(self, graph: Graph, *, seed: int, n_threads: int) -> Trained:
        if graph.directed and self.order != "second":
            raise ValueError(
                f"LINE: order={self.order!r} is for undirected graphs, since first-order proximity "
                "is symmetric: say order='second', or make the graph undirected (directed=False, "
                "where edges are read)"
            )
        if self.expand_below is not None:
            graph = expand_low_degrees(graph, self.expand_below)
        parts = []
        stats = {"n_samples": self._count_samples(graph), "n_pairs": 0, "train_seconds": 0.0}
        for order in ("first", "second") if self.order == "both" else (self.order,):
            vectors, run = self._train_order(graph, order, seed, n_threads)
            stats["n_pairs"] += run.n_pairs or 0
            stats["train_seconds"] += run.train_seconds
            check_converged(vectors, self.learning_rate)
            _normalise(vectors)
            parts.append(vectors)
        return Trained(np.concatenate(parts, axis=1), stats)

    def _train_order(
        self, graph: Graph, order: str, seed: int, n_threads: int
    ) -> tuple[NDArray[np.float32], TrainingStats]:
        tables, stats = self._train_tables(graph, order, seed, n_threads)
        return tables.embedding, stats

    def _train_tables(
        self, graph: Graph, order: str, seed: int, n_threads: int
    ) -> tuple[Tables, TrainingStats]:
        shared = self.order == "both" and self.components == "shared"
        config = SkipGramConfig(
            n_components=(self.n_components + (order == "first")) // 2
            if shared
            else self.n_components,
            window=1,
            loss="ns",
            negative=self.negative,
            ns_exponent=self.ns_exponent,
            epochs=1,
            learning_rate=self.learning_rate,
            min_learning_rate=_LEAST_RATE * self.learning_rate,
            shrink_windows=False,
            negative_sharing=self.negative_sharing,
        )
        sampler = EdgeSampler(graph, seed ^ (order == "first"), n_threads)
        grid = OneTable if order == "first" else NegativeSampling
        return train_edges(sampler, config, grid, self._count_samples(graph), verbose=self.verbose)

    def _count_samples(self, graph: Graph) -> int:
        if not graph.n_arcs:
            return 0
        return self.n_samples or max(_FEWEST_SAMPLES, _SAMPLES_PER_ARC * graph.n_arcs)
