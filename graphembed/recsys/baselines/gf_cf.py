"""GF-CF: graph filters of interactions in closed form."""

from typing import ClassVar

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from graphembed._validation import Constraint, float_in, int_at_least, n_jobs_like
from graphembed.recsys._blas import one_blas_thread, products
from graphembed.recsys._model_files import Layout
from graphembed.recsys.base import IndexArray, ScoreRecommender
from graphembed.recsys.baselines._spectrum import low_pass, normalised
from graphembed.recsys.interactions import Interactions

_ROWS, _ENTRIES = 256, 2**24  # filtered at a time: histories, and their links to users


class GFCF(ScoreRecommender):
    """GF-CF: a linear and an ideal low-pass filter of the graph, in closed form.

    With ``N = D_U^-1/2 R D_I^-1/2`` and its leading right singular vectors V, the scores are
    ``r_u (N' N + alpha D_I^-1/2 V V' D_I^1/2)`` (Shen et al. 2021, eq. 8); what LightGCN comes to
    without training, and often better.

    Parameters
    ----------
    n_components : int, default=64
        Singular vectors; the paper takes 256.
    alpha : float, default=0.3
        Weight of the ideal low-pass filter.
    n_jobs : int, default=-1
        Number of threads of the ranking; -1 means all cores, None means 1.

    Attributes
    ----------
    train_ : Interactions
        What the model was fitted to.
    filter_ : scipy.sparse.csr_matrix of shape (n_users, n_items), float32
        The normalised interactions N.
    projection_, item_vectors_ : ndarray of shape (n_items, n_components), dtype=float32
        The factors of the ideal low-pass filter, as in `PureSVD`.

    Notes
    -----
    Time and memory of `fit` are those of `PureSVD`. A ranking takes two sparse products with N, so
    it is slower than one by vectors; N'N is never formed.

    References
    ----------
    Shen, Y. et al. (2021). How powerful is graph convolution for recommendation? CIKM.
    """

    _constraints: ClassVar[dict[str, Constraint]] = {
        "n_components": int_at_least(1),
        "alpha": float_in(0.0, 1e6),
        "n_jobs": n_jobs_like(),
    }
    _layout: ClassVar[Layout] = {
        "filter_": ("users", "items"),
        "projection_": ("items", "components"),
        "item_vectors_": ("items", "components"),
    }

    def __init__(
        self, n_components: int = 64, *, alpha: float = 0.3, n_jobs: int | None = -1
    ) -> None:
        self.n_components = n_components
        self.alpha = alpha
        self.n_jobs = n_jobs

    def _fit(self, train: Interactions, *, seed: int, n_threads: int) -> None:
        self.projection_, self.item_vectors_ = low_pass(
            train.matrix, self.n_components, normalize=True
        )
        self.filter_ = normalised(train.matrix).astype(np.float32)

    def _scores(
        self, histories: sp.csr_matrix, candidates: IndexArray | None
    ) -> NDArray[np.float32]:
        linear, vectors = self.filter_, self.item_vectors_
        if candidates is not None:
            linear = linear[:, candidates]
        n, n_users = histories.shape[0], self.filter_.shape[0]
        scores = np.empty((n, linear.shape[1]), np.float32)
        size = max(1, min(_ROWS, _ENTRIES // n_users))
        with one_blas_thread():
            for begin in range(0, n, size):
                rows = histories[begin : begin + size]
                low = products(rows @ self.projection_, vectors)
                if candidates is not None:  # all were multiplied, because bits depend on places
                    low = low[:, candidates]
                # dense, because most users have an item in common with somebody popular
                by_user = self.filter_ @ rows.T.toarray()
                scores[begin : begin + size] = (linear.T @ by_user).T + self.alpha * low
        return scores
