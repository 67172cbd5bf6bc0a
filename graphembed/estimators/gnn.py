"""`NodeClassifier`: classes of nodes by a graph neural network."""

from collections.abc import Callable, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted

from graphembed._storage import StrPath
from graphembed._validation import draw_seed, effective_n_threads, import_optional
from graphembed.estimators._node_data import (
    check_labelled,
    check_order,
    read_features,
    read_labels,
    read_mask,
    read_split,
)
from graphembed.estimators._settings import ARCHITECTURE, check, resolve
from graphembed.graph import Graph

if TYPE_CHECKING:
    from graphembed.estimators._gnn import Data


class NodeClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # scikit-learn is not annotated
    """Classify the nodes of a graph by their features and their neighbours'.

    A model of `graphembed.nn.models` is trained on the mean cross-entropy of the training nodes.
    What is None among the parameters is as in the model's recipe:

    ========================  =========  =========  ===========  =========
    parameter                 "gcn"      "cheb"     "gat"        "sage"
    ========================  =========  =========  ===========  =========
    `hidden`                  16         16         64           64
    `heads`, `K`              -          K=3        heads=8      -
    `activation`              relu       relu       elu          relu
    `dropout`                 0.5        0.5        0.6          0.5
    `lr`                      0.01       0.01       0.005        0.01
    `weight_decay`            5e-4       5e-4       5e-4         5e-4
    `decay`                   first      first      all          all
    `epochs`                  200        200        200 or 1000  200
    `early_stopping`          no         no         "both"       no
    ========================  =========  =========  ===========  =========

    "gcn" is that of Kipf & Welling (2017, section 5.2) and their program, where the L2 penalty is
    on the first layer alone; "cheb" is their Chebyshev model of order 2. Both always train 200
    epochs, where the program may stop after 10 without a lower validation loss, and have biases.
    "gat" is that of Velickovic et al. (2018, section 3.3) for Cora and CiteSeer, and their program:
    patience of 100 epochs on loss and accuracy of the validation nodes, but at most 1000 epochs
    (there 100,000), and 200 where there are no such nodes. For PubMed they have 8 output heads,
    which `graphembed.nn.models.GAT` can, a penalty of 1e-3 and a rate of 0.01.
    Hamilton et al. (2017) have mean aggregation and ReLU, and no citation graphs; the rest of
    "sage" is as "gcn" has it, but for the width and the penalty on all parameters, which are ours.

    Parameters
    ----------
    model : {"gcn", "cheb", "gat", "sage"}, default="gcn"
        `GCN`, `ChebNet`, `GAT`, or `GraphSAGE` with mean aggregation.
    hidden : int, optional
        Width of the hidden layers; of "gat" all heads together. As `heads`, `activation` and `norm`
        not for ``n_layers=1``.
    n_layers : int, default=2
        Number of layers, at least 1.
    dropout : float, optional
        Part of the inputs of every layer that is set to zero in training; of "gat" also of the
        attention and of what it sums, as in the authors' program. In [0, 1).
    activation : {"relu", "elu", "leaky_relu", "tanh"}, optional
        Between the layers.
    residual : bool, default=False
        Add the input of every layer to its output.
    norm : {"batch", "layer"}, optional
        Normalisation behind every layer but the last; by default none.
    heads : int, optional
        Attention heads of the hidden layers of "gat".
    K : int, optional
        Polynomials of "cheb".
    optimizer : {"adam", "adamw", "sgd", "kfac", "ngd", "thor"}, default="adam"
        "sgd" has momentum 0.9. The last three are `graphembed.optim.KFACSGD`, `NGD` and `THOR`,
        which need far fewer epochs, each of which costs more; they train on one thread.
    lr : float, optional
        Step size.
    weight_decay : float, optional
        Of "adam" and "sgd" the L2 penalty ``weight_decay / 2 * (sum of squared parameters)``.
    decay : {"first", "all"}, optional
        Whether the penalty is on the parameters of the first layer or on all.
    epochs : int, optional
        Passes over the training nodes, at most.
    early_stopping : {"loss", "accuracy", "both"} or False, optional
        End after `patience` epochs that are not better on the validation nodes, and keep the
        parameters of the best epoch: that of the lowest loss, of the highest accuracy (then the
        lowest loss), or one that is no worse than any before in both. False: the last epoch's.
    patience : int, default=100
        See `early_stopping`, without which it has no effect; as many as `epochs` or more means:
        train on, but keep the best.
    batch_size : int, optional
        Train on batches of so many nodes with sampled neighbours, for graphs that are too large
        for one pass; by default on all training nodes at once. Not for "cheb". "gcn" then has the
        degrees of the nodes in the sampled subgraph, so the result depends on `fanouts` more than
        that of "sage" and "gat"; outputs are computed with all neighbours.
    fanouts : sequence of int, optional
        With `batch_size`: neighbours drawn for a node, for each layer, from the last one backwards;
        default: 15, then 10 for the others.
    device : str or torch.device, default="auto"
        "cpu", "cuda", "cuda:1"; "auto" is CUDA where there is any.
    random_state : None, int, numpy.random.Generator or RandomState, default=None
        Seed. On the CPU the same seed gives the same result, bit by bit, for any `n_jobs`.
    n_jobs : int, default=-1
        Number of threads; -1 means all cores, None means 1.
    verbose : int, default=0
        1 shows a progress bar.
    callbacks : sequence of callable, optional
        Called after every epoch with the torch model and a dict, the epoch's row of `history_`;
        one that returns True ends the training.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
        The classes that `y` has, sorted.
    history_ : dict of str to list
        For each epoch: "epoch" (from 1), "seconds" (of training, without validation),
        "train_loss" (with dropout) and, with validation nodes, "val_loss" and "val_accuracy".
    best_epoch_ : int
        The epoch that the parameters are of; the last one without early stopping.
    model_ : torch.nn.Module
        The trained model.
    n_features_in_ : int
        Number of features.
    node_ids_ : ndarray of shape (n_nodes,)
        Ids of the nodes of `fit`, in the order of all results; not there after `load`.

    See Also
    --------
    graphembed.nn.models : The models, to be trained in a loop of your own.

    Notes
    -----
    Without `batch_size` only those rows are computed that the loss depends on, and an epoch takes
    O(entries of X * hidden + n_edges * hidden) at most. Memory: the graph; the features, those rows
    that training nodes depend on a second time and those for validation nodes a third; and for each
    layer a matrix of n_nodes rows with its gradient. Graph and features of `fit` are kept for
    `predict`. Features of which less than a fifth is not zero are kept and multiplied as a sparse
    matrix, and numbers are float32. Products with sparse matrices and sums over edges run on all
    threads, products of dense matrices on one: torch's bits depend on the number of threads. Edge
    weights multiply messages; "gat" has no use for them and asks for ``weight=None``. Torch's
    generators and number of threads are left as they were.

    References
    ----------
    Kipf, T. & Welling, M. (2017). Semi-supervised classification with graph convolutional networks.
    Velickovic, P. et al. (2018). Graph attention networks.
    Hamilton, W. et al. (2017). Inductive representation learning on large graphs.
    Defferrard, M. et al. (2016). Convolutional neural networks on graphs with fast localized
    spectral filtering.

    Examples
    --------
    >>> from graphembed import NodeClassifier
    >>> edges = [(0, 1), (1, 2), (2, 0), (2, 3), (3, 4), (4, 5), (5, 3)]
    >>> X = [[1, 0], [1, 0], [1, 1], [1, 1], [0, 1], [0, 1]]
    >>> y = ["left", None, None, None, None, "right"]
    >>> model = NodeClassifier("gcn", dropout=0, random_state=0).fit(edges, X, y)
    >>> model.predict().tolist()
    ['left', 'left', 'left', 'right', 'right', 'right']
    """

    classes_: NDArray[Any]
    history_: dict[str, list[float]]
    best_epoch_: int
    model_: Any
    n_features_in_: int
    node_ids_: NDArray[Any]

    def __init__(
        self,
        model: str = "gcn",
        *,
        hidden: int | None = None,
        n_layers: int = 2,
        dropout: float | None = None,
        activation: str | None = None,
        residual: bool = False,
        norm: str | None = None,
        heads: int | None = None,
        K: int | None = None,
        optimizer: str = "adam",
        lr: float | None = None,
        weight_decay: float | None = None,
        decay: str | None = None,
        epochs: int | None = None,
        early_stopping: Any = None,
        patience: int = 100,
        batch_size: int | None = None,
        fanouts: Sequence[int] | None = None,
        device: str = "auto",
        random_state: Any = None,
        n_jobs: int | None = -1,
        verbose: int = 0,
        callbacks: Iterable[Callable[..., Any]] | None = None,
    ) -> None:
        self.model = model
        self.hidden = hidden
        self.n_layers = n_layers
        self.dropout = dropout
        self.activation = activation
        self.residual = residual
        self.norm = norm
        self.heads = heads
        self.K = K
        self.optimizer = optimizer
        self.lr = lr
        self.weight_decay = weight_decay
        self.decay = decay
        self.epochs = epochs
        self.early_stopping = early_stopping
        self.patience = patience
        self.batch_size = batch_size
        self.fanouts = fanouts
        self.device = device
        self.random_state = random_state
        self.n_jobs = n_jobs
        self.verbose = verbose
        self.callbacks = callbacks

    def fit(
        self,
        G: Any,
        X: Any,
        y: Any,
        *,
        train_mask: Any = None,
        val_mask: Any = None,
        weight: Any = "weight",
        directed: bool | None = None,
        nodes: Any = None,
        source: Any = None,
        target: Any = None,
    ) -> Self:
        """Train on some nodes of a graph.

        Parameters
        ----------
        G : Graph or anything `Graph.from_any` accepts
            The graph, with all its nodes: those to train on, to validate and to predict.
        X : array-like, scipy sparse matrix, torch Tensor or SparseMatrix, (n_nodes, n_features)
            Features: row i is that of ``Graph.from_any(G).node_ids[i]``. Look there: a networkx
            graph, for example, has its nodes in the order in which they were added, whatever their
            ids. A pandas frame is read by its index, the ids, in any order; if that is not the
            order of the nodes, `y` and masks of bools must have an index, too.
        y : array-like of shape (n_nodes,)
            Classes, integers or strings, in the same order; a Series is read by its index. No
            label: -1 among integers; None or NaN otherwise.
        train_mask : array of bool, shape (n_nodes,), or of indices, optional
            Nodes to train on; by default all with a label that `val_mask` leaves.
        val_mask : array of bool, shape (n_nodes,), or of indices, optional
            Nodes to validate on after every epoch; by default none.
        weight, directed, nodes, source, target
            Passed on to `Graph.from_any`.

        Returns
        -------
        self
            The fitted estimator. If `fit` fails or is interrupted, an earlier fit stays.

        Raises
        ------
        ValueError
            If a parameter, the features, labels or masks are not as said above, or training
            diverges; the message names the argument, and the node where there is one.
        GraphFormatError
            If `G` cannot be read as a graph.
        ImportError
            If torch is not installed; the message holds the pip command.
        """
        check(self.get_params(deep=False), type(self).__name__)
        if self.early_stopping and val_mask is None:
            raise ValueError(
                f"{type(self).__name__}: early_stopping={self.early_stopping!r} needs validation "
                "nodes: give val_mask to fit"
            )
        engine = self._engine()
        device = engine.find_device(self.device)
        n_threads = effective_n_threads(self.n_jobs)
        door = {"weight": weight, "directed": directed, "source": source, "target": target}
        graph = self._read_graph(G, {**door, "nodes": nodes})
        features, labels = read_features(X, graph), read_labels(y, graph)
        moved = check_order(graph, X=X, y=y, train_mask=train_mask, val_mask=val_mask)
        split = read_split(train_mask, val_mask, labels, graph)
        settings = resolve(self.get_params(deep=False), has_validation=val_mask is not None)
        seed = draw_seed(self.random_state)
        with engine.session(n_threads):
            data = engine.Data.of(graph, features, device)
            model, history, best_epoch = engine.fit(
                settings,
                data,
                labels.codes,
                split,
                seed=seed,
                n_threads=n_threads,
                verbose=int(self.verbose),
                callbacks=tuple(self.callbacks or ()),
            )
        self._set_fitted(model, labels.classes, history, best_epoch, features.shape[1], door)
        self.node_ids_ = graph.node_ids
        self._data, self._moved = data, moved
        return self

    def _set_fitted(
        self,
        model: Any,
        classes: NDArray[Any],
        history: dict[str, list[float]],
        best_epoch: int,
        n_features: int,
        door: dict[str, Any],
    ) -> None:
        self.model_ = model
        self.classes_ = classes
        self.history_ = history
        self.best_epoch_ = best_epoch
        self.n_features_in_ = n_features
        self._door = door
        self._fitted_params = {name: getattr(self, name) for name in ARCHITECTURE}

    def predict(self, G: Any = None, X: Any = None, **door: Any) -> NDArray[Any]:
        """Predict the class of every node.

        Parameters
        ----------
        G : Graph or anything `Graph.from_any` accepts, optional
            Another graph; by default that of `fit`.
        X : array-like, sparse matrix or Tensor of shape (n_nodes, n_features), optional
            Features of its nodes; by default those of `fit`, if the graph is.
        **door
            How `G` is read: weight, directed, nodes, source, target; by default as in `fit`, but
            for its `nodes`.

        Returns
        -------
        ndarray of shape (n_nodes,)
            Classes, in the order of the graph's nodes.
        """
        best = self._outputs(G, X, door).argmax(axis=1)
        classes: NDArray[Any] = self.classes_[best]
        return classes

    def predict_proba(self, G: Any = None, X: Any = None, **door: Any) -> NDArray[np.float32]:
        """Predict the probability of every class.

        Parameters
        ----------
        G : Graph or anything `Graph.from_any` accepts, optional
            Another graph; by default that of `fit`.
        X : array-like, sparse matrix or Tensor of shape (n_nodes, n_features), optional
            Features of its nodes; by default those of `fit`, if the graph is.
        **door
            How `G` is read: weight, directed, nodes, source, target; by default as in `fit`, but
            for its `nodes`.

        Returns
        -------
        ndarray of shape (n_nodes, n_classes), dtype=float32
            Rows sum to 1; column j is ``classes_[j]``.
        """
        logits = self._outputs(G, X, door)
        powers = np.exp(logits - logits.max(axis=1, keepdims=True))
        probabilities: NDArray[np.float32] = powers / powers.sum(axis=1, keepdims=True)
        return probabilities

    def transform(self, G: Any = None, X: Any = None, **door: Any) -> NDArray[np.float32]:
        """Return what the last layer is given: the last hidden representation of every node.

        Parameters
        ----------
        G : Graph or anything `Graph.from_any` accepts, optional
            Another graph; by default that of `fit`.
        X : array-like, sparse matrix or Tensor of shape (n_nodes, n_features), optional
            Features of its nodes; by default those of `fit`, if the graph is.
        **door
            How `G` is read: weight, directed, nodes, source, target; by default as in `fit`, but
            for its `nodes`.

        Returns
        -------
        ndarray of shape (n_nodes, hidden), dtype=float32
            To be drawn, for example, by `graphembed.plotting.plot_embedding`.
        """
        check_is_fitted(self, "model_")
        if self.model_.num_layers == 1:
            raise ValueError(
                "transform needs n_layers >= 2: a model of one layer has no hidden one"
            )
        return self._outputs(G, X, door, hidden=True)

    def score(
        self, y: Any, G: Any = None, X: Any = None, *, mask: Any = None, **door: Any
    ) -> float:
        """Return the accuracy of `predict`.

        Parameters
        ----------
        y : array-like of shape (n_nodes,)
            True classes of all nodes, as in `fit`; one that `fit` has not seen counts as wrong.
        G : Graph or anything `Graph.from_any` accepts, optional
            Another graph; by default that of `fit`.
        X : array-like, sparse matrix or Tensor of shape (n_nodes, n_features), optional
            Features of its nodes; by default those of `fit`, if the graph is.
        mask : array of bool, shape (n_nodes,), or of indices, optional
            Nodes to be counted; by default all with a label.
        **door
            As in `predict`.

        Returns
        -------
        float
            Share of the nodes whose class is predicted.
        """
        data = self._data_of(G, X, door)
        graph = data.graph
        labels = read_labels(y, graph)
        check_order(graph, permuted=X is None and self._moved, X=X, y=y, mask=mask)
        known = np.flatnonzero(labels.codes >= 0)
        rows = known if mask is None else read_mask(mask, graph, "mask")
        check_labelled(rows, labels, graph)
        if (labels.classes.dtype.kind == "U") != (self.classes_.dtype.kind == "U"):
            raise ValueError(
                f"y must hold classes like those of fit, such as {self.classes_[0].item()!r}, got "
                f"{labels.classes[0].item()!r}"
            )
        predicted = self.classes_[self._compute(data).argmax(axis=1)]
        return float(np.mean(predicted[rows] == labels.classes[labels.codes[rows]]))

    def save(self, path: StrPath) -> None:
        """Save parameters, classes, history and the trained model, as a safetensors file.

        The graph and its features are not saved, but how the graph was read is.

        Parameters
        ----------
        path : str or path-like
            Where to; written to a temporary file and then renamed, so an old file is never lost.

        Notes
        -----
        Callbacks, and a generator given as `random_state`, have no place in a file: None is saved
        in their stead.
        """
        check_is_fitted(self, "model_")
        for name, value in self._fitted_params.items():
            if getattr(self, name) != value:
                raise ValueError(
                    f"{name} was {value!r} in fit and is {getattr(self, name)!r} now, which is not "
                    "what the model is: fit again, or set it back"
                )
        self._files().save(path, self)

    @classmethod
    def load(cls, path: StrPath) -> Self:
        """Read a model that `save` has written; nothing in the file is executed.

        Parameters
        ----------
        path : str or path-like
            The file.

        Returns
        -------
        NodeClassifier
            A fitted estimator, which predicts for any graph that it is given with features.

        Raises
        ------
        FileFormatError
            If the file is damaged, of another kind, or its parts do not fit together.
        """
        model: Self = cls._files().load(path, cls)
        return model

    # -- Inside --------------------------------------------------------------------------------

    @staticmethod
    def _engine() -> Any:
        import_optional("torch", extra="torch")
        from graphembed.estimators import _gnn

        return _gnn

    @classmethod
    def _files(cls) -> Any:
        import_optional("safetensors", extra="torch")
        cls._engine()
        from graphembed.estimators import _gnn_file

        return _gnn_file

    def _read_graph(self, G: Any, door: dict[str, Any]) -> Graph:
        graph = Graph.from_any(G, **door)
        if self.model == "gat" and graph.weights is not None:
            raise ValueError(
                f"{type(self).__name__}: model='gat' has no use for edge weights, but G has some: "
                "say weight=None"
            )
        return graph

    def _data_of(self, G: Any, X: Any, door: dict[str, Any]) -> "Data":
        """The data of `fit`, or another graph with its features."""
        check_is_fitted(self, "model_")
        own: Data | None = getattr(self, "_data", None)
        if G is None and own is None:
            raise ValueError("a model that was loaded has no graph: give G and X")
        if G is None and door:
            raise ValueError(f"{next(iter(door))} has no effect without G")
        if not door.keys() <= {*self._door, "nodes"}:
            raise TypeError(
                f"{min(door.keys() - {*self._door, 'nodes'})} is no option of a graph: those are "
                f"nodes, {', '.join(self._door)}"
            )
        if G is not None and X is None:
            raise ValueError("X must be given with G: the features of its nodes")
        if own is not None and G is None and X is None:
            return own
        graph = own.graph if own is not None and G is None else None
        if graph is None:
            graph = self._read_graph(G, {**self._door, **door})
        features = read_features(X, graph)
        if features.shape[1] != self.n_features_in_:
            raise ValueError(
                f"X must have the {self.n_features_in_} columns that it had in fit, "
                f"got {features.shape[1]}"
            )
        engine = self._engine()
        data: Data = engine.Data.of(graph, features, next(self.model_.parameters()).device)
        return data

    def _outputs(
        self, G: Any, X: Any, door: dict[str, Any], *, hidden: bool = False
    ) -> NDArray[np.float32]:
        return self._compute(self._data_of(G, X, door), hidden=hidden)

    def _compute(self, data: "Data", *, hidden: bool = False) -> NDArray[np.float32]:
        engine = self._engine()
        with engine.session(effective_n_threads(self.n_jobs)):
            rows: NDArray[np.float32] = engine.outputs(
                self.model_, data, hidden=hidden, in_batches=self.batch_size is not None
            )
        return rows
