"""`NodeClassifier` with the optimizers of second order."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from graphembed import Graph  # noqa: E402
from graphembed.estimators import NodeClassifier  # noqa: E402


@pytest.fixture(scope="module")
def data():
    """Two groups of nodes with most edges inside, and features that tell little."""
    rng = np.random.default_rng(0)
    y = np.repeat([0, 1], 30)
    edges = rng.integers(0, 60, (600, 2))
    edges = edges[(y[edges[:, 0]] == y[edges[:, 1]]) | (rng.random(600) < 0.1)]
    graph = Graph.from_edges(edges[edges[:, 0] != edges[:, 1]], nodes=range(60))
    X = (rng.normal(size=(60, 12)) + 0.3 * y[:, None]).astype(np.float32)
    mask = np.zeros(60, dtype=bool)
    mask[::5] = True
    return graph, X, y, mask


def fit(data, **options):
    graph, X, y, mask = data
    model = NodeClassifier(**{"epochs": 15, "random_state": 0, "n_jobs": 1} | options)
    return model.fit(graph, X, y, train_mask=mask, weight=None)


@pytest.mark.parametrize("optimizer", ["kfac", "ngd", "thor"])
@pytest.mark.parametrize("model", ["gcn", "cheb", "gat", "sage"])
def test_every_model_learns(data, model, optimizer):
    found = fit(data, optimizer=optimizer, model=model, dropout=0.0, epochs=12)
    assert found.history_["train_loss"][-1] < 0.5 * found.history_["train_loss"][0]
    assert found.score(data[2]) > 0.7


@pytest.mark.parametrize("optimizer", ["kfac", "thor"])
def test_same_seed_same_bits_for_any_number_of_threads(data, optimizer):
    one, two = (fit(data, optimizer=optimizer, n_jobs=n_jobs) for n_jobs in (1, 2))
    assert one.history_["train_loss"] == two.history_["train_loss"]
    assert np.array_equal(one.predict_proba(), two.predict_proba())


@pytest.mark.parametrize(
    "options",
    [
        {"model": "gcn", "batch_size": 4},
        {"model": "sage", "batch_size": 4},
        {"model": "gcn", "norm": "batch"},
        {"model": "sage", "decay": "first", "residual": True, "n_layers": 3},
    ],
)
def test_batches_norms_and_penalties(data, options):
    model = fit(data, optimizer="kfac", lr=0.01, **options)
    losses = model.history_["train_loss"]
    assert min(losses[1:]) < losses[0]
    assert losses[-1] < 2 * losses[0]


def test_unknown_names_are_refused(data):
    with pytest.raises(ValueError, match=r"optimizer must be .*'kfac'"):
        fit(data, optimizer="newton")
