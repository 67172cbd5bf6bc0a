"""DeepWalk and Node2Vec: skip-gram over random walks."""

from dataclasses import asdict
from typing import Any, ClassVar

from graphembed._kernels._skipgram import MAX_BLOCK
from graphembed._validation import (
    Constraint,
    boolean,
    float_in,
    int_at_least,
    int_in,
    one_of,
    positive_float,
)
from graphembed.estimators._gensim import MAX_WALK_LENGTH, train_gensim
from graphembed.estimators._grid import SkipGramConfig
from graphembed.estimators._growing import GrowingEmbedding
from graphembed.estimators._growth import Memory, Plan, fingerprints
from graphembed.estimators._hierarchical import HierarchicalSoftmax
from graphembed.estimators._skipgram import NegativeSampling, train_skipgram
from graphembed.estimators._trained import Trained
from graphembed.graph import Graph
from graphembed.samplers.corpus import WalkCorpus
from graphembed.samplers.walker import DEFAULT_MEMORY_BUDGET, LAW_CONSTRAINTS, Walker
from graphembed.samplers.walks import METAPATH_CONSTRAINTS, WALK_CONSTRAINTS

_SKIPGRAM_CONSTRAINTS: dict[str, Constraint] = {
    "n_components": int_at_least(1),
    "window": int_at_least(1),
    "loss": one_of("ns", "hs"),
    "negative": int_at_least(1),
    "ns_exponent": float_in(-1.0, 1.0),
    "epochs": int_at_least(1),
    "learning_rate": positive_float(),
    "min_learning_rate": float_in(0.0, float("inf"), "left"),
    "shrink_windows": boolean(),
    "negative_sharing": int_in(1, MAX_BLOCK),
    "trainer": one_of("graphembed", "gensim"),
}


class _WalkEmbedding(GrowingEmbedding):
    """Walks into skip-gram: what DeepWalk and Node2Vec share."""

    n_components: int
    walk_length: int
    n_walks: int
    window: int
    loss: str
    negative: int
    ns_exponent: float
    epochs: int
    min_learning_rate: float
    shrink_windows: bool
    negative_sharing: int
    trainer: str
    verbose: int

    def _law(self) -> dict[str, Any]:
        """Keyword arguments of `Walker`."""
        return {}

    def _check(self) -> None:
        super()._check()
        if self.min_learning_rate > self.learning_rate:
            raise ValueError(
                f"{type(self).__name__}: min_learning_rate must be <= learning_rate="
                f"{self.learning_rate!r}, got {self.min_learning_rate!r}"
            )
        if self.trainer == "gensim" and self.walk_length > MAX_WALK_LENGTH:
            raise ValueError(
                f"{type(self).__name__}: walk_length must be <= {MAX_WALK_LENGTH} with "
                f"trainer='gensim', which cuts longer walks off, got {self.walk_length!r}"
            )

    def _train(self, graph: Graph, *, seed: int, n_threads: int) -> Trained:
        n_steps = self.epochs * self.n_walks * graph.n_nodes * self.walk_length
        walker = Walker(graph, **self._law(), n_steps=n_steps, n_threads=n_threads)
        corpus = WalkCorpus(walker, self.walk_length, self.n_walks, seed, n_threads)
        memory = None
        if self.trainer == "gensim":
            embedding, stats = train_gensim(corpus, self._config(), verbose=self.verbose)
        else:
            grid = HierarchicalSoftmax if self.loss == "hs" else NegativeSampling
            tables, visits, stats = train_skipgram(
                corpus, self._config(), grid, verbose=self.verbose
            )
            embedding = tables.embedding
            if self._refusal() is None:
                prints = fingerprints(graph, graph.n_nodes, n_threads)
                memory = Memory(tables.context, visits, prints, seed, graph.directed)
        return Trained(embedding, {"strategy": walker.strategy, **asdict(stats)}, memory)

    def _refusal(self) -> str | None:
        metapath = self._law().get("metapath")
        return (
            "trainer='gensim'" if self.trainer == "gensim"
            else "loss='hs'" if self.loss == "hs"
            else f"metapath={metapath!r}" if metapath
            else None
        )  # fmt: skip

    def _plan(self, n_threads: int) -> Plan:
        return Plan(self._config(), self._law(), self.walk_length, self.n_walks, n_threads)

    def _config(self) -> SkipGramConfig:
        return SkipGramConfig(
            n_components=self.n_components,
            window=self.window,
            loss=self.loss,
            negative=self.negative,
            ns_exponent=self.ns_exponent,
            epochs=self.epochs,
            learning_rate=self.learning_rate,
            min_learning_rate=self.min_learning_rate,
            shrink_windows=self.shrink_windows,
            negative_sharing=self.negative_sharing,
        )


class Node2Vec(_WalkEmbedding):
    """Node2vec: skip-gram over second-order random walks.

    Maximises, over the pairs (u, v) at most `window` steps apart on a walk,
    ``log sigma(z_u . c_v) + sum over k negatives of log sigma(-z_u . c_n)`` (Grover and Leskovec
    2016, eq. 1 with negative sampling; Mikolov et al. 2013, eq. 4); z is the embedding. With
    ``loss="hs"`` it is instead the log of a product over the path from v to the root of a tree.

    Parameters
    ----------
    n_components : int, default=128
        Length of a vector; the paper's d.
    walk_length : int, default=80
        Nodes per walk, the start node included; the paper's l.
    n_walks : int, default=10
        Walks from every node, per epoch; the paper's r.
    window : int, default=10
        Largest distance on the walk between a node and its context; the paper's k.
    p : float, default=1.0
        Return parameter: small values keep the walk near its last node.
    q : float, default=1.0
        In-out parameter: small values drive the walk outwards.
    loss : {"ns", "hs"}, default="ns"
        Negative sampling, or hierarchical softmax (`DeepWalk` tells more of it).
    negative : int, default=5
        Negative samples per pair; not used by "hs", nor are `ns_exponent` and `negative_sharing`.
    ns_exponent : float, default=0.75
        Negatives are drawn in proportion to (visits of a node) ** `ns_exponent` (word2vec).
    epochs : int, default=1
        Passes; each draws walks of its own.
    learning_rate : float, default=0.025
        Step size at the start (word2vec); it falls linearly.
    min_learning_rate : float, default=0.0001
        Step size at the end.
    shrink_windows : bool, default=True
        word2vec's reduced windows: each window is uniform on 1 to `window`.
    negative_sharing : int, default=8
        Pairs that share their negatives, 1 to 64. With 1 every pair draws its own, as in word2vec;
        8 takes half the time at the same quality. gensim shares none.
    strategy : {"auto", "rejection", "alias"}, default="auto"
        How second-order steps are drawn, see `sample_walks`.
    memory_budget : int, default=128 MiB
        Bytes of second-order alias tables that `strategy` may build.
    trainer : {"graphembed", "gensim"}, default="graphembed"
        Who trains: this library, or gensim on the same walks (needs ``graphembed[gensim]``;
        repeats only with one thread).
    random_state : None, int, numpy.random.Generator or RandomState, default=None
        Seed. The same seed gives the same vectors, bit by bit, for any `n_jobs`.
    n_jobs : int, default=-1
        Number of threads; -1 means all cores, None means 1.
    verbose : int, default=0
        1 shows a progress bar for each phase; 0 prints nothing.

    Attributes
    ----------
    embedding_ : ndarray of shape (n_nodes, n_components), dtype=float32
        Row i is the vector of node ``node_ids_[i]``.
    node_ids_ : ndarray of shape (n_nodes,)
        The user's own ids.
    n_nodes_in_ : int
        Number of nodes.
    training_stats_ : dict
        "strategy" of the walks, "n_steps" walked per epoch, "n_pairs" trained (None with
        gensim), "walk_seconds" of the counting pass, "train_seconds" of walking and training;
        empty after `load`.

    See Also
    --------
    DeepWalk : The same with p = q = 1.
    sample_walks : The walks alone.

    Notes
    -----
    Time O(epochs * n_walks * n_nodes * walk_length * window * negative * n_components). Memory:
    the graph, two float32 tables of shape (n_nodes, n_components), about 60 bytes per node, and
    pools of 40 MB, or 16 bytes per node if that is more; the walks are trained on as they are made
    and never stored. The fitted model keeps both tables and 16 bytes per node, to grow
    (`partial_fit`). A node without edges keeps its small random start vector. Differences from
    the reference program: walks are exact for any p and q without tables of size
    sum(degree ** 2); frequent nodes are not subsampled; the negatives come from a random part of
    the nodes that is drawn anew for every pool of walks, and `negative_sharing` pairs, which are
    moved together, share them (Ji et al. 2016 share them in a window). A `learning_rate` of 0.5 is
    too large for shared negatives on small graphs.

    References
    ----------
    Grover, A. and Leskovec, J. (2016). node2vec: Scalable feature learning for networks. KDD.

    Ji, S. et al. (2016). Parallelizing word2vec in shared and distributed memory. arXiv:1604.04661.

    Mikolov, T. et al. (2013). Distributed representations of words and phrases. NeurIPS.

    Examples
    --------
    >>> from graphembed import Node2Vec
    >>> edges = [("ann", "bob"), ("bob", "cem"), ("cem", "ann"), ("cem", "dag")]
    >>> model = Node2Vec(n_components=8, q=0.5, random_state=0).fit(edges)
    >>> model.embedding_.shape
    (4, 8)
    >>> model["ann"].dtype
    dtype('float32')
    """

    _constraints: ClassVar[dict[str, Constraint]] = {
        **LAW_CONSTRAINTS,
        **WALK_CONSTRAINTS,
        **_SKIPGRAM_CONSTRAINTS,
    }

    def __init__(
        self,
        n_components: int = 128,
        *,
        walk_length: int = 80,
        n_walks: int = 10,
        window: int = 10,
        p: float = 1.0,
        q: float = 1.0,
        loss: str = "ns",
        negative: int = 5,
        ns_exponent: float = 0.75,
        epochs: int = 1,
        learning_rate: float = 0.025,
        min_learning_rate: float = 0.0001,
        shrink_windows: bool = True,
        negative_sharing: int = 8,
        strategy: str = "auto",
        memory_budget: int = DEFAULT_MEMORY_BUDGET,
        trainer: str = "graphembed",
        random_state: Any = None,
        n_jobs: int | None = -1,
        verbose: int = 0,
    ) -> None:
        self.n_components = n_components
        self.walk_length = walk_length
        self.n_walks = n_walks
        self.window = window
        self.p = p
        self.q = q
        self.loss = loss
        self.negative = negative
        self.ns_exponent = ns_exponent
        self.epochs = epochs
        self.learning_rate = learning_rate
        self.min_learning_rate = min_learning_rate
        self.shrink_windows = shrink_windows
        self.negative_sharing = negative_sharing
        self.strategy = strategy
        self.memory_budget = memory_budget
        self.trainer = trainer
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.verbose = verbose

    def _law(self) -> dict[str, Any]:
        return {
            "p": self.p,
            "q": self.q,
            "strategy": self.strategy,
            "memory_budget": self.memory_budget,
        }


class DeepWalk(_WalkEmbedding):
    """DeepWalk: skip-gram over first-order random walks.

    The model of Perozzi et al. 2014 (algorithms 1 and 2), as `Node2Vec` with p = q = 1; edge
    weights steer the walks. It is trained with negative sampling or, with ``loss="hs"``, with the
    paper's hierarchical softmax: ``P(v | u) = product over the path from the root to v of
    sigma((1 - 2 b) z_u . c_i)``, where b is the branch that the path takes at the inner node i of
    a Huffman tree over the visits (Mikolov et al. 2013, eq. 3).

    Parameters
    ----------
    n_components : int, default=128
        Length of a vector; the paper's d.
    walk_length : int, default=80
        Nodes per walk, the start node included; the paper's t (which is 40 there).
    n_walks : int, default=10
        Walks from every node, per epoch; the paper's gamma (which is 80 there).
    metapath : list of node types, optional
        Walk along these types, over and over, as metapath2vec does, see `sample_walks`: the graph
        needs types (``Graph.from_any(..., node_types=...)``), walks begin at the nodes of the first
        type, and nodes that no walk visits keep their small random start vectors.
    window : int, default=10
        Largest distance on the walk between a node and its context; the paper's w.
    loss : {"ns", "hs"}, default="ns"
        Negative sampling, or hierarchical softmax over a Huffman tree of the visits, as
        the paper has it.
    negative : int, default=5
        Negative samples per pair; not used by "hs", nor are `ns_exponent` and `negative_sharing`.
    ns_exponent : float, default=0.75
        Negatives are drawn in proportion to (visits of a node) ** `ns_exponent` (word2vec).
    epochs : int, default=1
        Passes; each draws walks of its own.
    learning_rate : float, default=0.025
        Step size at the start (word2vec); it falls linearly.
    min_learning_rate : float, default=0.0001
        Step size at the end.
    shrink_windows : bool, default=True
        word2vec's reduced windows: each window is uniform on 1 to `window`.
    negative_sharing : int, default=8
        Pairs that share their negatives, 1 to 64. With 1 every pair draws its own, as in word2vec;
        8 takes half the time at the same quality. gensim shares none.
    trainer : {"graphembed", "gensim"}, default="graphembed"
        Who trains: this library, or gensim on the same walks (needs ``graphembed[gensim]``;
        repeats only with one thread).
    random_state : None, int, numpy.random.Generator or RandomState, default=None
        Seed. The same seed gives the same vectors, bit by bit, for any `n_jobs`.
    n_jobs : int, default=-1
        Number of threads; -1 means all cores, None means 1.
    verbose : int, default=0
        1 shows a progress bar for each phase; 0 prints nothing.

    Attributes
    ----------
    embedding_ : ndarray of shape (n_nodes, n_components), dtype=float32
        Row i is the vector of node ``node_ids_[i]``.
    node_ids_ : ndarray of shape (n_nodes,)
        The user's own ids.
    n_nodes_in_ : int
        Number of nodes.
    training_stats_ : dict
        As in `Node2Vec`.

    See Also
    --------
    Node2Vec : With a bias towards returning or leaving; its notes on cost hold here.

    Notes
    -----
    The paper trains by hierarchical softmax. The default is negative sampling, which its successors
    use: it takes a quarter of the time, at nearly the same quality (BlogCatalog, micro-F1 at 50 %:
    37.9, hierarchical softmax 38.6). Of a pair the centre gives the vector and the context the
    path; in word2vec it is the other way round, which is the same law, since both orders of two
    places of a walk are equally likely pairs. The tree is that of the visits in the first epoch; of
    equal weights a leaf comes before an inner node, and the node with the smaller index before the
    other. A pair takes as many steps as its path is long, on average less than 1 + the entropy of
    the visits in bits. The vectors are the same, bit by bit, for any `n_jobs`: inner nodes are
    dealt to the columns of the grid, so that no two threads move the same one, not even the root.

    References
    ----------
    Dong, Y., Chawla, N. and Swami, A. (2017). metapath2vec: Scalable representation learning for
    heterogeneous networks. KDD.

    Perozzi, B., Al-Rfou, R. and Skiena, S. (2014). DeepWalk: Online learning of social
    representations. KDD.

    Mikolov, T. et al. (2013). Distributed representations of words and phrases. NeurIPS.

    Examples
    --------
    >>> from graphembed import DeepWalk
    >>> model = DeepWalk(n_components=8, random_state=0).fit([(0, 1), (1, 2), (2, 0)])
    >>> model.node_ids_.tolist()
    [0, 1, 2]
    """

    _constraints: ClassVar[dict[str, Constraint]] = {
        **WALK_CONSTRAINTS,
        **METAPATH_CONSTRAINTS,
        **_SKIPGRAM_CONSTRAINTS,
    }

    def __init__(
        self,
        n_components: int = 128,
        *,
        walk_length: int = 80,
        n_walks: int = 10,
        metapath: Any = None,
        window: int = 10,
        loss: str = "ns",
        negative: int = 5,
        ns_exponent: float = 0.75,
        epochs: int = 1,
        learning_rate: float = 0.025,
        min_learning_rate: float = 0.0001,
        shrink_windows: bool = True,
        negative_sharing: int = 8,
        trainer: str = "graphembed",
        random_state: Any = None,
        n_jobs: int | None = -1,
        verbose: int = 0,
    ) -> None:
        self.n_components = n_components
        self.walk_length = walk_length
        self.n_walks = n_walks
        self.metapath = metapath
        self.window = window
        self.loss = loss
        self.negative = negative
        self.ns_exponent = ns_exponent
        self.epochs = epochs
        self.learning_rate = learning_rate
        self.min_learning_rate = min_learning_rate
        self.shrink_windows = shrink_windows
        self.negative_sharing = negative_sharing
        self.trainer = trainer
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.verbose = verbose

    def _law(self) -> dict[str, Any]:
        return {"metapath": self.metapath}
