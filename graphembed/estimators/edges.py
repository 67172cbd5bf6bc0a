"""EdgeEmbedder: vectors of pairs of nodes, from the vectors of the nodes."""

from collections.abc import Sized
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted

from graphembed._ingest.ids import matrix_ids
from graphembed._validation import Constraint, check_params, one_of
from graphembed.evaluation._checks import check_embedding
from graphembed.evaluation.edge_operators import EDGE_OPERATORS, combine
from graphembed.graph import NodeIndex


class EdgeEmbedder(TransformerMixin, BaseEstimator):  # type: ignore[misc]  # not annotated
    """Vectors of pairs of nodes, a transformer for scikit-learn's pipelines.

    With ``u`` and ``v`` the vectors of the two nodes (Grover and Leskovec 2016, table 1):
    ``average`` is ``(u + v) / 2``, ``hadamard`` is ``u * v``, ``l1`` is ``|u - v|`` and ``l2`` is
    ``|u - v| ** 2`` (the paper's Weighted-L1 and Weighted-L2), element by element. All four ignore
    the order of the pair.

    Parameters
    ----------
    embedding : fitted estimator or array-like of shape (n_nodes, n_components)
        A fitted `Node2Vec` or the like, with ``embedding_`` and ``node_ids_``; or vectors.
    operator : {"average", "hadamard", "l1", "l2"}, default="hadamard"
        How the two vectors are combined.
    node_ids : sequence of length n_nodes, optional
        Ids of the rows of `embedding`, if it holds vectors; 0, 1, ... by default.

    Attributes
    ----------
    embedding_ : ndarray of shape (n_nodes, n_components)
        The vectors of the nodes, float32 or float64; not copied.
    node_ids_ : ndarray of shape (n_nodes,)
        Their ids.
    n_features_in_ : int
        2.

    See Also
    --------
    graphembed.evaluation.edge_features : The same for rows of an array.

    Notes
    -----
    O(n_pairs * n_components) time; memory: the result, two int64 per pair, and a block of 1 or
    2 MB. `fit` learns nothing from the pairs: it looks at `embedding` again. ``clone`` shares
    `embedding` instead of copying it (an estimator would come out unfitted), so a grid search may
    vary ``operator``.

    References
    ----------
    Grover, A. and Leskovec, J. (2016). node2vec: Scalable feature learning for networks. KDD.

    Examples
    --------
    >>> from graphembed import EdgeEmbedder, Node2Vec
    >>> model = Node2Vec(n_components=8, random_state=0).fit([("a", "b"), ("b", "c"), ("c", "a")])
    >>> EdgeEmbedder(model, "l1").fit_transform([("a", "b"), ("c", "a")]).shape
    (2, 8)
    """

    _constraints: ClassVar[dict[str, Constraint]] = {"operator": one_of(*EDGE_OPERATORS)}

    embedding_: NDArray[Any]
    node_ids_: NDArray[Any]
    n_features_in_: int

    def __init__(self, embedding: Any, operator: str = "hadamard", *, node_ids: Any = None) -> None:
        self.embedding = embedding
        self.operator = operator
        self.node_ids = node_ids

    def __sklearn_clone__(self) -> Self:
        """Clone with the same model, which `clone` would leave unfitted."""
        copy = type(self)(**self.get_params(deep=False))
        if hasattr(self, "_sklearn_output_config"):
            copy._sklearn_output_config = dict(self._sklearn_output_config)
        return copy

    def fit(self, X: Any = None, y: Any = None) -> Self:
        """Look up the vectors; nothing is learned from the pairs.

        Parameters
        ----------
        X, y : object, optional
            Not used; here for scikit-learn's pipelines.

        Returns
        -------
        self
            The fitted transformer.

        Raises
        ------
        sklearn.exceptions.NotFittedError
            If `embedding` is an estimator that is not fitted.
        TypeError
            If `embedding` holds no real numbers.
        ValueError
            If `operator` is unknown, `embedding` is not a finite 2-D array, or `node_ids` does not
            fit it.
        """
        check_params(self, self._constraints, owner="EdgeEmbedder")
        table, node_ids = self.embedding, self.node_ids
        if hasattr(table, "get_params"):
            check_is_fitted(table)
            if node_ids is not None:
                raise ValueError("EdgeEmbedder: node_ids must be None: the estimator has its own")
            table, node_ids = table.embedding_, table.node_ids_
        self.embedding_ = check_embedding(table)
        self.node_ids_ = matrix_ids(node_ids, len(table), "node_ids")
        self.n_features_in_ = 2
        self._index = NodeIndex(self.node_ids_)
        return self

    def transform(self, X: Any) -> Any:
        """Return the vectors of pairs.

        Parameters
        ----------
        X : array, data frame or iterable of pairs, shape (n_pairs, 2)
            Node ids. In a list of tuples every id keeps its type; an array made of ids of several
            types should have the dtype object.

        Returns
        -------
        ndarray of shape (n_pairs, n_components)
            In the precision of the vectors; a data frame if `set_output` says so.

        Raises
        ------
        KeyError
            If a pair names an unknown node; the message holds its id and position.
        ValueError
            If `X` does not consist of pairs.
        """
        check_is_fitted(self)
        check_params(self, self._constraints, owner="EdgeEmbedder")
        columns = _columns(X)
        pairs = np.empty((len(columns[0]), 2), np.int64)
        for j, ids in enumerate(columns):
            pairs[:, j] = self._positions(ids, j)
        return combine(self.embedding_, pairs, self.operator)

    def get_feature_names_out(self, input_features: Any = None) -> NDArray[np.object_]:
        """Return the names of the columns, ``hadamard0``, ``hadamard1``, ...

        Parameters
        ----------
        input_features : object, optional
            Not used; here for scikit-learn.

        Returns
        -------
        ndarray of str objects, shape (n_components,)
            The operator and the column's number.
        """
        check_is_fitted(self)
        n_components = self.embedding_.shape[1]
        return np.array([f"{self.operator}{j}" for j in range(n_components)], dtype=object)

    def _positions(self, ids: Any, column: int) -> NDArray[np.int64]:
        try:
            return self._index.positions(ids)
        except (KeyError, TypeError):  # TypeError: not hashable
            row = next(i for i, node in enumerate(ids) if node not in self._index)
            node = ids[row].item() if isinstance(ids[row], np.generic) else ids[row]
            raise KeyError(f"X[{row}, {column}]: the embedding has no node {node!r}") from None


def _columns(X: Any) -> Any:
    """The first and the second ids of the pairs, as two arrays or lists."""
    if hasattr(X, "iloc") and X.ndim == 2 and X.shape[1] == 2:
        return X.iloc[:, 0].to_numpy(), X.iloc[:, 1].to_numpy()
    if hasattr(X, "shape"):
        array = np.asarray(X)
        if array.ndim != 2 or array.shape[1] != 2:
            raise ValueError(f"X must have the shape (n_pairs, 2), got {array.shape}")
        # Lists of Python objects are looked up faster than arrays of them.
        return array.T if array.dtype.kind == "i" else array.T.tolist()
    pairs = list(X)
    for row, pair in enumerate(pairs):
        if isinstance(pair, str | bytes) or not isinstance(pair, Sized) or len(pair) != 2:
            raise ValueError(f"X[{row}] must be a pair of node ids, got {pair!r}")
    return list(zip(*pairs, strict=True)) if pairs else ([], [])
