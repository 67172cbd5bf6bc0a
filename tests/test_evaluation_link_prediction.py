"""Edge operators against the paper's table, link prediction against its laws."""

from dataclasses import replace

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score, roc_auc_score

from graphembed.evaluation import (
    EDGE_OPERATORS,
    edge_features,
    link_prediction,
    split_edges,
)
from graphembed.graph import Graph

FORMULAS = {
    "average": lambda u, v: (u + v) / 2,
    "hadamard": lambda u, v: u * v,
    "l1": lambda u, v: abs(u - v),
    "l2": lambda u, v: abs(u - v) ** 2,
}


def communities(n_nodes=120, n_blocks=4, seed=0):
    """Return a graph of dense blocks and the block of each node."""
    rng = np.random.default_rng(seed)
    block = np.arange(n_nodes) % n_blocks
    probability = np.where(block[:, np.newaxis] == block, 0.4, 0.01)
    upper = np.triu(rng.random((n_nodes, n_nodes)) < probability, 1)
    return Graph.from_scipy(sp.csr_array((upper | upper.T).astype(np.float32))), block


GRAPH, BLOCK = communities()
SPLIT = split_edges(GRAPH, random_state=0)
GOOD = np.eye(4)[BLOCK] + 0.1 * np.random.default_rng(1).standard_normal((120, 4))


@given(
    seed=st.integers(0, 2**32 - 1),
    operator=st.sampled_from(EDGE_OPERATORS),
    dtype=st.sampled_from([np.float32, np.float64]),
)
@settings(max_examples=40, deadline=None)
def test_operators_are_those_of_the_paper(seed, operator, dtype):
    rng = np.random.default_rng(seed)
    embedding = rng.standard_normal((9, 5)).astype(dtype)
    pairs = rng.integers(9, size=(7, 2)).astype(np.int32)
    features = edge_features(embedding, pairs, operator)
    assert features.shape == (7, 5)
    assert features.dtype == dtype
    for row, (i, j) in zip(features, pairs, strict=True):
        for k in range(5):
            expected = FORMULAS[operator](float(embedding[i, k]), float(embedding[j, k]))
            assert row[k] == pytest.approx(expected, rel=1e-5, abs=1e-6)
    assert (features == edge_features(embedding, pairs[:, ::-1], operator)).all()


def test_no_pairs_give_no_features():
    assert edge_features(GOOD, np.empty((0, 2), dtype=int), "l1").shape == (0, 4)


def test_scores_are_those_of_scikit_learn():
    result = link_prediction(GOOD, SPLIT)
    train = np.concatenate([SPLIT.train_pairs, SPLIT.train_negatives])
    test = np.concatenate([SPLIT.test_pairs, SPLIT.test_negatives])
    y_train = np.arange(len(train)) < len(SPLIT.train_pairs)
    y_test = np.arange(len(test)) < len(SPLIT.test_pairs)
    for operator in EDGE_OPERATORS:
        x_train, x_test = (FORMULAS[operator](GOOD[p[:, 0]], GOOD[p[:, 1]]) for p in (train, test))
        mean, std = x_train.mean(axis=0), x_train.std(axis=0)
        model = LogisticRegression(C=1.0).fit((x_train - mean) / std, y_train)
        scores = model.decision_function((x_test - mean) / std)
        assert result.auc[operator] == pytest.approx(roc_auc_score(y_test, scores), abs=1e-6)
        precision = average_precision_score(y_test, scores)
        assert result.average_precision[operator] == pytest.approx(precision, abs=1e-6)


def test_auc_is_the_chance_that_an_edge_scores_above_a_non_edge():
    # one component, so the classifier can only keep or turn the order of the feature
    value = np.random.default_rng(0).standard_normal((120, 1)) + BLOCK[:, np.newaxis]
    result = link_prediction(value, SPLIT, operators="l1")
    positive = edge_features(value, SPLIT.test_pairs, "l1")
    negative = edge_features(value, SPLIT.test_negatives, "l1")
    below = (positive < negative.T).mean()  # edges are the near pairs
    assert result.auc["l1"] == pytest.approx(below, abs=1e-12)
    assert below > 0.55


def test_planted_communities_are_found_and_noise_is_not():
    good = link_prediction(GOOD, SPLIT)
    noise = link_prediction(np.random.default_rng(5).standard_normal((120, 4)), SPLIT)
    for operator in ("hadamard", "l1", "l2"):
        assert good.auc[operator] > 0.85
        assert good.average_precision[operator] > 0.8
    for operator in EDGE_OPERATORS:
        assert noise.auc[operator] == pytest.approx(0.5, abs=0.08)
        assert noise.average_precision[operator] == pytest.approx(0.5, abs=0.08)
    # the mean of two one-hot rows does not tell whether they are the same
    assert good.auc["average"] < good.auc["hadamard"] - 0.2


def test_swapping_edges_and_non_edges_turns_auc_round():
    turned = replace(SPLIT, test_pairs=SPLIT.test_negatives, test_negatives=SPLIT.test_pairs)
    straight, swapped = link_prediction(GOOD, SPLIT), link_prediction(GOOD, turned)
    for operator in EDGE_OPERATORS:
        assert swapped.auc[operator] == pytest.approx(1 - straight.auc[operator], abs=1e-12)


@pytest.mark.parametrize("scale", [1e-4, 1e4])
def test_scale_of_the_embedding_does_not_matter(scale):
    one, other = link_prediction(GOOD, SPLIT), link_prediction(GOOD * scale, SPLIT)
    for operator in EDGE_OPERATORS:
        assert other.auc[operator] == pytest.approx(one.auc[operator], abs=1e-4)


def test_the_classifier_sees_the_training_pairs_only(monkeypatch):
    seen = []
    fit = LogisticRegression.fit

    def recording(self, X, y):
        seen.append((X, y))
        return fit(self, X, y)

    monkeypatch.setattr(LogisticRegression, "fit", recording)
    other = replace(SPLIT, test_pairs=SPLIT.test_pairs[:9], test_negatives=SPLIT.test_pairs[9:18])
    for split in (SPLIT, other):
        link_prediction(GOOD, split, operators="hadamard")
    features = edge_features(
        GOOD, np.concatenate([SPLIT.train_pairs, SPLIT.train_negatives]), "hadamard"
    )
    expected = (features - features.mean(axis=0)) / features.std(axis=0)
    for X, y in seen:
        np.testing.assert_allclose(X, expected, atol=1e-9)
        assert y.tolist() == [True] * len(SPLIT.train_pairs) + [False] * len(SPLIT.train_pairs)


def test_blocks_do_not_change_the_scores(monkeypatch):
    import sys

    whole = link_prediction(GOOD, SPLIT)
    module = sys.modules["graphembed.evaluation.link_prediction"]
    monkeypatch.setattr(module, "_BLOCK_ENTRIES", 4 * 7)
    blocks = link_prediction(GOOD, SPLIT)
    for operator in EDGE_OPERATORS:
        assert blocks.auc[operator] == pytest.approx(whole.auc[operator], abs=1e-12)


def test_max_train_pairs_and_random_state_are_obeyed():
    noisy = GOOD + np.random.default_rng(3).standard_normal(GOOD.shape)
    some = [
        link_prediction(noisy, SPLIT, max_train_pairs=20, random_state=seed, operators="average")
        for seed in (0, 0, 1, 2, 3)
    ]
    assert some[0].n_train_pairs == 20
    assert some[0].auc == some[1].auc
    assert len({result.auc["average"] for result in some}) > 1
    every = [link_prediction(noisy, SPLIT, random_state=seed).auc for seed in (0, 1)]
    assert every[0] == every[1]


def test_c_is_obeyed():
    noisy = GOOD + np.random.default_rng(3).standard_normal(GOOD.shape)
    strong, weak = (link_prediction(noisy, SPLIT, C=C).auc for C in (1e-5, 1e3))
    assert strong != weak


def test_operators_argument_and_table():
    result = link_prediction(GOOD, SPLIT, operators=["l2", "hadamard"])
    assert list(result.auc) == list(result.average_precision) == ["l2", "hadamard"]
    table = str(result).splitlines()
    assert table[0].startswith(f"link prediction: {len(SPLIT.test_pairs)} removed edges")
    assert table[2].split() == [
        "l2",
        f"{result.auc['l2']:.4f}",
        f"{result.average_precision['l2']:.4f}",
    ]


def test_directed_graphs_are_scored():
    rng = np.random.default_rng(0)
    matrix = (rng.random((120, 120)) < np.where(BLOCK[:, np.newaxis] == BLOCK, 0.3, 0.01)) * 1.0
    split = split_edges(Graph.from_scipy(sp.csr_array(matrix), directed=True), random_state=0)
    assert link_prediction(GOOD, split, operators="hadamard").auc["hadamard"] > 0.8


WITH_NAN = GOOD.copy()
WITH_NAN[7, 2] = np.nan


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"embedding": GOOD[:-1]}, ValueError, "embedding .* got 119 rows for 120 nodes"),
        ({"embedding": WITH_NAN}, ValueError, "embedding must be finite.* first is row 7"),
        ({"split": SPLIT.test_pairs}, TypeError, "split must be an EdgeSplit .* got ndarray"),
        ({"operators": "cosine"}, ValueError, "operators must be one of 'average'.* got 'cosine'"),
        ({"operators": ("l1", "L2")}, ValueError, r"operators\[1\] must be one of .* got 'L2'"),
        ({"operators": ()}, ValueError, "operators must name at least one of average, hadamard"),
        ({"C": -1.0}, ValueError, "C must be a finite number > 0 .* got -1.0"),
        ({"max_train_pairs": 0}, ValueError, "max_train_pairs must be an int >= 1 .* got 0"),
        ({"random_state": -1}, ValueError, "random_state must be .* got -1"),
    ],
)
def test_bad_arguments_are_named(changes, error, message):
    arguments = {"embedding": GOOD, "split": SPLIT} | changes
    with pytest.raises(error, match=message):
        link_prediction(arguments.pop("embedding"), arguments.pop("split"), **arguments)


@pytest.mark.parametrize(
    ("pairs", "operator", "error", "message"),
    [
        ([[0, 1]], "dot", ValueError, "operator must be one of .* got 'dot'"),
        (
            [[0, 1], [3, 120]],
            "l1",
            ValueError,
            r"pairs .* \[0, 120\), got \[3, 120\] at position 1",
        ),
        ([[-1, 0]], "l1", ValueError, r"pairs .* got \[-1, 0\] at position 0"),
        ([[0.0, 1.0]], "l1", TypeError, "pairs must hold integers, got dtype float64"),
        ([0, 1], "l1", ValueError, r"pairs must have the shape \(n_pairs, 2\), got \(2,\)"),
        ([[0, 1, 2]], "l1", ValueError, r"pairs must have the shape \(n_pairs, 2\), got \(1, 3\)"),
    ],
)
def test_bad_pairs_are_named(pairs, operator, error, message):
    with pytest.raises(error, match=message):
        edge_features(GOOD, pairs, operator)
