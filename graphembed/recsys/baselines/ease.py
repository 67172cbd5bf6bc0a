"""EASE: a linear model of items by items in closed form."""

from typing import ClassVar

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from graphembed._validation import Constraint, int_at_least, n_jobs_like, positive_float
from graphembed.recsys._blas import for_blocks
from graphembed.recsys._model_files import Layout
from graphembed.recsys.base import IndexArray, ScoreRecommender
from graphembed.recsys.baselines._inverse import BLOCK, invert
from graphembed.recsys.interactions import Interactions

_ROWS = 256  # multiplied at a time


class EASE(ScoreRecommender):
    """EASE: the linear model of items by the other items, in closed form.

    Minimises ``|X - X B|^2 + l2 |B|^2`` where the diagonal of B is zero: with
    ``P = (X'X + l2 I)^-1``, ``B_ij = -P_ij / P_jj`` (Steck 2019, eq. 8). The scores are ``X B``.

    Parameters
    ----------
    l2 : float, default=300.0
        Strength of the penalty; the paper's lambda.
    max_memory : int, default=4 GiB
        Bytes that `fit` may take: 12 for each pair of items, or 8 and the blocks that the threads
        work on, and 24 for each interaction; more items are refused.
    n_jobs : int, default=-1
        Number of threads; -1 means all cores, None means 1.

    Attributes
    ----------
    train_ : Interactions
        What the model was fitted to.
    weights_ : ndarray of shape (n_items, n_items), dtype=float32
        The paper's B.

    Notes
    -----
    Time O(n_items^3). The inverse is made of blocks of a fixed size, so that it has the same bits
    for any `n_jobs`.

    References
    ----------
    Steck, H. (2019). Embarrassingly shallow autoencoders for sparse data. WWW.
    """

    _constraints: ClassVar[dict[str, Constraint]] = {
        "l2": positive_float(),
        "max_memory": int_at_least(1, bits=63),
        "n_jobs": n_jobs_like(),
    }
    _layout: ClassVar[Layout] = {"weights_": ("items", "items")}

    def __init__(
        self, l2: float = 300.0, *, max_memory: int = 2**32, n_jobs: int | None = -1
    ) -> None:
        self.l2 = l2
        self.max_memory = max_memory
        self.n_jobs = n_jobs

    def _fit(self, train: Interactions, *, seed: int, n_threads: int) -> None:
        n_bytes = _n_bytes(train.n_items, train.n_interactions, n_threads)
        if n_bytes > self.max_memory:
            raise ValueError(
                f"EASE: {train.n_items} items need {n_bytes} bytes, more than max_memory="
                f"{self.max_memory!r}: raise it, leave out rare items (k_core), or use ItemKNN"
            )
        x = train.matrix.astype(np.float64)
        columns = x.T.tocsr()
        gram = np.empty((train.n_items, train.n_items))

        def multiply(begin: int, end: int) -> None:
            gram[begin:end] = (columns[begin:end] @ x).toarray()

        for_blocks(multiply, train.n_items, _ROWS, n_threads)
        gram[np.diag_indices_from(gram)] += self.l2
        try:
            invert(gram, n_threads)
        except np.linalg.LinAlgError:
            gram[0, 0] = np.nan
        if not np.isfinite(np.diag(gram)).all() or not (np.diag(gram) > 0).all():
            raise ValueError(
                f"EASE: X'X + l2 I cannot be inverted in float64 with l2={self.l2!r}: raise l2, or "
                "scale the values of train (train.implicit() makes them 1)"
            )
        gram /= -np.diag(gram)
        np.fill_diagonal(gram, 0.0)
        self.weights_ = gram.astype(np.float32)

    def _scores(
        self, histories: sp.csr_matrix, candidates: IndexArray | None
    ) -> NDArray[np.float32]:
        scores: NDArray[np.float32] = histories @ (
            self.weights_ if candidates is None else self.weights_[:, candidates]
        )
        return scores


def _n_bytes(n_items: int, n_interactions: int, n_threads: int) -> int:
    """Most bytes that `fit` holds at a time besides the interactions that it is given."""
    inverting = 8 * n_items + 8 * BLOCK * (2 + n_threads)  # for each item
    multiplying = 8 * n_items + 20 * _ROWS * n_threads
    return n_items * max(12 * n_items, inverting, multiplying) + 24 * n_interactions
