"""RP3beta: where random walks of three steps lead, popular items held back."""

from typing import ClassVar

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from graphembed._validation import Constraint, float_in, int_at_least, n_jobs_like
from graphembed.recsys._model_files import Layout
from graphembed.recsys.base import IndexArray, ScoreRecommender
from graphembed.recsys.baselines._items_by_items import score_histories, strongest_links
from graphembed.recsys.interactions import Interactions


class RP3beta(ScoreRecommender):
    """RP3beta: the items that a random walk of three steps from the user reaches.

    ``W_ij = sum over users u of p(u | i)^alpha p(j | u)^alpha / d_j^beta``, with the transition
    probabilities p of the bipartite graph and d the number of users of an item; the score of item
    j is the sum of ``p(i | u)^alpha W_ij`` over the user's items i (Paudel et al. 2017).

    Parameters
    ----------
    alpha : float, default=1.0
        Exponent of the transition probabilities.
    beta : float, default=0.6
        How much popular items are held back.
    k : int, default=1000
        Entries of W kept for each item i.
    n_jobs : int, default=-1
        Number of threads; -1 means all cores, None means 1.

    Attributes
    ----------
    train_ : Interactions
        What the model was fitted to.
    weights_ : scipy.sparse.csr_matrix of shape (n_items, n_items), float32
        The matrix W.

    Notes
    -----
    Time O(sum over users of n_items of the user ** 2), memory O(n_items * k), and blocks of 40 MB
    for each thread. The diagonal of W is left out, since the walk has been there.

    References
    ----------
    Paudel, B. et al. (2017). Updatable, accurate, diverse, and scalable recommendations for
    interactive applications. ACM TiiS.
    """

    _constraints: ClassVar[dict[str, Constraint]] = {
        "alpha": float_in(0.0, 10.0),
        "beta": float_in(0.0, 10.0),
        "k": int_at_least(1),
        "n_jobs": n_jobs_like(),
    }
    _layout: ClassVar[Layout] = {"weights_": ("items", "items")}

    def __init__(
        self, alpha: float = 1.0, beta: float = 0.6, *, k: int = 1000, n_jobs: int | None = -1
    ) -> None:
        self.alpha = alpha
        self.beta = beta
        self.k = k
        self.n_jobs = n_jobs

    def _fit(self, train: Interactions, *, seed: int, n_threads: int) -> None:
        x = train.matrix.astype(np.float64)
        to_items = _transitions(x, self.alpha)
        to_users = _transitions(x.T.tocsr(), self.alpha)
        degrees = np.maximum(1, np.bincount(x.indices, minlength=train.n_items))
        held_back = degrees**-self.beta

        def rows(begin: int, end: int) -> NDArray[np.float32]:
            block: NDArray[np.float64] = (to_users[begin:end] @ to_items).toarray()
            return (block * held_back).astype(np.float32)

        self.weights_ = strongest_links(rows, train.n_items, self.k, n_threads)

    def _scores(
        self, histories: sp.csr_matrix, candidates: IndexArray | None
    ) -> NDArray[np.float32]:
        steps = _transitions(histories, self.alpha).astype(np.float32)
        return score_histories(steps, self.weights_, candidates)


def _transitions(x: sp.csr_matrix, alpha: float) -> sp.csr_matrix:
    """Rows divided by their sums, to the power of alpha."""
    sums = np.asarray(x.sum(axis=1, dtype=np.float64)).ravel()
    p = x.astype(np.float64)
    p.data = (p.data / np.repeat(sums, np.diff(x.indptr))) ** alpha
    return p
