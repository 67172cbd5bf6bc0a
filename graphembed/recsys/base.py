"""The two kinds of recommenders: by vectors of users and items, or by scores of histories."""

from abc import abstractmethod

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from graphembed.recsys._blas import one_blas_thread
from graphembed.recsys._ids import IndexArray, as_interactions
from graphembed.recsys._recommender import Ranking, Recommender
from graphembed.recsys.top_k import top_k, top_k_scores

__all__ = [
    "IndexArray",
    "Ranking",
    "Recommender",
    "ScoreRecommender",
    "VectorRecommender",
    "as_interactions",
    "unit_rows",
]

_BLOCK_ENTRIES = 2**24  # of scores held at a time


class VectorRecommender(Recommender):
    """Scores that are inner products of a user's and an item's vector."""

    @abstractmethod
    def _queries(self, users: IndexArray) -> NDArray[np.float32]:
        """Vectors of users, of shape (n, n_components)."""

    @abstractmethod
    def _targets(self) -> NDArray[np.float32]:
        """Vectors of all items, of shape (n_items, n_components)."""

    def _fold_in(self, histories: sp.csr_matrix) -> NDArray[np.float32]:
        """Vectors of users that were not in `fit`."""
        raise NotImplementedError(
            f"{type(self).__name__} has vectors for the users of fit alone: fit it anew with the "
            "new users, or use a model that needs none, such as PureSVD, EASE or ItemKNN"
        )

    def _similarity_vectors(self) -> NDArray[np.float32]:
        """Vectors of all items whose cosines are the similarity."""
        return self._targets()

    def _rank(
        self,
        users: IndexArray | None,
        histories: sp.csr_matrix,
        k: int,
        exclude: sp.csr_matrix | None,
        candidates: IndexArray | None,
    ) -> Ranking:
        queries = self._fold_in(histories) if users is None else self._queries(users)
        return top_k(
            queries, self._targets(), k,
            exclude=exclude, candidates=candidates, n_jobs=self.n_jobs,
        )  # fmt: skip

    def _all_scores(self, users: IndexArray) -> NDArray[np.float32]:
        with one_blas_thread():
            scores: NDArray[np.float32] = self._queries(users) @ self._targets().T
        return scores

    def _similar(self, items: IndexArray, own: sp.csr_matrix, k: int) -> Ranking:
        unit = unit_rows(self._similarity_vectors())
        return top_k(unit[items], unit, k, exclude=own, n_jobs=self.n_jobs)

    @property
    def item_vectors(self) -> NDArray[np.float32]:
        """Vectors of the items, of shape (n_items, n_components), in the order of train's ids."""
        check_is_fitted(self, "train_")
        return self._targets()

    @property
    def user_vectors(self) -> NDArray[np.float32]:
        """Vectors of the users; a score is the inner product with an item's vector."""
        check_is_fitted(self, "train_")
        return self._queries(np.arange(self.train_.n_users))


class ScoreRecommender(Recommender):
    """Scores that are computed from a user's history, without vectors."""

    @abstractmethod
    def _scores(
        self, histories: sp.csr_matrix, candidates: IndexArray | None
    ) -> NDArray[np.float32]:
        """Scores of the candidates, all items if None, of shape (n, n_candidates)."""

    def _rank(
        self,
        users: IndexArray | None,
        histories: sp.csr_matrix,
        k: int,
        exclude: sp.csr_matrix | None,
        candidates: IndexArray | None,
    ) -> Ranking:
        n, n_columns = histories.shape
        n_columns = n_columns if candidates is None else len(candidates)
        size = max(1, _BLOCK_ENTRIES // max(1, n_columns))
        index = np.full((n, k), -1, np.int32)
        scores = np.full((n, k), -np.inf, np.float32)
        for begin in range(0, n, size):
            block = slice(begin, begin + size)
            values = self._scores(histories[block], candidates)
            seen = None if exclude is None else exclude[block]
            if seen is not None and candidates is not None:
                seen = seen[:, candidates]
            found, scores[block] = top_k_scores(values, k, exclude=seen, n_jobs=self.n_jobs)
            if candidates is not None and n_columns:
                found = np.where(found >= 0, candidates[found], -1)
            index[block] = found
        return index, scores

    def _all_scores(self, users: IndexArray) -> NDArray[np.float32]:
        return self._scores(self.train_.matrix[users], None)

    def _similar(self, items: IndexArray, own: sp.csr_matrix, k: int) -> Ranking:
        index, scores = self._rank(None, own, k, own, None)
        no_link = scores <= 0
        index[no_link], scores[no_link] = -1, -np.inf
        return index, scores


def unit_rows(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Divide rows by their lengths; rows of zeros stay.

    Parameters
    ----------
    vectors : ndarray of shape (n, d), dtype=float32
        The rows.

    Returns
    -------
    ndarray of the same shape, dtype=float32
        Rows of length 1, or 0.
    """
    norms = np.sqrt(np.einsum("ij,ij->i", vectors, vectors, dtype=np.float64))[:, np.newaxis]
    rows: NDArray[np.float32] = np.divide(
        vectors, norms, out=np.zeros_like(vectors), where=norms > 0, casting="same_kind"
    )
    return rows
