"""Models that grow: which rows move, where new rows start, threads, files, errors."""

import pickle

import numpy as np
import pytest
from estimator_checks import random_graph

from graphembed import DeepWalk, FileFormatError, Graph, Node2Vec
from graphembed._storage import read_arrays, write_arrays

SMALL = {"n_components": 12, "walk_length": 12, "n_walks": 3, "window": 4, "random_state": 0}
UPDATES = ("touched", "neighbourhood", "all")


def part_of(graph, n_old, *, without=(), ids=None):
    """The graph of the first nodes, less some edges between them."""
    adjacency = graph.to_scipy()[:n_old, :n_old].tolil()
    for i, j in without:
        adjacency[i, j] = 0
        if not graph.directed:
            adjacency[j, i] = 0
    return Graph.from_scipy(adjacency.tocsr(), directed=graph.directed, nodes=range(n_old))


def grown(n_old=180, *, directed=False, weighted=False, update="touched", **params):
    graph = random_graph(200, directed=directed, weighted=weighted)
    model = Node2Vec(**{**SMALL, **params}).fit(part_of(graph, n_old))
    return model, model.embedding_, graph, model.partial_fit(graph, update=update)


def an_edge(graph, n_old=180):
    rows = graph.to_scipy()[:n_old, :n_old].tocoo()
    return next((i, j) for i, j in zip(*rows.coords, strict=True) if i < j)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("directed", [False, True])
def test_old_rows_stay_and_new_rows_come(directed, weighted):
    model, before, graph, _ = grown(directed=directed, weighted=weighted, p=0.5)
    assert model.node_ids_.tolist() == list(range(200))
    assert model.n_nodes_in_ == len(model) == 200
    np.testing.assert_array_equal(model.embedding_[:180], before)
    assert np.isfinite(model.embedding_).all()
    assert (np.linalg.norm(model.embedding_, axis=1) > 0).all()
    assert model.training_stats_ == {"n_new": 20, "n_trained": 20}
    np.testing.assert_array_equal(model.transform(graph), model.embedding_)


@pytest.mark.parametrize("update", UPDATES)
@pytest.mark.parametrize("use_openmp", [True, False])
def test_threads_do_not_matter(update, use_openmp, monkeypatch):
    monkeypatch.setattr("graphembed._threads._WORK_PER_THREAD", 1)
    monkeypatch.setattr("graphembed._threads._use_openmp", use_openmp)
    for kind in ({}, {"directed": True, "weighted": True, "q": 2.0}):
        one = grown(n_jobs=1, update=update, **kind)[0]
        for n_jobs in (2, 4):
            other = grown(n_jobs=n_jobs, update=update, **kind)[0]
            np.testing.assert_array_equal(one.embedding_, other.embedding_)
            np.testing.assert_array_equal(one._memory.context, other._memory.context)


def test_instruction_sets_do_not_matter(monkeypatch):
    from graphembed.estimators import _growth

    usual = grown(update="all")[0]
    for instructions in range(_growth.INSTRUCTIONS + 1):
        monkeypatch.setattr(_growth, "INSTRUCTIONS", instructions)
        other = grown(update="all")[0]
        np.testing.assert_array_equal(usual.embedding_, other.embedding_)
        np.testing.assert_array_equal(usual._memory.context, other._memory.context)


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"loss": "hs"}, "loss='hs'"),
        ({"trainer": "gensim"}, "trainer='gensim'"),
        ({"metapath": ["a", "b", "a"]}, "metapath="),
        ({"n_components": 3}, "n_components must be"),
    ],
)
def test_changed_parameters_that_do_not_grow_are_refused(changed, words):
    graph = random_graph(60)
    model = DeepWalk(**SMALL).fit(graph)
    before = model.embedding_
    with pytest.raises(ValueError, match=words):
        model.set_params(**changed).partial_fit(graph)
    assert model.embedding_ is before


def test_models_without_context_vectors_are_refused():
    graph = random_graph(60)
    model = DeepWalk(loss="hs", **SMALL).fit(graph).set_params(loss="ns")
    with pytest.raises(ValueError, match="holds no context vectors"):
        model.partial_fit(graph)


def test_a_change_of_direction_is_refused(tmp_path):
    edges = [(0, 1), (1, 2), (2, 0), (0, 3)]
    for directed in (True, False):
        model = DeepWalk(**SMALL).fit(edges, directed=directed)
        model.save(tmp_path / "model.gemb")
        loaded = DeepWalk.load(tmp_path / "model.gemb")
        with pytest.raises(ValueError, match=f"pass directed={directed}"):
            loaded.partial_fit(edges, directed=not directed)
        with pytest.raises(ValueError, match=f"pass directed={directed}"):
            loaded.transform([*edges, (3, 4)] if directed else Graph.from_edges(
                [*edges, (3, 4)], directed=True))  # fmt: skip
        assert loaded.partial_fit([*edges, (3, 4)], directed=directed).n_nodes_in_ == 5


def test_present_parameters_are_obeyed():
    usual, _, graph, _ = grown()
    for changed in ({"window": 1}, {"negative": 1}, {"n_walks": 9}, {"learning_rate": 0.1}):
        model = Node2Vec(**SMALL).fit(part_of(graph, 180)).set_params(**changed)
        model.partial_fit(graph)
        assert not np.array_equal(model.embedding_[180:], usual.embedding_[180:]), changed


def test_blocks_do_not_matter(monkeypatch):
    from graphembed.estimators import _growth

    usual = grown(directed=True)[0]
    monkeypatch.setattr(_growth, "walks_per_block", lambda length: 100)
    blocks = grown(directed=True)[0]
    np.testing.assert_array_equal(usual.embedding_, blocks.embedding_)
    np.testing.assert_array_equal(usual._memory.context, blocks._memory.context)


@pytest.mark.parametrize("directed", [False, True])
def test_new_rows_start_at_the_mean_of_their_neighbours(directed):
    edges = [("a", "b", 1.0), ("b", "c", 1.0), ("c", "a", 2.0)]
    model = DeepWalk(**SMALL).fit(edges, directed=directed)
    model.set_params(learning_rate=1e-30, min_learning_rate=0.0)
    more = [("x", "a", 3.0), ("b", "x", 1.0), ("y", "x", 5.0), ("z", "w", 1.0)]
    model.partial_fit([*edges, *more], nodes=["alone"])
    mean = (3 * model["a"] + model["b"]) / 4
    np.testing.assert_allclose(model["x"], mean, rtol=1e-5)
    np.testing.assert_allclose(model["y"], mean, rtol=1e-5)  # by way of x
    contexts = model._memory.context[[list(model).index(node) for node in "abxy"]]
    expected = (3 * contexts[0] + contexts[1]) / 4
    np.testing.assert_allclose(contexts[2:], [expected, expected], rtol=1e-5, atol=1e-9)
    for node in ("z", "w", "alone"):
        assert 0 < np.abs(model[node]).max() <= 0.5 / 12
    assert not np.array_equal(model["z"], model["w"])


def test_new_rows_are_near_their_community():
    block = np.repeat(np.arange(3), 30)
    rng = np.random.default_rng(0)
    chance = np.where(block[:, None] == block, 0.4, 0.02)
    adjacency = np.triu(rng.random(chance.shape) < chance, 1).astype(float)
    adjacency += adjacency.T
    old = np.arange(90) % 10 != 0
    model = DeepWalk(16, random_state=0, epochs=2)
    model.fit(adjacency[old][:, old], nodes=np.flatnonzero(old))
    kept = model.partial_fit(adjacency, nodes=range(90)).embedding_
    unit = model.transform(list(range(90)))
    assert kept.shape == unit.shape
    unit = unit / np.linalg.norm(unit, axis=1, keepdims=True)
    cosines = unit[~old] @ unit[old].T
    same = block[~old, None] == block[old]
    for i in range(len(cosines)):
        assert cosines[i][same[i]].mean() > cosines[i][~same[i]].mean() + 0.2


def test_the_objective_falls():
    """Trained rows fit their pairs better than the mean of the neighbours does."""
    model, _, graph, _ = grown(n_walks=20)
    start = Node2Vec(**{**SMALL, "n_walks": 20}).fit(part_of(graph, 180))
    start.set_params(learning_rate=1e-30, min_learning_rate=0.0).partial_fit(graph)
    context = start._memory.context
    neighbours = graph.to_scipy()[180:]

    def loss(rows):
        scores = rows @ context.T
        attraction = neighbours.multiply(np.log1p(np.exp(-scores))).sum() / neighbours.sum()
        return attraction + 5 * np.log1p(np.exp(scores)).mean()

    assert loss(model.embedding_[180:]) < loss(start.embedding_[180:])


def test_a_changed_edge_moves_its_ends():
    graph = random_graph(200)
    i, j = an_edge(graph)
    less = part_of(graph, 200, without=[(i, j)])
    for old, new in ((graph, less), (less, graph)):  # an edge goes, an edge comes
        model = DeepWalk(**SMALL).fit(old)
        before = model.embedding_
        model.partial_fit(new)
        moved = np.flatnonzero((model.embedding_ != before).any(axis=1))
        assert moved.tolist() == [i, j]
        assert model.training_stats_ == {"n_new": 0, "n_trained": 2}
    weighted = Graph.from_edges([(0, 1, 1.0), (1, 2, 1.0), (2, 3, 1.0), (3, 0, 1.0)])
    model = DeepWalk(**SMALL).fit(weighted)
    before = model.embedding_
    model.partial_fit([(0, 1, 1.0), (1, 2, 7.0), (2, 3, 1.0), (3, 0, 1.0)])
    moved = np.flatnonzero((model.embedding_ != before).any(axis=1))
    assert moved.tolist() == [1, 2]


def test_neighbourhood_and_all():
    graph = random_graph(200)
    i, j = an_edge(graph)
    less = part_of(graph, 200, without=[(i, j)])
    moved = {}
    for update in UPDATES:
        model = DeepWalk(**SMALL).fit(less)
        before = model.embedding_
        model.partial_fit(graph, update=update)
        moved[update] = set(np.flatnonzero((model.embedding_ != before).any(axis=1)).tolist())
    rows = graph.to_scipy()
    around = {i, j} | set(rows[[i, j]].indices.tolist())
    linked = set(np.flatnonzero(np.diff(graph.indptr)).tolist())
    assert moved == {"touched": {i, j}, "neighbourhood": around, "all": linked}


@pytest.mark.parametrize("update", UPDATES)
def test_no_change_changes_nothing(update):
    graph = random_graph(100, weighted=True)
    model = DeepWalk(**SMALL).fit(graph)
    before, memory = model.embedding_, model._memory
    model.partial_fit(graph, update=update)
    np.testing.assert_array_equal(model.embedding_, before)
    assert model._memory is memory


def test_the_order_of_the_graph_does_not_matter():
    graph = random_graph(200, weighted=True)
    order = np.concatenate([np.random.default_rng(0).permutation(180), np.arange(180, 200)])
    shuffled = Graph.from_scipy(graph.to_scipy()[order][:, order], nodes=order.tolist())
    models = [DeepWalk(**SMALL).fit(part_of(graph, 180)) for _ in range(2)]
    for model, other in zip(models, (graph, shuffled), strict=True):
        model.partial_fit(other)
        assert model.node_ids_.tolist() == list(range(200))
    np.testing.assert_array_equal(models[0].embedding_, models[1].embedding_)


def test_ids_of_other_types_may_come():
    model = DeepWalk(**SMALL).fit([(1, 2), (2, 3), (3, 1)])
    model.partial_fit([("x", 1), (1, 2), (2, 3), (3, 1)])
    assert model.node_ids_.tolist() == [1, 2, 3, "x"]
    assert model["x"].shape == (12,)


@pytest.mark.parametrize("model_class", [DeepWalk, Node2Vec])
def test_growing_again_and_files(model_class, tmp_path):
    graph = random_graph(200, weighted=True)
    steps = [part_of(graph, n) for n in (150, 170, 185, 200)]
    model = model_class(**SMALL).fit(steps[0])
    for step in steps[1:]:
        saved = model.save(tmp_path / "model") or model_class.load(tmp_path / "model")
        pickled = pickle.loads(pickle.dumps(model))  # our own bytes
        before = model.embedding_
        for one in (model, saved, pickled):
            one.partial_fit(step)
        np.testing.assert_array_equal(model.embedding_[: len(before)], before)
        for other in (saved, pickled):
            np.testing.assert_array_equal(model.embedding_, other.embedding_)
            np.testing.assert_array_equal(model._memory.context, other._memory.context)
            np.testing.assert_array_equal(model._memory.visits, other._memory.visits)
            np.testing.assert_array_equal(model._memory.prints, other._memory.prints)


def test_transform_of_unseen_nodes_leaves_the_model():
    graph = random_graph(200)
    i, j = an_edge(graph)
    model = DeepWalk(**SMALL).fit(part_of(graph, 180, without=[(i, j)]))
    before, memory = model.embedding_, model._memory
    vectors = model.transform(graph)
    assert model.embedding_ is before
    assert model._memory is memory
    assert len(model) == 180
    np.testing.assert_array_equal(vectors[:180], before)
    model.partial_fit(graph)
    np.testing.assert_array_equal(model.transform(graph)[180:], vectors[180:])
    with pytest.raises(KeyError, match="777"):
        model.transform([777])


def test_partial_fit_fits_what_is_not_fitted():
    graph = random_graph(100)
    first = DeepWalk(**SMALL).partial_fit(graph).embedding_
    np.testing.assert_array_equal(first, DeepWalk(**SMALL).fit(graph).embedding_)


def test_errors_come_before_any_work(tmp_path):
    graph = random_graph(100)
    model = DeepWalk(**SMALL).fit(graph)
    before = model.embedding_
    with pytest.raises(ValueError, match=r"lacks the node 90; pass nodes=model.node_ids_"):
        model.partial_fit(part_of(graph, 90))
    with pytest.raises(ValueError, match=r"lacks the node 90"):
        model.transform(Graph.from_edges([(0, 777)], nodes=range(90)))
    with pytest.raises(ValueError, match="update must be one of 'touched'"):
        model.partial_fit(graph, update="new")
    with pytest.raises(ValueError, match=r"window must be an int >= 1"):
        model.set_params(window=0).partial_fit(graph)
    with pytest.raises(ValueError, match="n_components must be 12 as in fit, got 5"):
        model.set_params(window=4, n_components=5).partial_fit(graph)
    assert model.embedding_ is before

    model.set_params(n_components=12).save(tmp_path / "model")
    meta, arrays = read_arrays(tmp_path / "model", kind="model")
    damaged = {**arrays, "context": arrays["context"][:-1]}
    write_arrays(tmp_path / "damaged", kind="model", meta=meta, arrays=damaged)
    with pytest.raises(FileFormatError, match="array 'context' does not fit"):
        DeepWalk.load(tmp_path / "damaged")
    for name in ("context", "visits", "prints", "seed", "directed"):
        del arrays[name]
    write_arrays(tmp_path / "old", kind="model", meta=meta, arrays=arrays)
    old = DeepWalk.load(tmp_path / "old")
    np.testing.assert_array_equal(old.embedding_, before)
    with pytest.raises(ValueError, match="holds no context vectors"):
        old.partial_fit(graph)
    with pytest.raises(KeyError, match="777"):
        old.transform(Graph.from_edges([(0, 777)]))


def test_divergence_leaves_the_model():
    graph = random_graph(200)
    model = DeepWalk(**SMALL).fit(part_of(graph, 180))
    before = model.embedding_
    with pytest.raises(ValueError, match="training diverged"):
        model.set_params(learning_rate=1e60).partial_fit(graph)
    assert model.embedding_ is before
