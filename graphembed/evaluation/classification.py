"""Multi-label node classification by the protocol of DeepWalk (Perozzi et al. 2014)."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import scipy.sparse as sp
from joblib import Parallel, delayed
from sklearn.metrics import f1_score
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped, unused-ignore]

from graphembed._validation import (
    check_params,
    draw_seed,
    effective_n_threads,
    int_at_least,
    positive_float,
)
from graphembed.evaluation._checks import check_embedding, check_labels, check_train_ratios
from graphembed.evaluation._logistic import fit_one_vs_rest

FloatArray = npt.NDArray[np.float64]
IndexArray = npt.NDArray[np.int64]
# (training rows, their labels, test rows) -> scores of shape (n_test, n_labels)
Scorer = Callable[[IndexArray, npt.NDArray[np.bool_], IndexArray], FloatArray]


@dataclass(frozen=True, eq=False)
class NodeClassificationResult:
    """F1 scores of repeated random splits; ``str(result)`` is a table in percent.

    Attributes
    ----------
    train_ratios : ndarray of shape (n_ratios,)
        Fractions of the labelled nodes used for training.
    micro_f1, macro_f1 : ndarray of shape (n_ratios, n_splits)
        F1 over all decisions, and the mean of the labels' F1, in [0, 1].
    n_nodes : int
        Nodes with at least one label; only these take part.
    n_labels : int
        Number of labels.
    name : str
        What was scored; the title of the table.
    """

    train_ratios: FloatArray
    micro_f1: FloatArray
    macro_f1: FloatArray
    n_nodes: int
    n_labels: int
    name: str = field(default="embedding")

    @property
    def n_splits(self) -> int:
        """Random splits per ratio."""
        return int(self.micro_f1.shape[1])

    @property
    def micro_mean(self) -> FloatArray:
        """Mean micro-F1 per ratio."""
        return _mean(self.micro_f1)

    @property
    def macro_mean(self) -> FloatArray:
        """Mean macro-F1 per ratio."""
        return _mean(self.macro_f1)

    @property
    def micro_std(self) -> FloatArray:
        """Sample standard deviation of micro-F1 per ratio; NaN with one split."""
        return _sample_std(self.micro_f1)

    @property
    def macro_std(self) -> FloatArray:
        """Sample standard deviation of macro-F1 per ratio; NaN with one split."""
        return _sample_std(self.macro_f1)

    def __str__(self) -> str:
        """Return a table with one row per training ratio."""
        lines = [
            f"{self.name}: F1 in % over {self.n_splits} random splits "
            f"({self.n_nodes} labelled nodes, {self.n_labels} labels)",
            f"{'train':>7}  {'micro-F1':>14}  {'macro-F1':>14}",
        ]
        for i, ratio in enumerate(self.train_ratios):
            micro = _mean_and_std(self.micro_mean[i], self.micro_std[i])
            macro = _mean_and_std(self.macro_mean[i], self.macro_std[i])
            lines.append(f"{f'{100 * ratio:.4g} %':>7}  {micro:>14}  {macro:>14}")
        return "\n".join(lines)


def node_classification(
    embedding: npt.ArrayLike,
    labels: Any,
    *,
    train_ratios: float | Sequence[float] = (0.1, 0.5, 0.9),
    n_splits: int = 10,
    C: float = 1.0,
    random_state: Any = None,
    n_jobs: int | None = None,
) -> NodeClassificationResult:
    """Score an embedding by how well it predicts the labels of nodes.

    The protocol of Perozzi et al. 2014, section 5.3: draw ``int(ratio * n)`` of the `n` labelled
    nodes at random for training, fit one logistic regression per label, and predict for every
    other labelled node as many labels as it truly has, the most probable ones (the number of
    labels is thus given away, as in the paper and its ``scoring.py``). The split is repeated
    `n_splits` times per ratio.

    Parameters
    ----------
    embedding : array-like of shape (n_nodes, n_components)
        Row `i` is the vector of node `i`. Used as it is: neither scaled nor normalized.
    labels : sparse or dense 0/1 array of shape (n_nodes, n_labels), or int array (n_nodes,)
        Labels of the nodes. In the 1-D form every node has one label and -1 means unlabelled.
        Nodes without a label are left out.
    train_ratios : float or sequence of float, default=(0.1, 0.5, 0.9)
        Fractions of the labelled nodes used for training, in (0, 1).
    n_splits : int, default=10
        Random splits per ratio.
    C : float, default=1.0
        Inverse strength of the L2 penalty of the logistic regressions.
    random_state : None, int, numpy.random.Generator or numpy.random.RandomState, default=None
        Decides the splits. Split `i` of a ratio depends on `random_state`, the ratio and `i` only,
        so two embeddings scored with the same integer are scored on the same splits.
    n_jobs : int or None, default=None
        Threads that work on different splits; None means 1, -1 all usable cores. BLAS is held to
        one thread meanwhile. The result does not depend on it.

    Returns
    -------
    NodeClassificationResult
        Micro- and macro-F1 of every split, their means and standard deviations.

    Raises
    ------
    TypeError
        If `embedding` or `labels` hold the wrong kind of values.
    ValueError
        If an argument is out of range, `embedding` holds NaN or infinity, the lengths of
        `embedding` and `labels` differ, or too few nodes are labelled for a ratio.

    See Also
    --------
    majority_scores : The baseline that looks at no embedding.

    Notes
    -----
    Macro-F1 is the plain mean over all label columns; a label without true and predicted nodes in
    the test part counts 0, as in DeepWalk's scorer. A label that no training node has is ranked
    last, one that all have is ranked first; ties go to the lower column. The intercept is not
    penalized (the 2014 scorer used liblinear, which penalizes it).

    Time O(n_labels * iterations * n_nodes * n_components) per split; memory
    O(n_nodes * (n_components + n_labels)) float64 per thread.
    """
    _check_common(n_splits, {"C": C}, {"C": positive_float()})
    ratios = check_train_ratios(train_ratios)
    n_threads = effective_n_threads(n_jobs)
    checked = check_embedding(embedding)
    indicator = check_labels(labels)
    if len(checked) != indicator.shape[0]:
        raise ValueError(
            f"embedding and labels must have the same length, got {len(checked)} rows in "
            f"embedding and {indicator.shape[0]} in labels"
        )
    labelled = np.flatnonzero(np.diff(indicator.indptr))
    features: FloatArray = checked[labelled].astype(np.float64, copy=False)

    def score(train: IndexArray, y_train: npt.NDArray[np.bool_], test: IndexArray) -> FloatArray:
        coefficients, intercepts = fit_one_vs_rest(features[train], y_train, C)
        return features[test] @ coefficients + intercepts

    return _score_splits(
        indicator[labelled], score, ratios, n_splits, draw_seed(random_state), n_threads
    )


def majority_scores(
    labels: Any,
    *,
    train_ratios: float | Sequence[float] = (0.1, 0.5, 0.9),
    n_splits: int = 10,
    random_state: Any = None,
) -> NodeClassificationResult:
    """Score the baseline that predicts the commonest training labels for every node.

    The protocol and, for the same `random_state`, the splits are those of `node_classification`;
    a test node with `k` labels gets the `k` labels that most training nodes have.

    Parameters
    ----------
    labels : sparse or dense 0/1 array of shape (n_nodes, n_labels), or int array (n_nodes,)
        Labels of the nodes, as in `node_classification`.
    train_ratios : float or sequence of float, default=(0.1, 0.5, 0.9)
        Fractions of the labelled nodes used for training, in (0, 1).
    n_splits : int, default=10
        Random splits per ratio.
    random_state : None, int, numpy.random.Generator or numpy.random.RandomState, default=None
        Decides the splits.

    Returns
    -------
    NodeClassificationResult
        Micro- and macro-F1 of every split.

    Raises
    ------
    TypeError
        If `labels` hold the wrong kind of values.
    ValueError
        If an argument is out of range or too few nodes are labelled for a ratio.

    See Also
    --------
    node_classification : The same for an embedding.
    """
    _check_common(n_splits, {}, {})
    ratios = check_train_ratios(train_ratios)
    indicator = check_labels(labels)
    labelled = np.flatnonzero(np.diff(indicator.indptr))

    def score(train: IndexArray, y_train: npt.NDArray[np.bool_], test: IndexArray) -> FloatArray:
        counts = y_train.sum(axis=0, dtype=np.float64)
        return np.broadcast_to(counts, (len(test), len(counts)))

    return _score_splits(
        indicator[labelled], score, ratios, n_splits, draw_seed(random_state), 1, name="majority"
    )


def top_k_labels(
    scores: FloatArray, n_labels_of_row: npt.NDArray[np.integer[Any]]
) -> npt.NDArray[np.bool_]:
    """Mark the `k` highest scores of each row, where `k` differs from row to row.

    Parameters
    ----------
    scores : ndarray of shape (n_rows, n_labels)
        Higher is more probable; equal scores go to the lower column.
    n_labels_of_row : int ndarray of shape (n_rows,)
        How many entries to mark in each row.

    Returns
    -------
    bool ndarray of shape (n_rows, n_labels)
        Row `i` has exactly ``n_labels_of_row[i]`` True entries.
    """
    order = np.argsort(-scores, axis=1, kind="stable")
    chosen = np.zeros(scores.shape, dtype=bool)
    wanted = np.arange(scores.shape[1]) < n_labels_of_row[:, np.newaxis]
    np.put_along_axis(chosen, order, wanted, axis=1)
    return chosen


def _mean(f1: FloatArray) -> FloatArray:
    mean: FloatArray = f1.mean(axis=1)
    return mean


def _sample_std(f1: FloatArray) -> FloatArray:
    if f1.shape[1] == 1:
        return np.full(len(f1), math.nan)
    std: FloatArray = f1.std(axis=1, ddof=1)
    return std


def _mean_and_std(mean: float, std: float) -> str:
    return f"{100 * mean:.2f}" if math.isnan(std) else f"{100 * mean:.2f} +- {100 * std:.2f}"


def _check_common(n_splits: int, params: dict[str, Any], table: dict[str, Any]) -> None:
    check_params({"n_splits": n_splits, **params}, {"n_splits": int_at_least(1), **table})


def _score_splits(
    indicator: sp.csr_array,
    score: Scorer,
    ratios: tuple[float, ...],
    n_splits: int,
    seed: int,
    n_threads: int,
    *,
    name: str = "embedding",
) -> NodeClassificationResult:
    n_nodes, n_labels = indicator.shape
    train_sizes = [_train_size(n_nodes, ratio) for ratio in ratios]

    def run(ratio: float, train_size: int, repeat: int) -> tuple[float, float]:
        # OpenMP counts threads per thread, so the limit is set in the worker as well; the
        # surrounding context restores what is set for the whole process
        threadpool_limits(limits=1)
        order = _split_order(n_nodes, seed, ratio, repeat)
        train, test = order[:train_size], order[train_size:]
        truth = indicator[test].toarray()
        scores = score(train, indicator[train].toarray(), test)
        predicted = top_k_labels(scores, np.diff(indicator[test].indptr))
        return (
            float(f1_score(truth, predicted, average="micro", zero_division=0)),
            float(f1_score(truth, predicted, average="macro", zero_division=0)),
        )

    with threadpool_limits(limits=1):
        pairs = Parallel(n_jobs=n_threads, backend="threading")(
            delayed(run)(ratio, size, repeat)
            for ratio, size in zip(ratios, train_sizes, strict=True)
            for repeat in range(n_splits)
        )
    f1 = np.array(pairs, dtype=np.float64).reshape(len(ratios), n_splits, 2)
    return NodeClassificationResult(
        np.array(ratios), f1[:, :, 0], f1[:, :, 1], n_nodes, n_labels, name
    )


def _train_size(n_nodes: int, ratio: float) -> int:
    size = int(ratio * n_nodes)
    if size == 0 or size == n_nodes:
        raise ValueError(
            f"labels: too few labelled nodes for train ratio {ratio:g}: {n_nodes} labelled "
            f"nodes give {size} for training and {n_nodes - size} for testing; both need 1"
        )
    return size


def _split_order(n_nodes: int, seed: int, ratio: float, repeat: int) -> IndexArray:
    """Shuffle the nodes by a generator that belongs to this seed, ratio and repeat alone."""
    ratio_bits = int(np.float64(ratio).view(np.uint64))
    sequence = np.random.SeedSequence(seed, spawn_key=(ratio_bits, repeat))
    return np.random.default_rng(sequence).permutation(n_nodes)
