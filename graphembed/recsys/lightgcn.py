"""LightGCN: vectors of users and items, smoothed over the graph of their interactions."""

from typing import Any, ClassVar, Final, Self

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray

from graphembed._validation import (
    Constraint,
    boolean,
    float_in,
    int_at_least,
    n_jobs_like,
    one_of,
    optional,
    positive_float,
    random_state_like,
    verbosity,
)
from graphembed.estimators._gnn import find_device, seeded, session
from graphembed.recsys._fitting import as_validation, run_epochs, validation_score
from graphembed.recsys._lightgcn import Settings, Training
from graphembed.recsys._model_files import Layout
from graphembed.recsys.base import IndexArray, VectorRecommender, unit_rows
from graphembed.recsys.interactions import Interactions

__all__ = ["LightGCN"]

_PAIRS, _USERS = 2048, 1024  # of a step; the former is the paper's
# What None stands for. That of "bpr" is from the paper and the authors' program.
_RECIPES: Final = {
    "bpr": {"cosine": False, "learning_rate": 0.001, "n_epochs": 1000},
    "softmax": {"cosine": True, "learning_rate": 0.05, "n_epochs": 60},
}


class LightGCN(VectorRecommender):
    r"""Vectors of users and items, smoothed over the graph of interactions (He et al. 2020).

    .. math:: E^{(k)} = D^{-1/2} A D^{-1/2} E^{(k-1)}, \qquad
              E = \frac{1}{K + 1} \sum_{k=0}^{K} E^{(k)}

    with :math:`A` the adjacency of users and items and :math:`E^{(0)}` all that is learned. Scores
    are inner products of the rows of :math:`E`, with `cosine` of the rows divided by their lengths.
    Every interaction counts 1, whatever its value.

    Parameters
    ----------
    n_components : int, default=64
        Length of a vector.
    n_layers : int, default=2
        :math:`K`; 0 is matrix factorisation. The paper's is 3; even numbers were better with the
        softmax, on each of two data sets.
    loss : {"softmax", "bpr"}, default="softmax"
        "bpr" is the paper's: an item of the user against one that is not, drawn uniformly.
        "softmax" is the cross-entropy of each interaction among all items, which needs tens of
        epochs instead of hundreds and ranks better (Wu et al. 2022).
    cosine : bool, optional
        Divide vectors by their lengths. By default with "softmax" only.
    temperature : float, default=0.2
        Scores are divided by it in the softmax.
    n_negatives : int, optional
        Of "softmax": how many items are drawn for each step, instead of all, in proportion to
        their interactions and corrected for it; for catalogues whose ``batch_size * n_items``
        scores are too many. "bpr" has one for each interaction.
    user_exponent : float, default=1.0
        Of the softmax over all items: a user's share of the loss is (number of its interactions)
        ** `user_exponent`. 1 is the sum over interactions; less is nearer to what recall@k and
        ndcg@k measure, which count users alike.
    reg : float, optional
        Half the sum of squares of what a step reads of :math:`E^{(0)}` times this, divided by the
        batch size, is added to the loss. By default 0 with cosines, else 1e-4.
    learning_rate : float, optional
        Of Adam. By default 0.001 for "bpr", as in the paper, and 0.05 for "softmax".
    batch_size : int, optional
        Of a step, every one of which smooths the whole graph: interactions, by default 2048; of the
        softmax over all items users, each with all their interactions, by default 1024.
    n_epochs : int, optional
        Epochs, at most. By default 1000 for "bpr" and 60 for "softmax".
    patience : int, default=20
        Epochs without a better ndcg@20 before `fit` with `validation` ends.
    device : str, default="auto"
        "cpu", "cuda" or such; "auto" is CUDA where there is a GPU.
    random_state : None, int, numpy.random.Generator or numpy.random.RandomState, optional
        Seed of the first vectors and of all that is drawn.
    n_jobs : int, default=-1
        Threads of the products with the graph and of the ranking; the rest runs on one. -1 means
        all cores, None means 1.
    verbose : int, default=0
        Show progress.

    Attributes
    ----------
    train_ : Interactions
        What the model was fitted to.
    best_epoch_ : int
        The epoch that the vectors are of. Not kept by `save`, nor is `history_`.
    history_ : dict of str to list
        "epoch", "loss", "seconds" and, with validation, "ndcg@20".

    See Also
    --------
    graphembed.recsys.GFCF : The closed form of such smoothing.

    Notes
    -----
    A step takes O(n_interactions * n_components * n_layers) time, and with all items
    O(batch_size * n_items * n_components) more. Memory: 32 bytes for each interaction ("bpr": 64),
    8 + 2 * n_layers tables of vectors, and 16 bytes for each score that a step looks at.

    On a CPU the result is the same, bit by bit, for any `n_jobs`. A user without interactions gets
    the most popular items; an item without any has its own row of :math:`E^{(0)}`, divided by
    :math:`K + 1`, which is of no use: leave such items out by `items`.

    Users that were not in `fit` are given as `histories`: their vector is the above with
    :math:`E^{(0)} = 0` for them (with ``n_layers=0`` that of one layer).

    References
    ----------
    X. He et al., "LightGCN: Simplifying and Powering Graph Convolution Network for Recommendation",
    SIGIR 2020. J. Wu et al., "On the Effectiveness of Sampled Softmax Loss for Item
    Recommendation", 2022.

    Examples
    --------
    >>> from graphembed.recsys import Interactions, LightGCN
    >>> train = Interactions.from_arrays(["a", "a", "b", "b", "c"], [1, 2, 1, 2, 1])
    >>> model = LightGCN(n_components=8, random_state=0).fit(train)
    >>> ids, scores = model.recommend("c", k=1)
    >>> ids
    array([2])
    """

    _constraints: ClassVar[dict[str, Constraint]] = {
        "n_components": int_at_least(1),
        "n_layers": int_at_least(0),
        "loss": one_of("softmax", "bpr"),
        "cosine": optional(boolean()),
        "temperature": positive_float(),
        "n_negatives": optional(int_at_least(1)),
        "user_exponent": float_in(0, 1),
        "reg": optional(float_in(0, 1e6)),
        "learning_rate": optional(positive_float()),
        "batch_size": optional(int_at_least(1)),
        "n_epochs": optional(int_at_least(1)),
        "patience": int_at_least(1),
        "random_state": random_state_like(),
        "n_jobs": n_jobs_like(),
        "verbose": verbosity(),
    }
    _layout: ClassVar[Layout] = {
        "_user_vectors": ("users", "components"),
        "_item_vectors": ("items", "components"),
        "_folding": ("items", "components"),
    }

    best_epoch_: int
    history_: dict[str, list[float]]
    _user_vectors: NDArray[np.float32]
    _item_vectors: NDArray[np.float32]
    _folding: NDArray[np.float32]

    def __init__(
        self,
        n_components: int = 64,
        *,
        n_layers: int = 2,
        loss: str = "softmax",
        cosine: bool | None = None,
        temperature: float = 0.2,
        n_negatives: int | None = None,
        user_exponent: float = 1.0,
        reg: float | None = None,
        learning_rate: float | None = None,
        batch_size: int | None = None,
        n_epochs: int | None = None,
        patience: int = 20,
        device: str = "auto",
        random_state: Any = None,
        n_jobs: int | None = -1,
        verbose: int = 0,
    ) -> None:
        self.n_components = n_components
        self.n_layers = n_layers
        self.loss = loss
        self.cosine = cosine
        self.temperature = temperature
        self.n_negatives = n_negatives
        self.user_exponent = user_exponent
        self.reg = reg
        self.learning_rate = learning_rate
        self.batch_size = batch_size
        self.n_epochs = n_epochs
        self.patience = patience
        self.device = device
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.verbose = verbose

    def _check(self) -> None:
        super()._check()
        if self.loss == "bpr" and self.n_negatives not in (None, 1):
            raise ValueError(
                "LightGCN: n_negatives is of loss='softmax', 'bpr' has one for each interaction, "
                f"got n_negatives={self.n_negatives!r}"
            )
        if self.user_exponent != 1 and not self._is_over_all_items():
            raise ValueError(
                "LightGCN: user_exponent is of loss='softmax' with n_negatives=None, got "
                f"user_exponent={self.user_exponent!r}"
            )

    def _is_over_all_items(self) -> bool:
        return self.loss == "softmax" and self.n_negatives is None

    def fit(self, train: Any, *, validation: Any = None) -> Self:
        """Learn the vectors.

        Parameters
        ----------
        train : Interactions or scipy sparse matrix of shape (n_users, n_items)
            What users have had to do with which items; a matrix has the ids 0, 1, 2, ...
        validation : Interactions or scipy sparse matrix of the same shape, optional
            Interactions to stop early by: the vectors are those of the epoch with the best ndcg@20.
            Nothing is learned from them. Of the same users and items, in the same order.

        Returns
        -------
        self
            The fitted model. If `fit` fails or is interrupted, an earlier fit stays.

        Raises
        ------
        ValueError
            If a parameter is out of range, `train` has no interactions, `validation` is of other
            users or items, training diverges, or no user has an item to learn against (BPR).
        """
        return self._fit_to(train, validation=validation)

    def _fit(
        self, train: Interactions, *, seed: int, n_threads: int, validation: Any = None
    ) -> None:
        settings, device = self._settings(), find_device(self.device)
        with session(n_threads), seeded(seed, device):
            training = Training(settings, train.matrix, seed, device)
            validate = None
            if validation is not None:
                held_out = as_validation(validation, train)

                def validate() -> float:
                    users, items, _ = training.vectors()
                    return validation_score(users, items, train.matrix, held_out, n_jobs=n_threads)

            fitting = run_epochs(
                [training.table],
                training.epoch,
                n_epochs=settings.n_epochs,
                learning_rate=settings.learning_rate,
                validate=validate,
                patience=self.patience,
                verbose=int(self.verbose),
            )
            self._user_vectors, self._item_vectors, self._folding = training.vectors()
        self.best_epoch_, self.history_ = fitting.best_epoch, fitting.history

    def _settings(self) -> Settings:
        values = {name: getattr(self, name) for name in Settings.__dataclass_fields__}
        for name, value in _RECIPES[self.loss].items():
            values[name] = value if values[name] is None else values[name]
        if values["reg"] is None:
            values["reg"] = 0.0 if values["cosine"] else 1e-4
        if values["batch_size"] is None:
            values["batch_size"] = _USERS if self._is_over_all_items() else _PAIRS
        return Settings(**values)

    def _queries(self, users: IndexArray) -> NDArray[np.float32]:
        return self._user_vectors[users]

    def _targets(self) -> NDArray[np.float32]:
        return self._item_vectors

    def _fold_in(self, histories: sp.csr_matrix) -> NDArray[np.float32]:
        """Rows of E for new users, whose own first row is 0 and whom no item has as a neighbour."""
        counts = np.diff(histories.indptr)
        scale = np.repeat(counts.clip(min=1) ** -0.5, counts).astype(np.float32)
        shares = sp.csr_matrix((scale, histories.indices, histories.indptr), histories.shape)
        vectors: NDArray[np.float32] = shares @ self._folding
        return unit_rows(vectors) if self._settings().cosine else vectors
