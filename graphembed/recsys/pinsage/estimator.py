"""The recommender `PinSage`."""

from collections.abc import Sequence
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
from graphembed.recsys._fitting import as_candidates, as_validation, run_epochs, validation_score
from graphembed.recsys._model_files import RecommenderFile
from graphembed.recsys.base import as_interactions
from graphembed.recsys.interactions import Interactions
from graphembed.recsys.pinsage import _features as ft
from graphembed.recsys.pinsage._batches import Batches, BatchSettings, View
from graphembed.recsys.pinsage._inference import layerwise
from graphembed.recsys.pinsage._model import PinSageModel
from graphembed.recsys.pinsage._neighbors import Neighbors, alike, visited
from graphembed.recsys.pinsage._queries import ItemVectorRecommender, last_items
from graphembed.recsys.pinsage._state import Inputs, Items, State
from graphembed.recsys.pinsage._training import Training, make_loss


class PinSage(ItemVectorRecommender):
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

    What neighbours add is to be measured, on validation data, against ``n_layers=0``. For items
    without interactions (citeulike-a, tags and citations, ``neighbor_dropout=1``) two layers found
    what none found: ndcg@20 of 0.378 and 0.379, with 0.343 of ContentKNN by the same features. The
    gain was that of learned features, not of neighbours. For known items, with own vectors and
    ``neighbor_dropout=0``, one layer came to 0.185, none to 0.184, and `GFCF` to 0.168.

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
        All rows are divided by their lengths. Here n and df, in how many items a column is not 0,
        are of all items, also of those without interactions: of their content, not of `train`.
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
    n_jobs : int or None, default=-1
        Threads of walks, sparse products and ranking; the rest runs on one. -1 means all cores,
        None one.
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
    n_components). Memory, beside `train`: 4 bytes for each interaction, 12 with hard negatives; 8
    for each nonzero feature and, of both kinds, each neighbour and rank of `hard_window`; h^0 to
    h^K and z of all items; the parameters four times, among them n_features * n_components of W0;
    batches, with 5 bytes for each pair and negative. While neighbours are found, the graph, with 24
    bytes for each interaction, and 64 MiB.

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
    _state: State

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
        n_jobs: int | None = -1,
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
        if not isinstance(window, Sequence) or len(window) != 2:
            raise ValueError(f"PinSage: hard_window must be a pair of ranks, got {window!r}")
        for k, least in enumerate((0, window[0])):
            name = f"hard_window[{k}]"
            check_params({name: window[k]}, {name: int_at_least(least + k)}, owner="PinSage")

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
            A row or a text for each item, in the order of ``train.item_ids``. Text, of which an
            array or a Series will do, too, becomes counts of hashed words.
        item_edges : Graph or sparse matrix of shape (n_items, n_items), optional
            Links between items, such as citations, whatever their direction and weight; of a graph
            the nodes are ids of items. To whom an item is linked is another feature of it.
        validation : Interactions or scipy sparse matrix of the same shape, optional
            Interactions to stop early by: the parameters are those of the epoch with the best
            ndcg@20. Nothing is learned from them.
        validation_items : list or array of ids, optional
            Rank these items only for validation, such as new ones. Some of them must be in
            `validation`.

        Returns
        -------
        self
            The fitted model. If `fit` fails or is interrupted, an earlier fit stays.

        Raises
        ------
        ValueError
            If a parameter is out of range, data do not fit together, no user has two items to
            learn from, or training diverges.
        KeyError
            If `validation_items` names an item that there is not.
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
        raw, is_sparse = ft.read_features(item_features, train.n_items)
        links = ft.read_links(item_edges, train.item_ids)
        space = ft.FeatureSpace.of(raw, links, float(self.idf_power) if is_sparse else 0.0)
        rows = space.rows(raw, links, train.n_items)
        inputs = self._inputs(rows, plain=not is_sparse and links is None)
        held_out: Any = None if validation is None else as_validation(validation, train)
        candidates = as_candidates(validation_items, train, held_out)
        items = self._find_neighbors(train, space, rows, n_threads)
        device = find_device(self.device)
        with session(n_threads), seeded(seed, device):
            model, own = self._make_model(inputs), None
            if rows is not None and model.basis is not None:
                basis = ft.content_basis(rows, inputs.widths[0], seed)
                model.basis.weight.data.copy_(torch.from_numpy(basis))
            if inputs.widths[1]:
                own = torch.from_numpy(ft.id_table(train.matrix, inputs.widths[1], seed))
            training = Training(
                model,
                own,
                self._batches(items, seed),
                make_loss(self.loss, margin=self.margin, temperature=self.temperature),
                learning_rate=self.learning_rate,
                weight_decay=self.weight_decay,
                device=device,
            )

            def validate() -> float:
                vectors = self._outputs(training, items, device).vectors
                return validation_score(
                    self._means(train.matrix, vectors), vectors, train.matrix, held_out,
                    n_jobs=n_threads, candidates=candidates,
                )  # fmt: skip

            fitting = run_epochs(
                training.parameters,
                training.epoch,
                n_epochs=self.n_epochs,
                learning_rate=self.learning_rate,
                validate=None if held_out is None else validate,
                patience=self.patience,
                verbose=int(self.verbose),
            )
            self._state = self._outputs(training, items, device)
        self.neighbors_ = items.visited
        self.best_epoch_, self.history_ = fitting.best_epoch, fitting.history

    # -- What the model is made of -------------------------------------------------------------

    def _inputs(self, rows: sp.csr_matrix | None, plain: bool) -> Inputs:
        """Widths of what goes in; `plain` features of the paper's model go in as they are."""
        n_features = 0 if rows is None else rows.shape[1]
        has_own = rows is None if self.id_vectors is None else bool(self.id_vectors)
        if rows is None and not has_own:
            raise ValueError(
                "PinSage: without item_features and item_edges there must be id_vectors, got "
                "id_vectors=False"
            )
        if has_own:
            own = self.n_components // 2 if n_features else self.n_components
            return Inputs(n_features, (self.n_components - own, own))
        return Inputs(n_features, (0 if plain and not self.residual else self.n_components, 0))

    def _make_model(self, inputs: Inputs) -> PinSageModel:
        """The network; its parameters are drawn from torch's generator."""
        return PinSageModel(
            inputs.n_features,
            inputs.widths,
            self.hidden,
            self.n_components,
            self.n_layers,
            pooling=self.pooling,
            residual=self.residual,
        )

    def _find_neighbors(
        self,
        train: Interactions,
        space: ft.FeatureSpace,
        rows: sp.csr_matrix | None,
        n_threads: int,
    ) -> Items:
        """Both kinds of neighbourhoods, made once."""
        every = np.arange(train.n_items)
        top = max(self.n_neighbors, self.hard_window[1] if self.hard_negatives else 0)
        found = visited(
            train, every, top=top, n_walks=self.n_walks, beta=self.beta, n_jobs=n_threads
        )
        content = None
        if self.fallback and rows is not None and self.n_layers:
            known = np.flatnonzero(np.bincount(train.matrix.indices, minlength=train.n_items))
            content = alike(rows, rows, known, top=self.n_neighbors, n_jobs=n_threads, own=every)
        return Items(
            train,
            space,
            rows,
            found.ranks(0, self.n_neighbors),
            content,
            found.ranks(*self.hard_window) if self.hard_negatives else None,
        )

    def _batches(self, items: Items, seed: int) -> Batches:
        names = BatchSettings.__dataclass_fields__
        settings = BatchSettings(**{name: getattr(self, name) for name in names})
        return Batches(
            settings, items.train.matrix, items.features, items.visited, items.content,
            items.window, seed,
        )  # fmt: skip

    def _outputs(self, training: Training, items: Items, device: torch.device) -> State:
        """Compute all vectors, and gather what recommending and `transform` need."""
        train, own, map_ = items.train, None, None
        if training.own is not None:
            known = np.bincount(train.matrix.indices, minlength=train.n_items) > 0
            own = ft.unit_rows(training.own.detach().cpu().numpy()) * known[:, np.newaxis]
            map_ = ft.folding(train.matrix, own)
        view = View(items.visited, items.content)
        outputs = layerwise(training.model, items.features, own, view, device=device)
        return State(
            vectors=outputs.z,
            features=items.features,
            weights=items.space.weights,
            own=own,
            folding=map_,
            last=last_items(train) if self.query == "last" else None,
            inner=outputs.inner,
            parameters={
                name: value.detach().cpu().numpy().copy()
                for name, value in training.model.named_parameters()
            },
        )

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
            rows = self._state.space.rows(raw, links, n_new)
            return self._transform(rows, added, n_new, n_threads)

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
    ) -> NDArray[np.float32]:
        state, train, top = self._state, self.train_.matrix, self.n_neighbors
        n = train.shape[1]
        found = Neighbors(np.full((n_new, top), -1, np.int32), np.zeros((n_new, top), np.float32))
        if added is not None and added.nnz:
            found = visited(
                Interactions.from_csr(sp.hstack([train, added], format="csr")),
                np.arange(n, n + n_new),
                top=top,
                n_walks=self.n_walks,
                beta=self.beta,
                n_jobs=n_threads,
            )
        content = own = None
        if x is not None and state.features is not None and self.fallback and self.n_layers:
            known = np.flatnonzero(np.bincount(train.indices, minlength=n))
            content = alike(x, state.features, known, top=top, n_jobs=n_threads)
        if state.own is not None and state.folding is not None:
            own = np.zeros((n_new, state.own.shape[1]), np.float32)
            if added is not None:
                own = ft.folded(train, state.own, added, state.folding)
        device = find_device(self.device)
        plain = "basis.weight" not in state.parameters
        with session(n_threads), torch.random.fork_rng(devices=[]):
            model = self._make_model(self._inputs(state.features, plain))
            model.load_state_dict({k: torch.from_numpy(v) for k, v in state.parameters.items()})
            view = View(found, content, offset=n)
            known_outputs = {"known": state.inner, "device": device}
            return layerwise(model.to(device), x, own, view, **known_outputs).z

    # -- Files -----------------------------------------------------------------------------------

    def _fitted(self) -> dict[str, Any]:
        return self._state.arrays()

    def _set_fitted(self, file: RecommenderFile) -> None:
        state = self._state = State.read(file, self.n_layers)
        plain = "basis.weight" not in state.parameters
        model = self._make_model(self._inputs(state.features, plain))
        wanted = {name: value.shape for name, value in model.named_parameters()}
        if {name: value.shape for name, value in state.parameters.items()} != wanted:
            raise FileFormatError("its parameters are not those of such a model")
