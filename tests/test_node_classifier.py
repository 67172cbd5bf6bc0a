"""NodeClassifier: what it learns, its manners, its files, and what it says when input is wrong."""

import json
import os
import signal
import subprocess
import sys
import threading

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.base import clone, is_classifier
from sklearn.exceptions import NotFittedError

from graphembed import FileFormatError, Graph
from graphembed.datasets import load_planetoid
from graphembed.estimators import NodeClassifier

torch = pytest.importorskip("torch")
safetensors = pytest.importorskip("safetensors")

from safetensors.torch import load_file, save_file  # noqa: E402

from graphembed.nn import SparseMatrix  # noqa: E402

# torch's own layout of sparse features
pytestmark = pytest.mark.filterwarnings("ignore:Sparse CSR tensor support is in beta:UserWarning")

MODELS = ["gcn", "cheb", "gat", "sage"]
N_NODES, N_CLASSES = 120, 3


@pytest.fixture(scope="module")
def data():
    """Give three communities whose features say little and whose edges say more."""
    rng = np.random.default_rng(0)
    y = np.arange(N_NODES) % N_CLASSES
    source, target = rng.integers(0, N_NODES, (2, 3000))
    kept = (y[source] == y[target]) | (rng.random(3000) < 0.05)
    pairs = np.column_stack([source, target])[kept][:400]
    pairs = np.unique(np.sort(pairs, axis=1), axis=0)
    graph = Graph.from_edges(pairs, nodes=range(N_NODES))
    X = rng.normal(size=(N_NODES, 12)).astype(np.float32)
    X[:, :N_CLASSES] += 0.8 * np.eye(N_CLASSES, dtype=np.float32)[y]
    order = rng.permutation(N_NODES)
    masks = [np.zeros(N_NODES, dtype=bool) for _ in range(3)]
    for mask, rows in zip(masks, np.split(order, [24, 60]), strict=True):
        mask[rows] = True
    return graph, X, y, *masks


def make(model="gcn", **options):
    return NodeClassifier(model, **({"epochs": 30, "random_state": 0, "n_jobs": 1} | options))


def fit(data, model="gcn", **options):
    graph, X, y, train, val, _ = data
    return make(model, **options).fit(graph, X, y, train_mask=train, val_mask=val)


@pytest.fixture(scope="module")
def fitted(data):
    return fit(data)


def weights(classifier):
    return {k: v.cpu().numpy().copy() for k, v in classifier.model_.state_dict().items()}


def assert_same(first, second):
    assert first.keys() == second.keys()
    for name, values in first.items():
        np.testing.assert_array_equal(values, second[name], err_msg=name)


# -- What it learns --------------------------------------------------------------------------


@pytest.mark.parametrize("model", MODELS)
def test_learns_and_says_so(data, model):
    *_, y, _, _, test = data
    classifier = fit(data, model, epochs=60, lr=0.02, dropout=0.3)
    assert classifier.score(y, mask=test) > 0.75
    proba = classifier.predict_proba()
    assert proba.shape == (N_NODES, N_CLASSES)
    assert proba.dtype == np.float32
    np.testing.assert_allclose(proba.sum(axis=1), 1, rtol=1e-5)
    predicted = classifier.predict()
    np.testing.assert_array_equal(predicted, proba.argmax(axis=1))
    assert classifier.score(y, mask=test) == np.mean(predicted[test] == y[test])
    assert classifier.score(y) == np.mean(predicted == y)
    assert classifier.score(y, mask=np.flatnonzero(test)) == classifier.score(y, mask=test)
    assert classifier.transform().shape == (N_NODES, 64 if model in ("gat", "sage") else 16)
    assert classifier.n_features_in_ == 12
    assert classifier.node_ids_.tolist() == list(range(N_NODES))
    history = classifier.history_
    assert list(history) == ["epoch", "seconds", "train_loss", "val_loss", "val_accuracy"]
    assert history["epoch"] == list(range(1, len(history["epoch"]) + 1))
    assert history["train_loss"][-1] < history["train_loss"][0]
    assert 1 <= classifier.best_epoch_ <= len(history["epoch"])


def test_the_last_hidden_representation_is_what_the_last_layer_reads(fitted):
    hidden = torch.from_numpy(fitted.transform())
    graph = fitted._data.adjacency
    logits = fitted.model_.convs[-1](hidden, graph).detach().numpy()
    powers = np.exp(logits)
    np.testing.assert_allclose(
        fitted.predict_proba(), powers / powers.sum(axis=1, keepdims=True), rtol=1e-4
    )


@pytest.mark.parametrize("model", MODELS)
def test_training_sees_labels_and_neighbours_of_training_nodes_alone(data, model):
    """Labels of other nodes change nothing; nor do features that no training node can see."""
    graph, X, y, train, val, _ = data
    hidden_labels = np.where(train | val, y, -1)
    first = fit(data, model, early_stopping=False)
    second = make(model, early_stopping=False).fit(graph, X, hidden_labels, val_mask=val)
    assert_same(weights(first), weights(second))


def test_full_batch_training_is_that_of_the_whole_graph(data):
    """Without dropout restricting the rows changes nothing but the rounding."""
    graph, X, y, train, *_ = data
    classifier = make(dropout=0, epochs=20).fit(graph, X, y, train_mask=train)
    from graphembed.nn.models import GCN

    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(_seed(0))
        model = GCN(12, 16, N_CLASSES, dropout=0.0)
    first, second = model.convs
    optimizer = torch.optim.Adam(
        [{"params": first.parameters(), "weight_decay": 5e-4}, {"params": second.parameters()}],
        lr=0.01,
    )
    mask = torch.tensor(train)
    for _ in range(20):
        optimizer.zero_grad()
        logits = model(torch.tensor(X), graph)
        torch.nn.functional.cross_entropy(logits[mask], torch.tensor(y)[mask]).backward()
        optimizer.step()
    for name, values in weights(classifier).items():
        np.testing.assert_allclose(values, model.state_dict()[name], rtol=2e-3, atol=1e-5)


def _seed(random_state):
    from graphembed._validation import draw_seed

    return draw_seed(random_state)


def test_inductive(data):
    """Of another graph the same function is computed; a renumbered graph gives the same rows."""
    graph, X, y, *_ = data
    classifier = fit(data)
    expected = classifier.predict_proba()
    order = np.random.default_rng(5).permutation(N_NODES)
    place = np.empty(N_NODES, dtype=int)
    place[order] = np.arange(N_NODES)
    source = np.repeat(np.arange(N_NODES), np.diff(graph.indptr))
    other = Graph.from_edges(
        np.column_stack([place[source], place[graph.indices]])[source < graph.indices],
        nodes=range(N_NODES),
    )
    np.testing.assert_allclose(
        classifier.predict_proba(other, X[order]), expected[order], rtol=1e-4, atol=1e-6
    )
    assert classifier.score(y[order], other, X[order]) == classifier.score(y)
    small = classifier.predict([(0, 1), (1, 2)], X[:3])
    assert small.shape == (3,)
    assert classifier.predict(X=np.zeros_like(X)).shape == (N_NODES,)


def test_a_graph_is_read_as_in_fit(data):
    _, X, y, *_ = data
    edges = [(0, 1, 2.0), (1, 2, 3.0), (2, 3, 0.5)]
    classifier = make().fit(edges, X[:5], y[:5], directed=True, nodes=iter([4]), weight=None)
    assert classifier._data.graph.directed
    assert classifier._data.graph.weights is None
    np.testing.assert_array_equal(
        classifier.predict_proba(edges, X[:5], nodes=[4]), classifier.predict_proba()
    )


def test_a_loaded_model_reads_graphs_as_fit_did(data, tmp_path):
    _, X, y, *_ = data
    rng = np.random.default_rng(0)
    edges = [(*pair, 1 + k) for k, pair in enumerate(rng.integers(0, 9, (40, 2)).tolist())]
    for options in ({"weight": None}, {"directed": True}):
        classifier = make(dropout=0.0).fit(edges, X[:9], y[:9], **options)
        classifier.save(tmp_path / "m")
        loaded = NodeClassifier.load(tmp_path / "m")
        found = loaded.predict_proba(edges, X[:9])
        np.testing.assert_array_equal(found, classifier.predict_proba())
        default = {"weight": "weight", "directed": None}
        assert not np.array_equal(loaded.predict_proba(edges, X[:9], **default), found)


def test_nodes_of_fit_are_not_those_of_another_graph(data):
    _, X, y, *_ = data
    edges = [(0, 1), (1, 2), (2, 3)]
    classifier = make().fit(edges, X[:60], y[:60], nodes=range(60))
    assert classifier.predict(edges, X[:4]).shape == (4,)
    assert classifier.predict(edges, X[:9], nodes=range(9)).shape == (9,)
    assert classifier.transform(edges, X[:9], nodes=range(9)).shape == (9, 16)
    assert classifier.score(y[:9], edges, X[:9], nodes=range(9)) >= 0
    with pytest.raises(ValueError, match="weight has no effect without G"):
        classifier.predict(weight=None)
    with pytest.raises(TypeError, match="weights is no option of a graph"):
        classifier.predict(edges, X[:4], weights=None)


# -- Options ---------------------------------------------------------------------------------


CHANGES = {
    "hidden": 8,
    "n_layers": 3,
    "dropout": 0.1,
    "activation": "tanh",
    "residual": True,
    "norm": "layer",
    "optimizer": "sgd",
    "lr": 0.1,
    "weight_decay": 0.1,
    "decay": "all",
    "epochs": 7,
    "random_state": 1,
}


@pytest.mark.parametrize("option", CHANGES)
def test_every_option_is_obeyed(data, option):
    first, second = fit(data), fit(data, **{option: CHANGES[option]})
    before, after = weights(first), weights(second)
    assert before.keys() != after.keys() or any(
        before[name].shape != after[name].shape or not np.array_equal(before[name], after[name])
        for name in before
    )


def test_options_of_one_model_are_obeyed(data):
    assert fit(data, "gat", heads=2).model_.convs[0].heads == 2
    assert fit(data, "cheb", K=2).model_.K == 2


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize(
    "options", [{"norm": "batch"}, {"n_layers": 1}, {"n_layers": 3, "residual": True}]
)
def test_other_architectures(data, model, options):
    _, _, y, *_ = data
    classifier = fit(data, model, early_stopping=False, lr=0.05, dropout=0.3, **options)
    assert classifier.score(y) > 0.5
    assert np.isfinite(classifier.predict_proba()).all()


def test_none_is_the_recipe(data):
    explicit = {
        "gcn": {"hidden": 16, "dropout": 0.5, "lr": 0.01, "weight_decay": 5e-4, "decay": "first"},
        "cheb": {"hidden": 16, "K": 3, "decay": "first"},
        "gat": {
            "hidden": 64,
            "heads": 8,
            "activation": "elu",
            "dropout": 0.6,
            "lr": 0.005,
            "early_stopping": "both",
        },
        "sage": {"hidden": 64, "activation": "relu", "decay": "all"},
    }
    for model, options in explicit.items():
        assert_same(weights(fit(data, model)), weights(fit(data, model, **options)))


def test_early_stopping_keeps_the_best_epoch(data):
    for monitor, column, best in (("loss", "val_loss", min), ("accuracy", "val_accuracy", max)):
        classifier = fit(data, early_stopping=monitor, patience=5, epochs=500, lr=0.1)
        history = classifier.history_
        values = history[column]
        assert values[classifier.best_epoch_ - 1] == best(values)
        assert len(values) == classifier.best_epoch_ + 5
        again = fit(data, early_stopping=False, epochs=classifier.best_epoch_, lr=0.1)
        assert_same(weights(classifier), weights(again))


def test_patience_beyond_the_epochs_is_the_best_of_all(data):
    classifier = fit(data, early_stopping="loss", patience=1000, epochs=80, lr=0.1)
    losses = classifier.history_["val_loss"]
    assert len(losses) == 80
    assert classifier.best_epoch_ == 1 + int(np.argmin(losses)) < 80


def test_without_validation_nodes(data):
    graph, X, y, train, *_ = data
    classifier = make("gat", epochs=None).fit(graph, X, y, train_mask=train)
    assert list(classifier.history_) == ["epoch", "seconds", "train_loss"]
    assert classifier.best_epoch_ == len(classifier.history_["epoch"]) == 200


def test_callbacks(data):
    seen = []

    def watch(model, record):
        seen.append((type(model).__name__, record["epoch"], sorted(record)))
        return record["epoch"] == 3

    classifier = fit(data, callbacks=[lambda *_: None, watch])
    columns = ["epoch", "seconds", "train_loss", "val_accuracy", "val_loss"]
    assert seen == [("GCN", k, columns) for k in (1, 2, 3)]
    assert classifier.history_["epoch"] == [1, 2, 3]


def test_verbose_shows_a_bar_and_changes_nothing(data, fitted, capsys):
    assert_same(weights(fit(data, verbose=1)), weights(fitted))
    err = capsys.readouterr().err
    assert "training" in err
    assert "val_accuracy" in err


# -- Batches ---------------------------------------------------------------------------------


BATCH_MODELS = ["gcn", "gat", "sage"]


@pytest.mark.parametrize("model", BATCH_MODELS)
def test_batches_learn(data, model):
    *_, y, _, _, test = data
    classifier = fit(data, model, batch_size=10, fanouts=[5, 5], epochs=30, lr=0.02, dropout=0.3)
    assert classifier.score(y, mask=test) > 0.6
    whole = clone(classifier).set_params(batch_size=None, fanouts=None)
    whole._set_fitted(
        classifier.model_, classifier.classes_, {}, 1, classifier.n_features_in_, classifier._door
    )
    whole._data = classifier._data
    np.testing.assert_allclose(classifier.predict_proba(), whole.predict_proba(), rtol=1e-4)
    np.testing.assert_allclose(classifier.transform(), whole.transform(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("model", BATCH_MODELS)
def test_batches_do_not_depend_on_threads(data, model):
    options = {"batch_size": 7, "epochs": 3}
    first = fit(data, model, **options)
    for n_jobs in (2, 4):
        assert_same(weights(first), weights(fit(data, model, n_jobs=n_jobs, **options)))
    other = fit(data, model, **options, random_state=1)
    assert not np.array_equal(first.predict_proba(), other.predict_proba())


def test_one_batch_of_all_neighbours_is_the_full_batch(data):
    """GraphSAGE and GAT on blocks with all neighbours, without dropout, but for rounding."""
    for model in ("sage", "gat"):
        options = {"dropout": 0.0, "epochs": 5, "early_stopping": False}
        batches = fit(data, model, batch_size=24, fanouts=[-1, -1], **options)
        np.testing.assert_allclose(
            batches.predict_proba(), fit(data, model, **options).predict_proba(), rtol=1e-3
        )


def test_fanouts_are_obeyed(data):
    few, many = (
        fit(data, "sage", batch_size=24, fanouts=k, dropout=0.0, epochs=5).predict_proba()
        for k in ([1, 1], [-1, -1])
    )
    assert not np.allclose(few, many, atol=1e-3)


# -- Kinds of input --------------------------------------------------------------------------


@pytest.mark.parametrize(
    "convert",
    [
        lambda X: X.tolist(),
        lambda X: X.astype(np.float64),
        lambda X: np.asfortranarray(X),
        lambda X: torch.tensor(X),
        lambda X: torch.tensor(X).to_sparse_coo(),
        lambda X: torch.tensor(X).to_sparse_csr(),
        lambda X: sp.coo_matrix(X),
        lambda X: sp.csc_array(X),
        lambda X: SparseMatrix.from_scipy(sp.csr_array(X)),
    ],
)
def test_kinds_of_features(data, convert):
    graph, X, y, train, *_ = data
    expected = make(dropout=0).fit(graph, X, y, train_mask=train).predict_proba()
    found = make(dropout=0).fit(graph, convert(X), y, train_mask=train).predict_proba()
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_features_of_few_nonzeros_are_kept_sparse(data):
    graph, X, y, train, *_ = data
    few = np.where(X > 1.5, X, 0)
    dense, sparse = (
        make().fit(graph, kind, y, train_mask=train) for kind in (few, sp.csr_array(few))
    )
    assert isinstance(dense._data.x, SparseMatrix)
    assert_same(weights(dense), weights(sparse))


def test_entries_given_twice_are_one_and_stay_as_they_are(data):
    graph, X, y, train, *_ = data
    half = sp.coo_array(X / 2)
    rows, columns = np.concatenate([half.row] * 2), np.concatenate([half.col] * 2)
    order = np.argsort(rows, kind="stable")
    twice = sp.csr_array(
        (
            np.concatenate([half.data] * 2)[order],
            columns[order],
            np.concatenate([[0], np.cumsum(np.bincount(rows, minlength=N_NODES))]),
        ),
        shape=X.shape,
    )
    before = twice.nnz
    found = make(dropout=0.0).fit(graph, twice, y, train_mask=train)
    assert twice.nnz == before
    assert found._data.x.n_entries == half.nnz


@pytest.mark.parametrize(
    ("convert", "classes"),
    [
        (lambda y: y, [0, 1, 2]),
        (lambda y: y.astype(np.uint8) + 5, [5, 6, 7]),
        (lambda y: y.astype(float), [0, 1, 2]),
        (lambda y: np.array(["a", "b", "c"])[y], ["a", "b", "c"]),
        (lambda y: ["abc"[k] for k in y], ["a", "b", "c"]),
        (lambda y: torch.tensor(y), [0, 1, 2]),
        (lambda y: y > 0, [False, True]),
        (lambda y: [int(k) for k in y], [0, 1, 2]),
        (lambda y: np.array(y.tolist(), dtype=object), [0, 1, 2]),
    ],
)
def test_kinds_of_labels(data, convert, classes, tmp_path):
    graph, X, y, train, *_ = data
    classifier = make().fit(graph, X, convert(y), train_mask=train)
    assert classifier.classes_.tolist() == classes
    assert set(classifier.predict().tolist()) <= set(classes)
    assert classifier.score(convert(y)) > 0.5
    classifier.save(tmp_path / "model")
    loaded = NodeClassifier.load(tmp_path / "model").classes_
    assert loaded.tolist() == classes
    assert [type(c) for c in loaded.tolist()] == [type(c) for c in classes]


@pytest.mark.parametrize(
    "convert",
    [
        lambda y, train: np.where(train, y, -1),
        lambda y, train: np.where(train, y, np.nan),
        lambda y, train: [int(k) if t else None for k, t in zip(y, train, strict=True)],
        lambda y, train: [float(k) if t else float("nan") for k, t in zip(y, train, strict=True)],
    ],
)
def test_nodes_without_a_label_are_not_trained_on(data, convert):
    graph, X, y, train, *_ = data
    expected = make().fit(graph, X, y, train_mask=train)
    found = make().fit(graph, X, convert(y, train))
    assert_same(weights(found), weights(expected))


def test_masks_may_be_indices(data, fitted):
    graph, X, y, train, val, _ = data
    rows = [np.flatnonzero(mask) for mask in (train, val)]
    found = make().fit(graph, X, y, train_mask=rows[0].tolist(), val_mask=torch.tensor(rows[1]))
    assert_same(weights(found), weights(fitted))


def test_pandas_objects_are_read_by_their_index(data):
    pandas = pytest.importorskip("pandas")
    names = [f"node {i}" for i in range(N_NODES)]
    graph, X, y, *_ = data
    graph = Graph.from_csr(graph.indptr, graph.indices, node_ids=names)
    expected = make().fit(graph, X, y)
    order = np.random.default_rng(0).permutation(N_NODES)
    frame = pandas.DataFrame(X, index=names).iloc[order]
    series = pandas.Series(y, index=names).iloc[order[::-1]]
    assert_same(weights(make().fit(graph, frame, series)), weights(expected))
    with pytest.raises(
        ValueError, match=r"the index of X must be the ids .* or hand over X.to_num"
    ):
        make().fit(graph, pandas.DataFrame(X), y)


@pytest.fixture
def shuffled(data):
    """The same data as pandas objects whose rows are in another order."""
    pandas = pytest.importorskip("pandas")
    graph, X, y, *masks = data
    order = np.random.default_rng(3).permutation(N_NODES)
    frame = pandas.DataFrame(X).iloc[order]
    return graph, frame, *(pandas.Series(column).iloc[order] for column in (y, *masks))


def test_masks_are_read_by_their_index(data, shuffled):
    graph, frame, y, train, val, test = shuffled
    found = make().fit(graph, frame, y, train_mask=train, val_mask=val)
    expected = fit(data)
    assert_same(weights(found), weights(expected))
    assert found.score(y, mask=test) == expected.score(data[2], mask=data[-1])
    by_number = type(train)(np.flatnonzero(data[3]))  # whose index says nothing
    assert_same(weights(found), weights(fit((*data[:3], by_number, *data[4:]))))


def test_an_index_beside_rows_without_one_is_refused(data, shuffled):
    graph, frame, y, train, val, test = shuffled
    remedy = r"X is taken by its index, .* but {} has no index: .*Graph.from_any\(G\).node_ids"
    with pytest.raises(ValueError, match=remedy.format("y")):
        make().fit(graph, frame, y.to_numpy())
    with pytest.raises(ValueError, match=remedy.format("train_mask")):
        make().fit(graph, frame, y, train_mask=train.to_numpy())
    with pytest.raises(ValueError, match=remedy.format("val_mask")):
        make().fit(graph, frame, y, train_mask=train, val_mask=np.flatnonzero(val))
    with pytest.raises(ValueError, match=r"y is taken by its index, .* but X has no index"):
        make().fit(graph, frame.to_numpy(), y)
    classifier = make().fit(graph, frame, y, train_mask=train)
    with pytest.raises(ValueError, match=r"X in fit is taken by its index, .* but y has no index"):
        classifier.score(y.to_numpy())
    with pytest.raises(ValueError, match="but mask has no index"):
        classifier.score(y, mask=test.to_numpy())
    with pytest.raises(ValueError, match="the index of train_mask must be the ids of the nodes"):
        make().fit(graph, frame, y, train_mask=train.iloc[1:])
    in_order = frame.sort_index()
    assert_same(
        weights(make().fit(graph, in_order, data[2], train_mask=data[3])), weights(classifier)
    )


def test_classes_of_another_kind_are_not_scored(data, fitted):
    _, _, y, *_ = data
    with pytest.raises(ValueError, match="y must hold classes like those of fit, such as 0, got"):
        fitted.score([str(k) for k in y])
    assert fitted.score(y + 5) == 0.0  # of the same kind, but never seen


def test_messages_name_the_node_by_its_id(data):
    graph, X, y, *_ = data
    named = Graph.from_csr(graph.indptr, graph.indices, node_ids=[f"n{i}" for i in range(N_NODES)])
    with pytest.raises(ValueError, match=r"without a label in y, the first is node 'n3'"):
        make().fit(named, X, np.where(np.arange(N_NODES) == 3, -1, y), train_mask=[2, 3])
    with pytest.raises(ValueError, match=r"in row 3, column 5 \(node 'n3'\)"):
        make().fit(named, with_nan(X), y)


def test_frames_and_lists_of_mixed_dtypes(data):
    pandas = pytest.importorskip("pandas")
    graph, X, y, train, *_ = data
    frame = pandas.DataFrame(X)
    frame["flag"] = X[:, 0] > 0
    expected = make().fit(graph, np.column_stack([X, X[:, 0] > 0]), y, train_mask=train)
    assert_same(weights(make().fit(graph, frame, y, train_mask=train)), weights(expected))
    names = [f"class {k}" if t else pandas.NA for k, t in zip(y, train, strict=True)]
    for labels in (names, pandas.Series(names, dtype="string")):
        assert make().fit(graph, X, labels).classes_.tolist() == ["class 0", "class 1", "class 2"]
    assert make().fit(graph, X, list(y > 0), train_mask=train).classes_.tolist() == [False, True]


def test_is_a_classifier_to_sklearn():
    assert is_classifier(NodeClassifier())


def test_input_is_not_changed(data):
    graph, X, y, train, val, _ = data
    copies = [a.copy() for a in (X, y, train, val)]
    read_only = [a.copy() for a in (X, y, train, val)]
    for array in read_only:
        array.flags.writeable = False
    matrix = sp.csr_array(np.where(X > 1, X, 0))
    for array in (matrix.data, matrix.indices, matrix.indptr):
        array.flags.writeable = False
    make().fit(graph, read_only[0], *read_only[1:2], train_mask=read_only[2], val_mask=read_only[3])
    make().fit(graph, matrix, y)
    for array, copy in zip(read_only, copies, strict=True):
        np.testing.assert_array_equal(array, copy)


def test_weights_of_edges_count(data):
    graph, X, y, train, *_ = data
    rng = np.random.default_rng(0)
    source = np.repeat(np.arange(N_NODES), np.diff(graph.indptr))
    edges = np.column_stack([source, graph.indices])[source < graph.indices]
    weighted = np.column_stack([edges, rng.uniform(0.1, 9, len(edges))])
    for model in ("gcn", "cheb", "sage"):
        first, second = (
            make(model).fit(edges_, X, y, train_mask=train, nodes=range(N_NODES))
            for edges_ in (edges, weighted)
        )
        assert not np.allclose(first.predict_proba(), second.predict_proba(), atol=1e-3)


# -- Manners ---------------------------------------------------------------------------------


def test_clone_and_params(data):
    classifier = make("gat", hidden=16, heads=2, fanouts=None)
    params = classifier.get_params()
    assert clone(classifier).get_params() == params
    graph, X, y, train, *_ = data
    classifier.fit(graph, X, y, train_mask=train)
    assert classifier.get_params() == params
    assert not hasattr(clone(classifier), "model_")
    with pytest.raises(ValueError, match="Invalid parameter 'nonsense'"):
        classifier.set_params(nonsense=1)


def test_not_fitted(tmp_path):
    for use in ("predict", "predict_proba", "transform"):
        with pytest.raises(NotFittedError):
            getattr(NodeClassifier(), use)()
    with pytest.raises(NotFittedError):
        NodeClassifier().score([1])
    with pytest.raises(NotFittedError):
        NodeClassifier().save(tmp_path / "never")


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("sparse", [True, False])
@pytest.mark.parametrize("n_labelled", [140, 2900])
def test_threads_do_not_change_the_result(model, sparse, n_labelled):
    """With few labels torch's own dense products would differ on 2 threads (GCN, GAT) or 4."""
    rng = np.random.default_rng(2)
    edges = np.unique(np.sort(rng.integers(0, 3000, (6000, 2)), axis=1), axis=0)
    graph = Graph.from_any(edges, nodes=range(3000))
    X = rng.normal(size=(3000, 300)).astype(np.float32)
    if sparse:
        X *= rng.random(X.shape) < 0.05
    y = rng.integers(0, 7, 3000)
    results = [
        NodeClassifier(model, epochs=4, random_state=0, n_jobs=n_jobs).fit(
            graph, X, y, train_mask=np.arange(n_labelled), val_mask=np.arange(2900, 3000)
        )
        for n_jobs in (1, 2, 3, 4)
    ]
    for other in results[1:]:
        assert_same(weights(results[0]), weights(other))
        np.testing.assert_array_equal(results[0].predict_proba(), other.predict_proba())
        assert results[0].history_["val_loss"] == other.history_["val_loss"]


def test_generators(data):
    """A generator is advanced; the global ones are not touched, nor is the number of threads."""
    torch.manual_seed(11)
    before, n_threads = torch.get_rng_state(), torch.get_num_threads()
    state = np.random.get_state()[1].tolist()  # noqa: NPY002
    rng = np.random.default_rng(5)
    first, second = fit(data, random_state=rng), fit(data, random_state=rng)
    again = fit(data, random_state=np.random.default_rng(5))
    assert not np.array_equal(first.predict_proba(), second.predict_proba())
    assert_same(weights(first), weights(again))
    first.predict(), first.transform()
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.get_num_threads() == n_threads
    assert np.random.get_state()[1].tolist() == state  # noqa: NPY002
    torch.manual_seed(12)
    assert_same(weights(fit(data, random_state=np.random.default_rng(5))), weights(again))


@pytest.mark.parametrize(
    "context",
    [
        torch.no_grad,
        torch.inference_mode,
        lambda: torch.autocast("cpu", dtype=torch.bfloat16),
    ],
)
def test_the_caller_s_torch_does_not_matter(data, fitted, context):
    with context():
        found = fit(data)
        proba = found.predict_proba()
    assert_same(weights(found), weights(fitted))
    np.testing.assert_array_equal(proba, fitted.predict_proba())


@pytest.mark.parametrize("model", MODELS)
def test_another_default_dtype(data, model, tmp_path):
    expected = fit(data, model, epochs=3)
    torch.set_default_dtype(torch.float64)
    try:
        found = fit(data, model, epochs=3)
        found.save(tmp_path / "m")
        loaded = NodeClassifier.load(tmp_path / "m")
        assert torch.get_default_dtype() == torch.float64
    finally:
        torch.set_default_dtype(torch.float32)
    assert_same(weights(found), weights(expected))
    assert_same(weights(loaded), weights(expected))


def test_device_may_be_torch_s(data, fitted, tmp_path):
    found = fit(data, device=torch.device("cpu"))
    assert_same(weights(found), weights(fitted))
    found.save(tmp_path / "m")
    assert NodeClassifier.load(tmp_path / "m").device == "cpu"


def test_a_model_that_is_not_what_its_parameters_say_is_not_saved(data, tmp_path):
    classifier = fit(data, epochs=2).set_params(activation="tanh")
    with pytest.raises(ValueError, match=r"activation was None in fit and is 'tanh'.*fit again"):
        classifier.save(tmp_path / "m")
    classifier.set_params(activation=None).save(tmp_path / "m")


def test_a_failed_fit_keeps_the_old(data):
    graph, X, y, train, *_ = data
    classifier = fit(data)
    old, history = weights(classifier), classifier.history_
    n_threads, state = torch.get_num_threads(), torch.get_rng_state()

    def fail(model, record):
        if record["epoch"] == 2:
            raise KeyboardInterrupt

    for options, error in (
        ({"callbacks": [fail]}, KeyboardInterrupt),
        ({"callbacks": None, "lr": 1e80}, ValueError),
        ({"lr": -1}, ValueError),
    ):
        with pytest.raises(error):
            classifier.set_params(**options).fit(graph, X, y, train_mask=train)
        assert classifier.history_ is history
        assert_same(weights(classifier), old)
        assert torch.get_num_threads() == n_threads
        assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.skipif(os.name != "posix", reason="SIGINT is sent as on POSIX")
def test_ctrl_c(data):
    graph, X, y, train, *_ = data
    classifier = make(epochs=10**6)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have it ignored
    timer = threading.Timer(1.0, os.kill, (os.getpid(), signal.SIGINT))
    timer.start()
    try:
        with pytest.raises(KeyboardInterrupt):
            classifier.fit(graph, X, y, train_mask=train)
    finally:
        timer.cancel()
        signal.signal(signal.SIGINT, before)
    assert not hasattr(classifier, "model_")


def test_pickle(data, fitted):
    import pickle

    copy = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(copy.predict_proba(), fitted.predict_proba())


def test_torch_is_needed_for_fit_alone():
    code = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Blocker())
from graphembed.estimators import NodeClassifier
from sklearn.base import clone
classifier = clone(NodeClassifier("gat"))
try:
    classifier.fit([(0, 1)], [[1], [2]], [0, 1])
except ImportError as error:
    print(error)
"""
    out = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True, timeout=120
    ).stdout
    assert "pip install 'graphembed[torch]'" in out


# -- Wrong input -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"model": "gin"}, "model must be one of 'gcn', 'cheb', 'gat', 'sage', got 'gin'"),
        ({"hidden": 0}, "hidden must be None or an int >= 1 .* got 0"),
        ({"n_layers": 0}, "n_layers must be an int >= 1 .* got 0"),
        ({"dropout": 1.0}, r"dropout must be None or a finite number in \[0, 1\), got 1.0"),
        ({"activation": "swish"}, "activation must be None or one of 'relu'.* got 'swish'"),
        ({"residual": 1}, "residual must be True or False, got 1"),
        ({"norm": "graph"}, "norm must be None or one of 'batch', 'layer', got 'graph'"),
        ({"heads": 4}, "heads=4 is for model='gat' alone, got model='gcn': leave heads out"),
        ({"K": 2}, "K=2 is for model='cheb' alone"),
        ({"model": "gat", "heads": 3}, "heads=3 must divide hidden=64"),
        ({"optimizer": "lion"}, "optimizer must be one of 'adam'.* got 'lion'"),
        ({"lr": 0}, "lr must be None or a finite number > 0"),
        ({"weight_decay": -1}, "weight_decay must be None or a finite number in"),
        ({"decay": "last"}, "decay must be None or one of 'first', 'all', got 'last'"),
        ({"epochs": 0}, "epochs must be None or an int >= 1"),
        ({"early_stopping": True}, "early_stopping must be None, False or one of .* got True"),
        ({"early_stopping": "auc"}, "early_stopping must be None, False or one of"),
        ({"patience": 0}, "patience must be an int >= 1"),
        ({"batch_size": 0}, "batch_size must be None or an int >= 1"),
        ({"batch_size": 8, "model": "cheb"}, "batch_size=8, but model='cheb' cannot be trained in"),
        ({"fanouts": [5, 5]}, r"fanouts=\[5, 5\] has no effect without batch_size"),
        ({"fanouts": [5], "batch_size": 9}, r"one number for each of n_layers=2 layers, got \[5\]"),
        ({"fanouts": [5, 0], "batch_size": 9}, "fanouts must be None or a sequence of ints"),
        ({"device": 3}, "device must be a str"),
        ({"device": "abacus"}, "device must be 'auto', 'cpu', 'cuda' or such, got 'abacus'"),
        ({"device": "meta"}, "device must be 'auto', 'cpu', 'cuda' or such, got 'meta'"),
        ({"n_layers": 1, "hidden": 8}, "hidden=8 has no effect with n_layers=1"),
        ({"n_layers": 1, "norm": "batch"}, "norm='batch' has no effect with n_layers=1"),
        ({"device": "cuda:77"}, "device='cuda:77', but torch sees .* CUDA devices"),
        ({"random_state": -1}, "random_state must be"),
        ({"n_jobs": 0}, "n_jobs must be"),
        ({"callbacks": [3]}, "callbacks must be None or a list of callables"),
    ],
)
def test_bad_parameters(data, options, message):
    graph, X, y, train, val, _ = data
    with pytest.raises(ValueError, match=message):
        make(**options).fit(graph, X, y, train_mask=train, val_mask=val)


def with_nan(X):
    X = X.copy()
    X[3, 5] = np.nan
    return X


TWICE = np.arange(N_NODES) < 24


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        (
            {"X": np.ones((5, 2))},
            ValueError,
            "X must have one row for each of the 120 nodes.*got 5",
        ),
        ({"X": np.ones(N_NODES)}, ValueError, "X must have 2 dimensions"),
        ({"X": np.ones((N_NODES, 0))}, ValueError, "X must have at least 1 column.*eye_array"),
        ({"X": np.full((N_NODES, 2), "a")}, TypeError, "X must hold numbers, got dtype <U1"),
        ({"X": np.full((N_NODES, 2), 1j)}, TypeError, "X must hold numbers, got dtype complex128"),
        ({"X": np.full((N_NODES, 2), 1e300)}, ValueError, "finite in float32, got inf in row 0"),
        ({"X": "nan"}, ValueError, "X must be finite in float32, got nan in row 3, column 5"),
        ({"X": "sparse nan"}, ValueError, "X must be finite .* got nan in row 3, column 5"),
        ({"y": np.zeros((N_NODES, 2))}, ValueError, "y must have 1 dimension"),
        ({"y": np.zeros(7)}, ValueError, "y must have one row for each of the 120 nodes"),
        (
            {"y": np.full(N_NODES, 0.5)},
            ValueError,
            "y must hold classes, not measurements, got 0.5",
        ),
        ({"y": np.full(N_NODES, 1j)}, TypeError, "y must hold integers or strings"),
        ({"y": [1, "a"] * 60}, TypeError, "y must hold strings only or integers only.*1 and 'a'"),
        ({"y": np.full(N_NODES, np.inf)}, ValueError, "y must hold classes, .* got inf for node 0"),
        ({"y": ["a", -1] * 60}, TypeError, "no label: None among strings"),
        (
            {"train_mask": np.arange(N_NODES) % 2},
            ValueError,
            r"got 120 times 0 or 1: hand over train_mask.astype\(bool\)",
        ),
        ({"y": [1, {}] * 60}, TypeError, "y must hold strings only or integers only"),
        ({"y": np.ones(N_NODES)}, ValueError, "y must have at least 2 classes, got 1"),
        (
            {"train_mask": np.ones(7, bool)},
            ValueError,
            "train_mask must have one bool per node, 120",
        ),
        (
            {"train_mask": np.zeros(N_NODES, bool)},
            ValueError,
            "train_mask must select at least one",
        ),
        ({"train_mask": []}, ValueError, "train_mask must select at least one"),
        ({"train_mask": [0, 120]}, ValueError, r"indices in \[0, 120\), got 120 at position 1"),
        ({"train_mask": [0, -1]}, ValueError, r"indices in \[0, 120\), got -1 at position 1"),
        ({"train_mask": [3, 3]}, ValueError, "train_mask names node 3 more than once"),
        ({"train_mask": [0.5]}, TypeError, "train_mask must hold bools or indices"),
        ({"train_mask": [[1]]}, ValueError, "train_mask must have 1 dimension"),
        ({"val_mask": []}, ValueError, "val_mask must select at least one"),
        ({"val_mask": TWICE, "train_mask": TWICE}, ValueError, "both select 24 nodes.*is node 0"),
        ({"y": np.arange(N_NODES) % 3 - 1}, ValueError, "train_mask selects .* without a label"),
    ],
)
def test_bad_data(data, change, error, message):
    graph, X, y, train, val, _ = data
    given = {"X": X, "y": y, "train_mask": train, "val_mask": val} | change
    if isinstance(given["X"], str):
        given["X"] = with_nan(X) if given["X"] == "nan" else sp.csc_array(with_nan(X))
    with pytest.raises(error, match=message):
        make().fit(graph, given.pop("X"), given.pop("y"), **given)


def test_other_wrong_calls(data, fitted, tmp_path):
    graph, X, y, train, *_ = data
    with pytest.raises(
        ValueError, match="early_stopping='loss' needs validation nodes: give val_m"
    ):
        make(early_stopping="loss").fit(graph, X, y, train_mask=train)
    with pytest.raises(ValueError, match=r"model='gat' has no use for edge weights.*weight=None"):
        make("gat").fit([(0, 1, 2.0), (1, 2, 1.0)], X[:3], y[:3])
    make("gat").fit([(0, 1, 2.0), (1, 2, 1.0)], X[:3], y[:3], weight=None)
    with pytest.raises(ValueError, match="X must be given with G"):
        fitted.predict(graph)
    with pytest.raises(ValueError, match="X must have the 12 columns that it had in fit, got 3"):
        fitted.predict(graph, X[:, :3])
    with pytest.raises(ValueError, match="mask must select at least one node with a label"):
        fitted.score(y, mask=[])
    with pytest.raises(ValueError, match=r"mask selects nodes without a label in y, .* node 3"):
        fitted.score(np.where(np.arange(N_NODES) == 3, -1, y), mask=[2, 3])
    with pytest.raises(ValueError, match="no hidden one"):
        fit(data, n_layers=1).transform()
    fitted.save(tmp_path / "m")
    with pytest.raises(ValueError, match="a model that was loaded has no graph: give G and X"):
        NodeClassifier.load(tmp_path / "m").predict()


def test_training_that_diverges_says_what_to_do(data):
    graph, X, y, train, *_ = data
    with pytest.raises(
        ValueError, match=r"diverged: the loss of epoch \d+ is .*; lower lr, got 1e"
    ):
        make(lr=1e80, optimizer="sgd").fit(graph, X, y, train_mask=train)


# -- Files -----------------------------------------------------------------------------------


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("options", [{}, {"norm": "batch", "residual": True, "n_layers": 3}])
def test_save_and_load(data, model, options, tmp_path):
    graph, X, *_ = data
    path = tmp_path / "model.safetensors"
    classifier = fit(data, model, epochs=3, **options)
    classifier.save(path)
    assert list(tmp_path.iterdir()) == [path]
    loaded = NodeClassifier.load(path)
    assert loaded.get_params() == classifier.get_params()
    np.testing.assert_array_equal(loaded.predict_proba(graph, X), classifier.predict_proba())
    assert loaded.classes_.tolist() == classifier.classes_.tolist()
    assert loaded.history_ == classifier.history_
    assert loaded.best_epoch_ == classifier.best_epoch_
    loaded.save(tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == path.read_bytes()
    assert load_file(path).keys() == classifier.model_.state_dict().keys()


def test_what_has_no_place_in_a_file_is_none(data, tmp_path):
    classifier = fit(
        data, random_state=np.random.default_rng(0), callbacks=(print,), hidden=np.int64(8)
    )
    classifier.save(tmp_path / "m")
    params = NodeClassifier.load(tmp_path / "m").get_params()
    assert (params["random_state"], params["callbacks"], params["hidden"]) == (None, None, 8)


def test_a_failed_save_keeps_the_old_file(fitted, tmp_path, monkeypatch):
    from graphembed.estimators import _gnn_file

    path = tmp_path / "m"
    path.write_text("the old file")
    monkeypatch.setattr(_gnn_file, "save_file", lambda *a, **k: (_ for _ in ()).throw(OSError(28)))
    with pytest.raises(OSError, match="28"):
        fitted.save(path)
    assert path.read_text() == "the old file"
    assert list(tmp_path.iterdir()) == [path]


def test_every_damaged_byte_is_found(fitted, tmp_path):
    path = tmp_path / "m"
    fitted.save(path)
    content = path.read_bytes()
    rng = np.random.default_rng(0)
    for position in [0, 8, len(content) - 1, *rng.integers(0, len(content), 40).tolist()]:
        damaged = bytearray(content)
        damaged[position] ^= 0x10
        path.write_bytes(damaged)
        try:
            loaded = NodeClassifier.load(path)
        except FileFormatError:
            continue
        else:  # a digit of the history, say: the model itself is whole
            assert_same(weights(loaded), weights(fitted))
    for size in (0, 7, 100, len(content) - 1):
        path.write_bytes(content[:size])
        with pytest.raises(FileFormatError):
            NodeClassifier.load(path)


def test_files_of_others(tmp_path):
    path = tmp_path / "m"
    with pytest.raises(FileNotFoundError):
        NodeClassifier.load(path)
    with pytest.raises(IsADirectoryError):
        NodeClassifier.load(tmp_path)
    save_file({"a": torch.ones(2)}, path)
    with pytest.raises(FileFormatError, match="it is not a model of graphembed"):
        NodeClassifier.load(path)
    save_file({"a": torch.ones(2)}, path, metadata={"graphembed": json.dumps({"kind": "GPT"})})
    with pytest.raises(FileFormatError, match="it holds 'GPT', not a NodeClassifier"):
        NodeClassifier.load(path)
    torch.save({"a": torch.ones(2)}, path)
    with pytest.raises(FileFormatError):
        NodeClassifier.load(path)


def change(path, **changes):
    """Write the file again with another header; its checksum is made to fit."""
    with safetensors.safe_open(path, "pt") as file:
        header = json.loads(file.metadata()["graphembed"])
        tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    header["params"] |= changes.pop("params", {})
    tensors |= changes.pop("tensors", {})
    header |= changes
    from graphembed.estimators._gnn_file import _checksum

    header["sha256"] = _checksum(tensors)
    save_file(tensors, path, metadata={"graphembed": json.dumps(header)})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": 2}, "it has version 2, and this graphembed reads 1"),
        ({"params": {"hidden": 2**30}}, "its tensor 'convs.0.bias' is"),
        ({"params": {"n_layers": 2**30}}, "it has 1073741824 layers, but 4 tensors"),
        ({"params": {"model": "os.system"}}, "model must be one of"),
        ({"params": {"callbacks": ["print"]}}, "callbacks must be null"),
        ({"params": {"__class__": 1}}, "its parameters do not fit, '__class__' does not"),
        ({"params": {"dropout": "0.5"}}, "dropout must be"),
        ({"n_features": 2**40}, "n_features must be"),
        ({"n_features": 2**30}, "its tensor 'convs.0.lin.weight' is"),
        ({"n_features": True}, "n_features must be"),
        ({"classes": [0]}, "its classes are not 2 or more of the type int"),
        ({"classes": [0, "1", 2]}, "its classes are not 2 or more of the type int"),
        ({"classes": [0, 2, 1]}, "its classes are not sorted"),
        ({"classes": [0, 1, 2**70]}, "its classes do not fit into 64 bits"),
        ({"classes": [0, 1, 2, 3]}, "its tensor 'convs.1.bias' is"),
        ({"class_kind": "O"}, "of the unknown kind 'O'"),
        ({"history": {}}, "the columns of its history do not fit together"),
        ({"history": {"epoch": [1], "train_loss": []}}, "the columns of its history"),
        ({"history": {"epoch": [1], "train_loss": ["x"]}}, "no numbers in the column 'train_loss'"),
        ({"door": {}}, "how its graph was read is not said in full"),
        ({"best_epoch": 31}, "its best epoch 31 is not one of its history"),
        (
            {"tensors": {"extra": torch.ones(1)}},
            "its tensor 'extra' is .*but the parameters need None",
        ),
        (
            {"tensors": {"convs.1.bias": torch.ones(3, dtype=torch.float64)}},
            "its tensor 'convs.1.bi",
        ),
        ({"sha256": 5}, None),
    ],
)
def test_hostile_headers(fitted, tmp_path, changes, message):
    path = tmp_path / "m"
    fitted.save(path)
    change(path, **changes)
    if message is None:  # the checksum was made to fit: the file is whole
        NodeClassifier.load(path)
        return
    with pytest.raises(FileFormatError, match=message):
        NodeClassifier.load(path)


def test_deeply_nested_json(fitted, tmp_path):
    path = tmp_path / "m"
    save_file({"a": torch.ones(1)}, path, metadata={"graphembed": "[" * 100_000})
    with pytest.raises(FileFormatError, match="its header is not JSON"):
        NodeClassifier.load(path)


def test_a_device_that_is_not_there_is_no_obstacle(fitted, data, tmp_path):
    graph, X, *_ = data
    path = tmp_path / "m"
    fitted.save(path)
    change(path, params={"device": "cuda:77"})
    assert NodeClassifier.load(path).predict(graph, X).shape == (N_NODES,)


# -- Real data -------------------------------------------------------------------------------


@pytest.mark.data
@pytest.mark.slow
@pytest.mark.parametrize(("model", "least"), [("gcn", 0.79), ("cheb", 0.78), ("sage", 0.77)])
def test_cora(model, least):
    cora = load_planetoid("cora", download=False)
    classifier = NodeClassifier(model, random_state=0).fit(
        cora.graph, cora.x, cora.y, train_mask=cora.train_mask, val_mask=cora.val_mask
    )
    assert classifier.score(cora.y, mask=cora.test_mask) >= least


@pytest.mark.cuda
@pytest.mark.parametrize("model", MODELS)
def test_cuda(data, model, tmp_path):
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    graph, X, y, *_ = data
    classifier = fit(data, model, device="cuda", dropout=0.0)
    on_cpu = fit(data, model, device="cpu", dropout=0.0)
    assert next(classifier.model_.parameters()).is_cuda
    assert abs(classifier.score(y) - on_cpu.score(y)) < 0.05
    classifier.set_params(device="cpu").save(tmp_path / "m")
    found = NodeClassifier.load(tmp_path / "m").predict_proba(graph, X)
    np.testing.assert_allclose(found, classifier.predict_proba(), rtol=1e-4, atol=1e-4)
