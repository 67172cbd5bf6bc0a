"""Each baseline against the definition of its paper, written densely; and on real data."""

import re
import tracemalloc

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.feature_extraction.text import CountVectorizer

from graphembed.recsys import (
    EASE,
    GFCF,
    IALS,
    ContentKNN,
    Interactions,
    ItemKNN,
    Popularity,
    PureSVD,
    RP3beta,
    evaluate,
    load_citeulike,
    make_interactions,
)
from graphembed.recsys.baselines import _inverse, _least_squares, _spectrum

DATA = make_interactions(70, 45, random_state=5)
RATED = DATA.interactions
X = RATED.matrix.toarray().astype(np.float64)


def scores(model) -> np.ndarray:
    return model._all_scores(np.arange(len(X)))


def close(model, expected, rtol=1e-4) -> None:
    np.testing.assert_allclose(scores(model), expected, rtol=rtol, atol=1e-5)


def keep_largest(rows: np.ndarray, k: int) -> np.ndarray:
    kept = np.zeros_like(rows)
    for i, row in enumerate(rows):
        best = np.argsort(-row.astype(np.float32), kind="stable")[:k]
        kept[i, best] = row[best]
    return kept


def test_popularity():
    close(Popularity().fit(RATED), np.tile((X > 0).mean(axis=0), (len(X), 1)))


@pytest.mark.parametrize("block", [7, 45, 512])
def test_ease_is_the_best_linear_model_without_a_diagonal(block, monkeypatch):
    monkeypatch.setattr(_inverse, "BLOCK", block)
    model = EASE(l2=3.0, n_jobs=3).fit(RATED)
    b = np.zeros((45, 45))
    for j in range(45):  # a ridge regression of each item on the others
        others = np.delete(np.arange(45), j)
        gram = X[:, others].T @ X[:, others] + 3.0 * np.eye(44)
        b[others, j] = np.linalg.solve(gram, X[:, others].T @ X[:, j])
    np.testing.assert_allclose(model.weights_, b, atol=1e-5)
    close(model, X @ b)


@pytest.mark.parametrize("n", [1, 6, 20, 21])
def test_inverse(n, monkeypatch):
    monkeypatch.setattr(_inverse, "BLOCK", 7)
    a = np.random.default_rng(n).normal(size=(n, 30))
    a = a @ a.T + np.eye(n)
    inverse = a.copy()
    _inverse.invert(inverse, 2)
    np.testing.assert_allclose(inverse @ a, np.eye(n), atol=1e-8)


@pytest.mark.parametrize("shrink", [0.0, 5.0])
@pytest.mark.parametrize("k", [3, 100])
def test_item_knn(shrink, k):
    norms = np.linalg.norm(X, axis=0)
    similarity = X.T @ X / (np.outer(norms, norms) + shrink)
    np.fill_diagonal(similarity, 0)
    # the neighbours of the item that is scored
    close(ItemKNN(k, shrink=shrink).fit(RATED), X @ keep_largest(similarity, k).T)


@pytest.mark.parametrize("weighting", ["tfidf", "bm25"])
def test_weights_of_item_knn(weighting):
    idf = np.log(1 + 45 / (X > 0).sum(axis=1, keepdims=True))
    if weighting == "tfidf":
        weighted = np.sqrt(X) * idf
    else:
        lengths = X.sum(axis=0) / X.sum(axis=0).mean()
        weighted = X * 2.2 / (X + 1.2 * (0.25 + 0.75 * lengths)) * idf
    norms = np.linalg.norm(weighted, axis=0)
    similarity = weighted.T @ weighted / np.outer(norms, norms)
    np.fill_diagonal(similarity, 0)
    close(ItemKNN(45, shrink=0.0, weighting=weighting).fit(RATED), X @ similarity)


def test_rp3beta():
    to_items = (X / X.sum(axis=1, keepdims=True)) ** 0.7
    to_users = (X.T / X.T.sum(axis=1, keepdims=True)) ** 0.7
    weights = to_users @ to_items / (X > 0).sum(axis=0) ** 0.4
    np.fill_diagonal(weights, 0)
    close(RP3beta(0.7, 0.4, k=6).fit(RATED), to_items @ keep_largest(weights, 6))


def normalised() -> np.ndarray:
    return X / np.sqrt(np.outer(X.sum(axis=1), X.sum(axis=0)))


@pytest.mark.parametrize("dense", [0, 400])
def test_pure_svd(dense, monkeypatch):
    monkeypatch.setattr(_spectrum, "_DENSE", dense)  # without: the method of Lanczos
    v = np.linalg.svd(normalised())[2][:6].T
    roots = np.sqrt(X.sum(axis=0))
    close(PureSVD(6, normalize=True).fit(RATED), (X / roots) @ v @ (v.T * roots))
    v = np.linalg.svd(X)[2][:6].T
    close(PureSVD(6).fit(RATED), X @ v @ v.T)


@pytest.mark.parametrize("shape", [(90, 130), (130, 90), (60, 60)])
@pytest.mark.parametrize("k", [3, 20, 55])
def test_lanczos_finds_the_singular_vectors(shape, k, monkeypatch):
    monkeypatch.setattr(_spectrum, "_DENSE", 0)
    dense = np.random.default_rng(0).random(shape) * (np.random.default_rng(1).random(shape) < 0.2)
    vectors = _spectrum._right_singular_vectors(sp.csr_matrix(dense), k)
    expected = np.linalg.svd(dense)[2][:k].T
    np.testing.assert_allclose(np.abs((vectors * expected).sum(axis=0)), 1, atol=1e-9)


@pytest.mark.parametrize("transposed", [False, True])
def test_lanczos_on_data_of_low_rank(transposed, monkeypatch):
    monkeypatch.setattr(_spectrum, "_DENSE", 0)
    blocks = np.kron(np.eye(5), np.ones((40, 30)))  # one singular value, five times
    blocks = sp.csr_matrix(blocks.T if transposed else blocks)
    runs = [PureSVD(12, normalize=True).fit(blocks) for _ in range(2)]
    assert runs[0].projection_.tobytes() == runs[1].projection_.tobytes()
    assert runs[0].projection_.shape == (blocks.shape[1], 5)
    products = runs[0].user_vectors @ runs[0].item_vectors.T
    np.testing.assert_allclose(products, blocks.toarray(), atol=1e-5)


def test_all_singular_vectors_give_the_interactions_back():
    close(PureSVD(1000).fit(RATED), X)


def test_signs_of_singular_vectors_are_fixed():
    vectors = PureSVD(6).fit(RATED).projection_
    assert (vectors[np.abs(vectors).argmax(axis=0), np.arange(6)] > 0).all()


def test_gf_cf():
    n = normalised()
    v = np.linalg.svd(n)[2][:6].T
    roots = np.sqrt(X.sum(axis=0))
    low_pass = (v / roots[:, None]) @ (v.T * roots)
    close(GFCF(6, alpha=0.4).fit(RATED), X @ (n.T @ n + 0.4 * low_pass))


def ials_loss(model: IALS) -> float:
    u, v = model.user_vectors_.astype(np.float64), model.item_vectors_.astype(np.float64)
    products = u @ v.T
    loss = (X * (1 - products) ** 2).sum() + model.w0 * (products**2).sum()
    for table, counts, others in ((u, (X > 0).sum(axis=1), v), (v, (X > 0).sum(axis=0), u)):
        weights = (counts + model.w0 * len(others)) ** model.nu
        loss += model.reg * (weights * (table**2).sum(axis=1)).sum()
    return loss


def test_ials_ends_at_a_minimum():
    model = IALS(5, reg=0.05, w0=0.2, nu=0.8, n_epochs=200, random_state=0).fit(RATED)
    least = ials_loss(model)
    rng = np.random.default_rng(0)
    for name in ("user_vectors_", "item_vectors_"):
        vectors = getattr(model, name)
        for _ in range(20):
            step = rng.normal(0, 0.02, vectors.shape).astype(np.float32)
            losses = []
            for sign in (1, -1):
                setattr(model, name, vectors + sign * step)
                losses.append(ials_loss(model))
            setattr(model, name, vectors)
            assert min(losses) > least
            assert abs(losses[0] - losses[1]) < 0.05 * (max(losses) - least)  # no slope


def test_ials_solves_long_and_short_rows_alike(monkeypatch):
    whole = IALS(5, n_epochs=3, random_state=0).fit(RATED)
    monkeypatch.setattr(_least_squares, "_ENTRIES", 1)
    np.testing.assert_allclose(
        IALS(5, n_epochs=3, random_state=0).fit(RATED).user_vectors_, whole.user_vectors_, atol=1e-4
    )


@pytest.mark.parametrize("d", [3, 40])
def test_ials_solves_the_normal_equations(d):
    rng = np.random.default_rng(0)
    rows = sp.random_array((50, 70), density=0.3, rng=rng, format="csr")
    rows = sp.csr_matrix(sp.vstack([rows, sp.csr_matrix((2, 70))]))
    others = rng.normal(size=(70, d)).astype(np.float32)
    penalty = rng.random(52) + 0.1
    found = _least_squares.solve_rows(rows, others, 0.2, penalty, 3)
    dense = rows.toarray()
    for i in range(52):
        left = (others.T * (dense[i] + 0.2)) @ others + penalty[i] * np.eye(d)
        np.testing.assert_allclose(found[i], np.linalg.solve(left, others.T @ dense[i]), atol=1e-5)


def test_what_cannot_be_solved_names_the_parameter():
    rank_one = sp.csr_matrix(np.ones((4, 3)))
    with pytest.raises(ValueError, match="l2=1e-100: raise l2"):
        EASE(l2=1e-100).fit(rank_one)
    with pytest.raises(ValueError, match=r"values up to 3e\+38.* scale the values"):
        IALS(4, random_state=0).fit(rank_one * 3e38)


def test_ease_counts_its_memory():
    train = sp.random_array((300, 600), density=0.1, rng=np.random.default_rng(0), format="csr")
    tracemalloc.start()
    try:
        EASE(n_jobs=2).fit(Interactions.from_csr(train))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    with pytest.raises(ValueError, match="600 items need") as refused:
        EASE(max_memory=1, n_jobs=2).fit(train)
    counted = int(re.search(r"need (\d+) bytes", str(refused.value))[1])
    assert peak < 1.1 * counted


@pytest.mark.parametrize("shape", [(20_000, 100), (100, 20_000)])
def test_a_small_side_makes_no_dense_table(shape):
    train = sp.random_array(shape, density=0.002, rng=np.random.default_rng(0), format="csr")
    matrix = sp.csr_matrix(train)
    tracemalloc.start()
    try:
        vectors = _spectrum._right_singular_vectors(matrix, 5)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 0.5 * 8 * shape[0] * shape[1]
    expected = np.linalg.svd(matrix.toarray(), full_matrices=False)[2][:5].T
    np.testing.assert_allclose(np.abs((vectors * expected).sum(axis=0)), 1, atol=1e-6)


def test_content_knn():
    tags = DATA.item_tags.toarray()
    weights = tags * np.log(45 / np.maximum(1, (tags > 0).sum(axis=0)))
    rows = weights / np.linalg.norm(weights, axis=1, keepdims=True)
    profiles = X @ rows
    profiles /= np.linalg.norm(profiles, axis=1, keepdims=True)
    for features in (DATA.item_tags, tags):
        close(ContentKNN().fit(RATED, features), profiles @ rows.T)
    plain = tags / np.linalg.norm(tags, axis=1, keepdims=True)
    profiles = X @ plain
    profiles /= np.linalg.norm(profiles, axis=1, keepdims=True)
    close(ContentKNN(weighting="none").fit(RATED, tags), profiles @ plain.T)


def test_content_knn_reads_text():
    words = CountVectorizer().fit_transform(DATA.item_text).toarray()
    words = words * np.log(45 / (words > 0).sum(axis=0))
    words /= np.linalg.norm(words, axis=1, keepdims=True)
    profiles = X @ words
    profiles /= np.linalg.norm(profiles, axis=1, keepdims=True)
    close(ContentKNN().fit(RATED, DATA.item_text), profiles @ words.T)


@pytest.mark.parametrize("kind", ["array", "object", "Series", "tuple"])
def test_texts_come_in_every_sequence(kind):
    texts = [" ".join(f"tag{j}" for j in np.flatnonzero(row)) for row in DATA.item_tags.toarray()]
    series = pytest.importorskip("pandas").Series(texts, index=range(100, 145))
    made = {
        "array": np.array(texts),
        "object": np.array(texts, object),
        "Series": series,
        "tuple": tuple(texts),
    }[kind]
    np.testing.assert_array_equal(
        scores(ContentKNN().fit(RATED, made)), scores(ContentKNN().fit(RATED, texts))
    )


def test_content_knn_finds_new_items():
    train = RATED.matrix.tolil()
    new = np.arange(0, 45, 5)
    train[:, new] = 0
    train = sp.csr_matrix(train)
    test = Interactions.from_csr(RATED.matrix - train)
    chance = evaluate(Popularity().fit(train), train, test, (3,), items=new)["recall@3"]
    model = ContentKNN().fit(train, DATA.item_tags)
    assert evaluate(model, train, test, (3,), items=new)["recall@3"] > chance + 0.2


def test_wrong_features():
    for features, message in (
        (None, "item_features must be given"),
        (np.ones((3, 2)), "a row for each of the 45 items of train, got 3"),
        (["text"] * 44, "got 44"),
        ("text", "a list of texts, got str"),
        (["text"] * 44 + [None], "must be texts, but row 44 is None"),
        (np.full((45, 2), np.inf), "must be finite, but row 0"),
    ):
        with pytest.raises(ValueError, match=message):
            ContentKNN().fit(RATED, features)


@pytest.mark.parametrize("library", ["pandas", "polars"])
def test_features_from_a_data_frame(library):
    frames = pytest.importorskip(library)
    numbers = frames.DataFrame({"a": np.arange(45.0), "b": np.ones(45)})
    assert ContentKNN().fit(RATED, numbers).features_.shape == (45, 2)
    texts = frames.DataFrame({"id": np.arange(45), "text": [f"tag{i % 3}" for i in range(45)]})
    assert ContentKNN().fit(RATED, texts["text"]).features_.shape == (45, 3)
    with pytest.raises(ValueError, match="pass one column of texts"):
        ContentKNN().fit(RATED, texts)


# -- Real data: what others have measured, or we with another program ---------------------------


def adjacency(path) -> Interactions:
    return Interactions.from_lightgcn(path)


@pytest.mark.data
@pytest.mark.parametrize(
    ("model", "recall", "ndcg"),
    [
        (Popularity(), 0.1161, 0.1176),
        (PureSVD(64, normalize=True), 0.2743, 0.2610),
        (GFCF(64), 0.2675, 0.2580),
    ],
    ids=lambda value: type(value).__name__,
)
def test_movielens_1m(data_dir, model, recall, ndcg):
    folder = data_dir / "ml-1m_m1"
    if not folder.is_dir():
        pytest.skip("ml-1m_m1 is not among the data")
    train, test = adjacency(folder / "train.txt").align(adjacency(folder / "test.txt"))
    result = evaluate(model.fit(train), train, test)
    assert result["recall@20"] == pytest.approx(recall, abs=2e-4)
    assert result["ndcg@20"] == pytest.approx(ndcg, abs=2e-4)


@pytest.mark.data
@pytest.mark.parametrize(
    ("model", "recall", "ndcg"),
    [
        (Popularity(), 0.0367, 0.0211),
        (ItemKNN(), 0.2613, 0.2053),
        (RP3beta(k=5000), 0.2014, 0.1356),
        (GFCF(64), 0.2706, 0.2085),
    ],
    ids=lambda value: type(value).__name__,
)
def test_lastfm(data_dir, model, recall, ndcg):
    folder = data_dir / "lastfm"
    if not folder.is_dir():
        pytest.skip("lastfm is not among the data")
    pairs = (np.loadtxt(folder / f"{part}1.txt", usecols=(0, 1)) for part in ("data", "test"))
    train, test = (Interactions.from_arrays(*p.T.astype(np.int64)) for p in pairs)
    train, test = train.align(test)
    result = evaluate(model.fit(train), train, test)
    # The order of the items, which decides between equal scores, is not that of the measurement.
    assert result["recall@20"] == pytest.approx(recall, abs=1e-3)
    assert result["ndcg@20"] == pytest.approx(ndcg, abs=1e-3)


@pytest.mark.data
def test_new_articles_of_citeulike(data_dir):
    if not (data_dir / "citeulike-a").is_dir():
        pytest.skip("citeulike-a is not among the data")
    data = load_citeulike(data_dir / "citeulike-a")
    n = data.interactions.n_items
    new = np.random.default_rng(0).choice(n, n // 5, replace=False)
    is_new = np.isin(data.interactions.matrix.indices, new)
    train, test = data.interactions.select(~is_new), data.interactions.select(is_new)
    result = evaluate(ContentKNN().fit(train, data.tags), train, test, items=new)
    assert result["n_users"] == 5383
    assert result["recall@20"] == pytest.approx(0.3693, abs=2e-4)
    assert result["ndcg@20"] == pytest.approx(0.3081, abs=2e-4)
