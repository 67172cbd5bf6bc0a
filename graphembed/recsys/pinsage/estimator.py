"""The recommender `PinSage`."""

from typing import Any, Self

import numpy as np
import scipy.sparse as sp
from numpy.typing import NDArray
from sklearn.utils.validation import check_is_fitted

from graphembed._validation import effective_n_threads
from graphembed.exceptions import FileFormatError
from graphembed.recsys._blas import one_blas_thread
from graphembed.recsys._model_files import RecommenderFile
from graphembed.recsys.base import as_interactions
from graphembed.recsys.interactions import Interactions
from graphembed.recsys.pinsage import _features as ft
from graphembed.recsys.pinsage._fit import fit
from graphembed.recsys.pinsage._neighbors import Neighbors
from graphembed.recsys.pinsage._new_items import empty_model, new_vectors
from graphembed.recsys.pinsage._queries import ItemVectorRecommender
from graphembed.recsys.pinsage._settings import Settings
from graphembed.recsys.pinsage._state import State


class PinSage(Settings, ItemVectorRecommender):
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
    without interactions (citeulike-a, tags and citations) two layers, with `neighbor_dropout` 0.5
    or 1, came to an ndcg@20 of 0.378, none to 0.379, and `ContentKNN` of the same features to
    0.343: the gain was that of learned features, not of neighbours. For known items, with own
    vectors and ``neighbor_dropout=0``, one layer came to 0.185, none to 0.184, `GFCF` to 0.168.

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

    best_epoch_: int
    history_: dict[str, list[float]]
    neighbors_: Neighbors
    _state: State

    def _check(self) -> None:
        super()._check()
        self._check_together()

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

    def _fit(self, train: Interactions, *, seed: int, n_threads: int, **data: Any) -> None:
        fitted = fit(self, train, seed=seed, n_threads=n_threads, **data)
        self._state, self.neighbors_ = fitted.state, fitted.neighbors
        self.best_epoch_, self.history_ = fitted.fitting.best_epoch, fitted.fitting.history

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
            train = self.train_.matrix
            return new_vectors(self, self._state, train, rows, added, n_new, n_threads)

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

    # -- Files -----------------------------------------------------------------------------------

    def _fitted(self) -> dict[str, Any]:
        return self._state.arrays()

    def _set_fitted(self, file: RecommenderFile) -> None:
        state = self._state = State.read(file, self.n_layers)
        wanted = {k: v.shape for k, v in empty_model(self, state).named_parameters()}
        if {name: value.shape for name, value in state.parameters.items()} != wanted:
            raise FileFormatError("its parameters are not those of such a model")
