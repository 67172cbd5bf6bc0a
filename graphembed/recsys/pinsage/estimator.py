"""The recommender `PinSage`."""

from typing import Any, ClassVar, Self

import numpy as np
import scipy.sparse as sp
import torch
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from graphembed._validation import (
    Constraint,
    boolean,
    check_params,
    effective_n_threads,
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
from graphembed.exceptions import FileFormatError
from graphembed.recsys._blas import one_blas_thread
from graphembed.recsys._fitting import as_validation, run_epochs, validation_score
from graphembed.recsys._model_files import RecommenderFile, read_fitted
from graphembed.recsys.base import IndexArray, Ranking, VectorRecommender, as_interactions
from graphembed.recsys.interactions import Interactions
from graphembed.recsys.pinsage import _features as ft
from graphembed.recsys.pinsage._batches import Batches, BatchSettings, View
from graphembed.recsys.pinsage._inference import Outputs, layerwise
from graphembed.recsys.pinsage._model import PinSageModel
from graphembed.recsys.pinsage._neighbors import Neighbors, alike, visited
from graphembed.recsys.pinsage._queries import last_items, medoids, merged, shares_of
from graphembed.recsys.pinsage._training import Training, make_loss
from graphembed.recsys.top_k import top_k

_PARAMETER = "model."  # what the names of the model's parameters begin with in a file


class PinSage(VectorRecommender):
    """PinSage: items by their content and their neighbourhood, new ones too (Ying et al. 2018).

    An item's vector is made of its features x and of those of its neighbours, the items that short
    random walks over the interactions visit most:

    ``h^k_i = W [h^(k-1)_i ; sum_j a_ij ReLU(Q h^(k-1)_j + q)] + w``, then ReLU, over its norm;
    ``z_i = G2 ReLU(G1 h^K_i + g)``

    for k = 1 ... `n_layers`, with a_ij the shares of the visits. With `residual` (the default,
    which is not in the paper) ``z_i = h^0_i + G2 ReLU(G1 h^K_i + g)`` over its norm, where h^0 is
    the unit vector of ``W0 x``, W0 begins as the SVD of the features and G2 as zero: training
    starts at the cosine of content, and learns what is to be added. A user is the mean of the
    vectors of his or her items.

    Parameters
    ----------
    n_components : int, default=256
        Length of z.
    n_layers : int, default=2
        K; 0 looks at the item alone.
    hidden : int, default=128
        Width of h^1 to h^K, and of Q h.
    pooling : {"importance", "mean", "max"}, default="importance"
        How neighbours are put together; see `graphembed.nn.PinSageConv`.
    residual : bool, default=True
        As above. False is the paper's head; then h^0 is x if x is an array, else W0 x.
    id_vectors : bool, optional
        Give items with interactions a learned vector of their own, which begins as the SVD of the
        interactions; it is half of h^0 if there are features. By default only without features.
    fallback : bool, default=True
        Items without interactions have those with the most similar features as neighbours; False
        leaves them without any.
    n_neighbors : int, default=20
        T: neighbours of an item.
    n_walks : int, optional
        Walks that visits are counted of; None: the exact expectation for up to 100,000 items, else
        1000.
    beta : float, default=0
        Correction of visits for popularity; see `graphembed.samplers.importance_neighbors`.
    idf_power : float, default=1.0
        Text and the columns of a sparse matrix are multiplied by
        ``(log((1 + n) / (1 + df)) + 1) ** idf_power``; 0 leaves them. Arrays are taken as they are.
        All rows are divided by their lengths.
    pairs : {"users", "items"}, default="users"
        What is learned: to find an item from the others of a user, or from one of them.
    loss : {"softmax", "max_margin", "bpr"}, default="softmax"
        "max_margin" is the paper's.
    margin : float, default=0.1
        Of "max_margin".
    temperature : float, default=0.08
        Of "softmax": scores are divided by it.
    holdout : float, default=0.2
        Share of the items that are to be found in a batch, and not seen.
    neighbor_dropout : float, default=0.5
        Share of those that are treated as new: no neighbours by interactions, no own vector. 0 is
        for known items alone, 1 for new ones alone.
    n_negatives : int, default=2000
        Held-out items that all pairs of a batch share as negatives.
    hard_negatives : int, default=0
        At most so many negatives of each pair are items near the query: none in the first epoch,
        and one more in each.
    hard_window : (int, int), default=(100, 400)
        Ranks, by visits, that hard negatives are drawn from: the second is not among them.
    popularity_power : float, default=0.0
        Pairs are drawn in proportion to the number of the item's interactions, to the power of 1
        less this, and so is the item of a query that is one.
    max_history : int, default=50
        Items of a user that a query is made of in training.
    learning_rate : float, default=0.001
        Of Adam.
    weight_decay : float, default=0.0
        Of AdamW.
    batch_size : int, default=2048
        Pairs of a batch.
    n_epochs : int, default=3
        Each draws as many pairs as there are interactions.
    patience : int, default=3
        Epochs without a better ndcg@20 before `fit` with `validation` ends.
    query : {"mean", "last", "medoids"}, default="mean"
        What recommends to a user: the mean of all items, the last one (which needs times), or
        `n_medoids` items that stand for the others, an item counting as the best of them says.
    n_medoids : int, default=3
        Of "medoids".
    device : str, default="auto"
        "cpu", "cuda" or such; "auto" is CUDA where there is a GPU.
    random_state : None, int, numpy.random.Generator or numpy.random.RandomState, optional
        Seed of all that is drawn but the walks, which are always the same.
    n_jobs : int, optional
        Threads of walks, sparse products and ranking; the rest runs on one. None: 1.
    verbose : int, default=0
        Show progress.

    Attributes
    ----------
    train_ : Interactions
        What the model was fitted to.
    neighbors_ : Neighbors
        The neighbourhoods by visits, made once: `index` and `weight` of shape (n_items,
        n_neighbors). Not kept by `save`, nor are `best_epoch_` and `history_`.
    best_epoch_ : int
        The epoch that the parameters are of.
    history_ : dict of str to list
        "epoch", "loss", "seconds" and, with validation, "ndcg@20".

    See Also
    --------
    graphembed.nn.PinSageConv : The layer.
    graphembed.recsys.ContentKNN : What new items are measured by.

    Notes
    -----
    Training never shows the edge that is to be found: items that are held out and the others are
    not each other's neighbours by interactions, in either direction and in any layer. (Own vectors,
    which are learned from all interactions, are hidden for the items treated as new only.)

    All items are computed layer by layer at the end, each once per layer. Time of a batch:
    O(items read * (n_components * hidden + n_neighbors * hidden) + batch_size * n_negatives *
    n_components). Memory: 8 bytes for each interaction, feature and neighbour, the parameters four
    times, among them n_features * n_components of W0.

    On a CPU the result is the same, bit by bit, for any `n_jobs`. Values of interactions do not
    count, only that they are there.

    References
    ----------
    R. Ying et al., "Graph Convolutional Neural Networks for Web-Scale Recommender Systems", KDD
    2018.

    Examples
    --------
    >>> from graphembed.recsys import PinSage, make_interactions
    >>> data = make_interactions(n_users=50, n_items=40, random_state=0)
    >>> model = PinSage(16, hidden=8, n_epochs=1, batch_size=256, random_state=0)
    >>> model = model.fit(data.interactions, data.item_tags)
    >>> model.transform(data.item_tags[:2]).shape
    (2, 16)
    """

    _constraints: ClassVar[dict[str, Constraint]] = {
        "n_components": int_at_least(2),
        "n_layers": int_at_least(0),
        "hidden": int_at_least(1),
        "pooling": one_of("importance", "mean", "max"),
        "residual": boolean(),
        "id_vectors": optional(boolean()),
        "fallback": boolean(),
        "n_neighbors": int_at_least(1),
        "n_walks": optional(int_at_least(1)),
        "beta": float_in(0, 4),
        "idf_power": float_in(0, 10),
        "pairs": one_of("users", "items"),
        "loss": one_of("softmax", "max_margin", "bpr"),
        "margin": float_in(0, 1e6),
        "temperature": positive_float(),
        "holdout": float_in(0, 1, "neither"),
        "neighbor_dropout": float_in(0, 1),
        "n_negatives": int_at_least(1),
        "hard_negatives": int_at_least(0),
        "popularity_power": float_in(0, 4),
        "max_history": int_at_least(1),
        "learning_rate": positive_float(),
        "weight_decay": float_in(0, 1e6),
        "batch_size": int_at_least(1),
        "n_epochs": int_at_least(1),
        "patience": int_at_least(1),
        "query": one_of("mean", "last", "medoids"),
        "n_medoids": int_at_least(1),
        "random_state": random_state_like(),
        "n_jobs": n_jobs_like(),
        "verbose": verbosity(),
    }

    best_epoch_: int
    history_: dict[str, list[float]]
    neighbors_: Neighbors
    _features: sp.csr_matrix | None
    _own: NDArray[np.float32] | None
    _folding: NDArray[np.float32] | None
    _last: sp.csr_matrix | None
    _inner: list[NDArray[np.float32]]
    _item_vectors: NDArray[np.float32]
    _model: dict[str, NDArray[np.float32]]

    def __init__(
        self,
        n_components: int = 256,
        *,
        n_layers: int = 2,
        hidden: int = 128,
        pooling: str = "importance",
        residual: bool = True,
        id_vectors: bool | None = None,
        fallback: bool = True,
        n_neighbors: int = 20,
        n_walks: int | None = None,
        beta: float = 0.0,
        idf_power: float = 1.0,
        pairs: str = "users",
        loss: str = "softmax",
        margin: float = 0.1,
        temperature: float = 0.08,
        holdout: float = 0.2,
        neighbor_dropout: float = 0.5,
        n_negatives: int = 2000,
        hard_negatives: int = 0,
        hard_window: tuple[int, int] = (100, 400),
        popularity_power: float = 0.0,
        max_history: int = 50,
        learning_rate: float = 0.001,
        weight_decay: float = 0.0,
        batch_size: int = 2048,
        n_epochs: int = 3,
        patience: int = 3,
        query: str = "mean",
        n_medoids: int = 3,
        device: str = "auto",
        random_state: Any = None,
        n_jobs: int | None = None,
        verbose: int = 0,
    ) -> None:
        self.n_components = n_components
        self.n_layers = n_layers
        self.hidden = hidden
        self.pooling = pooling
        self.residual = residual
        self.id_vectors = id_vectors
        self.fallback = fallback
        self.n_neighbors = n_neighbors
        self.n_walks = n_walks
        self.beta = beta
        self.idf_power = idf_power
        self.pairs = pairs
        self.loss = loss
        self.margin = margin
        self.temperature = temperature
        self.holdout = holdout
        self.neighbor_dropout = neighbor_dropout
        self.n_negatives = n_negatives
        self.hard_negatives = hard_negatives
        self.hard_window = hard_window
        self.popularity_power = popularity_power
        self.max_history = max_history
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.batch_size = batch_size
        self.n_epochs = n_epochs
        self.patience = patience
        self.query = query
        self.n_medoids = n_medoids
        self.device = device
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.verbose = verbose

    def _check(self) -> None:
        super()._check()
        find_device(self.device)
        window = self.hard_window
        ranks = {"hard_window[0]": window[0], "hard_window[1]": window[1]}
        wish = {"hard_window[0]": int_at_least(0), "hard_window[1]": int_at_least(window[0] + 1)}
        check_params(ranks, wish, owner="PinSage")

    def fit(
        self,
        train: Any,
        item_features: Any = None,
        *,
        item_edges: Any = None,
        validation: Any = None,
        validation_items: Any = None,
    ) -> Self:
        """Learn the network, and compute the vectors of all items.

        Parameters
        ----------
        train : Interactions or scipy sparse matrix of shape (n_users, n_items)
            What users have had to do with which items. Items without interactions are new ones.
        item_features : array or sparse matrix of shape (n_items, n_features), or list of str
            A row or a text for each item, in the order of ``train.item_ids``. Text becomes counts
            of hashed words.
        item_edges : Graph or sparse matrix of shape (n_items, n_items), optional
            Links between items, such as citations, whatever their direction and weight; of a graph
            the nodes are ids of items. To whom an item is linked is another feature of it.
        validation : Interactions or scipy sparse matrix of the same shape, optional
            Interactions to stop early by: the parameters are those of the epoch with the best
            ndcg@20. Nothing is learned from them.
        validation_items : list or array of ids, optional
            Rank these items only for validation, such as new ones.

        Returns
        -------
        self
            The fitted model. If `fit` fails or is interrupted, an earlier fit stays.

        Raises
        ------
        ValueError
            If a parameter is out of range, data do not fit together, or training diverges.
        """
        return self._fit_to(
            train,
            item_features=item_features,
            item_edges=item_edges,
            validation=validation,
            validation_items=validation_items,
        )

    def _fit(
        self,
        train: Interactions,
        *,
        seed: int,
        n_threads: int,
        item_features: Any = None,
        item_edges: Any = None,
        validation: Any = None,
        validation_items: Any = None,
    ) -> None:
        n = train.n_items
        raw, is_sparse = ft.read_features(item_features, n)
        links = ft.read_links(item_edges, train.item_ids)
        self._space = ft.FeatureSpace.of(raw, links, float(self.idf_power) if is_sparse else 0.0)
        self._features = self._space.rows(raw, links)
        self._plain = not is_sparse and links is None
        held_out = None if validation is None else as_validation(validation, train)
        candidates = None
        if validation_items is not None:
            candidates = np.unique(train.item_index(validation_items))
        self._find_neighbors(train, n_threads)
        self._last = last_items(train) if self.query == "last" else None
        device = find_device(self.device)
        with session(n_threads), seeded(seed, device):
            model = self._make_model()
            own = None
            if model.basis is not None and self._features is not None:
                basis = ft.content_basis(self._features, model.basis.weight.shape[0], seed)
                model.basis.weight.data.copy_(torch.from_numpy(basis))
            if self._has_own:
                own = torch.from_numpy(ft.id_table(train.matrix, self._widths()[1], seed))
            training = Training(
                model,
                own,
                self._batches(train, seed),
                make_loss(self.loss, margin=self.margin, temperature=self.temperature),
                learning_rate=self.learning_rate,
                weight_decay=self.weight_decay,
                device=device,
            )

            def validate(held_out: Any = held_out) -> float:
                self._keep(training, train, device)
                users, items = self._mean_queries(train.matrix), self._item_vectors
                return validation_score(
                    users, items, train.matrix, held_out, n_jobs=n_threads, candidates=candidates
                )

            fitting = run_epochs(
                training.parameters,
                training.epoch,
                n_epochs=self.n_epochs,
                learning_rate=self.learning_rate,
                validate=None if held_out is None else validate,
                patience=self.patience,
                verbose=int(self.verbose),
            )
            self._keep(training, train, device)
        self.best_epoch_, self.history_ = fitting.best_epoch, fitting.history

    # -- What the model is made of -------------------------------------------------------------

    @property
    def _has_own(self) -> bool:
        return self._features is None if self.id_vectors is None else bool(self.id_vectors)

    def _widths(self) -> tuple[int, int]:
        """Of W0 x and of own vectors."""
        has_features = self._features is not None
        if not has_features and not self._has_own:
            raise ValueError(
                "PinSage: without item_features and item_edges there must be id_vectors, got "
                "id_vectors=False"
            )
        if self._has_own:
            own = self.n_components // 2 if has_features else self.n_components
            return self.n_components - own, own
        if not self.residual and self._plain:
            return 0, 0
        return self.n_components, 0

    def _make_model(self) -> PinSageModel:
        """The network; its parameters are drawn from torch's generator."""
        return PinSageModel(
            0 if self._features is None else self._features.shape[1],
            self._widths(),
            self.hidden,
            self.n_components,
            self.n_layers,
            pooling=self.pooling,
            residual=self.residual,
        )

    def _find_neighbors(self, train: Interactions, n_threads: int) -> None:
        """Both kinds of neighbourhoods, made once."""
        known = np.flatnonzero(np.bincount(train.matrix.indices, minlength=train.n_items))
        top = max(self.n_neighbors, self.hard_window[1] if self.hard_negatives else 0)
        found = visited(
            train, np.arange(train.n_items), top=top, n_walks=self.n_walks, beta=self.beta,
            n_jobs=n_threads,
        )  # fmt: skip
        self.neighbors_ = found.ranks(0, self.n_neighbors)
        self._window = found.ranks(*self.hard_window) if self.hard_negatives else None
        self._content = None
        if self.fallback and self._features is not None and self.n_layers:
            self._content = alike(
                self._features, self._features, known, top=self.n_neighbors, n_jobs=n_threads,
                own=np.arange(train.n_items),
            )  # fmt: skip

    def _batches(self, train: Interactions, seed: int) -> Batches:
        names = BatchSettings.__dataclass_fields__
        settings = BatchSettings(**{name: getattr(self, name) for name in names})
        return Batches(
            settings, train.matrix, self._features, self.neighbors_, self._content, self._window,
            seed,
        )  # fmt: skip

    def _keep(self, training: Training, train: Interactions, device: torch.device) -> None:
        """Compute all vectors, and keep what recommending and `transform` need."""
        self._own = self._folding = None
        if training.own is not None:
            known = np.bincount(train.matrix.indices, minlength=train.n_items) > 0
            own = training.own.detach().cpu().numpy()
            self._own = np.where(known[:, np.newaxis], ft.unit_rows(own), 0).astype(np.float32)
            self._folding = ft.folding(train.matrix, self._own)
        view = View(self.neighbors_, self._content)
        outputs = layerwise(training.model, self._features, self._own, view, device=device)
        self._inner, self._item_vectors = outputs.inner, outputs.z
        self._model = {
            name: value.detach().cpu().numpy().copy()
            for name, value in training.model.named_parameters()
        }

    # -- New items -----------------------------------------------------------------------------

    def transform(
        self, item_features: Any = None, interactions: Any = None, *, item_edges: Any = None
    ) -> NDArray[np.float32]:
        """Vectors of new items; the model and the vectors of the other items stay as they are.

        Parameters
        ----------
        item_features : array, sparse matrix or list of str, optional
            A row or a text for each new item, as in `fit`.
        interactions : Interactions or sparse matrix of shape (n_users, n_new), optional
            Of the users of `fit`, in its order, with the new items. They decide upon the new items'
            neighbours.
        item_edges : sparse matrix of shape (n_new, n_items), optional
            Links from new items to items of `fit`, if it had any.

        Returns
        -------
        ndarray of shape (n_new, n_components), dtype=float32
            Their vectors; the same for the same arguments. Scores are inner products with
            `user_vectors`.

        Raises
        ------
        ValueError
            If features, interactions and links are not of the same number of items, or not what
            `fit` had.
        """
        check_is_fitted(self, "train_")
        n_threads = effective_n_threads(self.n_jobs)
        added = None if interactions is None else self._added(interactions)
        n_new = None if added is None else added.shape[1]
        raw, _ = ft.read_features(item_features, n_new)
        n_new = n_new if raw is None else raw.shape[0]
        links = ft.read_new_links(item_edges, n_new, self.train_.n_items)
        n_new = n_new if links is None else links.shape[0]
        if n_new is None:
            raise ValueError("transform needs item_features, interactions or item_edges, got none")
        with one_blas_thread():
            return self._transform(self._space.rows(raw, links), added, n_new, n_threads).z

    def _added(self, interactions: Any) -> sp.csr_matrix:
        new = as_interactions(interactions, "interactions")
        if new.n_users != self.train_.n_users or (
            isinstance(interactions, Interactions)
            and not np.array_equal(new.user_ids, self.train_.user_ids)
        ):
            raise ValueError(
                f"interactions must have the {self.train_.n_users} users of fit, in the same order"
            )
        return new.matrix

    def _transform(
        self, x: sp.csr_matrix | None, added: sp.csr_matrix | None, n_new: int, n_threads: int
    ) -> Outputs:
        n, top = self.train_.n_items, self.n_neighbors
        found = Neighbors(np.full((n_new, top), -1, np.int32), np.zeros((n_new, top), np.float32))
        if added is not None and added.nnz:
            both = Interactions.from_csr(sp.hstack([self.train_.matrix, added], format="csr"))
            found = visited(
                both, np.arange(n, n + n_new), top=top, n_walks=self.n_walks, beta=self.beta,
                n_jobs=n_threads,
            )  # fmt: skip
        content = None
        if x is not None and self._features is not None and self.fallback and self.n_layers:
            known = np.flatnonzero(np.bincount(self.train_.matrix.indices, minlength=n))
            content = alike(x, self._features, known, top=top, n_jobs=n_threads)
        own = None
        if self._own is not None:
            own = np.zeros((n_new, self._own.shape[1]), np.float32)
            if added is not None and self._folding is not None:
                own = ft.folded(self.train_.matrix, self._own, added, self._folding)
        device = find_device(self.device)
        with session(n_threads):
            return layerwise(
                self._restored(device), x, own, View(found, content, offset=n),
                known=self._inner, device=device,
            )  # fmt: skip

    def _restored(self, device: torch.device) -> PinSageModel:
        with torch.random.fork_rng(devices=[]):
            model = self._make_model()
        model.load_state_dict({k: torch.from_numpy(v) for k, v in self._model.items()})
        moved: PinSageModel = model.to(device)
        return moved

    # -- Users -----------------------------------------------------------------------------------

    def _targets(self) -> NDArray[np.float32]:
        return self._item_vectors

    def _mean_queries(self, histories: sp.csr_matrix) -> NDArray[np.float32]:
        means = np.asarray(shares_of(histories) @ self._item_vectors, np.float32)
        return ft.unit_rows(means) if self.residual else means

    def _queries(self, users: IndexArray) -> NDArray[np.float32]:
        if self._last is not None:
            return self._mean_queries(self._last[users])
        if self.query == "medoids":
            raise AttributeError(
                "PinSage(query='medoids') has several vectors for a user: use recommend, or "
                "query='mean'"
            )
        return self._mean_queries(self.train_.matrix[users])

    def _fold_in(self, histories: sp.csr_matrix) -> NDArray[np.float32]:
        if self.query == "last":
            raise NotImplementedError(
                "PinSage(query='last') needs times, which histories have not: give the last item "
                "of each user alone as histories to a model with query='mean'"
            )
        return self._mean_queries(histories)

    def _rank(
        self,
        users: IndexArray | None,
        histories: sp.csr_matrix,
        k: int,
        exclude: sp.csr_matrix | None,
        candidates: IndexArray | None,
    ) -> Ranking:
        if self.query != "medoids":
            return super()._rank(users, histories, k, exclude, candidates)
        owner, items = medoids(histories, self._item_vectors, self.n_medoids)
        found = top_k(
            self._item_vectors[items], self._item_vectors, k,
            exclude=None if exclude is None else exclude[owner], candidates=candidates,
            n_jobs=self.n_jobs,
        )  # fmt: skip
        return merged(owner, *found, n=histories.shape[0])

    def _all_scores(self, users: IndexArray) -> NDArray[np.float32]:
        if self.query != "medoids":
            return super()._all_scores(users)
        owner, items = medoids(self.train_.matrix[users], self._item_vectors, self.n_medoids)
        with one_blas_thread():
            scores = self._item_vectors[items] @ self._item_vectors.T
        result = np.zeros((len(users), self.train_.n_items), np.float32)
        starts = np.flatnonzero(np.diff(owner, prepend=-1))
        if len(starts):
            result[owner[starts]] = np.maximum.reduceat(scores, starts, axis=0)
        return result

    # -- Files -----------------------------------------------------------------------------------

    def _fitted(self) -> dict[str, Any]:
        held = {
            "_item_vectors": self._item_vectors,
            "_features": self._features,
            "_weights": self._space.weights,
            "_own": self._own,
            "_folding": self._folding,
            "_last": self._last,
        }
        held |= {f"_inner.{k}": h for k, h in enumerate(self._inner)}
        held |= {_PARAMETER + name: value for name, value in self._model.items()}
        return {name: value for name, value in held.items() if value is not None}

    def _set_fitted(self, file: RecommenderFile) -> None:
        names = ["_features", "_weights", "_own", "_folding", "_last"]
        inner = [f"_inner.{k}" for k in range(self.n_layers)]
        sizes = {"_features": ("items", "f"), "_weights": ("one", "raw"), "_own": ("items", "o")}
        sizes["_folding"] = ("o", "o")
        layout = {"_item_vectors": ("items", "d"), "_last": ("users", "items"), **sizes}
        layout |= {name: ("items", name) for name in inner}
        present = {"_item_vectors", *inner}
        present |= {name for name in names if {name, f"{name}.shape"} & set(file.arrays)}
        fitted = read_fitted(file, {name: layout[name] for name in layout if name in present})
        self.__dict__.update({name: fitted.get(name) for name in (*names, "_item_vectors")})
        self._inner = [fitted[name] for name in inner]
        n_known = 0 if self._weights is None else self._weights.nnz
        n_columns = 0 if self._features is None else self._features.shape[1]
        if n_columns - n_known not in (0, file.train.n_items):
            raise FileFormatError("its features do not fit their weights")
        self._space = ft.FeatureSpace(self._weights, n_columns - n_known)
        start = len(_PARAMETER)
        self._model = {k[start:]: v for k, v in file.arrays.items() if k.startswith(_PARAMETER)}
        self._plain = "basis.weight" not in self._model
        wanted = {name: value.shape for name, value in self._make_model().named_parameters()}
        if {name: value.shape for name, value in self._model.items()} != wanted:
            raise FileFormatError("its parameters are not those of such a model")
