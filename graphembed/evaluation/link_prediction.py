"""Link prediction from an embedding, by the protocol of node2vec (Grover & Leskovec 2016)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from graphembed._validation import (
    check_params,
    draw_seed,
    int_at_least,
    one_of,
    positive_float,
)
from graphembed.evaluation._checks import check_embedding
from graphembed.evaluation.edge_operators import EDGE_OPERATORS, combine
from graphembed.evaluation.edge_split import EdgeSplit

FloatArray = npt.NDArray[np.floating[Any]]
IndexArray = npt.NDArray[np.integer[Any]]

_BLOCK_ENTRIES = 2**24  # feature entries held at once while test pairs are scored


@dataclass(frozen=True, eq=False)
class LinkPredictionResult:
    """Scores per edge operator; ``str(result)`` is a table.

    Attributes
    ----------
    auc : dict of str to float
        Area under the ROC curve of the test pairs, by operator.
    average_precision : dict of str to float
        Average precision of the test pairs, by operator.
    n_train_pairs, n_test_pairs : int
        Edges used to train the classifier and to test it; as many non-edges come on top.
    """

    auc: Mapping[str, float]
    average_precision: Mapping[str, float]
    n_train_pairs: int
    n_test_pairs: int

    def __str__(self) -> str:
        """Return a table with one row per operator."""
        lines = [
            f"link prediction: {self.n_test_pairs} removed edges against as many non-edges "
            f"(classifier trained on {self.n_train_pairs} remaining edges)",
            f"{'operator':<10}{'AUC':>8}{'AP':>8}",
        ]
        for operator, auc in self.auc.items():
            lines.append(f"{operator:<10}{auc:>8.4f}{self.average_precision[operator]:>8.4f}")
        return "\n".join(lines)


def link_prediction(
    embedding: npt.ArrayLike,
    split: EdgeSplit,
    *,
    operators: str | Sequence[str] = EDGE_OPERATORS,
    C: float = 1.0,
    max_train_pairs: int = 100_000,
    random_state: Any = None,
) -> LinkPredictionResult:
    """Score how well an embedding of ``split.train_graph`` tells removed edges from non-edges.

    For each operator a logistic regression is trained on the edges that *remain* in the training
    graph (`split.train_pairs`) against `split.train_negatives`, and tested on the *removed* edges
    (`split.test_pairs`) against `split.test_negatives`. So neither the embedding nor the
    classifier sees a removed edge or a test negative before the test. (The paper does not say
    what its classifier is trained on; training it on a part of the removed edges is easier,
    because those, like the test edges, were unknown to the embedding.)

    Parameters
    ----------
    embedding : array-like of shape (n_nodes, n_components)
        Vectors of the nodes, learned on ``split.train_graph`` and nothing else; row `i` is the
        node with index `i`.
    split : EdgeSplit
        What `split_edges` returned.
    operators : str or sequence of str, default=("average", "hadamard", "l1", "l2")
        The operators to score; see `edge_features`.
    C : float, default=1.0
        Inverse strength of the L2 penalty. Features are scaled to unit variance on the training
        pairs, so the result does not depend on the scale of the embedding.
    max_train_pairs : int, default=100_000
        Train on a random choice of this many edges and as many non-edges where there are more.
    random_state : None, int, numpy.random.Generator or numpy.random.RandomState, default=None
        Decides this choice; without effect where all training pairs are used.

    Returns
    -------
    LinkPredictionResult
        AUC and average precision per operator.

    Raises
    ------
    TypeError
        If `split` is no EdgeSplit or `embedding` does not hold real numbers.
    ValueError
        If an argument is out of range, `embedding` holds NaN or infinity or has another number
        of rows than the graph has nodes.

    See Also
    --------
    split_edges : Makes the split.

    Notes
    -----
    The four operators ignore the order of a pair, and so does the split: for a directed graph the
    question is whether two nodes are joined at all, not in which direction. Time per operator
    O((iterations * n_train_pairs + n_test_pairs) * n_components); memory O(n_components) times
    `max_train_pairs` float64.
    """
    chosen = (operators,) if isinstance(operators, str) else tuple(operators)
    if not chosen:
        raise ValueError(f"operators must name at least one of {', '.join(EDGE_OPERATORS)}")
    for i, operator in enumerate(chosen):
        name = "operators" if isinstance(operators, str) else f"operators[{i}]"
        check_params({name: operator}, {name: one_of(*EDGE_OPERATORS)})
    check_params(
        {"C": C, "max_train_pairs": max_train_pairs},
        {"C": positive_float(), "max_train_pairs": int_at_least(1)},
    )
    rng = np.random.default_rng(draw_seed(random_state))
    if not isinstance(split, EdgeSplit):
        raise TypeError(f"split must be an EdgeSplit from split_edges, got {type(split).__name__}")
    array = check_embedding(embedding)
    if len(array) != split.train_graph.n_nodes:
        raise ValueError(
            f"embedding must have one row per node of split.train_graph, got {len(array)} rows "
            f"for {split.train_graph.n_nodes} nodes"
        )
    array = array.astype(np.float64, copy=False)

    positives = _at_most(split.train_pairs, max_train_pairs, rng)
    negatives = _at_most(split.train_negatives, max_train_pairs, rng)
    train = np.concatenate([positives, negatives])
    y_train = np.repeat([True, False], [len(positives), len(negatives)])
    test = np.concatenate([split.test_pairs, split.test_negatives])
    y_test = np.repeat([True, False], [len(split.test_pairs), len(split.test_negatives)])

    auc: dict[str, float] = {}
    precision: dict[str, float] = {}
    for operator in chosen:
        model = make_pipeline(StandardScaler(), LogisticRegression(C=C, max_iter=10_000))
        model.fit(combine(array, train, operator), y_train)
        scores = _decision_in_blocks(model, array, test, operator)
        auc[operator] = float(roc_auc_score(y_test, scores))
        precision[operator] = float(average_precision_score(y_test, scores))
    return LinkPredictionResult(auc, precision, len(positives), len(split.test_pairs))


def _at_most(pairs: IndexArray, limit: int, rng: np.random.Generator) -> IndexArray:
    if len(pairs) <= limit:
        return pairs
    return pairs[np.sort(rng.choice(len(pairs), limit, replace=False, shuffle=False))]


def _decision_in_blocks(
    model: Any, array: FloatArray, pairs: IndexArray, operator: str
) -> FloatArray:
    n_rows = max(1, _BLOCK_ENTRIES // array.shape[1])
    blocks = [
        model.decision_function(combine(array, pairs[start : start + n_rows], operator))
        for start in range(0, len(pairs), n_rows)
    ]
    return np.concatenate(blocks)
