"""Embeddings that grow with their graph: `partial_fit`, and vectors of unseen nodes."""

from abc import abstractmethod
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from graphembed._validation import check_params, effective_n_threads, one_of
from graphembed.estimators._growth import Grown, Memory, Plan, grow
from graphembed.estimators._trained import as_door, check_converged
from graphembed.estimators.base import NodeEmbedding
from graphembed.graph import Graph, NodeIndex

_UPDATES = ("touched", "neighbourhood", "all")


class GrowingEmbedding(NodeEmbedding):
    """What estimators share that train rows of nodes against rows of contexts.

    A subclass returns a `Memory` from `_train` and implements `_plan`.
    """

    n_components: int
    _memory: Memory | None = None

    @property
    def context_embedding_(self) -> NDArray[np.float32]:
        """Vectors of the nodes as contexts, row i of ``node_ids_[i]``.

        ``embedding_[u] @ context_embedding_[v]`` is what training fits to how often v is near u,
        which is not the same as the likeness of two rows of ``embedding_``.
        """
        if self._memory is None:
            raise AttributeError(
                f"this {type(self).__name__} holds no context vectors: it is not fitted, or was "
                "trained by gensim, with loss='hs' or along a metapath"
            )
        return self._memory.context

    @abstractmethod
    def _plan(self, n_threads: int) -> Plan:
        """Return how a grown model trains."""

    def partial_fit(
        self, G: Any, y: Any = None, *, update: str = "touched", **fit_params: Any
    ) -> Self:
        """Take over a graph that has grown: learn vectors of its new nodes.

        A node is touched if it is new, or if an edge between it and another old node has come,
        gone, or changed its weight (on a directed graph: an edge that leaves it). Only walks of
        at most `window` steps from the nodes whose rows are trained are drawn.

        Parameters
        ----------
        G : Graph or anything `Graph.from_any` accepts
            The whole graph as it is now: all nodes of the model, and new ones.
        y : object, optional
            Not used; here for scikit-learn's pipelines.
        update : {"touched", "neighbourhood", "all"}, default="touched"
            Whose rows are trained: those of touched nodes, also those of their neighbours, or all.
            The other rows stay as they are, bit by bit. Without a touched node nothing changes.
        **fit_params
            Keyword arguments of `fit`; by default those of the last call. A model that was loaded
            from a file does not know them.

        Returns
        -------
        self
            The estimator; fitted to `G` if it was not fitted before. Old nodes keep their rows,
            new ones follow in the order of `G`. If it fails or is interrupted, the model stays.

        Raises
        ------
        ValueError
            If a parameter is out of range, `G` lacks a node of the model, has ids of another kind
            or is directed where the graph of `fit` was not (or the reverse), the model holds no
            context vectors (gensim, ``loss="hs"``, a metapath), or training diverges.
        GraphFormatError
            If `G` cannot be read as a graph.

        Notes
        -----
        New rows start at the mean of their neighbours' rows, weighted by the edges. Then vectors
        are trained against the context vectors, and context vectors against the vectors, each row
        for itself while the other table stays. The same seed gives the same bits for any `n_jobs`.

        The parameters are those that the model has now. `training_stats_` becomes "n_new" and
        "n_trained", the number of new nodes and of trained rows.

        Time O(n_nodes + n_edges) to find the change and for every layer of new nodes around the old
        ones, and O(n_walks * walk_length * window * negative * n_components) for each trained row.
        Memory: the two tables a second time, 12 to 16 bytes per arc (40 if the graph is directed)
        besides the tables of the walks, and blocks of 32 MB.

        An edge that leads from an old to a new node does not touch the old one. Nodes that no path
        joins to old ones start at random, as in `fit`.
        """
        check_params({"update": update}, {"update": one_of(*_UPDATES)}, owner="partial_fit")
        if not hasattr(self, "embedding_"):
            return self.fit(G, y, **fit_params)
        self._check()
        self._memory_to_grow()  # before the graph is read
        door = {**getattr(self, "_door", {}), **as_door(**fit_params)}
        grown = self._grow(Graph.from_any(G, **door), update)
        stats = {"n_new": len(grown.node_ids) - len(self.node_ids_), "n_trained": len(grown.rows)}
        self._set_fitted(grown.node_ids, grown.embedding, stats, grown.memory)
        self._door = door
        return self

    @abstractmethod
    def _refusal(self) -> str | None:
        """Return the parameter by which this model cannot grow, if there is one."""

    def _memory_to_grow(self) -> Memory:
        """Return what growing needs; raise ValueError if a fitted model cannot grow at all."""
        name, n_components = type(self).__name__, self.embedding_.shape[1]
        if (refusal := self._refusal()) is not None:
            raise ValueError(f"{name}: a model with {refusal} does not grow: fit it anew")
        if self._memory is None:
            raise ValueError(
                f"this {name} holds no context vectors, which growing needs (it was trained by "
                "gensim, with loss='hs' or along a metapath, or saved by an older version): fit it "
                "anew"
            )
        if self.n_components != n_components:
            raise ValueError(
                f"{name}: n_components must be {n_components} as in fit, got {self.n_components!r}"
            )
        return self._memory

    def _grow(self, graph: Graph, update: str) -> Grown:
        """Grow the model to a graph; update="none" gives the vectors alone, of no use later."""
        memory, plan = self._memory_to_grow(), self._plan(effective_n_threads(self.n_jobs))
        grown = grow(graph, self.node_ids_, self.embedding_, memory, plan, update)
        check_converged(grown.embedding, self.learning_rate)
        return grown

    def _vectors(self, graph: Graph) -> NDArray[np.float32]:
        try:
            return super()._vectors(graph)
        except KeyError:
            if self._memory is None:
                raise
        self._check()
        grown = self._grow(graph, "none")
        rows = NodeIndex(grown.node_ids).positions(graph.node_ids)
        vectors: NDArray[np.float32] = grown.embedding[rows]
        return vectors

    def _memory_arrays(self) -> dict[str, NDArray[Any]]:
        return {} if self._memory is None else self._memory.as_arrays()

    @classmethod
    def _memory_from(cls, arrays: dict[str, NDArray[Any]]) -> Memory | None:
        return Memory.from_arrays(arrays)
