"""iALS: implicit alternating least squares."""

from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from graphembed._validation import (
    Constraint,
    float_in,
    int_at_least,
    n_jobs_like,
    positive_float,
    random_state_like,
)
from graphembed.recsys._blas import one_blas_thread
from graphembed.recsys._model_files import Layout
from graphembed.recsys.base import IndexArray, VectorRecommender
from graphembed.recsys.baselines._least_squares import solve_rows
from graphembed.recsys.interactions import Interactions


class IALS(VectorRecommender):
    """IALS: a user's and an item's vector by alternating least squares.

    Minimises ``sum over interactions of r (1 - u . v)^2 + w0 sum over all pairs of (u . v)^2
    + reg (sum over users of (n_u + w0 n_items)^nu |u|^2 + likewise over items)`` (Hu et al. 2008
    with the penalty of Rendle et al. 2022, eq. 5), r being the values and n_u their number.

    Parameters
    ----------
    n_components : int, default=64
        Length of a vector.
    reg : float, default=0.003
        Strength of the penalty; the paper's lambda. Tables of some thousand interactions want 0.03
        to 0.1.
    w0 : float, default=0.1
        Weight of all pairs; the paper's alpha_0.
    nu : float, default=1.0
        How the penalty grows with the number of interactions.
    n_epochs : int, default=16
        Times that all vectors are solved for.
    random_state : None, int, numpy.random.Generator or RandomState, default=None
        Seed of the start vectors. The same seed gives the same vectors, bit by bit, for any
        `n_jobs`.
    n_jobs : int, default=-1
        Number of threads; -1 means all cores, None means 1.

    Attributes
    ----------
    train_ : Interactions
        What the model was fitted to.
    user_vectors_, item_vectors_ : ndarray of shape (n, n_components), dtype=float32
        The vectors.

    Notes
    -----
    Time O(n_epochs * (n_interactions * d^2 + (n_users + n_items) * d^3)) with d components; memory
    the two tables, the larger of them in float64 besides, and blocks of 32 MB for each thread. A
    row of n < d interactions takes n * d * (n + d) steps instead of d^3.

    References
    ----------
    Hu, Y., Koren, Y. and Volinsky, C. (2008). Collaborative filtering for implicit feedback
    datasets. ICDM.

    Rendle, S. et al. (2022). Revisiting the performance of iALS on item recommendation benchmarks.
    RecSys.
    """

    _constraints: ClassVar[dict[str, Constraint]] = {
        "n_components": int_at_least(1),
        "reg": positive_float(),
        "w0": positive_float(),
        "nu": float_in(0.0, 2.0),
        "n_epochs": int_at_least(1),
        "random_state": random_state_like(),
        "n_jobs": n_jobs_like(),
    }
    _layout: ClassVar[Layout] = {
        "user_vectors_": ("users", "components"),
        "item_vectors_": ("items", "components"),
    }

    def __init__(
        self,
        n_components: int = 64,
        *,
        reg: float = 0.003,
        w0: float = 0.1,
        nu: float = 1.0,
        n_epochs: int = 16,
        random_state: Any = None,
        n_jobs: int | None = -1,
    ) -> None:
        self.n_components = n_components
        self.reg = reg
        self.w0 = w0
        self.nu = nu
        self.n_epochs = n_epochs
        self.random_state = random_state
        self.n_jobs = n_jobs

    def _fit(self, train: Interactions, *, seed: int, n_threads: int) -> None:
        d = self.n_components
        rng = np.random.default_rng(seed)
        items = rng.normal(0.0, 0.1 / np.sqrt(d), (train.n_items, d)).astype(np.float32)
        by_item = train.matrix.T.tocsr()
        with np.errstate(over="ignore", invalid="ignore"):  # an error below
            for _ in range(self.n_epochs):
                users = self._solve(train.matrix, items, n_threads)
                items = self._solve(by_item, users, n_threads)
        self.user_vectors_, self.item_vectors_ = users, items

    def _queries(self, users: IndexArray) -> NDArray[np.float32]:
        return self.user_vectors_[users]

    def _targets(self) -> NDArray[np.float32]:
        return self.item_vectors_

    def _fold_in(self, histories: sp.csr_matrix) -> NDArray[np.float32]:
        with one_blas_thread():
            return self._solve(histories, self.item_vectors_, 1)

    def _solve(
        self, rows: sp.csr_matrix, others: NDArray[np.float32], n_threads: int
    ) -> NDArray[np.float32]:
        penalty = self.reg * (np.diff(rows.indptr) + self.w0 * len(others)) ** self.nu
        try:
            solved = solve_rows(rows, others, self.w0, penalty, n_threads)
            is_sound = bool(np.isfinite(solved).all())
        except np.linalg.LinAlgError:
            is_sound = False
        if not is_sound:
            raise ValueError(
                f"IALS: the vectors are not finite, with values up to {rows.data.max():g}, "
                f"reg={self.reg!r} and w0={self.w0!r}: scale the values (train.implicit() makes "
                "them 1), or raise reg"
            )
        return solved
