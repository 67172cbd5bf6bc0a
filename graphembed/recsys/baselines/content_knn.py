"""Content-kNN: items that say the same as those of the user."""

from typing import Any, ClassVar, Self

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from graphembed._validation import Constraint, n_jobs_like, one_of
from graphembed.recsys._model_files import Layout
from graphembed.recsys.base import IndexArray, ScoreRecommender
from graphembed.recsys.baselines._features import read_features
from graphembed.recsys.interactions import Interactions


class ContentKNN(ScoreRecommender):
    """Content-kNN: the items whose features are most like those of the user's items.

    With the rows f_i of the item features, scaled to length 1, the score of item j is the cosine of
    f_j and the user's profile, the sum of f_i over the user's items times the user's values. It
    needs no interaction with j, so it is what new items are measured by.

    Parameters
    ----------
    weighting : {"tfidf", "none"}, default="tfidf"
        "tfidf" multiplies the value of a feature by ``log(n / df)``, where df of the n items have
        it; "none" takes features, of text the counts of words, as they are.
    n_jobs : int, default=-1
        Number of threads of the ranking; -1 means all cores, None means 1.

    Attributes
    ----------
    train_ : Interactions
        What the model was fitted to.
    features_ : scipy.sparse.csr_matrix of shape (n_items, n_features), float32
        The weighted features, rows of length 1.
    """

    _constraints: ClassVar[dict[str, Constraint]] = {
        "weighting": one_of("tfidf", "none"),
        "n_jobs": n_jobs_like(),
    }
    _layout: ClassVar[Layout] = {"features_": ("items", "features")}

    def __init__(self, *, weighting: str = "tfidf", n_jobs: int | None = -1) -> None:
        self.weighting = weighting
        self.n_jobs = n_jobs

    def fit(self, train: Any, item_features: Any = None) -> Self:
        """Take over the features of items, and what users have.

        Parameters
        ----------
        train : Interactions or scipy sparse matrix of shape (n_users, n_items)
            What users have had to do with which items.
        item_features : ndarray or sparse matrix of shape (n_items, n_features), or list of str
            A row or a text for each item, in the order of ``train.item_ids``; also of items
            without interactions. Text is split into words by scikit-learn.

        Returns
        -------
        self
            The fitted model.

        Raises
        ------
        ValueError
            If there are no features, or not one row for each item, or one is not finite.
        """
        return self._fit_to(train, item_features=item_features)

    def _fit(
        self, train: Interactions, *, seed: int, n_threads: int, item_features: Any = None
    ) -> None:
        weight = self.weighting == "tfidf"
        self.features_ = read_features(item_features, train.n_items, weight=weight)

    def _scores(
        self, histories: sp.csr_matrix, candidates: IndexArray | None
    ) -> NDArray[np.float32]:
        features = self.features_ if candidates is None else self.features_[candidates]
        profiles = histories @ self.features_
        profiles.sort_indices()  # sums in an order that no other user decides
        lengths = np.sqrt(np.asarray(profiles.multiply(profiles).sum(axis=1)).ravel())
        dots: NDArray[np.float32] = (profiles @ features.T.tocsr()).toarray()
        scale = lengths[:, np.newaxis]
        np.divide(dots, scale, out=dots, where=scale > 0)  # without features it is 0 already
        return dots
