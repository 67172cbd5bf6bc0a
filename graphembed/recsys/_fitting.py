"""The epochs of a neural recommender: early stopping by ranking, progress, divergence."""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix, issparse
from torch import Tensor
from tqdm import tqdm

from graphembed.evaluation.ranking import ranking_scores
from graphembed.recsys.interactions import Interactions
from graphembed.recsys.top_k import top_k

__all__ = [
    "METRIC",
    "Fitting",
    "as_candidates",
    "as_validation",
    "check_finite",
    "run_epochs",
    "validation_score",
]

METRIC = "ndcg@20"
_K = 20


@dataclass
class Fitting:
    """What is left of a training.

    Attributes
    ----------
    best_epoch : int
        The epoch, from 1, that the parameters are of.
    history : dict of str to list
        "epoch", "loss", "seconds" (of training alone) and, with validation, "ndcg@20".
    """

    best_epoch: int = 0
    history: dict[str, list[float]] = field(default_factory=dict)

    def append(self, record: dict[str, float]) -> None:
        for name, value in record.items():
            self.history.setdefault(name, []).append(value)


def run_epochs(
    parameters: Sequence[Tensor],
    epoch: Callable[[int], float],
    *,
    n_epochs: int,
    learning_rate: float,
    validate: Callable[[], float] | None = None,
    patience: int = 10,
    verbose: int = 0,
) -> Fitting:
    """Train for `n_epochs` epochs, or until validation has not improved for `patience` of them.

    Parameters
    ----------
    parameters : sequence of Tensor
        All that is trained. With `validate` they end as they were after the best epoch, for which
        one copy of them is kept.
    epoch : callable
        Takes the number of the epoch, from 1, trains for it and returns its mean loss.
    n_epochs, patience : int
        When it ends.
    learning_rate : float
        For the message of an error.
    validate : callable, optional
        Gives the score of the parameters, larger is better; called after every epoch.
    verbose : int
        Whether progress is shown.

    Returns
    -------
    Fitting
        Best epoch and history.

    Raises
    ------
    ValueError
        If the loss or a parameter is no longer finite.
    """
    fitting, best, kept = Fitting(), -math.inf, None
    with tqdm(total=n_epochs, desc="training", unit="epoch", disable=not verbose) as bar:
        for number in range(1, n_epochs + 1):
            begin = time.perf_counter()
            loss = epoch(number)
            record = {"epoch": number, "loss": loss, "seconds": time.perf_counter() - begin}
            check_finite(loss, f"the loss of epoch {number}", learning_rate)
            if validate is not None:
                _check_parameters(parameters, learning_rate)
                record[METRIC] = validate()
                if record[METRIC] > best:
                    best, fitting.best_epoch = record[METRIC], number
                    kept = [tensor.detach().clone() for tensor in parameters]
            fitting.append(record)
            bar.update()
            bar.set_postfix({k: f"{v:.4f}" for k, v in record.items() if k in ("loss", METRIC)})
            if validate is not None and number - fitting.best_epoch >= patience:
                break
    if kept is None:
        fitting.best_epoch = n_epochs
    else:
        with torch.no_grad():
            for tensor, copy in zip(parameters, kept, strict=True):
                tensor.copy_(copy)
    _check_parameters(parameters, learning_rate)
    return fitting


def check_finite(value: float, name: str, learning_rate: float) -> None:
    """Raise if training has diverged."""
    if not math.isfinite(value):
        raise ValueError(
            f"training diverged: {name} is {value}; lower learning_rate, got {learning_rate!r}"
        )


def _check_parameters(parameters: Sequence[Tensor], learning_rate: float) -> None:
    for tensor in parameters:
        check_finite(float(tensor.detach().abs().sum()), "the sum of |parameters|", learning_rate)


def as_validation(validation: Any, train: Interactions) -> csr_matrix:
    """The matrix of validation interactions of the users and items of `train`.

    Raises
    ------
    TypeError
        If it is neither Interactions nor a sparse matrix.
    ValueError
        If users or items are others, or there is nothing to score.
    """
    if issparse(validation):
        shape = tuple(getattr(validation, "shape", ()))
        if shape != train.matrix.shape:
            raise ValueError(
                f"validation must have the shape of train, {train.matrix.shape}, got {shape}"
            )
        validation = Interactions.from_csr(
            validation, user_ids=train.user_ids, item_ids=train.item_ids
        )
    if not isinstance(validation, Interactions):
        raise TypeError(
            "validation must be Interactions or a scipy sparse matrix, got "
            f"{type(validation).__name__}"
        )
    for name in ("user_ids", "item_ids"):
        if not np.array_equal(getattr(validation, name), getattr(train, name)):
            raise ValueError(
                f"validation must have the same {name} as train, in the same order: take both from "
                "one split, or align them"
            )
    if not validation.n_interactions:
        raise ValueError("validation must hold at least one interaction, got none")
    return validation.matrix


def as_candidates(
    items: Any, train: Interactions, validation: csr_matrix | None
) -> NDArray[np.int64] | None:
    """Positions of the items to rank for validation; None means all.

    Raises
    ------
    KeyError
        If an id is none of `train`.
    ValueError
        If there is no validation, or no validation interaction with these items.
    """
    if items is None:
        return None
    if validation is None:
        raise ValueError("validation_items needs validation, got None")
    found: NDArray[np.int64] = np.unique(train.item_index(items))
    if not np.isin(validation.indices, found).any():
        raise ValueError(
            f"validation_items must have an interaction in validation, got {len(found)} items "
            "without any"
        )
    return found


def validation_score(
    user_vectors: NDArray[np.float32],
    item_vectors: NDArray[np.float32],
    train: csr_matrix,
    validation: csr_matrix,
    *,
    n_jobs: int | None,
    candidates: NDArray[Any] | None = None,
) -> float:
    """ndcg@20 of inner products, train items filtered, over users with a validation item."""
    users = np.flatnonzero(np.diff(validation.indptr))
    top, _ = top_k(
        user_vectors[users],
        item_vectors,
        _K,
        exclude=train[users],
        candidates=candidates,
        n_jobs=n_jobs,
    )
    return float(ranking_scores(top, validation[users], (_K,))[METRIC].mean())
