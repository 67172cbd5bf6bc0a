"""What stands for a user: all items in equal shares, the last one, or a few medoids."""

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from graphembed.recsys._blas import one_blas_thread
from graphembed.recsys.base import IndexArray, Ranking, VectorRecommender
from graphembed.recsys.interactions import Interactions
from graphembed.recsys.pinsage._features import unit_rows
from graphembed.recsys.pinsage._state import State
from graphembed.recsys.top_k import top_k


def shares_of(histories: sp.csr_matrix) -> sp.csr_matrix:
    """Equal shares of the items of each row."""
    counts = np.diff(histories.indptr)
    shares = np.repeat((1 / counts.clip(min=1)).astype(np.float32), counts)
    return sp.csr_matrix((shares, histories.indices, histories.indptr), histories.shape)


def means_of(
    histories: sp.csr_matrix, vectors: NDArray[np.float32], *, unit: bool
) -> NDArray[np.float32]:
    """Means of the vectors of the items of each row, of length 1 if `unit`."""
    means = np.asarray(shares_of(histories) @ vectors, np.float32)
    return unit_rows(means) if unit else means


def last_items(train: Interactions) -> sp.csr_matrix:
    """The last item of each user alone; of several at one time the one with the highest index."""
    if train.times is None:
        raise ValueError("PinSage: query='last' needs interactions with times, train has none")
    matrix = train.matrix
    rows = np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
    order = np.lexsort((matrix.indices, train.times, rows))
    users = np.flatnonzero(np.diff(matrix.indptr))
    last = order[matrix.indptr[users + 1] - 1]
    ones = np.ones(len(users), np.float32)
    return sp.csr_matrix((ones, (users, matrix.indices[last])), shape=matrix.shape)


def medoids(
    histories: sp.csr_matrix, vectors: NDArray[np.float32], n: int
) -> tuple[IndexArray, IndexArray]:
    """Up to n items of each row that its items are near to, found one by one.

    The first is the item with the largest sum of inner products with all; each further one adds the
    most to the sum of the items' largest products with a medoid. Of equal ones the first counts.
    A row of h items takes O(h^2 (d + n)) time and 24 h^2 bytes for a moment.

    Returns
    -------
    owner, items : ndarray of int64
        Rows, ascending, and their medoids.
    """
    owner: list[int] = []
    items: list[int] = []
    with one_blas_thread():
        for row in range(histories.shape[0]):
            own = histories.indices[histories.indptr[row] : histories.indptr[row + 1]]
            found = own[_medoids_of(vectors[own], n)].tolist() if len(own) else []
            owner += [row] * len(found)
            items += found
    return np.array(owner, np.int64), np.array(items, np.int64)


def _medoids_of(rows: NDArray[np.float32], n: int) -> list[int]:
    products = (rows @ rows.T).astype(np.float64)
    best = np.full(len(rows), products.min())
    found = []
    for _ in range(min(n, len(rows))):
        chosen = int(np.argmax(np.maximum(products - best, 0).sum(axis=1)))
        best = np.maximum(best, products[chosen])
        found.append(chosen)
    return found


def merged(
    owner: IndexArray, index: NDArray[np.int32], scores: NDArray[np.float32], *, n: int
) -> Ranking:
    """Lists of several queries of a row as one, in which an item has its best score."""
    k = index.shape[1]
    top, best = np.full((n, k), -1, np.int32), np.full((n, k), -np.inf, np.float32)
    rows, items, values = np.repeat(owner, k), index.ravel(), scores.ravel()
    kept = items >= 0
    rows, items, values = rows[kept], items[kept], values[kept]
    order = np.lexsort((items, -values, rows))
    rows, items, values = rows[order], items[order], values[order]
    _, first = np.unique(rows * (np.int64(2) ** 32) + items, return_index=True)
    first.sort()  # np.unique names the first place of each, which has its best score
    rows, items, values = rows[first], items[first], values[first]
    starts = np.searchsorted(rows, np.arange(n))
    rank = np.arange(len(rows)) - starts[rows]
    kept = rank < k
    top[rows[kept], rank[kept]], best[rows[kept], rank[kept]] = items[kept], values[kept]
    return top, best


class ItemVectorRecommender(VectorRecommender):
    """Users are what their items are: for subclasses with `_state`, `query` and `residual`."""

    _state: State
    query: str
    n_medoids: int
    residual: bool

    def _targets(self) -> NDArray[np.float32]:
        return self._state.vectors

    def _means(self, histories: sp.csr_matrix) -> NDArray[np.float32]:
        return means_of(histories, self._state.vectors, unit=self.residual)

    def _queries(self, users: IndexArray) -> NDArray[np.float32]:
        if self._state.last is not None:
            return self._means(self._state.last[users])
        if self.query == "medoids":
            raise AttributeError(
                "PinSage(query='medoids') has several vectors for a user: use recommend, or "
                "query='mean'"
            )
        return self._means(self.train_.matrix[users])

    def _fold_in(self, histories: sp.csr_matrix) -> NDArray[np.float32]:
        if self.query == "last":
            raise NotImplementedError(
                "PinSage(query='last') needs times, which histories have not: give the last item "
                "of each user alone as histories to a model with query='mean'"
            )
        return self._means(histories)

    def _rank(
        self,
        users: IndexArray | None,
        histories: sp.csr_matrix,
        k: int,
        exclude: sp.csr_matrix | None,
        candidates: IndexArray | None,
    ) -> Ranking:
        if self.query != "medoids":
            return super()._rank(users, histories, k, exclude, candidates)
        owner, items = medoids(histories, self._state.vectors, self.n_medoids)
        found = top_k(
            self._state.vectors[items], self._state.vectors, k,
            exclude=None if exclude is None else exclude[owner], candidates=candidates,
            n_jobs=self.n_jobs,
        )  # fmt: skip
        return merged(owner, *found, n=histories.shape[0])

    def _all_scores(self, users: IndexArray) -> NDArray[np.float32]:
        if self.query != "medoids":
            return super()._all_scores(users)
        owner, items = medoids(self.train_.matrix[users], self._state.vectors, self.n_medoids)
        with one_blas_thread():
            scores = self._state.vectors[items] @ self._state.vectors.T
        result = np.zeros((len(users), self.train_.n_items), np.float32)
        starts = np.flatnonzero(np.diff(owner, prepend=-1))
        if len(starts):
            result[owner[starts]] = np.maximum.reduceat(scores, starts, axis=0)
        return result
