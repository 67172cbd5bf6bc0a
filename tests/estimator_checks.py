"""The contract of every node embedding: seeds, threads, odd graphs, files, scikit-learn."""

import pickle
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

from graphembed import FileFormatError, Graph

RING = sp.csr_array(np.roll(np.eye(12), 1, axis=1) + np.roll(np.eye(12), -1, axis=1))


def random_graph(n_nodes: int = 200, *, directed: bool = False, weighted: bool = False) -> Graph:
    rng = np.random.default_rng(7)
    edges = rng.integers(0, n_nodes, (4 * n_nodes, 2)).astype(float)
    if weighted:
        edges = np.column_stack([edges, rng.uniform(0.1, 5.0, len(edges))])
    return Graph.from_edges(edges, directed=directed, nodes=range(n_nodes))


def check_clone_and_params(make: Any) -> None:
    estimator = make()
    params = estimator.get_params()
    copy = clone(estimator)
    assert copy is not estimator
    assert copy.get_params() == params
    estimator.fit(RING)
    assert estimator.get_params() == params, "fit must not change the parameters"
    estimator.set_params(n_components=3)
    assert estimator.fit(RING).embedding_.shape == (12, 3)
    with pytest.raises(ValueError, match="Invalid parameter 'nonsense'"):
        estimator.set_params(nonsense=1)


def check_not_fitted(make: Any) -> None:
    estimator = make()
    with pytest.raises(NotFittedError):
        check_is_fitted(estimator)
    for use in (
        lambda: estimator.transform(),
        lambda: estimator["x"],
        lambda: "x" in estimator,
        lambda: len(estimator),
        lambda: estimator.most_similar("x"),
        lambda: estimator.get_feature_names_out(),
        lambda: estimator.save("never-written"),
    ):
        with pytest.raises(NotFittedError):
            use()
    assert bool(estimator)


def check_shape_and_dtype(make: Any) -> None:
    estimator = make().fit(RING)
    assert estimator.embedding_.shape == (12, estimator.n_components)
    assert estimator.embedding_.dtype == np.float32
    assert estimator.embedding_.flags.c_contiguous
    assert estimator.n_nodes_in_ == len(estimator) == 12
    assert np.isfinite(estimator.embedding_).all()
    assert estimator.node_ids_.tolist() == list(range(12))


def check_seed(make: Any) -> None:
    graph = random_graph()
    first = make(random_state=3).fit(graph).embedding_
    np.testing.assert_array_equal(first, make(random_state=3).fit(graph).embedding_)
    assert not np.array_equal(first, make(random_state=4).fit(graph).embedding_)
    assert not np.array_equal(
        make(random_state=None).fit(graph).embedding_, make(random_state=None).fit(graph).embedding_
    )


def check_generators(make: Any) -> None:
    """A generator is advanced; the global one is not touched."""
    state = np.random.get_state()[1].tolist()  # noqa: NPY002
    rng = np.random.default_rng(5)
    first = make(random_state=rng).fit(RING).embedding_
    second = make(random_state=rng).fit(RING).embedding_
    assert not np.array_equal(first, second)
    again = make(random_state=np.random.default_rng(5)).fit(RING).embedding_
    np.testing.assert_array_equal(first, again)
    legacy = [make(random_state=np.random.RandomState(5)).fit(RING).embedding_ for _ in range(2)]
    np.testing.assert_array_equal(*legacy)
    assert np.random.get_state()[1].tolist() == state  # noqa: NPY002


def check_threads(make: Any) -> None:
    for graph in (random_graph(1500), random_graph(300, directed=True, weighted=True)):
        one = make(n_jobs=1).fit(graph).embedding_
        for n_jobs in (2, 3, 4, None):
            np.testing.assert_array_equal(one, make(n_jobs=n_jobs).fit(graph).embedding_)


def check_odd_graphs(make: Any) -> None:
    one_node = make().fit(Graph.from_csr([0, 0], [], node_ids=["alone"]))
    assert one_node["alone"].shape == (one_node.n_components,)
    assert one_node.most_similar("alone") == []
    loop = make().fit(Graph.from_csr([0, 1], [0]))
    assert np.isfinite(loop.embedding_).all()
    isolated = make().fit([("a", "b"), ("b", "c")], nodes=["z", "a"])
    assert isolated.node_ids_.tolist() == ["z", "a", "b", "c"]
    assert np.isfinite(isolated.embedding_).all()
    assert np.linalg.norm(isolated["z"]) > 0
    sinks = make().fit([(0, 1), (0, 2)], directed=True)
    assert sinks.embedding_.shape == (3, sinks.n_components)
    star = make().fit([("hub", i) for i in range(50)])
    assert len(star) == 51


def check_ids(make: Any) -> None:
    ids: list[Any] = ["ann", 5, ("tuple", 1), frozenset({7})]
    model = make().fit([(ids[0], ids[1]), (ids[1], ids[2]), (ids[2], ids[3])])
    for row, node in enumerate(model.node_ids_):
        np.testing.assert_array_equal(model[node], model.embedding_[row])
        assert node in model
    assert "5" not in model
    assert ["unhashable"] not in model
    with pytest.raises(KeyError, match="nobody"):
        model["nobody"]
    neighbours = model.most_similar("ann", topn=2)
    assert len(neighbours) == 2
    assert all(node in ids and node != "ann" for node, _ in neighbours)
    with pytest.raises(ValueError, match=r"topn must be an int >= 1 .* got 0"):
        model.most_similar("ann", topn=0)
    integers = make().fit(np.array([[10, 20], [20, 30], [30, 40], [40, 10]]))
    assert {type(node) for node, _ in integers.most_similar(10)} == {int}


def check_most_similar(make: Any) -> None:
    model = make().fit(random_graph())
    unit = model.embedding_ / np.linalg.norm(model.embedding_, axis=1, keepdims=True)
    cosines = unit @ unit[17]
    cosines[17] = -2
    expected = np.argsort(-cosines, kind="stable")[:5]
    found = model.most_similar(17, topn=5)
    assert [node for node, _ in found] == expected.tolist()
    np.testing.assert_allclose([c for _, c in found], cosines[expected], rtol=1e-5)
    assert len(model.most_similar(17, topn=10_000)) == len(model) - 1


def check_transform(make: Any) -> None:
    graph = random_graph()
    model = make().fit(graph)
    np.testing.assert_array_equal(model.transform(), model.embedding_)
    np.testing.assert_array_equal(model.transform(graph), model.embedding_)
    np.testing.assert_array_equal(model.transform([5, 3]), model.embedding_[[5, 3]])
    np.testing.assert_array_equal(model.transform(np.array([5, 3])), model.embedding_[[5, 3]])
    np.testing.assert_array_equal(make().fit_transform(graph), model.embedding_)
    with pytest.raises(KeyError, match="777"):
        model.transform([5, 777])
    edges = [("a", "b"), ("b", "c"), ("c", "a")]
    pairs = make().fit(edges, nodes=iter(["z"]))
    assert pairs.transform(edges).shape[0] == 4, "a list of edges is the graph that was fitted"
    assert list(pairs) == pairs.node_ids_.tolist()
    tuples = make().fit([((0, 1), (1, 2)), ((1, 2), (2, 0))])
    np.testing.assert_array_equal(tuples.transform([(1, 2)])[0], tuples[1, 2])


def check_set_output(make: Any) -> None:
    pandas = pytest.importorskip("pandas")
    model = make().set_output(transform="pandas").fit([("a", "b"), ("b", "c")])
    frame = model.transform(["c", "a"])
    assert isinstance(frame, pandas.DataFrame)
    assert frame.index.tolist() == ["c", "a"]
    assert frame.index.name == "id"
    assert frame.columns.tolist() == model.get_feature_names_out().tolist()
    assert clone(model).fit([("a", "b")]).transform().index.tolist() == ["a", "b"]
    assert isinstance(model.set_output(transform="default").transform(), np.ndarray)
    with pytest.raises(ValueError, match="transform must be one of"):
        model.set_output(transform="excel")


def check_read_only_input(make: Any) -> None:
    matrix = RING.copy()
    for array in (matrix.data, matrix.indices, matrix.indptr):
        array.flags.writeable = False
    before = matrix.toarray().copy()
    make().fit(matrix)
    np.testing.assert_array_equal(matrix.toarray(), before)


def check_failed_fit_keeps_the_old(make: Any) -> None:
    model = make().fit(RING)
    old = model.embedding_
    with pytest.raises(ValueError, match=r"NaN|nan"):
        model.fit([(0, 1, float("nan"))])
    assert model.embedding_ is old
    model.set_params(negative=0)
    with pytest.raises(ValueError, match=r"negative must be an int >= 1 .* got 0"):
        model.fit(RING)
    assert model.embedding_ is old


def check_pickle(make: Any) -> None:
    model = make().fit([("a", "b"), ("b", "c")])
    assert "a" in model  # makes the lookup table, which is not pickled
    copy = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(copy.embedding_, model.embedding_)
    np.testing.assert_array_equal(copy["b"], model["b"])


def check_save_and_load(make: Any, tmp_path: Any) -> None:
    path = tmp_path / "model.gemb"
    model = make().fit([("a", 1), (1, ("b", 2))])
    model.save(path)
    loaded = type(model).load(path)
    np.testing.assert_array_equal(loaded.embedding_, model.embedding_)
    assert loaded.node_ids_.tolist() == model.node_ids_.tolist()
    assert loaded.get_params() == model.get_params()
    np.testing.assert_array_equal(loaded["a"], model["a"])
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(data)
    with pytest.raises(FileFormatError):
        type(model).load(path)


ALL_CHECKS = [value for name, value in list(globals().items()) if name.startswith("check_")]
ALL_CHECKS.remove(check_is_fitted)
