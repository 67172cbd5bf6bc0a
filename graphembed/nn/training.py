"""The training loop of `NodeClassifier` and of plain scripts: steps, scores, early stopping."""

import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812

from graphembed._validation import check_params, float_in, int_at_least, one_of, positive_float

__all__ = [
    "EarlyStopping",
    "Part",
    "accuracy",
    "evaluate",
    "make_optimizer",
    "scores",
    "train",
    "train_step",
]

Record = dict[str, float]
Callback = Callable[[nn.Module, Record], Any]

_OPTIMIZERS = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW, "sgd": torch.optim.SGD}


@dataclass(frozen=True)
class Part:
    """Nodes that a loss or a score is taken over, with all that the model reads for them.

    Attributes
    ----------
    x : Tensor or SparseMatrix
        Features that are read.
    edges : Adjacency or list of Adjacency
        The edges; blocks after `GraphModel.restrict`.
    y : Tensor of int64, shape (n,)
        Classes of the nodes: one for every row that the model gives, or for those of `rows`.
    rows : Tensor of integers, shape (n,), optional
        The rows of the model's output that count, if not all do.
    """

    x: Any
    edges: Any
    y: Tensor
    rows: Tensor | None = None

    @classmethod
    def of(cls, model: Any, x: Any, edges: Any, y: Tensor, rows: Tensor) -> "Part":
        """Cut out of a graph what a model reads for some of its nodes.

        Parameters
        ----------
        model : GraphModel
            The model.
        x : Tensor or SparseMatrix of shape (n_nodes, in_channels)
            Features of all nodes.
        edges : Tensor, Adjacency or Graph
            All edges.
        y : Tensor of int64, shape (n_nodes,)
            Classes of all nodes.
        rows : Tensor of bool, shape (n_nodes,), or of distinct integers
            The nodes.

        Returns
        -------
        Part
            The part.
        """
        x, edges = model.restrict(x, edges, rows)
        return cls(x, edges, y[rows])

    def logits(self, model: nn.Module) -> Tensor:
        """Outputs of a model for the nodes.

        Parameters
        ----------
        model : torch.nn.Module
            Called with ``(x, edges)``.

        Returns
        -------
        Tensor of shape (n, n_classes)
            One row for each number of `y`.
        """
        out: Tensor = model(self.x, self.edges)
        return out if self.rows is None else out.index_select(0, self.rows)


def make_optimizer(
    model: Any,
    name: str = "adam",
    *,
    lr: float = 0.01,
    weight_decay: float = 5e-4,
    decay: str = "all",
) -> torch.optim.Optimizer:
    """Make an optimiser for a model.

    Parameters
    ----------
    model : GraphModel
        Whose parameters it changes.
    name : {"adam", "adamw", "sgd"}, default="adam"
        Adam, fused where torch can; AdamW; or gradient descent with momentum 0.9.
    lr : float, default=0.01
        Step size.
    weight_decay : float, default=5e-4
        Of "adam" and "sgd" an L2 penalty, ``weight_decay / 2 * sum of squares``, biases included;
        of "adamw" decoupled from the gradient.
    decay : {"all", "first"}, default="all"
        Whether it acts on all parameters or, as in Kipf & Welling's program, on those of the first
        layer.

    Returns
    -------
    torch.optim.Optimizer
        The optimiser.
    """
    check_params(
        {"name": name, "lr": lr, "weight_decay": weight_decay, "decay": decay},
        {
            "name": one_of(*_OPTIMIZERS),
            "lr": positive_float(),
            "weight_decay": float_in(0, 1e6),
            "decay": one_of("all", "first"),
        },
        owner="make_optimizer",
    )
    groups = parameter_groups(model, weight_decay=weight_decay, decay=decay)
    options = {"momentum": 0.9} if name == "sgd" else {}
    try:
        return _OPTIMIZERS[name](groups, lr=lr, fused=True, **options)
    except (RuntimeError, TypeError):  # not for this device or dtype, or not in this torch
        return _OPTIMIZERS[name](groups, lr=lr, **options)


def parameter_groups(model: Any, *, weight_decay: float, decay: str) -> list[dict[str, Any]]:
    """Parameters with and without an L2 penalty, as optimisers take them.

    Parameters
    ----------
    model : GraphModel
        Whose parameters they are.
    weight_decay : float
        Of those with a penalty.
    decay : {"all", "first"}
        Which these are: all, or those of the first layer.

    Returns
    -------
    list of dict
        One or two groups.
    """
    decayed = list((model.convs[0] if decay == "first" else model).parameters())
    ids = {id(parameter) for parameter in decayed}
    others = [parameter for parameter in model.parameters() if id(parameter) not in ids]
    groups: list[dict[str, Any]] = [{"params": decayed, "weight_decay": weight_decay}]
    if others:
        groups.append({"params": others, "weight_decay": 0.0})
    return groups


def train_step(model: nn.Module, optimizer: torch.optim.Optimizer, part: Part) -> float:
    """Take one step down the mean cross-entropy of a part; the model must be in training mode.

    Parameters
    ----------
    model : torch.nn.Module
        The model.
    optimizer : torch.optim.Optimizer
        Of its parameters.
    part : Part
        The nodes.

    Returns
    -------
    float
        The loss before the step.
    """
    optimizer.zero_grad()
    loss = F.cross_entropy(part.logits(model), part.y)
    loss.backward()
    optimizer.step()
    return float(loss.detach())


def evaluate(model: nn.Module, part: Part) -> tuple[float, float]:
    """Mean cross-entropy and accuracy of a part, without dropout and gradients.

    Parameters
    ----------
    model : torch.nn.Module
        Left in evaluation mode.
    part : Part
        The nodes.

    Returns
    -------
    tuple of float
        Loss and accuracy.
    """
    model.eval()
    with torch.no_grad():
        return scores(part.logits(model), part.y)


def scores(logits: Tensor, y: Tensor) -> tuple[float, float]:
    """Mean cross-entropy and accuracy.

    Parameters
    ----------
    logits : Tensor of shape (n, n_classes)
        Outputs of a model.
    y : Tensor of int64, shape (n,)
        True classes.

    Returns
    -------
    tuple of float
        Loss and accuracy.
    """
    return float(F.cross_entropy(logits, y)), accuracy(logits, y)


def accuracy(logits: Tensor, y: Tensor) -> float:
    """Share of the rows whose largest logit is that of the true class.

    Parameters
    ----------
    logits : Tensor of shape (n, n_classes)
        Outputs of a model.
    y : Tensor of int64, shape (n,)
        True classes.

    Returns
    -------
    float
        In [0, 1].
    """
    return float((logits.argmax(dim=1) == y).sum()) / max(1, len(y))


@dataclass
class EarlyStopping:
    """Keeps the parameters of the best epoch, and says when to stop waiting for a better one.

    Parameters
    ----------
    monitor : {"loss", "accuracy", "both"}
        What is best on the validation nodes: the lowest loss; the highest accuracy, of equal ones
        that with the lower loss; or, as in the program of Velickovic et al. 2018, an epoch that is
        no worse than any before in loss and in accuracy.
    patience : int
        Epochs without anything better (of "both": neither in loss nor in accuracy) before it ends.
    """

    monitor: str
    patience: int
    best: Record | None = field(default=None, init=False)
    _waited: int = field(default=0, init=False)
    _loss: float = field(default=math.inf, init=False)
    _accuracy: float = field(default=-math.inf, init=False)
    _kept: list[Tensor] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        check_params(
            self,
            {"monitor": one_of("loss", "accuracy", "both"), "patience": int_at_least(1)},
            owner="EarlyStopping",
        )

    def update(self, model: nn.Module, record: Record) -> bool:
        """Look at an epoch.

        Parameters
        ----------
        model : torch.nn.Module
            The model after this epoch.
        record : dict
            With "val_loss" and "val_accuracy".

        Returns
        -------
        bool
            Whether patience has run out.
        """
        loss, accuracy = record["val_loss"], record["val_accuracy"]
        if self.monitor == "both":
            lower, higher = loss <= self._loss, accuracy >= self._accuracy
            is_best, goes_on = lower and higher, lower or higher
            self._loss, self._accuracy = min(loss, self._loss), max(accuracy, self._accuracy)
        else:
            is_best = loss < self._loss
            if self.monitor == "accuracy":
                is_best = (accuracy, -loss) > (self._accuracy, -self._loss)
            goes_on = is_best
            if is_best:
                self._loss, self._accuracy = loss, accuracy
        if is_best:
            self.best = record
            self._kept = [tensor.detach().clone() for tensor in _state(model)]
        self._waited = 0 if goes_on else self._waited + 1
        return self._waited >= self.patience

    def restore(self, model: nn.Module) -> None:
        """Give the model the parameters of its best epoch.

        Parameters
        ----------
        model : torch.nn.Module
            The model.
        """
        if self._kept:
            with torch.no_grad():
                for tensor, kept in zip(_state(model), self._kept, strict=True):
                    tensor.copy_(kept)


def _state(model: nn.Module) -> Iterator[Tensor]:
    yield from model.parameters()
    yield from model.buffers()


def train(
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    batches: Iterable[Part],
    *,
    epochs: int,
    validate: Callable[[nn.Module], tuple[float, float]] | None = None,
    stopping: EarlyStopping | None = None,
    callbacks: Sequence[Callback] = (),
) -> dict[str, list[float]]:
    """Train a model, epoch by epoch.

    Parameters
    ----------
    model : torch.nn.Module
        The model.
    optimizer : torch.optim.Optimizer
        Of its parameters.
    batches : iterable of Part
        Gone through once every epoch: a list of one part is full-batch training.
    epochs : int
        Number of epochs at most.
    validate : callable, optional
        Gives loss and accuracy of the model; called after every epoch.
    stopping : EarlyStopping, optional
        Looks at them; the model ends with the parameters of its best epoch.
    callbacks : sequence of callable
        Called after every epoch with the model and the epoch's record; one that returns True ends
        the training.

    Returns
    -------
    dict of str to list
        "epoch" (from 1), "seconds" (of training alone), "train_loss" (while training, that is with
        dropout) and with `validate` "val_loss" and "val_accuracy".

    Raises
    ------
    ValueError
        If the loss, that on the validation nodes or a parameter is no longer finite; if an argument
        is not as said above.
    TypeError
        If `batches` gives something else than `Part`, or is a generator for more than one epoch.
    """
    _check_arguments(batches, epochs, validate, stopping)
    history: dict[str, list[float]] = {}
    model.train()
    for epoch in range(1, epochs + 1):
        begin = time.perf_counter()
        if not model.training:
            model.train()
        total, n_rows = 0.0, 0
        for part in batches:
            if not isinstance(part, Part):
                raise TypeError(
                    f"batches must give Part, got {type(part).__name__}; of a batch of a "
                    "NeighborLoader make Part(batch.x, batch.edges, batch.y)"
                )
            total += train_step(model, optimizer, part) * len(part.y)
            n_rows += len(part.y)
        if not n_rows:
            raise ValueError("batches must give at least one Part with nodes, got none")
        loss = total / n_rows
        record: Record = {
            "epoch": epoch,
            "seconds": time.perf_counter() - begin,
            "train_loss": loss,
        }
        _check_finite(loss, f"the loss of epoch {epoch}", optimizer)
        if validate is not None:
            record["val_loss"], record["val_accuracy"] = validate(model)
            _check_finite(record["val_loss"], f"the validation loss of epoch {epoch}", optimizer)
        for name, value in record.items():
            history.setdefault(name, []).append(value)
        # All are called, also when the first one ends the training.
        ends = [bool(callback(model, dict(record))) for callback in callbacks]
        if (stopping is not None and stopping.update(model, record)) or any(ends):
            break
    if stopping is not None:
        stopping.restore(model)
    with torch.no_grad():  # the losses were those before the last step
        for name, values in model.state_dict().items():
            if values.is_floating_point():
                _check_finite(float(values.abs().sum()), f"the sum of |{name}|", optimizer)
    return history


def _check_arguments(
    batches: Any, epochs: int, validate: Any, stopping: EarlyStopping | None
) -> None:
    check_params({"epochs": epochs}, {"epochs": int_at_least(1)}, owner="train")
    if isinstance(batches, Part):
        raise TypeError("batches must be an iterable of Part, got one Part: say [part]")
    if epochs > 1 and isinstance(batches, Iterator):
        raise TypeError(
            f"batches must be iterable once for each of {epochs} epochs, as a list is, got "
            f"{type(batches).__name__}"
        )
    if stopping is not None and validate is None:
        raise ValueError("stopping needs validate, which gives loss and accuracy")
    if stopping is not None and stopping.best is not None:
        raise ValueError("stopping has seen another training: make a new EarlyStopping")


def _check_finite(value: float, name: str, optimizer: torch.optim.Optimizer) -> None:
    if not math.isfinite(value):
        raise ValueError(
            f"training diverged: {name} is {value}; lower lr, got "
            f"{optimizer.param_groups[0]['lr']!r}"
        )
