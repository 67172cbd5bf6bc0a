"""What every fitted node embedding offers: rows by id, neighbours, scikit-learn manners, files."""

from abc import ABC, abstractmethod
from collections.abc import Iterator
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from sklearn import get_config
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from graphembed import io
from graphembed._storage import StrPath
from graphembed._validation import (
    Constraint,
    check_params,
    draw_seed,
    effective_n_threads,
    import_optional,
    int_at_least,
    one_of,
)
from graphembed.estimators._trained import Trained, as_door, check_converged
from graphembed.exceptions import FileFormatError
from graphembed.graph import Graph, NodeIndex

_CONTAINERS = ("default", "pandas", "polars")


class NodeEmbedding(ABC, BaseEstimator):  # type: ignore[misc]  # scikit-learn is not annotated
    """Base of the estimators that give every node a vector.

    A subclass stores its parameters in ``__init__``, lists them in `_constraints` and implements
    `_train`.
    """

    _constraints: ClassVar[dict[str, Constraint]] = {}

    learning_rate: float
    random_state: Any
    n_jobs: int | None

    embedding_: NDArray[np.float32]
    node_ids_: NDArray[Any]
    n_nodes_in_: int
    training_stats_: dict[str, Any]

    @abstractmethod
    def _train(self, graph: Graph, *, seed: int, n_threads: int) -> Trained:
        """Train on a graph; row i of the embedding is node i."""

    def _check(self) -> None:
        """Check the parameters; a subclass adds what concerns several of them."""
        check_params(self, self._constraints, owner=type(self).__name__)

    def fit(
        self,
        G: Any,
        y: Any = None,
        *,
        weight: Any = "weight",
        directed: bool | None = None,
        nodes: Any = None,
        source: Any = None,
        target: Any = None,
    ) -> Self:
        """Learn a vector for every node of a graph.

        Parameters
        ----------
        G : Graph or anything `Graph.from_any` accepts
            networkx, scipy sparse, igraph, edge list, data frame, edge_index, PyG Data, path.
        y : object, optional
            Not used; here for scikit-learn's pipelines.
        weight, directed, nodes, source, target
            Passed on to `Graph.from_any`.

        Returns
        -------
        self
            The fitted estimator. If `fit` fails or is interrupted, an earlier fit stays.

        Raises
        ------
        ValueError
            If a parameter is out of range, or training diverges.
        GraphFormatError
            If `G` cannot be read as a graph.
        """
        self._check()
        door = as_door(weight=weight, directed=directed, nodes=nodes, source=source, target=target)
        graph = Graph.from_any(G, **door)
        n_threads = effective_n_threads(self.n_jobs)
        seed = draw_seed(self.random_state)
        trained = self._train(graph, seed=seed, n_threads=n_threads)
        check_converged(trained.embedding, self.learning_rate)
        self._set_fitted(graph.node_ids, *trained)
        self._door = door
        return self

    def _set_fitted(
        self,
        node_ids: NDArray[Any],
        embedding: NDArray[np.float32],
        stats: dict[str, Any],
        memory: Any = None,
    ) -> None:
        self._memory = memory
        self.embedding_ = embedding
        self.training_stats_ = stats
        self.node_ids_ = node_ids
        self.n_nodes_in_ = len(node_ids)
        self.__dict__.pop("_node_index", None)

    def fit_transform(self, G: Any, y: Any = None, **fit_params: Any) -> Any:
        """Fit to a graph and return its embedding.

        Parameters
        ----------
        G : Graph or anything `Graph.from_any` accepts
            The graph.
        y : object, optional
            Not used; here for scikit-learn's pipelines.
        **fit_params
            Keyword arguments of `fit`.

        Returns
        -------
        ndarray of shape (n_nodes, n_components), dtype=float32
            Row i belongs to ``node_ids_[i]``; a data frame if `set_output` says so.
        """
        return self.fit(G, y, **fit_params).transform()

    def transform(self, X: Any = None) -> Any:
        """Return vectors of nodes; the model stays as it is.

        Parameters
        ----------
        X : None, sequence of ids, or graph, optional
            None: all nodes. A list or 1-D array: these ids, in this order. Anything else, also a
            list of edges, is read as a graph, with the arguments that `fit` had, as
            `Pipeline.predict` hands one over: its nodes, in its order. Nodes that were not there
            in `fit` get the vectors that `partial_fit` would give them, where the estimator has it;
            then the graph must hold all fitted nodes, too.

        Returns
        -------
        ndarray of shape (n_rows, n_components), dtype=float32
            Their vectors; a data frame with the ids as index if `set_output` says so.

        Raises
        ------
        KeyError
            If an id was not there in `fit`, or a node of a graph and the model cannot grow; the
            message names it.
        ValueError
            If the model is to grow to a graph that lacks a fitted node.
        """
        check_is_fitted(self)
        if X is None:
            return self._as_container(self.embedding_, self.node_ids_)
        if self._is_id_sequence(X):
            rows = self._index.positions(X)
            return self._as_container(self.embedding_[rows], self.node_ids_[rows])
        graph = Graph.from_any(X, **getattr(self, "_door", {}))
        return self._as_container(self._vectors(graph), graph.node_ids)

    def _vectors(self, graph: Graph) -> NDArray[np.float32]:
        """Vectors of the nodes of a graph, in its order."""
        rows: NDArray[np.float32] = self.embedding_[self._index.positions(graph.node_ids)]
        return rows

    def _is_id_sequence(self, X: Any) -> bool:
        if isinstance(X, np.ndarray) or hasattr(X, "iloc"):
            return bool(X.ndim == 1)
        if not isinstance(X, list):
            return False
        # A pair may be an edge or an id that is a tuple.
        return not (X and isinstance(X[0], (tuple, list)) and X[0] not in self._index)

    @property
    def _index(self) -> NodeIndex:
        if "_node_index" not in self.__dict__:
            self._node_index = NodeIndex(self.node_ids_)
        return self._node_index

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = super().__getstate__()
        return {k: v for k, v in state.items() if k != "_node_index"}

    def __len__(self) -> int:
        check_is_fitted(self)
        return len(self.node_ids_)

    def __bool__(self) -> bool:
        return True  # an estimator that is not fitted has no length

    def __iter__(self) -> Iterator[Any]:
        check_is_fitted(self)
        return iter(self.node_ids_.tolist())

    def __contains__(self, node: object) -> bool:
        check_is_fitted(self)
        return node in self._index

    def __getitem__(self, node: Any) -> NDArray[np.float32]:
        check_is_fitted(self)
        row: NDArray[np.float32] = self.embedding_[self._index.position(node)]
        return row

    def most_similar(self, node: Any, topn: int = 10) -> list[tuple[Any, float]]:
        """Return the nodes whose vectors point the same way.

        Parameters
        ----------
        node : hashable
            Id of a node.
        topn : int, default=10
            How many; all others if there are fewer.

        Returns
        -------
        list of (id, float)
            Ids with their cosine similarity, in [-1, 1], the most similar first; the node itself
            is left out.

        Raises
        ------
        KeyError
            If there is no such node; the message names it.

        Notes
        -----
        O(n_nodes * n_components) time.
        """
        check_params({"topn": topn}, {"topn": int_at_least(1)}, owner="most_similar")
        vector = self[node]
        own = self._index.position(node)
        norms = np.linalg.norm(self.embedding_, axis=1) * np.linalg.norm(vector)
        dots = self.embedding_ @ vector
        cosines = np.divide(dots, norms, out=np.zeros_like(dots), where=norms > 0)
        cosines[own] = -np.inf
        k = min(topn, len(cosines) - 1)
        best = np.argpartition(-cosines, k)[:k] if k else np.empty(0, np.int64)
        best = best[np.lexsort((best, -cosines[best]))]
        return [(_plain(self.node_ids_[i]), float(np.clip(cosines[i], -1, 1))) for i in best]

    # -- scikit-learn ------------------------------------------------------------------------

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:
        """Return the names of the columns, ``node2vec0``, ``node2vec1``, ...

        Parameters
        ----------
        input_features : object, optional
            Not used; here for scikit-learn.

        Returns
        -------
        ndarray of str objects, shape (n_components,)
            The class name in lower case and the column's number.
        """
        check_is_fitted(self)
        prefix = type(self).__name__.lower()
        return np.array([f"{prefix}{j}" for j in range(self.embedding_.shape[1])], dtype=object)

    def set_output(self, *, transform: str | None = None) -> Self:
        """Choose what `transform` and `fit_transform` return.

        Parameters
        ----------
        transform : {"default", "pandas", "polars"}, optional
            An array, or a data frame with the columns of `get_feature_names_out`: for pandas the
            node ids are the index, for polars the first column, ``id``. None changes nothing.

        Returns
        -------
        self
            The estimator.
        """
        if transform is not None:
            check_params(
                {"transform": transform}, {"transform": one_of(*_CONTAINERS)}, owner="set_output"
            )
            self._sklearn_output_config = {"transform": transform}
        return self

    def _as_container(self, rows: NDArray[np.float32], ids: NDArray[Any]) -> Any:
        config = getattr(self, "_sklearn_output_config", {})
        container = config.get("transform", get_config()["transform_output"])
        if container == "default":
            return rows
        names = self.get_feature_names_out().tolist()
        if container == "pandas":
            pandas = import_optional("pandas", extra="all")
            return pandas.DataFrame(rows, columns=names, index=pandas.Index(ids, name="id"))
        polars = import_optional("polars", extra="all")
        columns = {name: rows[:, j] for j, name in enumerate(names)}
        return polars.DataFrame({"id": ids.tolist(), **columns})

    # -- Files -------------------------------------------------------------------------------

    def to_keyed_vectors(self) -> Any:
        """Return the vectors as gensim's `KeyedVectors`, keyed by ``str(id)``.

        Returns
        -------
        gensim.models.KeyedVectors
            A copy of the vectors.

        Raises
        ------
        ImportError
            If gensim is not installed; the message holds the pip command.
        """
        check_is_fitted(self)
        return io.to_keyed_vectors(self.node_ids_, self.embedding_)

    def save_word2vec_format(self, path: StrPath, *, binary: bool = False) -> None:
        """Write the vectors in word2vec's format; gensim is not needed.

        Parameters
        ----------
        path : str or path-like
            Where to; written to a temporary file and then renamed.
        binary : bool, default=False
            The binary instead of the text format.
        """
        check_is_fitted(self)
        io.write_word2vec(path, self.node_ids_, self.embedding_, binary=binary)

    def save(self, path: StrPath) -> None:
        """Save parameters, ids, vectors and what growing needs into one file, without pickle.

        Parameters
        ----------
        path : str or path-like
            Where to; written to a temporary file and then renamed, so an old file is never lost.

        Notes
        -----
        A generator given as `random_state` has no place in a file: None is saved in its stead.
        """
        check_is_fitted(self)
        params = self.get_params(deep=False)
        if not isinstance(params.get("random_state"), int | np.integer):
            params["random_state"] = None
        io.save_model(
            path,
            estimator=type(self).__name__,
            params=params,
            node_ids=self.node_ids_,
            arrays={"embedding": self.embedding_, **self._memory_arrays()},
        )

    def _memory_arrays(self) -> dict[str, NDArray[Any]]:
        """What the model keeps for later, as arrays of a file."""
        return {}

    @classmethod
    def _memory_from(cls, arrays: dict[str, NDArray[Any]]) -> Any:
        """What `_memory_arrays` has given; raise FileFormatError if it is not that."""
        return None

    @classmethod
    def load(cls, path: StrPath) -> Self:
        """Read a model that `save` has written; nothing in the file is executed.

        Parameters
        ----------
        path : str or path-like
            The file.

        Returns
        -------
        NodeEmbedding
            A fitted estimator of this class.

        Raises
        ------
        FileFormatError
            If the file is damaged, of another kind, or holds another class of model.
        """
        return cls._from_file(io.load_model(path), path)

    @classmethod
    def _from_file(cls, file: io.ModelFile, path: StrPath) -> Self:
        unknown = set(file.params) - set(cls._get_param_names())
        embedding = file.arrays.get("embedding")
        if file.estimator != cls.__name__:
            problem = f"it holds a {file.estimator}, not a {cls.__name__}"
        elif unknown:
            problem = f"{cls.__name__} has no parameter {sorted(unknown)[0]!r}"
        elif (
            embedding is None
            or embedding.dtype != np.float32
            or embedding.ndim != 2
            or len(embedding) != len(file.node_ids)
        ):
            problem = "its embedding does not fit its node ids"
        else:
            try:
                memory = cls._memory_from(file.arrays)
            except FileFormatError as error:
                raise FileFormatError(f"{str(path)!r} cannot be loaded: {error}") from error
            model = cls(**file.params)
            model._set_fitted(file.node_ids, embedding, {}, memory)
            return model
        raise FileFormatError(f"{str(path)!r} cannot be loaded: {problem}")


def _plain(node: Any) -> Any:
    """Return a Python int for a numpy integer: an id as the user wrote it."""
    return node.item() if isinstance(node, np.generic) else node
