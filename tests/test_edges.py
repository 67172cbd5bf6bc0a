"""EdgeEmbedder against the paper's table, and scikit-learn's manners."""

import pickle

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline

from graphembed import DeepWalk, EdgeEmbedder
from graphembed.evaluation import EDGE_OPERATORS, edge_features, edge_operators

FORMULAS = {
    "average": lambda u, v: (u + v) / 2,
    "hadamard": lambda u, v: u * v,
    "l1": lambda u, v: abs(u - v),
    "l2": lambda u, v: abs(u - v) ** 2,
}
EDGES = [("ann", "bob"), ("bob", "cem"), ("cem", "ann"), ("cem", 7), (7, ("a", "tuple"))]
MODEL = DeepWalk(n_components=5, n_walks=1, walk_length=5, random_state=0, n_jobs=1).fit(EDGES)
VECTORS = np.random.default_rng(0).standard_normal((40, 6))


@pytest.mark.parametrize("operator", EDGE_OPERATORS)
def test_operators_are_those_of_the_paper(operator):
    features = EdgeEmbedder(MODEL, operator).fit_transform(EDGES)
    assert features.dtype == np.float32
    for row, (a, b) in zip(features, EDGES, strict=True):
        np.testing.assert_allclose(row, FORMULAS[operator](MODEL[a], MODEL[b]), rtol=1e-6)


def test_blocks_do_not_change_the_features(monkeypatch):
    pairs = np.random.default_rng(1).integers(40, size=(100, 2))
    whole = [EdgeEmbedder(VECTORS, name).fit_transform(pairs) for name in EDGE_OPERATORS]
    monkeypatch.setattr(edge_operators, "_BLOCK_ENTRIES", 6 * 7)
    for name, expected in zip(EDGE_OPERATORS, whole, strict=True):
        assert (EdgeEmbedder(VECTORS, name).fit_transform(pairs) == expected).all()
        assert (edge_features(VECTORS, pairs, name) == expected).all()


@pytest.mark.parametrize(
    ("ids", "pairs"),
    [
        (None, [(3, 4), (4, 3)]),
        (None, np.array([[3, 4], [4, 3]], np.int32)),
        (None, np.array([[3, 4], [4, 3]], np.uint8)),
        (None, np.array([[3.0, 4.0], [4.0, 3.0]])),
        (np.arange(40)[::-1] * 10**9, [(36 * 10**9, 35 * 10**9), (35 * 10**9, 36 * 10**9)]),
        ([f"n{i}" for i in range(40)], np.array([["n3", "n4"], ["n4", "n3"]])),
        ([f"n{i}" for i in range(40)], pd.DataFrame({"s": ["n3", "n4"], "t": ["n4", "n3"]})),
        ([("n", i) for i in range(40)], iter([(("n", 3), ("n", 4)), [("n", 4), ("n", 3)]])),
    ],
)
def test_ids_and_forms_of_pairs(ids, pairs):
    features = EdgeEmbedder(VECTORS, "l1", node_ids=ids).fit().transform(pairs)
    expected = abs(VECTORS[3] - VECTORS[4])
    assert (features == [expected, expected]).all()


@pytest.mark.parametrize("pairs", [[], np.empty((0, 2), int)])
def test_no_pairs_give_no_features(pairs):
    assert EdgeEmbedder(VECTORS).fit_transform(pairs).shape == (0, 6)


def test_in_a_pipeline_and_a_grid_search():
    rng = np.random.default_rng(2)
    community = rng.integers(2, size=40)
    vectors = rng.standard_normal((40, 4)) + 3 * community[:, None]
    model = DeepWalk(n_components=4)
    model._set_fitted(np.array([f"n{i}" for i in range(40)], object), vectors, {})
    pairs = rng.integers(40, size=(300, 2))
    y = community[pairs[:, 0]] == community[pairs[:, 1]]
    X = model.node_ids_[pairs]
    pipeline = make_pipeline(EdgeEmbedder(model, "average"), LogisticRegression())
    search = GridSearchCV(pipeline, {"edgeembedder__operator": list(EDGE_OPERATORS)}, cv=3)
    search.fit(X, y)
    assert search.best_params_["edgeembedder__operator"] in ("l1", "l2")
    assert search.score(X, y) > 0.9
    assert search.best_estimator_[0].embedding_ is vectors


def test_clone_shares_the_vectors_and_keeps_the_parameters():
    embedder = EdgeEmbedder(MODEL, "l2")
    copy = clone(embedder)
    assert copy is not embedder
    assert copy.get_params(deep=False) == embedder.get_params(deep=False)
    assert copy.embedding is MODEL
    np.testing.assert_array_equal(copy.fit_transform(EDGES), embedder.fit_transform(EDGES))
    again = pickle.loads(pickle.dumps(embedder))  # our own bytes
    np.testing.assert_array_equal(again.transform(EDGES), embedder.transform(EDGES))


def test_set_params_and_set_output():
    embedder = EdgeEmbedder(VECTORS).fit().set_params(operator="l1")
    frame = embedder.set_output(transform="pandas").transform([(0, 1)])
    assert list(frame.columns) == [f"l1{j}" for j in range(6)]
    assert (frame.to_numpy() == abs(VECTORS[0] - VECTORS[1])).all()


@pytest.mark.parametrize(
    ("pairs", "error", "message"),
    [
        ([("ann", "bob"), ("cem", "eve")], KeyError, r"X\[1, 1\]: .* no node 'eve'"),
        ([("ann", "bob"), (8, "eve")], KeyError, r"X\[1, 0\]: .* no node 8"),
        ([(["ann"], "bob")], KeyError, r"X\[0, 0\]: .* no node \['ann'\]"),
        (np.array([["ann", "eve"]]), KeyError, r"X\[0, 1\]: .* no node 'eve'"),
        ([("ann", "bob"), ("ann", "bob", "cem")], ValueError, r"X\[1\] must be a pair"),
        (["ab"], ValueError, r"X\[0\] must be a pair of node ids, got 'ab'"),
        (np.array(["ann", "bob"]), ValueError, r"shape \(n_pairs, 2\), got \(2,\)"),
        (pd.DataFrame({"a": ["ann"]}), ValueError, r"shape \(n_pairs, 2\), got \(1, 1\)"),
    ],
)
def test_bad_pairs_are_named(pairs, error, message):
    embedder = EdgeEmbedder(MODEL).fit()
    with pytest.raises(error, match=message):
        embedder.transform(pairs)


def test_unknown_integers_are_named():
    with pytest.raises(KeyError, match=r"X\[2, 0\]: .* no node 40"):
        EdgeEmbedder(VECTORS).fit_transform(np.array([[0, 1], [2, 3], [40, 41]]))


WITH_NAN = np.where(np.arange(40)[:, None] == 7, np.nan, VECTORS)


@pytest.mark.parametrize(
    ("embedder", "error", "message"),
    [
        (EdgeEmbedder(VECTORS, "cosine"), ValueError, "operator must be one of .* got 'cosine'"),
        (EdgeEmbedder(DeepWalk()), NotFittedError, "not fitted"),
        (EdgeEmbedder(MODEL, node_ids=range(5)), ValueError, "node_ids must be None"),
        (EdgeEmbedder(VECTORS, node_ids=range(39)), ValueError, "node_ids .* 40 .* got 39"),
        (EdgeEmbedder(VECTORS, node_ids=[0] * 40), ValueError, "distinct, got 0 twice"),
        (EdgeEmbedder(WITH_NAN), ValueError, "finite.* first is row 7"),
    ],
)
def test_bad_parameters_are_named(embedder, error, message):
    with pytest.raises(error, match=message):
        embedder.fit()


def test_transform_needs_fit():
    with pytest.raises(NotFittedError):
        EdgeEmbedder(VECTORS).transform([(0, 1)])
