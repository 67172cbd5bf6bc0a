"""What is known of items, as sparse rows of length 1: numbers, tags, text, links."""

from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from sklearn.feature_extraction.text import HashingVectorizer
from sklearn.utils.extmath import randomized_svd

from graphembed.graph import Graph, NodeIndex
from graphembed.recsys.baselines._features import texts_of

_HASHES = 2**20
_SVD_ITERATIONS = 2
_RIDGE = 1e-3  # of the mean square


class FeatureSpace(NamedTuple):
    """Which columns there are and what they weigh, as the items of `fit` have it.

    Attributes
    ----------
    weights : csr_matrix of shape (1, n_columns given), or None
        Weights of the columns that are used; None without features.
    n_linked : int
        Number of items that links lead to; 0 without links.
    """

    weights: sp.csr_matrix | None
    n_linked: int

    @classmethod
    def of(
        cls, features: sp.csr_matrix | None, links: sp.csr_matrix | None, idf_power: float
    ) -> "FeatureSpace":
        """Weigh column j by ``(log((1 + n) / (1 + df_j)) + 1) ** idf_power``."""
        weights = None
        if features is not None:
            if not features.nnz:
                raise ValueError("item_features must not be all 0: then nothing is known of items")
            n, n_columns = features.shape
            df = np.bincount(features.indices, minlength=n_columns)
            used = np.flatnonzero(df)
            values = (np.log((1 + n) / (1 + df[used])) + 1) ** idf_power
            weights = sp.csr_matrix(
                (values.astype(np.float32), used, [0, len(used)]), shape=(1, n_columns)
            )
        return cls(weights, 0 if links is None else links.shape[1])

    def rows(
        self, features: sp.csr_matrix | None, links: sp.csr_matrix | None, n_rows: int
    ) -> sp.csr_matrix | None:
        """Weighted rows of length 1; features and links, where there are both, weigh alike."""
        parts = []
        if self.weights is not None:
            if features is None:
                raise ValueError("item_features must be given, as they were in fit")
            if features.shape[1] != self.weights.shape[1]:
                raise ValueError(
                    f"item_features must have the {self.weights.shape[1]} columns of fit, got "
                    f"{features.shape[1]}"
                )
            scale = sp.diags(self.weights.data)
            parts.append(_unit(features[:, self.weights.indices] @ scale))
        elif features is not None:
            raise ValueError("item_features were not given in fit, and cannot be used now")
        if self.n_linked:
            none = np.zeros(0, np.float32), np.zeros(0, np.int32), np.zeros(n_rows + 1, np.int32)
            nobody = sp.csr_matrix(none, shape=(n_rows, self.n_linked))
            parts.append(_unit(nobody if links is None else links))
        elif links is not None:
            raise ValueError("item_edges were not given in fit, and cannot be used now")
        return _unit(sp.hstack(parts, format="csr")) if parts else None


def read_features(features: Any, n_items: int | None) -> tuple[sp.csr_matrix | None, bool]:
    """Features as a float32 csr matrix, and whether columns are words or tags, to be weighed.

    Parameters
    ----------
    features : array, sparse matrix, list, array or Series of str, or None
        A row or a text for each item.
    n_items : int or None
        How many items there are, if that is known.

    Returns
    -------
    rows : csr_matrix, or None
        Text as counts of hashed words.
    is_sparse : bool
        False for an array.
    """
    if features is None:
        return None, False
    if isinstance(features, str):
        raise ValueError("item_features must hold a text for each item, got one str")
    texts = None if sp.issparse(features) else texts_of(features)
    if texts is not None:
        hashing = HashingVectorizer(n_features=_HASHES, alternate_sign=False, norm=None)
        rows = hashing.transform(texts)
    elif sp.issparse(features):
        rows = features
    else:
        rows = np.asarray(features, dtype=np.float32)
        if rows.ndim != 2:
            raise ValueError(
                "item_features must be a matrix or a list of texts, with a row for each item, got "
                f"the shape {rows.shape}"
            )
    if n_items is not None and rows.shape[0] != n_items:
        raise ValueError(
            f"item_features must have {n_items} rows, one for each item, got {rows.shape[0]}"
        )
    is_sparse = sp.issparse(rows)
    matrix = sp.csr_matrix(rows, dtype=np.float32)
    if not matrix.has_canonical_format or not matrix.data.all():
        matrix = matrix.copy()  # it may share its arrays with what was given
        matrix.sum_duplicates()
        matrix.eliminate_zeros()
    bad = np.flatnonzero(~np.isfinite(matrix.data))
    if len(bad):
        row = int(np.searchsorted(matrix.indptr, bad[0], side="right")) - 1
        raise ValueError(f"item_features must be finite, but row {row} is not")
    return matrix, is_sparse


def read_links(edges: Any, item_ids: NDArray[Any]) -> sp.csr_matrix | None:
    """Links among the items of fit, both ways, and of every item with itself."""
    if edges is None:
        return None
    n = len(item_ids)
    if isinstance(edges, Graph):
        place = NodeIndex(item_ids).positions(edges.node_ids)
        source = np.repeat(place, np.diff(edges.indptr))
        matrix = sp.csr_matrix((np.ones(len(source)), (source, place[edges.indices])), (n, n))
    else:
        matrix = _sparse_links(edges, (n, n))
    return _ones(matrix + matrix.T + sp.eye(n))


def read_new_links(edges: Any, n_new: int | None, n_items: int) -> sp.csr_matrix | None:
    """Links of new items to those of fit."""
    if edges is None:
        return None
    return _sparse_links(edges, (n_new, n_items))


def _sparse_links(edges: Any, shape: tuple[int | None, int]) -> sp.csr_matrix:
    if not sp.issparse(edges):
        raise TypeError(
            f"item_edges must be a scipy sparse matrix or a Graph, got {type(edges).__name__}"
        )
    matrix: Any = edges
    if matrix.shape[1] != shape[1] or shape[0] not in (None, matrix.shape[0]):
        raise ValueError(f"item_edges must have the shape {shape}, got {matrix.shape}")
    links = sp.csr_matrix(matrix)
    bad = np.flatnonzero(np.isnan(links.data))
    if len(bad):
        row = int(np.searchsorted(links.indptr, bad[0], side="right")) - 1
        raise ValueError(f"item_edges must not be NaN, but row {row} is")
    return _ones(links)


def _ones(matrix: Any) -> sp.csr_matrix:
    """A copy with 1 at every entry that is not 0."""
    result = sp.csr_matrix(matrix, dtype=bool, copy=True)
    result.sum_duplicates()
    result.eliminate_zeros()
    return result.astype(np.float32)


def _unit(matrix: Any) -> sp.csr_matrix:
    """Rows divided by their lengths; an empty one stays empty."""
    csr = sp.csr_matrix(matrix, dtype=np.float32)
    squares = np.asarray(csr.multiply(csr).sum(axis=1), np.float64).ravel()
    scale = 1 / np.sqrt(np.where(squares > 0, squares, 1))
    return sp.csr_matrix(sp.diags(scale.astype(np.float32)) @ csr, dtype=np.float32)


def unit_rows(x: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows of an array divided by their lengths; 0 stays 0."""
    lengths = np.linalg.norm(x, axis=1, keepdims=True)
    rows: NDArray[np.float32] = np.divide(x, lengths, out=np.zeros_like(x), where=lengths > 0)
    return rows


def content_basis(rows: sp.csr_matrix, width: int, seed: int) -> NDArray[np.float32]:
    """The map (width, n_features) under which x becomes U S^1/2 of the SVD of `rows`.

    Between the rotation V (S^1, which hears of the common features only) and whitening (S^0).
    """
    _, s, vt = _svd(rows, width, seed)
    basis = np.zeros((width, rows.shape[1]), np.float32)
    basis[: len(s)] = vt / np.sqrt(s)[:, np.newaxis]
    return basis


def id_table(train: sp.csr_matrix, width: int, seed: int) -> NDArray[np.float32]:
    """First id vectors (n_items, width): V S^1/2 of the SVD of D_u^-1/2 A D_i^-1/2, of length 1."""
    _, s, vt = _svd(_scaled(train), width, seed)
    table = np.zeros((train.shape[1], width), np.float32)
    table[:, : len(s)] = unit_rows((vt * np.sqrt(s)[:, np.newaxis]).T.astype(np.float32))
    return table


def folding(train: sp.csr_matrix, own: NDArray[np.float32]) -> NDArray[np.float32]:
    """The map from what an item's users tell of its own vector to that vector, by ridge regression.

    Learned from items with interactions, of each of which its users tell without it.
    """
    scaled = _scaled(train)
    told = scaled.T @ (scaled @ own)
    itself = np.asarray(scaled.multiply(scaled).sum(axis=0)).reshape(-1, 1)
    told = unit_rows((told - itself * own).astype(np.float32)).astype(np.float64)
    squares = told.T @ told
    squares += _RIDGE * max(np.trace(squares), 1.0) / len(squares) * np.eye(len(squares))
    return np.linalg.solve(squares, told.T @ own).astype(np.float32)


def folded(
    train: sp.csr_matrix,
    own: NDArray[np.float32],
    added: sp.csr_matrix,
    folding: NDArray[np.float32],
) -> NDArray[np.float32]:
    """Own vectors of new items (n_users, n_new), of unit length; 0 where nothing is told."""
    users = np.diff(train.indptr).clip(min=1) ** -0.5
    told = (sp.diags(users) @ added.sign()).T @ (_scaled(train) @ own)
    return unit_rows((unit_rows(told.astype(np.float32)) @ folding).astype(np.float32))


def _scaled(train: sp.csr_matrix) -> sp.csr_matrix:
    """D_u^-1/2 A D_i^-1/2 of what is there, whatever its value."""
    users = np.diff(train.indptr).clip(min=1) ** -0.5
    items = np.bincount(train.indices, minlength=train.shape[1]).clip(min=1) ** -0.5
    ones = sp.csr_matrix((np.ones(train.nnz), train.indices, train.indptr), train.shape)
    return sp.csr_matrix(sp.diags(users) @ ones @ sp.diags(items), dtype=np.float32)


def _svd(matrix: sp.csr_matrix, width: int, seed: int) -> Any:
    """Singular vectors and values, without those that are zero."""
    rank = min(width, *matrix.shape)
    u, s, vt = randomized_svd(
        matrix, rank, n_iter=_SVD_ITERATIONS, random_state=seed % 2**32, flip_sign=True
    )
    kept = s > 1e-6 * max(float(s[0]), 1e-30)
    return u[:, kept], s[kept], vt[kept]
