"""Walks along a metapath against their law, enumerated; node types at the door and in files."""

import pickle

import exact_laws as exact
import networkx as nx
import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone

from graphembed import DeepWalk, FileFormatError, GraphFormatError, sample_walks
from graphembed.evaluation import split_edges
from graphembed.graph import Graph
from graphembed.samplers.corpus import WalkCorpus
from graphembed.samplers.walker import Walker, walk_seed

LEVEL = 1e-6 / 100  # more than there are p-values below
TYPES = ["A", "A", "A", "P", "P", "P", "P", "V", "V", "A", "P"]  # the last two alone


def academic(*, weighted, directed, seed=0):
    """A weight matrix with all kinds of arcs, also between nodes of one type."""
    rng = np.random.default_rng(seed)
    n = len(TYPES)
    dense = (rng.random((n, n)) < 0.6) * (np.exp(rng.normal(size=(n, n))) if weighted else 1.0)
    dense[9:] = dense[:, 9:] = 0.0
    if not directed:
        dense = np.triu(dense) + np.triu(dense, 1).T
    return dense.astype(np.float32)


def graph_of(dense, directed):
    return Graph.from_any(Graph.from_dense(dense, directed=directed), node_types=np.array(TYPES))


def metapath_law(dense, here, there):
    """Dong et al. 2017, eq. 3, with weights: v -> x only from `here` to `there`."""
    law = dense.astype(np.float64).tolist()
    for v, row in enumerate(law):
        for x in range(len(row)):
            if TYPES[v] != here or TYPES[x] != there:
                row[x] = 0.0
    return exact.first_order_law(law)


def law_p_values(walks, dense, metapath):
    """One p-value for each step of the metapath, over all walks."""
    n, period = len(TYPES), len(metapath) - 1
    for k in range(period):
        steps = [walks[:, j : j + 2] for j in range(k, walks.shape[1] - 1, period)]
        counts = exact.step_counts(np.concatenate(steps), n)
        yield exact.law_p_value(counts, metapath_law(dense, metapath[k], metapath[k + 1]))


METAPATHS = ["APA", "APVPA", "AA", "PAVP", "VPPAV", "APAPPA"]
SETTINGS = [(m, w, d) for m in METAPATHS for w in (False, True) for d in (False, True)]


@pytest.mark.parametrize(("metapath", "weighted", "directed"), SETTINGS)
def test_law(metapath, weighted, directed):
    dense = academic(weighted=weighted, directed=directed)
    graph = graph_of(dense, directed)
    walks = sample_walks(
        graph, metapath=list(metapath), n_walks=3000, walk_length=21, random_state=1, n_jobs=2
    )
    assert set(walks[:, 0]) == {i for i, t in enumerate(TYPES) if t == metapath[0]}
    for k in range(21):
        seen = {TYPES[v] for v in walks[:, k] if v >= 0}
        assert seen <= {metapath[k % (len(metapath) - 1)]}
    assert min(law_p_values(walks, dense, metapath)) > LEVEL


@pytest.mark.parametrize("weighted", [False, True])
def test_wrong_walks_would_be_found(weighted):
    dense = academic(weighted=weighted, directed=False)
    options = {"n_walks": 3000, "walk_length": 21, "random_state": 1}
    typed = graph_of(dense, False)
    of_all = sample_walks(typed, start_nodes=[0, 1, 2], **options)
    assert min(law_p_values(of_all, dense, "APA")) < LEVEL  # types left out
    other = sample_walks(typed, metapath=list("APVPA"), **options)
    assert min(law_p_values(other, dense, "APA")) < LEVEL  # another metapath
    if weighted:
        flat = graph_of((dense > 0).astype(np.float32), False)
        walks = sample_walks(flat, metapath=list("APA"), **options)
        assert min(law_p_values(walks, dense, "APA")) < LEVEL  # weights left out


def large(weighted):
    rng = np.random.default_rng(0)
    edges = rng.integers(0, 400, (3000, 2))
    if weighted:
        edges = np.column_stack([edges, 2.0 ** rng.integers(-3, 4, len(edges))])
    return Graph.from_any(edges, nodes=range(410), node_types=rng.integers(0, 3, 410))


@pytest.mark.parametrize("weighted", [False, True])
def test_any_number_of_threads_and_parts(weighted, monkeypatch):
    monkeypatch.setattr("graphembed._threads._WORK_PER_THREAD", 1)
    options = {"metapath": [0, 1, 2, 1, 0], "n_walks": 3, "walk_length": 30, "random_state": 0}
    expected = sample_walks(large(weighted), **options)
    assert (expected[:, -1] >= 0).any()
    for n_jobs in (2, 3):
        assert np.array_equal(sample_walks(large(weighted), n_jobs=n_jobs, **options), expected)
    monkeypatch.setattr("graphembed._threads._use_openmp", False)
    assert np.array_equal(sample_walks(large(weighted), n_jobs=4, **options), expected)
    for n_steps in (1, 2, 7):
        monkeypatch.setattr("graphembed.samplers.walker._STEPS_PER_CALL", n_steps)
        monkeypatch.setattr("graphembed.samplers.walker._NODES_PER_BLOCK", 1)
        assert np.array_equal(sample_walks(large(weighted), **options), expected)


def test_arcs_are_kept_once():
    graph = large(weighted=False)
    arcs = Walker(graph, metapath=[0, 1, 2, 1, 0])._arcs
    assert arcs.indptr.shape == (2, graph.n_nodes + 1)  # 1 is left for 2 and for 0
    types = graph.node_types
    tails = np.repeat(types, graph.degrees)
    kept = abs(tails - types[graph.indices]) == 1
    assert len(arcs.indices) == kept.sum()


@pytest.mark.parametrize("max_rows", [7, 1000])
def test_the_corpus_holds_the_rows_of_sample_walks(max_rows):
    graph, metapath = large(weighted=True), [1, 0, 1]
    corpus = WalkCorpus(Walker(graph, metapath=metapath), 12, 2, 5, 1)
    rows = np.full((2 * corpus.n_starts, 12), -2, np.int32)
    for walk_ids, walks in corpus.blocks(0, max_rows):
        rows[walk_ids] = walks
    starts = np.flatnonzero(graph.node_types == 1)
    assert rows[:, 0].tolist() == starts.tolist() * 2
    expected = np.empty_like(rows)
    Walker(graph, metapath=metapath).walk(
        np.tile(starts, 2).astype(np.int32), np.arange(len(rows)), expected, seed=walk_seed(5)
    )
    assert np.array_equal(rows, expected)


@pytest.mark.parametrize("ns_exponent", [0.75, 0.0, -0.5])
def test_deepwalk_learns_along_the_metapath(ns_exponent):
    # Items 10.. of two groups; users 0..9 like the items of their own; tags 30.. join everything.
    edges = [(u, 10 + 2 * i + u % 2) for u in range(10) for i in range(10)]
    edges += [(30 + k, v) for k in range(5) for v in range(30)]
    types = ["user"] * 10 + ["item"] * 20 + ["tag"] * 5
    graph = Graph.from_any(edges, node_types=types)
    model = DeepWalk(
        8, metapath=["user", "item", "user"], epochs=5, walk_length=20, ns_exponent=ns_exponent,
        learning_rate=0.1, random_state=0, n_jobs=2,
    ).fit(graph)  # fmt: skip
    unit = model.embedding_ / np.linalg.norm(model.embedding_, axis=1, keepdims=True)
    cosines = unit[:30] @ unit[:30].T
    same = np.equal.outer(np.arange(30) % 2, np.arange(30) % 2)
    assert cosines[same].mean() > cosines[~same].mean() + 0.5
    assert np.abs(model.embedding_[30:]).max() <= 0.5 / 8  # the start vectors of word2vec
    again = clone(model).set_params(n_jobs=1).fit(graph)
    assert np.array_equal(again.embedding_, model.embedding_)


def test_save_and_load_of_a_model(tmp_path):
    model = DeepWalk(4, metapath=[0, 1, 0], n_walks=1, random_state=0).fit(large(False))
    model.save(tmp_path / "model")
    assert DeepWalk.load(tmp_path / "model").metapath == [0, 1, 0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"metapath": "APA"}, "metapath must be None or a list or tuple of at least 2 node types"),
        ({"metapath": ["A"]}, "metapath must be None or a list or tuple of at least 2"),
        ({"metapath": ["A", "P"]}, "the last one equal to the first, got"),
        ({"metapath": ["A", "X", "A"]}, r"metapath\[1\] must be a node type .*'V'\], got 'X'"),
        ({"metapath": ["A", "P", "A"], "q": 2.0}, "p and q must be 1 with a metapath"),
        ({"metapath": ["A", "P", "A"], "start_nodes": [0, 3]}, "node 3 at position 1 is not"),
    ],
)
def test_bad_metapaths_are_named(options, message):
    graph = graph_of(academic(weighted=False, directed=False), False)
    with pytest.raises(ValueError, match=message):
        sample_walks(graph, **options)


def test_a_graph_without_types_is_told():
    with pytest.raises(ValueError, match=r"node types: Graph.from_any\(G, node_types=...\)"):
        sample_walks([(0, 1)], metapath=["A", "A"])


# ---------------------------------------------------------------------------------------------
# Types of nodes
# ---------------------------------------------------------------------------------------------

EDGES = [("ann", "p1"), ("bob", "p1"), ("p1", "kdd")]
BY_ID = {"kdd": "V", "ann": "A", "p1": "P", "bob": "A"}
NX = nx.Graph(EDGES)
nx.set_node_attributes(NX, BY_ID, "kind")


def igraph_of_edges():
    igraph = pytest.importorskip("igraph")
    graph = igraph.Graph.TupleList(EDGES)
    graph.vs["kind"] = [BY_ID[name] for name in graph.vs["name"]]
    return graph


@pytest.mark.parametrize(
    ("make", "types"),
    [
        (lambda: EDGES, BY_ID),
        (lambda: EDGES, pd.Series(BY_ID)),
        (lambda: EDGES, ["A", "P", "A", "V"]),
        (lambda: EDGES, np.array(["A", "P", "A", "V"])),
        (lambda: NX, "kind"),
        (lambda: Graph.from_any(NX), BY_ID),
        (igraph_of_edges, "kind"),
    ],
)
def test_types_by_id_by_order_and_by_attribute(make, types):
    graph = Graph.from_any(make(), node_types=types)
    assert graph.node_types.dtype == np.int32
    found = dict(zip(graph.node_ids.tolist(), graph.type_names[graph.node_types], strict=True))
    assert found == BY_ID
    assert not graph.node_types.flags.writeable


def test_integer_types_ascend():
    graph = Graph.from_any([(0, 1), (1, 2)], node_types={0: 7, 1: -1, 2: 7})
    assert graph.type_names.tolist() == [-1, 7]
    assert graph.node_types.tolist() == [1, 0, 1]


def test_types_stay_with_the_graph(tmp_path):
    graph = Graph.from_any([(0, 1, 2.0), (1, 2, 1.0), (2, 0, 1.0)], node_types=["a", ("b", 1), "a"])
    assert repr(graph).endswith("weighted, 2 node types)")
    graph.save(tmp_path / "graph")
    pickled = pickle.loads(pickle.dumps(graph))  # our own bytes
    for other in (Graph.load(tmp_path / "graph"), pickled):
        assert other == graph
        assert other.type_names.tolist() == ["a", ("b", 1)]
    assert graph != Graph.from_any(graph, node_types=["a", "a", "a"])
    assert Graph.from_any(graph, weight=None).node_types is not None
    assert Graph.from_any(graph) is graph
    part = split_edges(large(False), random_state=0).train_graph
    assert np.array_equal(part.node_types, large(False).node_types)


@pytest.mark.parametrize(
    ("types", "message"),
    [
        (BY_ID | {"eve": "A"}, "names the node 'eve', which the graph does not have"),
        ({"ann": "A", "bob": "A", "p1": "P"}, "the node 'kdd' has no type, got None"),
        (["A", "P", float("nan"), "V"], "the node 'bob' has no type, got nan"),
        (["A", "P", ["A"], "V"], r"type of the node 'bob' must be hashable, got \['A'\]"),
        (["A", "P"], "node_types must be .*: 4 wanted, got 2"),
        ({"A", "P"}, "node_types must have an order, got a set"),
        (7, "node_types must be a mapping .* got 7"),
    ],
)
def test_bad_types_are_named(types, message):
    with pytest.raises(GraphFormatError, match=message):
        Graph.from_any(EDGES, node_types=types)


def test_attributes_are_looked_for_where_there_are_some():
    with pytest.raises(ValueError, match="node_types='kind' names a node attribute, which a graph"):
        Graph.from_any(EDGES, node_types="kind")
    with pytest.raises(GraphFormatError, match="no node has the attribute 'colour'"):
        Graph.from_any(NX, node_types="colour")
    with pytest.raises(GraphFormatError, match="the node 'eve' has no type"):
        Graph.from_any(NX, nodes=["eve"], node_types="kind")


def test_damaged_types_in_a_file_are_refused(tmp_path):
    graph = Graph.from_any(EDGES, node_types=BY_ID)
    path = tmp_path / "graph"
    for codes, message in (
        (np.array([0, 1, 2, 3], np.int32), r"node_types must be in \[0, 3\)"),
        (np.array([0, 1, -1, 2], np.int32), r"node_types must be in \[0, 3\)"),
        (np.array([0, 1], np.int32), r"node_types must have the shape \(4,\), got \(2,\)"),
        (np.array([0, 1, 0, 2], np.int64), "node_types has dtype int64"),
    ):
        graph._with_types(codes, graph.type_names).save(path)
        with pytest.raises(FileFormatError, match=message):
            Graph.load(path)
