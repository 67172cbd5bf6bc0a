"""Recommenders from graph embeddings: the bipartite graph, both tables kept."""

from abc import abstractmethod
from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from graphembed._validation import Constraint, one_of
from graphembed.estimators import LINE, DeepWalk, Node2Vec
from graphembed.graph import Graph
from graphembed.recsys._model_files import Layout
from graphembed.recsys.base import IndexArray, VectorRecommender, unit_rows
from graphembed.recsys.interactions import Interactions

__all__ = ["DeepWalkRecommender", "LINERecommender", "Node2VecRecommender"]

Tables = tuple[NDArray[np.float32], NDArray[np.float32]]  # of all nodes: vectors, context vectors

_SCORING: dict[str, Constraint] = {"scoring": one_of("in.out", "in.in", "cosine")}
_WALKS = (
    "n_components", "walk_length", "n_walks", "window", "negative", "ns_exponent", "epochs",
    "learning_rate", "random_state", "n_jobs",
)  # fmt: skip
_EDGES = (
    "n_components", "order", "n_samples", "negative", "ns_exponent", "learning_rate",
    "random_state", "n_jobs",
)  # fmt: skip


class _TablesRecommender(VectorRecommender):
    """Two vectors for each node of the bipartite graph, and three ways to score with them."""

    _layout: ClassVar[Layout] = {
        "user_input_": ("users", "components"),
        "item_input_": ("items", "components"),
        "item_output_": ("items", "components"),
    }

    scoring: str

    user_input_: NDArray[np.float32]
    item_input_: NDArray[np.float32]
    item_output_: NDArray[np.float32]

    @abstractmethod
    def _tables(self, graph: Graph, *, seed: int, n_threads: int) -> Tables:
        """Train on the graph."""

    def _fit(self, train: Interactions, *, seed: int, n_threads: int) -> None:
        vectors, contexts = self._tables(train.to_graph(), seed=seed, n_threads=n_threads)
        n = train.n_users
        self.user_input_ = np.ascontiguousarray(vectors[:n])
        self.item_input_ = np.ascontiguousarray(vectors[n:])
        self.item_output_ = np.ascontiguousarray(contexts[n:])

    def _queries(self, users: IndexArray) -> NDArray[np.float32]:
        vectors = self.user_input_[users]
        return unit_rows(vectors) if self.scoring == "cosine" else vectors

    def _targets(self) -> NDArray[np.float32]:
        if self.scoring == "cosine":
            return unit_rows(self.item_input_)
        return self.item_output_ if self.scoring == "in.out" else self.item_input_

    def _fold_in(self, histories: sp.csr_matrix) -> NDArray[np.float32]:
        """The mean of the vectors of the user's items, weighted by the values."""
        sums = np.asarray(histories.sum(axis=1)).ravel()
        weights = np.divide(1.0, sums, out=np.zeros_like(sums), where=sums > 0)
        means: NDArray[np.float32] = (histories @ self.item_input_) * weights[:, np.newaxis]
        return unit_rows(means) if self.scoring == "cosine" else means

    def _similarity_vectors(self) -> NDArray[np.float32]:
        return self.item_input_


class Node2VecRecommender(_TablesRecommender):
    """Node2vec on the graph of users and items, scored by both of its tables.

    Trains `graphembed.Node2Vec` on the bipartite graph, whose edges have the values of the
    interactions as weights. "in.out" scores by the user's vector times the item's context vector,
    which is the product that skip-gram fits: with ``ns_exponent=0`` it rises with the probability
    that the item is near the user on a walk (Levy and Goldberg 2014), while vectors of the same
    table, which "in.in" and "cosine" compare, are alike if their neighbourhoods are.

    Parameters
    ----------
    n_components : int, default=64
        Length of a vector.
    walk_length : int, default=80
        Nodes per walk.
    n_walks : int, default=10
        Walks from every node, per epoch.
    window : int, default=5
        Largest distance on the walk between a node and its context.
    p, q : float, default=1.0
        Return and in-out parameter. A bipartite graph has no triangles, so that only q / p matters.
    negative : int, default=5
        Negative samples per pair.
    ns_exponent : float, default=0.0
        Negatives are drawn in proportion to (visits of a node) ** `ns_exponent`. word2vec's 0.75
        takes away so much of the popularity from "in.out", which costs accuracy.
    epochs : int, default=1
        Passes; each draws walks of its own.
    learning_rate : float, default=0.025
        Step size at the start; it falls linearly.
    scoring : {"in.out", "in.in", "cosine"}, default="in.out"
        The user's vector and the item's context vector; both vectors; or the cosine of these.
    random_state : None, int, numpy.random.Generator or RandomState, default=None
        Seed. The same seed gives the same vectors, bit by bit, for any `n_jobs`.
    n_jobs : int, default=-1
        Number of threads; -1 means all cores, None means 1.

    Attributes
    ----------
    train_ : Interactions
        What the model was fitted to.
    user_input_, item_input_, item_output_ : ndarray of shape (n, n_components), dtype=float32
        Vectors of users and items, and context vectors of items. `scoring` can be changed after
        `fit`: all three are kept. `similar_items` takes the cosine of vectors in any case.

    See Also
    --------
    DeepWalkRecommender : The same with p = q = 1.

    Notes
    -----
    Users that were not in `fit` are given as `histories`: their vector is the mean of the vectors
    of their items, weighted by the values, which ranks nearly as well as one of their own. Time and
    memory are those of `graphembed.Node2Vec`, and a tuple a node for the ids of the graph.

    References
    ----------
    Grover, A. and Leskovec, J. (2016). node2vec: Scalable feature learning for networks. KDD.

    Levy, O. and Goldberg, Y. (2014). Neural word embedding as implicit matrix factorization.
    NeurIPS.
    """

    _constraints: ClassVar[dict[str, Constraint]] = {
        **{name: Node2Vec._constraints[name] for name in (*_WALKS, "p", "q")},
        **_SCORING,
    }

    def __init__(
        self,
        n_components: int = 64,
        *,
        walk_length: int = 80,
        n_walks: int = 10,
        window: int = 5,
        p: float = 1.0,
        q: float = 1.0,
        negative: int = 5,
        ns_exponent: float = 0.0,
        epochs: int = 1,
        learning_rate: float = 0.025,
        scoring: str = "in.out",
        random_state: Any = None,
        n_jobs: int | None = -1,
    ) -> None:
        self.n_components = n_components
        self.walk_length = walk_length
        self.n_walks = n_walks
        self.window = window
        self.p = p
        self.q = q
        self.negative = negative
        self.ns_exponent = ns_exponent
        self.epochs = epochs
        self.learning_rate = learning_rate
        self.scoring = scoring
        self.random_state = random_state
        self.n_jobs = n_jobs

    def _tables(self, graph: Graph, *, seed: int, n_threads: int) -> Tables:
        return _train_walks(Node2Vec(p=self.p, q=self.q), self, graph, seed, n_threads)


class DeepWalkRecommender(_TablesRecommender):
    """DeepWalk on the graph of users and items, scored by both of its tables.

    `Node2VecRecommender` with p = q = 1, which says more of it.

    Parameters
    ----------
    n_components : int, default=64
        Length of a vector.
    walk_length : int, default=80
        Nodes per walk.
    n_walks : int, default=10
        Walks from every node, per epoch.
    window : int, default=5
        Largest distance on the walk between a node and its context.
    negative : int, default=5
        Negative samples per pair.
    ns_exponent : float, default=0.0
        Negatives are drawn in proportion to (visits of a node) ** `ns_exponent`.
    epochs : int, default=1
        Passes; each draws walks of its own.
    learning_rate : float, default=0.025
        Step size at the start; it falls linearly.
    scoring : {"in.out", "in.in", "cosine"}, default="in.out"
        The user's vector and the item's context vector; both vectors; or the cosine of these.
    random_state : None, int, numpy.random.Generator or RandomState, default=None
        Seed. The same seed gives the same vectors, bit by bit, for any `n_jobs`.
    n_jobs : int, default=-1
        Number of threads; -1 means all cores, None means 1.

    Attributes
    ----------
    train_ : Interactions
        What the model was fitted to.
    user_input_, item_input_, item_output_ : ndarray of shape (n, n_components), dtype=float32
        As in `Node2VecRecommender`.

    References
    ----------
    Perozzi, B., Al-Rfou, R. and Skiena, S. (2014). DeepWalk: Online learning of social
    representations. KDD.
    """

    _constraints: ClassVar[dict[str, Constraint]] = {
        **{name: DeepWalk._constraints[name] for name in _WALKS},
        **_SCORING,
    }

    def __init__(
        self,
        n_components: int = 64,
        *,
        walk_length: int = 80,
        n_walks: int = 10,
        window: int = 5,
        negative: int = 5,
        ns_exponent: float = 0.0,
        epochs: int = 1,
        learning_rate: float = 0.025,
        scoring: str = "in.out",
        random_state: Any = None,
        n_jobs: int | None = -1,
    ) -> None:
        self.n_components = n_components
        self.walk_length = walk_length
        self.n_walks = n_walks
        self.window = window
        self.negative = negative
        self.ns_exponent = ns_exponent
        self.epochs = epochs
        self.learning_rate = learning_rate
        self.scoring = scoring
        self.random_state = random_state
        self.n_jobs = n_jobs

    def _tables(self, graph: Graph, *, seed: int, n_threads: int) -> Tables:
        return _train_walks(DeepWalk(), self, graph, seed, n_threads)


class LINERecommender(_TablesRecommender):
    """LINE on the graph of users and items, scored by both of its tables.

    Trains `graphembed.LINE` on the bipartite graph. First order is matrix factorisation by logistic
    loss, with negative users and items; second order trains twice as many vectors, of which
    "in.out" uses half. Vectors are used as they are trained, not divided by their lengths.

    Parameters
    ----------
    n_components : int, default=64
        Length of a vector.
    order : {"first", "second", "both"}, default="first"
        Proximity. In first order a vector is its own context vector; "both" shares the components
        out.
    n_samples : int, optional
        Edges sampled for each order; by default 75 for every arc, at least 2 ** 20.
    negative : int, default=5
        Negative samples per edge.
    ns_exponent : float, default=0.0
        Negatives are drawn in proportion to (weighted degree) ** `ns_exponent`.
    learning_rate : float, default=0.025
        Step size at the start; it falls linearly.
    scoring : {"in.out", "in.in", "cosine"}, default="in.out"
        The user's vector and the item's context vector; both vectors; or the cosine of these.
    random_state : None, int, numpy.random.Generator or RandomState, default=None
        Seed. The same seed gives the same vectors, bit by bit, for any `n_jobs`.
    n_jobs : int, default=-1
        Number of threads; -1 means all cores, None means 1.

    Attributes
    ----------
    train_ : Interactions
        What the model was fitted to.
    user_input_, item_input_, item_output_ : ndarray of shape (n, n_components), dtype=float32
        As in `Node2VecRecommender`.

    References
    ----------
    Tang, J. et al. (2015). LINE: Large-scale information network embedding. WWW.
    """

    _constraints: ClassVar[dict[str, Constraint]] = {
        **{name: LINE._constraints[name] for name in _EDGES},
        **_SCORING,
    }

    def __init__(
        self,
        n_components: int = 64,
        *,
        order: str = "first",
        n_samples: int | None = None,
        negative: int = 5,
        ns_exponent: float = 0.0,
        learning_rate: float = 0.025,
        scoring: str = "in.out",
        random_state: Any = None,
        n_jobs: int | None = -1,
    ) -> None:
        self.n_components = n_components
        self.order = order
        self.n_samples = n_samples
        self.negative = negative
        self.ns_exponent = ns_exponent
        self.learning_rate = learning_rate
        self.scoring = scoring
        self.random_state = random_state
        self.n_jobs = n_jobs

    def _tables(self, graph: Graph, *, seed: int, n_threads: int) -> Tables:
        line = LINE(**{name: getattr(self, name) for name in _EDGES})
        orders = ("first", "second") if self.order == "both" else (self.order,)
        line._check()
        tables = [line._train_tables(graph, order, seed, n_threads)[0] for order in orders]
        return (
            np.concatenate([t.embedding for t in tables], axis=1),
            np.concatenate([t.context for t in tables], axis=1),
        )


def _train_walks(
    estimator: DeepWalk | Node2Vec, settings: Any, graph: Graph, seed: int, n_threads: int
) -> Tables:
    params = {name: getattr(settings, name) for name in _WALKS}
    params |= {"random_state": seed, "n_jobs": n_threads}
    params["min_learning_rate"] = min(estimator.min_learning_rate, settings.learning_rate)
    estimator.set_params(**params).fit(graph)
    return estimator.embedding_, estimator.context_embedding_
