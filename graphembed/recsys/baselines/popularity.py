"""The most popular items, the same for everyone."""

from typing import ClassVar

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from graphembed._validation import Constraint, n_jobs_like
from graphembed.recsys._model_files import Layout
from graphembed.recsys.base import IndexArray, Ranking, ScoreRecommender
from graphembed.recsys.interactions import Interactions


class Popularity(ScoreRecommender):
    """The items with the most users: what any other model must beat.

    The score of an item is the share of the users of `fit` that have it.

    Parameters
    ----------
    n_jobs : int, default=-1
        Number of threads; -1 means all cores, None means 1.

    Attributes
    ----------
    train_ : Interactions
        What the model was fitted to.
    popularity_ : ndarray of shape (n_items,), dtype=float32
        The scores.

    Examples
    --------
    >>> import scipy.sparse as sp
    >>> from graphembed.recsys import Popularity
    >>> model = Popularity().fit(sp.csr_matrix([[1, 0, 1], [0, 0, 1], [0, 1, 1]]))
    >>> model.recommend(1, k=2)[0].tolist()
    [0, 1]
    """

    _constraints: ClassVar[dict[str, Constraint]] = {"n_jobs": n_jobs_like()}
    _layout: ClassVar[Layout] = {"popularity_": ("items",)}

    def __init__(self, *, n_jobs: int | None = -1) -> None:
        self.n_jobs = n_jobs

    def _fit(self, train: Interactions, *, seed: int, n_threads: int) -> None:
        counts = np.bincount(train.matrix.indices, minlength=train.n_items)
        self.popularity_ = (counts / train.n_users).astype(np.float32)

    def _scores(
        self, histories: sp.csr_matrix, candidates: IndexArray | None
    ) -> NDArray[np.float32]:
        scores = self.popularity_ if candidates is None else self.popularity_[candidates]
        return np.broadcast_to(scores, (histories.shape[0], len(scores)))

    def _similar(self, items: IndexArray, own: sp.csr_matrix, k: int) -> Ranking:
        raise NotImplementedError("Popularity knows no similarity of items: use ItemKNN")
