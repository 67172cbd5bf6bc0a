"""Items that a user has not had: drawn one by one, or as a pool that a batch shares."""

from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

Index = NDArray[np.int64]


class SeenItems:
    """Which items each user has had; draws from the others.

    Parameters
    ----------
    matrix : csr_matrix of shape (n_users, n_items)
        Interactions: sorted columns, no duplicates; kept. Each of the methods keeps 8 bytes for
        each entry from its first call on.
    """

    def __init__(self, matrix: csr_matrix) -> None:
        self._matrix = matrix
        self.n_users, self.n_items = matrix.shape
        self._indptr = matrix.indptr.astype(np.int64)
        self.counts: Index = np.diff(self._indptr)

    @cached_property
    def _keys(self) -> Index:
        rows = np.repeat(np.arange(self.n_users, dtype=np.int64), self.counts)
        rows *= self.n_items
        rows += self._matrix.indices
        return rows

    @cached_property
    def _unseen_before(self) -> Index:
        """Entry j of a row has as many unseen items before it as its column less j."""
        starts = np.arange(self.n_users) * self.n_items + self._indptr[:-1]
        result: Index = np.repeat(starts, self.counts)
        result += self._matrix.indices
        result -= np.arange(len(result))
        return result

    def draw_unseen(self, users: Index, n: int, generator: np.random.Generator) -> Index:
        """Items (len(users), n), uniform over those that the user has not had; -1 where none is.

        Drawn as the r-th unseen item, which needs no second try: O(log n_entries) for each.
        """
        free = self.n_items - self.counts[users]
        ranks = generator.integers(np.maximum(free, 1)[:, None], size=(len(users), n))
        keys = users[:, None] * self.n_items + ranks
        places = np.searchsorted(self._unseen_before, keys.ravel(), side="right")
        items = ranks + places.reshape(keys.shape) - self._indptr[users][:, None]
        items[free == 0] = -1
        return items

    def are_seen(self, users: Index, items: Index) -> NDArray[np.bool_]:
        """Whether each user has had the items in his or her row of `items` (len(users), n)."""
        keys = users[:, None] * self.n_items + items
        if not len(self._keys):
            return np.zeros(keys.shape, bool)
        places = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        seen: NDArray[np.bool_] = self._keys[places] == keys
        return seen


def draw_pool(
    weights: NDArray[np.float64] | int, size: int, generator: np.random.Generator
) -> tuple[Index, NDArray[np.float32]]:
    """Draw items with replacement, by weights or uniformly over so many items.

    Returns
    -------
    items : ndarray of int64, shape (size,)
        The pool.
    log_q : ndarray of float32, shape (size,)
        Logarithm of the expected number of times that each is in the pool.
    """
    if isinstance(weights, int):
        items = generator.integers(weights, size=size)
        return items, np.full(size, np.log(size / weights), np.float32)
    bounds = np.cumsum(weights)
    items = np.searchsorted(bounds, generator.random(size) * bounds[-1], side="right")
    items = np.minimum(items, np.flatnonzero(weights)[-1])
    return items, np.log(size * weights[items] / bounds[-1]).astype(np.float32)
