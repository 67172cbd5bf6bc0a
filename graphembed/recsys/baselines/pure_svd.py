"""PureSVD: interactions seen through their leading singular vectors."""

from typing import ClassVar

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from graphembed._validation import Constraint, boolean, int_at_least, n_jobs_like
from graphembed.recsys._model_files import Layout
from graphembed.recsys.base import IndexArray, VectorRecommender
from graphembed.recsys.baselines._spectrum import low_pass
from graphembed.recsys.interactions import Interactions


class PureSVD(VectorRecommender):
    """PureSVD: a user's interactions, projected on the leading singular vectors of all.

    With the singular vectors V of the interactions R, the scores are ``r_u V V'`` (Cremonesi et al.
    2010). With ``normalize``, V belongs to ``D_U^-1/2 R D_I^-1/2``, where D are the sums of rows
    and columns, and the scores are ``r_u D_I^-1/2 V V' D_I^1/2``: the ideal low-pass filter of
    Shen et al. 2021, which is better on every dataset we know.

    Parameters
    ----------
    n_components : int, default=64
        Singular vectors; as many as the rank of the interactions, if that is less. Small catalogues
        want few: with as many as there are items, all that a user has not scores 0.
    normalize : bool, default=False
        Divide by the roots of the sums of rows and columns first; then it is not the method of the
        first paper.
    n_jobs : int, default=-1
        Number of threads of the ranking; -1 means all cores, None means 1.

    Attributes
    ----------
    train_ : Interactions
        What the model was fitted to.
    projection_ : ndarray of shape (n_items, n_components), dtype=float32
        A user's vector is the user's row of interactions times this.
    item_vectors_ : ndarray of shape (n_items, n_components), dtype=float32
        The items' vectors.

    Notes
    -----
    Time O(n_interactions * s + m * s ** 2) for the s steps of Lanczos' method, some 3 to 6 for each
    component, where m is the smaller of n_users and n_items; memory the interactions twice in
    float64, and m * s float64.

    References
    ----------
    Cremonesi, P., Koren, Y. and Turrin, R. (2010). Performance of recommender algorithms on top-N
    recommendation tasks. RecSys.

    Shen, Y. et al. (2021). How powerful is graph convolution for recommendation? CIKM.
    """

    _constraints: ClassVar[dict[str, Constraint]] = {
        "n_components": int_at_least(1),
        "normalize": boolean(),
        "n_jobs": n_jobs_like(),
    }
    _layout: ClassVar[Layout] = {
        "projection_": ("items", "components"),
        "item_vectors_": ("items", "components"),
    }

    def __init__(
        self, n_components: int = 64, *, normalize: bool = False, n_jobs: int | None = -1
    ) -> None:
        self.n_components = n_components
        self.normalize = normalize
        self.n_jobs = n_jobs

    def _fit(self, train: Interactions, *, seed: int, n_threads: int) -> None:
        filters = low_pass(train.matrix, self.n_components, normalize=self.normalize)
        self.projection_, self.item_vectors_ = filters

    def _queries(self, users: IndexArray) -> NDArray[np.float32]:
        return self._fold_in(self.train_.matrix[users])

    def _targets(self) -> NDArray[np.float32]:
        return self.item_vectors_

    def _fold_in(self, histories: sp.csr_matrix) -> NDArray[np.float32]:
        vectors: NDArray[np.float32] = histories @ self.projection_
        return vectors
