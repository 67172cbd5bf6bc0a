"""Recommenders from graph embeddings: which table is which, and how they score."""

import numpy as np
import pytest
import scipy.sparse as sp

from graphembed import LINE, DeepWalk, Node2Vec
from graphembed.recsys import (
    DeepWalkRecommender,
    Interactions,
    LINERecommender,
    Node2VecRecommender,
    Popularity,
    evaluate,
    make_interactions,
)

DATA = make_interactions(150, 100, random_state=2)
TRAIN = DATA.interactions
N = TRAIN.n_users
SMALL = {"n_components": 12, "n_walks": 3, "walk_length": 20, "window": 4}


def scores(model) -> np.ndarray:
    return model._all_scores(np.arange(N))


def test_deepwalk_scores_by_input_and_output():
    model = DeepWalkRecommender(**SMALL, ns_exponent=0.5, random_state=np.random.default_rng(4))
    model.fit(TRAIN)
    graph = TRAIN.to_graph()
    seed = int(np.random.default_rng(4).integers(2**64, dtype=np.uint64))
    walks = DeepWalk(**SMALL, ns_exponent=0.5, random_state=seed).fit(graph)
    vectors, contexts = walks.embedding_, walks.context_embedding_
    assert not np.array_equal(vectors, contexts)
    np.testing.assert_allclose(scores(model), vectors[:N] @ contexts[N:].T, rtol=1e-4, atol=1e-5)
    model.set_params(scoring="in.in")
    np.testing.assert_allclose(scores(model), vectors[:N] @ vectors[N:].T, rtol=1e-4, atol=1e-5)
    model.set_params(scoring="cosine")
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    np.testing.assert_allclose(scores(model), unit[:N] @ unit[N:].T, rtol=1e-4, atol=1e-5)
    ids, found = model.similar_items(5, k=3)
    cosines = unit[N:] @ unit[N + 5]
    cosines[5] = -1
    assert ids.tolist() == np.argsort(-cosines)[:3].tolist()
    np.testing.assert_allclose(found, np.sort(cosines)[::-1][:3], rtol=1e-4)


def test_node2vec_with_p_and_q_of_1_is_deepwalk():
    deepwalk = DeepWalkRecommender(**SMALL, random_state=0).fit(TRAIN)
    same = Node2VecRecommender(**SMALL, random_state=0).fit(TRAIN)
    other = Node2VecRecommender(**SMALL, q=4.0, random_state=0).fit(TRAIN)
    assert scores(deepwalk).tobytes() == scores(same).tobytes()
    assert scores(deepwalk).tobytes() != scores(other).tobytes()


@pytest.mark.parametrize("order", ["first", "second", "both"])
def test_line_keeps_both_tables(order):
    model = LINERecommender(10, order=order, n_samples=20_000, random_state=0).fit(TRAIN)
    assert model.user_vectors.shape == (N, 10)
    assert model.item_vectors.shape == (TRAIN.n_items, 10)
    equal = model.item_input_ == model.item_output_
    if order == "first":
        assert equal.all()
    elif order == "second":
        assert not equal.any()
    else:  # the first five columns are those of the first order
        assert equal[:, :5].all()
        assert not equal[:, 5:].any()


def test_line_has_the_vectors_of_line():
    model = LINERecommender(
        10, order="second", n_samples=20_000, random_state=np.random.default_rng(1)
    ).fit(TRAIN)
    seed = int(np.random.default_rng(1).integers(2**64, dtype=np.uint64))
    line = LINE(10, order="second", n_samples=20_000, ns_exponent=0.0)
    vectors, _ = line._train_order(TRAIN.to_graph(), "second", seed, 1)
    assert vectors[:N].tobytes() == model.user_input_.tobytes()


def test_ratings_are_weights_of_edges():
    graph_free = Interactions.from_csr(TRAIN.matrix).implicit()
    rated = DeepWalkRecommender(**SMALL, random_state=0).fit(TRAIN)
    plain = DeepWalkRecommender(**SMALL, random_state=0).fit(graph_free)
    assert scores(rated).tobytes() != scores(plain).tobytes()


@pytest.mark.parametrize(
    "model",
    [
        DeepWalkRecommender(16, random_state=0),
        Node2VecRecommender(16, q=0.5, random_state=0),
        LINERecommender(16, n_samples=100_000, random_state=0),
    ],
    ids=lambda model: type(model).__name__,
)
def test_they_find_what_users_like(model):
    cut = np.random.default_rng(0).random(TRAIN.n_interactions) < 0.2
    train, test = TRAIN.select(~cut), TRAIN.select(cut)
    popular = evaluate(Popularity().fit(train), train, test, 10)["recall@10"]
    assert evaluate(model.fit(train), train, test, 10)["recall@10"] > popular + 0.05


@pytest.mark.parametrize("scoring", ["in.out", "cosine"])
def test_new_users_have_the_mean_of_their_items(scoring):
    model = DeepWalkRecommender(**SMALL, scoring=scoring, random_state=0).fit(TRAIN)
    history = np.zeros((2, TRAIN.n_items))
    history[0, [3, 8]] = [1, 3]
    vector = (model.item_input_[3] + 3 * model.item_input_[8]) / 4
    if scoring == "cosine":
        vector /= np.linalg.norm(vector)
    products = model.item_vectors @ vector
    ids, found = model.recommend(histories=sp.csr_matrix(history), k=4, filter_seen=False)
    assert ids[0].tolist() == np.argsort(-products)[:4].tolist()
    np.testing.assert_allclose(found[0], np.sort(products)[::-1][:4], rtol=1e-4)


def test_context_vectors_are_there_or_explained():
    graph = [(0, 1), (1, 2), (2, 0)]
    assert Node2Vec(4, random_state=0).fit(graph).context_embedding_.shape == (3, 4)
    for model in (DeepWalk(4), DeepWalk(4, loss="hs", random_state=0).fit(graph)):
        with pytest.raises(AttributeError, match="holds no context vectors"):
            _ = model.context_embedding_


def test_wrong_parameters_name_the_recommender():
    with pytest.raises(ValueError, match="Node2VecRecommender: scoring must be one of"):
        Node2VecRecommender(scoring="out").fit(TRAIN)
    with pytest.raises(ValueError, match="LINERecommender: order must be one of"):
        LINERecommender(order="third").fit(TRAIN)
    with pytest.raises(ValueError, match="n_components must be >= 2"):
        LINERecommender(1, order="both").fit(TRAIN)


@pytest.mark.data
def test_lastfm(data_dir):
    folder = data_dir / "lastfm"
    if not folder.is_dir():
        pytest.skip("lastfm is not among the data")
    pairs = (np.loadtxt(folder / f"{part}1.txt", usecols=(0, 1)) for part in ("data", "test"))
    train, test = (Interactions.from_arrays(*p.T.astype(np.int64)) for p in pairs)
    train, test = train.align(test)
    model = DeepWalkRecommender(random_state=0, n_jobs=2).fit(train)
    result = evaluate(model, train, test)
    assert result["recall@20"] > 0.235  # with ns_exponent=0.75, as in word2vec: 0.20
    assert evaluate(model.set_params(scoring="in.in"), train, test)["recall@20"] < 0.15
