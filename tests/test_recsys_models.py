"""What all recommenders share: ids in and out, filters, ties, threads, files."""

import json

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.base import clone
from threadpoolctl import threadpool_limits

from graphembed import FileFormatError
from graphembed.recsys import (
    EASE,
    GFCF,
    IALS,
    ContentKNN,
    DeepWalkRecommender,
    Interactions,
    ItemKNN,
    LINERecommender,
    Node2VecRecommender,
    Popularity,
    PureSVD,
    Recommender,
    RP3beta,
    VectorRecommender,
    make_interactions,
)

DATA = make_interactions(90, 60, random_state=3)
TRAIN = DATA.interactions.implicit()
WALKS = {"n_components": 8, "n_walks": 2, "walk_length": 10}
MODELS = {
    "popularity": Popularity(),
    "ease": EASE(l2=20.0),
    "item-knn": ItemKNN(k=20),
    "item-knn-tfidf": ItemKNN(k=20, weighting="tfidf"),
    "item-knn-bm25": ItemKNN(k=20, weighting="bm25"),
    "rp3beta": RP3beta(k=30),
    "pure-svd": PureSVD(8, normalize=True),
    "pure-svd-plain": PureSVD(8),
    "gf-cf": GFCF(8),
    "ials": IALS(8, n_epochs=3, random_state=0),
    "content": ContentKNN(),
    "deepwalk": DeepWalkRecommender(**WALKS, random_state=0),
    "node2vec": Node2VecRecommender(**WALKS, q=0.5, random_state=0),
    "line": LINERecommender(8, order="second", n_samples=20_000, random_state=0),
    "line-both": LINERecommender(8, order="both", n_samples=20_000, random_state=0),
}
NEEDS_USERS = ("deepwalk", "node2vec", "line", "line-both")
WITH_VECTORS = ("pure-svd", "pure-svd-plain", "ials", *NEEDS_USERS)
every_model = pytest.mark.parametrize("name", MODELS)


def fit(name: str, train=TRAIN, **params) -> Recommender:
    model = clone(MODELS[name]).set_params(**params)
    return model.fit(train, DATA.item_tags) if name == "content" else model.fit(train)


def same(a, b) -> bool:
    return all(x.tobytes() == y.tobytes() for x, y in zip(a, b, strict=True))


def with_ids() -> Interactions:
    """The same interactions, with ids that are words."""
    return Interactions.from_csr(
        TRAIN.matrix,
        user_ids=[f"u{i}" for i in range(TRAIN.n_users)],
        item_ids=[("item", i) for i in range(TRAIN.n_items)],
    )


@every_model
def test_recommendations_are_new_sorted_and_the_best(name):
    model = fit(name)
    ids, scores = model.recommend(k=7)
    assert ids.shape == scores.shape == (TRAIN.n_users, 7)
    assert scores.dtype == np.float32
    assert (np.diff(scores, axis=1) <= 0).all()
    everything = model._all_scores(np.arange(TRAIN.n_users)).copy()
    everything[TRAIN.matrix.nonzero()] = -np.inf
    for user in range(TRAIN.n_users):
        assert TRAIN.matrix[user, ids[user]].nnz == 0
        best = np.sort(everything[user])[::-1][:7]
        np.testing.assert_allclose(scores[user], best, rtol=1e-4, atol=1e-6)


@every_model
def test_seen_items_and_candidates(name):
    model = fit(name)
    ids, scores = model.recommend([5, 3], k=60, filter_seen=False)
    assert sorted(ids[0]) == list(range(60))
    assert np.isfinite(scores).all()
    some = [40, 2, 17, 2]
    ids, scores = model.recommend(np.array([5, 3]), k=60, filter_seen=False, items=some)
    assert [set(row[:3].tolist()) for row in ids] == [{2, 17, 40}] * 2
    assert (ids[:, 3:] == -1).all()
    assert (scores[:, 3:] == -np.inf).all()
    seen = TRAIN.matrix[5].indices
    ids, _ = model.recommend(5, k=4, items=seen)
    assert ids.tolist() == [-1] * 4


@every_model
def test_one_user_has_one_dimension(name):
    model = fit(name)
    ids, scores = model.recommend(4, k=3)
    assert ids.shape == scores.shape == (3,)
    many = model.recommend([4, 9], k=3)
    assert ids.tolist() == many[0][0].tolist()
    assert scores.tobytes() == many[1][0].tobytes()


@every_model
def test_ids_of_the_caller(name):
    model, plain = fit(name, with_ids()), fit(name)
    ids, scores = model.recommend("u4", k=3)
    assert ids.tolist() == [("item", i) for i in plain.recommend(4, k=3)[0]]
    assert model.recommend(["u4"], k=2, items=[("item", 1)])[0].tolist()[0][1] is None
    assert scores.tobytes() == plain.recommend(4, k=3)[1].tobytes()
    with pytest.raises(KeyError, match="nobody"):
        model.recommend(["u1", "nobody"])
    with pytest.raises(KeyError, match="nothing"):
        model.recommend("u1", items=["nothing"])
    with pytest.raises(ValueError, match="items must be a list or an array"):
        model.recommend("u1", items="item")


@every_model
def test_the_same_bits_for_any_number_of_threads(name):
    # more items than the blocks of EASE have rows, so that several of them are done side by side
    data = make_interactions(150, 1100, random_state=0)
    train = data.interactions
    results = []
    for n_jobs in (1, 4):
        model = clone(MODELS[name]).set_params(n_jobs=n_jobs)
        features = (data.item_tags,) if name == "content" else ()
        with threadpool_limits(n_jobs, user_api="blas"):
            model.fit(train, *features)
            top = model.recommend(k=20)
        fitted = [getattr(v, "data", v) for v in model._fitted().values()]
        results.append([*top, *map(np.asarray, fitted)])
    assert same(*results)


@every_model
def test_what_others_ask_changes_no_bit(name):
    data = make_interactions(120, 1100, per_user=25, random_state=4)
    model = clone(MODELS[name])
    if name == "content":
        model.fit(data.interactions, data.item_tags)
    else:
        model.fit(data.interactions)
    ids, scores = model.recommend(k=1100)
    few = [3, 77, 5, 119, 8]
    found = model.recommend(few, k=1100)
    assert found[0].tolist() == ids[few].tolist()
    assert found[1].tobytes() == scores[few].tobytes()
    for user in few[:3]:
        found = model.recommend(user, k=1100)
        assert found[0].tolist() == ids[user].tolist()
        assert found[1].tobytes() == scores[user].tobytes()
    rows = data.interactions.matrix
    every = model.recommend(histories=rows, k=1100)[1]
    assert model.recommend(histories=rows[few], k=1100)[1].tobytes() == every[few].tobytes()
    assert model.recommend(histories=rows[[7]], k=1100)[1].tobytes() == every[[7]].tobytes()


@every_model
def test_matrices_and_interactions_are_the_same(name):
    assert same(fit(name).recommend(k=5), fit(name, sp.coo_matrix(TRAIN.matrix)).recommend(k=5))


@every_model
def test_equal_scores_fall_back_on_the_order_of_the_items(name):
    model = fit(name)
    ids, scores = model.recommend(k=60, filter_seen=False)
    equal = scores[:, 1:] == scores[:, :-1]
    assert (ids[:, 1:] > ids[:, :-1])[equal].all()


@every_model
def test_users_without_history_get_what_is_popular(name):
    matrix = TRAIN.matrix.tolil()
    matrix[7] = 0
    model = fit(name, sp.csr_matrix(matrix))
    counts = np.bincount(model.train_.matrix.indices, minlength=60)
    ids, scores = model.recommend(7, k=60)
    assert ids.tolist() == np.lexsort((np.arange(60), -counts)).tolist()
    np.testing.assert_allclose(scores, counts[ids] / TRAIN.n_users, rtol=1e-6)


@every_model
def test_histories_of_others(name):
    model = fit(name)
    ids, scores = model.recommend(histories=TRAIN.matrix[:9], k=5)
    known = model.recommend(np.arange(9), k=5)
    if name in NEEDS_USERS:  # they have vectors of another kind
        assert ids.shape == known[0].shape
    elif name == "ials":  # the user's vector is that of the last items, not of those before
        assert (ids == known[0]).mean() > 0.6
    else:
        assert same((ids, scores), known)
    with pytest.raises(ValueError, match="users or histories, not both"):
        model.recommend([0], histories=TRAIN.matrix[:1])
    with pytest.raises(ValueError, match="60 items of train"):
        model.recommend(histories=TRAIN.matrix[:2, :50])
    with pytest.raises(ValueError, match=r"as train.*item_ids=model\.train_\.item_ids"):
        model.recommend(histories=with_ids())
    new = Interactions.from_arrays(["a", "a"], [3, 7], item_ids=model.train_.item_ids)
    assert model.recommend(histories=new, k=5)[0].shape == (1, 5)


@every_model
def test_similar_items(name):
    model = fit(name)
    if name == "popularity":
        with pytest.raises(NotImplementedError, match="ItemKNN"):
            model.similar_items(3)
        return
    ids, scores = model.similar_items([3, 8], k=59)
    assert 3 not in ids[0]
    assert 8 not in ids[1]
    there = ids[0][np.isfinite(scores[0])].tolist()
    assert len(set(there)) == len(there) == (59 if name in WITH_VECTORS else (ids[0] >= 0).sum())
    assert name in WITH_VECTORS or (scores[np.isfinite(scores)] > 0).all()
    assert (scores[:, 1:] <= scores[:, :-1]).all()
    one = model.similar_items(8, k=59)
    assert one[0].tolist() == ids[1].tolist()
    with pytest.raises(KeyError, match="77"):
        model.similar_items(77)
    if name in WITH_VECTORS:
        assert np.abs(scores).max() <= 1 + 1e-5


@every_model
def test_vectors(name):
    model = fit(name)
    if name not in WITH_VECTORS:
        assert not hasattr(model, "item_vectors")
        with pytest.raises(AttributeError, match="without vectors"):
            _ = model.user_vectors
        return
    products = model.user_vectors @ model.item_vectors.T
    assert products.dtype == np.float32
    np.testing.assert_allclose(products, model._all_scores(np.arange(90)), rtol=1e-4, atol=1e-6)


@every_model
def test_scikit_learns_manners(name):
    model = MODELS[name]
    assert clone(model).get_params() == model.get_params()
    assert set(model.get_params()) == set(type(model)._get_param_names())
    for wrong in ({"n_jobs": 0}, {"n_components": 0}, {"k": 0}, {"scoring": "out.out"}):
        if set(wrong) <= set(model.get_params()):
            with pytest.raises(ValueError, match=f"{type(model).__name__}: {next(iter(wrong))} mu"):
                fit(name, **wrong)


@every_model
def test_files(name, tmp_path):
    path = tmp_path / "model"
    model = fit(name, with_ids())
    model.save(path)
    loaded, other = type(model).load(path), Recommender.load(path)
    assert type(other) is type(model)
    assert loaded.get_params() == model.get_params()
    assert loaded.train_ == model.train_
    for again in (loaded, other):
        ids, scores = again.recommend(k=9)
        assert ids.tolist() == model.recommend(k=9)[0].tolist()
        assert scores.tobytes() == model.recommend(k=9)[1].tobytes()
    wrong = EASE if name != "ease" else PureSVD
    with pytest.raises(FileFormatError, match=f"not {wrong.__name__}"):
        wrong.load(path)


def test_damaged_files(tmp_path):
    path, damaged = tmp_path / "model", tmp_path / "damaged"
    fit("item-knn").save(path)
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    for size in (0, 5, 100, len(whole) // 2, len(whole) - 1):
        damaged.write_bytes(whole[:size])
        with pytest.raises(FileFormatError):
            Recommender.load(damaged)
    for place in rng.integers(0, len(whole), 40):
        flipped = bytearray(whole)
        flipped[place] ^= 1 << int(rng.integers(8))
        damaged.write_bytes(bytes(flipped))
        with pytest.raises(FileFormatError):
            Recommender.load(damaged)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda meta, _: meta.pop("params"), "no estimator and params"),
        (lambda meta, _: meta.update(estimator="Mystery"), "holds the model Mystery"),
        (lambda meta, _: meta.update(estimator="Interactions"), "holds the model Interactions"),
        (lambda meta, _: meta["params"].update(power=3), "no parameter 'power'"),
        (lambda meta, _: meta["params"].update(k=-3), "k must be"),
        (lambda _, arrays: arrays.pop("similarity_.shape"), "no array 'similarity_'"),
        (lambda _, arrays: arrays["similarity_.shape"].__setitem__(0, 59), "does not fit the ids"),
        (lambda _, arrays: arrays["similarity_.indices"].__setitem__(0, 60), "no csr matrix"),
        (lambda _, arrays: arrays["train.indptr"].__setitem__(1, 10**9), "no csr matrix"),
        (lambda _, arrays: arrays["item_node_ids"].__setitem__(0, 1), "1"),
        (
            lambda _, arrays: arrays.update({"train.data": arrays["train.data"].astype("f8")}),
            "missing or damaged",
        ),
    ],
)
def test_hostile_files(tmp_path, change, message):
    from graphembed._storage import read_arrays, write_arrays

    path = tmp_path / "model"
    fit("item-knn").save(path)
    meta, arrays = read_arrays(path, kind="recommender")
    arrays = {name: array.copy() for name, array in arrays.items()}
    change(meta, arrays)
    write_arrays(path, kind="recommender", meta=meta, arrays=arrays)
    with pytest.raises(FileFormatError, match=message):
        Recommender.load(path)


def test_other_kinds_of_files(tmp_path):
    from graphembed.graph import Graph

    path = tmp_path / "graph"
    Graph.from_any([(0, 1)]).save(path)
    with pytest.raises(FileFormatError, match="recommender"):
        EASE.load(path)
    path.write_text(json.dumps({"a": 1}))
    with pytest.raises(FileFormatError):
        EASE.load(path)


def test_models_that_need_users_say_so(monkeypatch):
    monkeypatch.setattr(IALS, "_fold_in", VectorRecommender._fold_in)
    with pytest.raises(NotImplementedError, match="IALS has vectors for the users of fit alone"):
        fit("ials").recommend(histories=TRAIN.matrix[:2])


def test_generators_have_no_place_in_files(tmp_path):
    model = fit("ials", random_state=np.random.default_rng(0))
    model.save(tmp_path / "model")
    assert IALS.load(tmp_path / "model").random_state is None


def test_a_fit_that_fails_leaves_the_model_as_it_was(monkeypatch):
    model = fit("ease")
    before = model.recommend(k=3)
    weights = model.weights_

    def fail(train, *, seed, n_threads):
        model.weights_ = None
        raise KeyboardInterrupt

    monkeypatch.setattr(model, "_fit", fail)
    with pytest.raises(KeyboardInterrupt):
        model.fit(TRAIN.matrix[:5])
    assert model.weights_ is weights
    assert same(before, model.recommend(k=3))


def test_wrong_input():
    with pytest.raises(TypeError, match="Interactions or a scipy sparse matrix"):
        EASE().fit(np.ones((3, 3)))
    with pytest.raises(ValueError, match="at least one interaction"):
        EASE().fit(sp.csr_matrix((3, 4)))
    with pytest.raises(ValueError, match="max_memory=100: raise it"):
        EASE(max_memory=100).fit(TRAIN)
    with pytest.raises(ValueError, match="k must be"):
        fit("ease").recommend(k=0)
    with pytest.raises(ValueError, match="filter_seen must be"):
        fit("ease").recommend(filter_seen=1)
    with pytest.raises(ValueError, match="not fitted"):
        EASE().recommend()


@pytest.mark.parametrize("name", ["ials", *NEEDS_USERS])
def test_the_seed_decides(name):
    assert same(fit(name).recommend(k=5), fit(name).recommend(k=5))
    assert not same(fit(name).recommend(k=5), fit(name, random_state=1).recommend(k=5))


@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (5, 1), (2, 3)])
@every_model
def test_tiny_data(name, shape):
    model = clone(MODELS[name])
    train = sp.csr_matrix(np.ones(shape))
    if name == "content":
        model.fit(train, np.eye(shape[1]))
    else:
        model.fit(train)
    ids, scores = model.recommend(k=2, filter_seen=False)
    assert ids.shape == (shape[0], 2)
    assert not np.isnan(scores).any()
    assert (model.recommend(k=1)[0] == -1).all()
