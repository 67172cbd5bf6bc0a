"""LightGCN against a dense version in numpy; seeds, threads, early stopping, cold ids, files."""

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from sklearn.base import clone

from graphembed.exceptions import FileFormatError
from graphembed.recsys import Interactions, LightGCN, evaluate
from graphembed.recsys._lightgcn import Training

DATA = Path(os.environ.get("GRAPHEMBED_DATA", "nowhere"))
N_USERS, N_ITEMS = 60, 40


def planted(seed=0, share=0.5):
    """Two groups of users and items; most interactions are within a group."""
    generator = np.random.default_rng(seed)
    same = (np.arange(N_USERS)[:, None] % 2) == (np.arange(N_ITEMS)[None, :] % 2)
    dense = generator.random((N_USERS, N_ITEMS)) < np.where(same, share, 0.03)
    dense[np.arange(N_USERS), generator.integers(N_ITEMS, size=N_USERS)] = True
    return sp.csr_matrix(dense.astype(np.float32))


@pytest.fixture(scope="module")
def parts():
    whole = planted().tocoo()
    held_out = np.random.default_rng(1).random(whole.nnz) < 0.2
    train, validation = (
        sp.csr_matrix((whole.data[m], (whole.row[m], whole.col[m])), shape=whole.shape)
        for m in (~held_out, held_out)
    )
    return train, validation


def model(**changes):
    options = {"n_components": 8, "n_layers": 3, "n_epochs": 4, "batch_size": 16, "device": "cpu"}
    return LightGCN(**{**options, "random_state": 0, "n_jobs": 1, **changes})


def training_of(estimator, train, seed=5):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return Training(estimator._settings(), train, seed, torch.device("cpu"))


def dense_layers(train, table, n_layers):
    """E(0) to E(K) as the paper writes them."""
    r = (train.toarray() > 0).astype(float)
    n_users, n_items = r.shape
    a = np.zeros((n_users + n_items, n_users + n_items))
    a[:n_users, n_users:], a[n_users:, :n_users] = r, r.T
    degrees = a.sum(1)
    inverse = np.where(degrees > 0, 1 / np.sqrt(np.maximum(degrees, 1)), 0)
    a = inverse[:, None] * a * inverse[None, :]
    layers = [table]
    for _ in range(n_layers):
        layers.append(a @ layers[-1])
    return a, layers


def dense_vectors(train, table, n_layers, cosine):
    _, layers = dense_layers(train, table, n_layers)
    out = np.mean(layers, axis=0)
    return out / np.linalg.norm(out, axis=1, keepdims=True) if cosine else out


@pytest.mark.parametrize("n_layers", [0, 1, 3])
@pytest.mark.parametrize("cosine", [False, True])
def test_vectors_equal_a_dense_version(parts, n_layers, cosine):
    train, _ = parts
    weighted = train.copy()
    weighted.data[:] = np.random.default_rng(0).uniform(0.5, 5, train.nnz)  # must not matter
    training = training_of(model(n_layers=n_layers, cosine=cosine), weighted)
    table = training.table.detach().numpy().astype(float)
    users, items, _ = training.vectors()
    expected = dense_vectors(train, table, n_layers, cosine)
    np.testing.assert_allclose(np.vstack([users, items]), expected, atol=1e-6)
    assert abs(table.std() - 0.1) < 0.01


def gradient_by_differences(value, table, places, step=1e-6):
    found = []
    for place in places:
        sides = []
        for sign in (1, -1):
            moved = table.copy()
            moved[place] += sign * step
            sides.append(value(moved))
        found.append((sides[0] - sides[1]) / (2 * step))
    return np.array(found)


@pytest.mark.parametrize("cosine", [False, True])
@pytest.mark.parametrize("kind", ["bpr", "softmax", "users", "pools"])
def test_a_step_has_the_gradient_of_the_dense_loss(parts, kind, cosine):
    train, _ = parts
    reg, temperature = 0.3, 0.7
    estimator = model(
        loss="bpr" if kind == "bpr" else "softmax",
        n_negatives=12 if kind == "pools" else None,
        n_layers=2,
        cosine=cosine,
        reg=reg,
        temperature=temperature,
        user_exponent=0.3 if kind == "users" else 1.0,
    )
    training = training_of(estimator, train)
    training.table = training.table.detach().double().requires_grad_()
    loss, _ = next(training._losses(np.random.default_rng(3)))
    loss.backward()
    seen = train.toarray() > 0
    # The same draws again, in the order in which the paper's algorithm needs them.
    generator = np.random.default_rng(3)
    if kind in ("softmax", "users"):
        users = generator.permutation(np.flatnonzero(seen.any(1)))[:16]
    else:
        pairs = generator.permutation(train.nnz)[:16]
        users, items = train.nonzero()[0][pairs], train.indices[pairs].astype(np.int64)
        if kind == "bpr":
            negatives = training._seen_items.draw_unseen(users, 1, generator)[:, 0]
            assert not seen[users, negatives].any()
        else:
            counts = seen.sum(0).astype(float)
            bounds = np.cumsum(counts)
            pool = np.searchsorted(bounds, generator.random(12) * bounds[-1], side="right")
            log_q = np.log(12 * counts[pool] / counts.sum())

    def value(table):
        out = dense_vectors(train, table, 2, cosine)
        u, v = out[:N_USERS], out[N_USERS:]
        first_u, first_v = table[:N_USERS], table[N_USERS:]
        if kind == "bpr":
            gaps = (u[users] * (v[items] - v[negatives])).sum(1)
            read = [first_u[users], first_v[items], first_v[negatives]]
            terms = np.log1p(np.exp(-gaps))
        elif kind in ("softmax", "users"):
            logits = u[users] @ v.T / temperature
            shares = logits - np.log(np.exp(logits).sum(1, keepdims=True))
            read = [first_u[users], first_v]
            own = -(shares * seen[users]).sum(1) / seen[users].sum(1)  # means over interactions
            parts_of_users = seen[users].sum(1) ** (0.3 if kind == "users" else 1.0)
            terms = np.array([own @ parts_of_users / parts_of_users.sum()])
        else:
            positive = (u[users] * v[items]).sum(1) / temperature
            weights = np.exp(u[users] @ v[pool].T / temperature - log_q)
            weights[pool[None, :] == items[:, None]] = 0
            read = [first_u[users], first_v[items], first_v[pool]]
            terms = -np.log(np.exp(positive) / (np.exp(positive) + weights.sum(1)))
        squares = sum((x**2).sum() for x in read)
        return terms.mean() + reg / 2 * squares / len(users)

    table = training.table.detach().numpy()
    assert float(loss.detach()) == pytest.approx(value(table), abs=1e-6)
    generator = np.random.default_rng(0)
    places = [(generator.integers(len(table)), generator.integers(8)) for _ in range(40)]
    expected = gradient_by_differences(value, table, places)
    found = np.array([training.table.grad[place] for place in places])
    np.testing.assert_allclose(found, expected, atol=2e-6)
    assert np.abs(expected).max() > 1e-3


@pytest.mark.parametrize("options", [{}, {"loss": "bpr"}, {"n_negatives": 10}])
def test_the_result_depends_on_the_seed_alone(parts, options):
    train, validation = parts
    torch.manual_seed(1)
    before = torch.random.get_rng_state(), torch.get_num_threads()
    first = model(**options).fit(train, validation=validation)
    assert torch.equal(torch.random.get_rng_state(), before[0])
    assert torch.get_num_threads() == before[1]
    torch.manual_seed(2)
    again = model(n_jobs=3, **options).fit(train, validation=validation)
    other = model(**{**options, "random_state": 1}).fit(train, validation=validation)
    assert first.history_["loss"] == again.history_["loss"]
    assert first.history_["ndcg@20"] == again.history_["ndcg@20"]
    for name in ("user_vectors", "item_vectors"):
        np.testing.assert_array_equal(getattr(first, name), getattr(again, name))
        assert not np.array_equal(getattr(first, name), getattr(other, name))


def test_threads_do_not_change_the_bits_of_a_larger_graph():
    """Large enough that the products are shared between threads."""
    generator = np.random.default_rng(0)
    train = sp.random(3000, 2000, density=0.02, format="csr", dtype=np.float32, rng=generator)
    fits = [
        model(n_components=32, n_epochs=1, batch_size=2048, n_jobs=n_jobs).fit(train)
        for n_jobs in (1, 2, 4)
    ]
    for fit in fits[1:]:
        np.testing.assert_array_equal(fit.user_vectors, fits[0].user_vectors)
        np.testing.assert_array_equal(fit.item_vectors, fits[0].item_vectors)


@pytest.mark.parametrize("loss", ["softmax", "bpr"])
def test_nothing_is_learned_from_validation(parts, loss):
    """Training with it and without it, for as many epochs, gives the same bits."""
    train, validation = parts
    stopped = model(loss=loss, n_epochs=30, patience=3, learning_rate=0.02)
    stopped.fit(train, validation=validation)
    scores = stopped.history_["ndcg@20"]
    assert stopped.best_epoch_ == 1 + int(np.argmax(scores))
    assert len(scores) == 30 or len(scores) == stopped.best_epoch_ + 3
    plain = model(loss=loss, n_epochs=stopped.best_epoch_, learning_rate=0.02).fit(train)
    assert plain.best_epoch_ == stopped.best_epoch_
    assert "ndcg@20" not in plain.history_
    np.testing.assert_array_equal(plain.user_vectors, stopped.user_vectors)
    np.testing.assert_array_equal(plain.item_vectors, stopped.item_vectors)
    score = evaluate(stopped, train, validation)["ndcg@20"]
    assert score == pytest.approx(max(scores), abs=1e-6)


@pytest.mark.parametrize(
    "options",
    [
        {"n_epochs": 5},
        {"loss": "bpr", "n_epochs": 10, "learning_rate": 0.02},
        {"n_negatives": 20, "n_epochs": 5, "learning_rate": 0.02},
    ],
)
def test_planted_groups_are_found(parts, options):
    train, validation = parts
    fitted = model(**options).fit(train)
    assert fitted.history_["loss"][-1] < fitted.history_["loss"][0]
    ids, _ = fitted.recommend(k=5)
    same = (ids % 2) == (np.arange(N_USERS)[:, None] % 2)
    assert same.mean() > 0.8
    assert not (train.toarray()[np.arange(N_USERS)[:, None], ids] > 0).any()
    assert evaluate(fitted, train, validation)["recall@20"] > 0.8


def test_new_users_are_folded_in(parts):
    train, _ = parts
    for cosine in (False, True):
        fitted = model(cosine=cosine, n_epochs=5).fit(train)
        history = sp.csr_matrix(planted(seed=9)[:4])
        found = fitted._fold_in(history)
        training = training_of(model(cosine=cosine), train)
        table = training.table.detach().numpy().astype(float)
        fitted._folding = training.vectors()[2]
        found = fitted._fold_in(history)
        _, layers = dense_layers(train, table, 3)
        degrees = np.maximum((train.toarray() > 0).sum(0), 1)
        rows = history.toarray() > 0
        below = sum(layer[N_USERS:] for layer in layers[:3])
        expected = (rows / np.sqrt(degrees)) @ below / np.sqrt(rows.sum(1, keepdims=True)) / 4
        if cosine:
            expected /= np.linalg.norm(expected, axis=1, keepdims=True)
        np.testing.assert_allclose(found, expected, atol=1e-6)


def test_recommendations_for_histories(parts):
    train, _ = parts
    fitted = model(n_epochs=5).fit(train)
    even = sp.csr_matrix((np.ones(3, np.float32), ([0, 0, 1], [2, 4, 7])), shape=(3, N_ITEMS))
    ids, scores = fitted.recommend(histories=even, k=5)
    assert (ids[0] % 2 == 0).all()
    assert (ids[1] % 2 == 1).all()
    assert not set(ids[0]) & {2, 4}
    popular = np.argsort(-np.diff(train.tocsc().indptr), kind="stable")[:5]
    assert ids[2].tolist() == popular.tolist()  # no history at all
    assert (np.diff(scores, axis=1) <= 0).all()


@pytest.mark.parametrize("options", [{}, {"loss": "bpr"}, {"n_negatives": 10}])
def test_cold_and_greedy_users(options):
    """Users and items without interactions, and a user who has had everything."""
    dense = planted().toarray()
    dense[3], dense[:, 5], dense[7] = 0, 0, 1
    dense[7, 5] = 0
    dense[8] = 1
    dense[8, 5] = 1
    fitted = model(**options).fit(Interactions.from_csr(sp.csr_matrix(dense)))
    assert np.isfinite(fitted.user_vectors).all()
    assert np.isfinite(fitted.item_vectors).all()
    cold = dense.copy()
    cold[8, 5] = 0
    fitted = model(**options).fit(sp.csr_matrix(cold))
    ids, scores = fitted.recommend(3, k=4)
    popular = np.argsort(-cold.sum(0), kind="stable")[:4]
    assert ids.tolist() == popular.tolist()
    ids, scores = fitted.recommend([7, 8], k=3)
    assert ids.tolist() == [[5, -1, -1], [5, -1, -1]]
    assert np.isneginf(scores[:, 1:]).all()


def test_external_ids_and_files(parts, tmp_path):
    train, validation = parts
    users = [f"u{i}" for i in range(N_USERS)]
    data = Interactions.from_csr(train, user_ids=users, item_ids=range(100, 100 + N_ITEMS))
    held_out = Interactions.from_csr(validation, user_ids=users, item_ids=data.item_ids)
    fitted = model(loss="bpr").fit(data, validation=held_out)
    fitted.save(tmp_path / "model")
    for copy in (LightGCN.load(tmp_path / "model"), pickle.loads(pickle.dumps(fitted))):
        assert copy.get_params() == fitted.get_params()
        np.testing.assert_array_equal(copy.user_vectors, fitted.user_vectors)
        copied, expected = (m.recommend(["u3", "u1"]) for m in (copy, fitted))
        for ours, theirs in zip(copied, expected, strict=True):
            np.testing.assert_array_equal(ours, theirs)
        np.testing.assert_array_equal(
            copy.recommend(histories=train[:2])[1], fitted.recommend(histories=train[:2])[1]
        )
    ids, scores = fitted.similar_items(101, k=3)
    assert 101 not in ids
    assert ((ids >= 100) & (scores <= 1 + 1e-6)).all()
    bytes_ = (tmp_path / "model").read_bytes()
    (tmp_path / "model").write_bytes(bytes_[:-9])
    with pytest.raises(FileFormatError):
        LightGCN.load(tmp_path / "model")


def test_clone_and_parameters(parts):
    estimator = model(loss="bpr", learning_rate=0.1)
    params = estimator.get_params()
    copy = clone(estimator)
    assert copy.get_params() == params
    estimator.fit(parts[0])
    assert estimator.get_params() == params
    estimator.set_params(n_components=3)
    assert estimator.fit(parts[0]).item_vectors.shape == (N_ITEMS, 3)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"n_layers": -1}, "n_layers must be an int >= 0"),
        ({"loss": "hinge"}, "loss must be one of 'softmax', 'bpr'"),
        ({"temperature": 0}, "temperature must be a finite number > 0"),
        ({"loss": "bpr", "n_negatives": 5}, "n_negatives is of loss='softmax'"),
        ({"loss": "bpr", "user_exponent": 0.5}, "user_exponent is of loss='softmax'"),
        ({"device": "tpu"}, "device must be"),
        ({"reg": -1}, "reg must be"),
        ({"patience": 0}, "patience must be"),
    ],
)
def test_wrong_parameters(parts, changes, message):
    with pytest.raises(ValueError, match=message):
        model(**changes).fit(parts[0])


def test_wrong_validation(parts):
    train, validation = parts
    with pytest.raises(ValueError, match=r"validation must have the shape of train, \(60, 40\)"):
        model().fit(train, validation=validation[:-1])
    with pytest.raises(TypeError, match="validation must be Interactions"):
        model().fit(train, validation=validation.toarray())
    with pytest.raises(ValueError, match="validation must hold at least one interaction"):
        model().fit(train, validation=sp.csr_matrix(train.shape, dtype=np.float32))
    others = Interactions.from_csr(validation, item_ids=np.arange(N_ITEMS) + 1)
    with pytest.raises(ValueError, match="validation must have the same item_ids as train"):
        model().fit(train, validation=others)


@pytest.mark.parametrize("with_validation", [False, True])
def test_divergence_names_the_learning_rate(parts, with_validation):
    train, validation = parts
    fitted = model().fit(train)
    before = fitted.item_vectors.copy()
    fitted.set_params(learning_rate=1e38, loss="bpr")
    with pytest.raises(ValueError, match=r"training diverged: .* lower learning_rate, got 1e\+38"):
        fitted.fit(train, validation=validation if with_validation else None)
    np.testing.assert_array_equal(fitted.item_vectors, before)


def test_an_interrupt_leaves_the_earlier_fit(parts, monkeypatch):
    train, _ = parts
    fitted = model().fit(train)
    before = fitted.item_vectors.copy()

    def stop(self, number):
        raise KeyboardInterrupt

    monkeypatch.setattr(Training, "epoch", stop)
    with pytest.raises(KeyboardInterrupt):
        fitted.fit(train[:, :10])
    np.testing.assert_array_equal(fitted.item_vectors, before)
    assert fitted.recommend(0)[0].shape == (10,)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_on_cuda(parts):
    train, _ = parts
    for options in ({}, {"loss": "bpr"}, {"n_negatives": 10}):
        here, there = (model(device=name, **options).fit(train) for name in ("cpu", "cuda"))
        np.testing.assert_allclose(there.item_vectors, here.item_vectors, atol=1e-3)


@pytest.mark.data
@pytest.mark.skipif(not DATA.joinpath("lastfm").is_dir(), reason="needs GRAPHEMBED_DATA")
def test_on_lastfm():
    """Above the closed form of GF-CF (0.271) with the settings that validation has chosen."""
    pairs = [
        np.loadtxt(DATA / "lastfm" / name, usecols=(0, 1), dtype=np.int64)
        for name in ("data1.txt", "test1.txt")
    ]
    train, test = (
        sp.csr_matrix((np.ones(len(p), np.float32), (p[:, 0] - 1, p[:, 1] - 1)), (1892, 4489))
        for p in pairs
    )
    fitted = LightGCN(temperature=0.15, learning_rate=0.03, n_epochs=30, random_state=0).fit(train)
    assert evaluate(fitted, train, test)["recall@20"] >= 0.271


def test_bpr_without_an_unseen_item_is_refused():
    full = sp.csr_matrix(np.ones((3, 4), np.float32))
    with pytest.raises(ValueError, match="every user of train with interactions has had all"):
        model(loss="bpr").fit(full)
    model().fit(full)
