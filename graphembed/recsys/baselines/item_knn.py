"""Item-kNN: items that the same users have."""

from typing import ClassVar

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from graphembed._validation import Constraint, float_in, int_at_least, n_jobs_like, one_of
from graphembed.recsys._model_files import Layout
from graphembed.recsys.base import IndexArray, ScoreRecommender
from graphembed.recsys.baselines._items_by_items import (
    score_histories,
    strongest_links,
    weighted,
)
from graphembed.recsys.interactions import Interactions


class ItemKNN(ScoreRecommender):
    """Item-kNN: the items most like those of the user.

    ``s_ij = x_i . x_j / (|x_i| |x_j| + shrink)`` with the columns x of the interactions; the score
    of item j is the sum of ``s_ij`` over the user's items i that are among the `k` items most like
    j, times the user's values (Sarwar et al. 2001; the shrinkage is that of Bell and Koren 2007).

    Parameters
    ----------
    k : int, default=100
        Neighbours of an item.
    shrink : float, default=10.0
        Draws the similarity of items with few users towards 0.
    weighting : {"none", "tfidf", "bm25"}, default="none"
        Of the values, an item being a document and a user a word in it, so that users with many
        items count for less.
    n_jobs : int, default=-1
        Number of threads; -1 means all cores, None means 1.

    Attributes
    ----------
    train_ : Interactions
        What the model was fitted to.
    similarity_ : scipy.sparse.csr_matrix of shape (n_items, n_items), float32
        Column j holds the similarities of the neighbours of item j.

    Notes
    -----
    Time O(sum over users of n_items of the user ** 2), memory O(n_items * k), and blocks of 40 MB
    for each thread.

    References
    ----------
    Sarwar, B. et al. (2001). Item-based collaborative filtering recommendation algorithms. WWW.

    Bell, R. and Koren, Y. (2007). Improved neighborhood-based collaborative filtering. KDD Cup.
    """

    _constraints: ClassVar[dict[str, Constraint]] = {
        "k": int_at_least(1),
        "shrink": float_in(0.0, 1e30),
        "weighting": one_of("none", "tfidf", "bm25"),
        "n_jobs": n_jobs_like(),
    }
    _layout: ClassVar[Layout] = {"similarity_": ("items", "items")}

    def __init__(
        self,
        k: int = 100,
        *,
        shrink: float = 10.0,
        weighting: str = "none",
        n_jobs: int | None = -1,
    ) -> None:
        self.k = k
        self.shrink = shrink
        self.weighting = weighting
        self.n_jobs = n_jobs

    def _fit(self, train: Interactions, *, seed: int, n_threads: int) -> None:
        x = weighted(train.matrix, self.weighting)
        columns = x.T.tocsr()
        norms = np.sqrt(np.asarray(columns.multiply(columns).sum(axis=1)).ravel())

        def rows(begin: int, end: int) -> NDArray[np.float32]:
            dots: NDArray[np.float64] = (columns[begin:end] @ x).toarray()
            scale = norms[begin:end, np.newaxis] * norms + self.shrink
            np.divide(dots, scale, out=dots, where=scale > 0)
            return dots.astype(np.float32)

        self.similarity_ = strongest_links(rows, train.n_items, self.k, n_threads).T.tocsr()

    def _scores(
        self, histories: sp.csr_matrix, candidates: IndexArray | None
    ) -> NDArray[np.float32]:
        return score_histories(histories, self.similarity_, candidates)
