"""Where only the return arc's weight differs: bipartite graphs, and q = 1.

The laws are enumerated by the paper's definition, which knows nothing of bipartite graphs.
"""

from itertools import product

import exact_laws as exact
import networkx as nx
import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from graphembed import sample_walks
from graphembed.graph import Graph
from graphembed.samplers import _tables
from graphembed.samplers.walker import Walker

LEVEL = 1e-6 / 200  # more than there are p-values below
N_STEPS = 300_000


def matrix(n, edges, weights=None):
    dense = np.zeros((n, n), np.float32)
    for k, (i, j) in enumerate(edges):
        dense[i, j] = dense[j, i] = 1.0 if weights is None else weights[k]
    return dense


def log_uniform(low, high, n, seed):
    return np.exp(np.random.default_rng(seed).uniform(np.log(low), np.log(high), n))


STAR = [(0, i) for i in range(1, 7)]
CYCLE = [(i, (i + 1) % 6) for i in range(6)]
USERS_ITEMS = [
    (u, 5 + i) for u, i in product(range(5), range(4)) if (u * 7 + i * 3) % 5 < 3
]  # fmt: skip
BIPARTITE = {
    "star": matrix(7, STAR),
    "cycle": matrix(6, CYCLE),
    "path": matrix(6, [(i, i + 1) for i in range(5)]),
    "users_items": matrix(9, USERS_ITEMS),
    "two_parts_and_a_lone_node": matrix(8, [(0, 1), (1, 2), (2, 3), (3, 0), (4, 5), (5, 6)]),
    "users_items_weighted": matrix(9, USERS_ITEMS, log_uniform(0.2, 5, 20, 0)),
    "extreme": matrix(9, USERS_ITEMS, log_uniform(1e-4, 1e4, 20, 1)),
    "heavy_return": matrix(7, STAR, [1e4, 1, 1, 1, 1, 1]),
}
HOUSE = [(0, 1), (1, 2), (2, 3), (3, 0), (2, 4), (3, 4)]
LOOPS = [*HOUSE, (0, 0), (3, 3), (4, 4)]
OTHERS = {
    "house": matrix(5, HOUSE),
    "loops": matrix(5, LOOPS),
    "loops_weighted": matrix(5, LOOPS, log_uniform(0.2, 5, 9, 2)),
    "heavy_loops": matrix(5, LOOPS, [1, 1, 1, 1, 1, 1, 1e4, 1e4, 1e-3]),
}
LAWS = [(0.25, 4.0), (4.0, 0.25), (0.25, 0.5), (4.0, 2.0), (1.0, 4.0), (1e3, 1e-3), (1e-3, 1.0)]
SETTINGS = [(name, p, q) for name in BIPARTITE for p, q in LAWS]
SETTINGS += [(name, p, 1.0) for name in OTHERS for p in (1e-3, 0.25, 4.0, 1e3)]
MATRICES = BIPARTITE | OTHERS


def graph_of(name):
    return Graph.from_any(MATRICES[name], directed=False)


def walk(name, p, q, **options):
    n_walks = N_STEPS // 20 // len(MATRICES[name])
    return sample_walks(
        graph_of(name), p=p, q=q, walk_length=21, n_walks=n_walks, random_state=1, **options
    )


def p_values(walks, name, p, q):
    dense = MATRICES[name].astype(np.float64)
    n = len(dense)
    return (
        exact.law_p_value(exact.step_counts(walks[:, :2], n), exact.first_order_law(dense)),
        exact.law_p_value(exact.transition_counts(walks, n), exact.second_order_law(dense, p, q)),
    )


@pytest.mark.parametrize(("name", "p", "q"), SETTINGS)
def test_law(name, p, q):
    assert Walker(graph_of(name), p=p, q=q).strategy == "return"
    assert min(p_values(walk(name, p, q), name, p, q)) > LEVEL


@pytest.mark.parametrize("name", BIPARTITE)
def test_equal_p_and_q_are_first_order_on_a_bipartite_graph(name):
    walker = Walker(graph_of(name), p=3.0, q=3.0)
    assert walker.strategy == "first-order"
    assert min(p_values(walk(name, 3.0, 3.0), name, 3.0, 3.0)) > LEVEL


@pytest.mark.parametrize(
    ("name", "drawn", "asked"),
    [
        ("users_items", (0.25, 1.0), (0.25, 4.0)),  # q left out
        ("users_items", (4.0, 0.25), (0.25, 4.0)),  # the ratio upside down
        ("users_items_weighted", (0.5, 4.0), (0.25, 4.0)),
        ("cycle", (4.0, 1.0), (4.0, 2.0)),
        ("loops", (4.0, 1.0), (4.0, 1.1)),
    ],
)
def test_another_ratio_would_be_found(name, drawn, asked):
    assert p_values(walk(name, *drawn), name, *asked)[1] < LEVEL


def random_bipartite(weighted):
    rng = np.random.default_rng(0)
    block = rng.random((60, 40)) < 0.1
    upper = sp.block_array([[None, sp.coo_array(block * 1.0)], [sp.coo_array((40, 60)), None]])
    dense = upper.toarray() * (rng.random(upper.shape) + 0.5 if weighted else 1.0)
    return Graph.from_any(dense + dense.T, directed=False)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize(("p", "q"), [(0.25, 4.0), (4.0, 0.25)])
def test_any_number_of_threads_and_parts(weighted, p, q, monkeypatch):
    monkeypatch.setattr("graphembed._threads._WORK_PER_THREAD", 1)
    graph = random_bipartite(weighted)
    options = {"p": p, "q": q, "n_walks": 3, "walk_length": 30, "random_state": 0}
    expected = sample_walks(graph, **options)
    assert Walker(graph, p=p, q=q).strategy == "return"
    for n_jobs in (2, 3):
        assert np.array_equal(sample_walks(graph, n_jobs=n_jobs, **options), expected)
    monkeypatch.setattr("graphembed._threads._use_openmp", False)
    assert np.array_equal(sample_walks(graph, n_jobs=4, **options), expected)
    for n_steps in (1, 2, 7):
        monkeypatch.setattr("graphembed.samplers.walker._STEPS_PER_CALL", n_steps)
        monkeypatch.setattr("graphembed.samplers.walker._NODES_PER_BLOCK", 1)
        assert np.array_equal(sample_walks(graph, **options), expected)


def test_a_strategy_asked_for_is_used():
    graph = random_bipartite(weighted=True)
    for strategy in ("rejection", "alias"):
        assert Walker(graph, p=0.5, q=2.0, strategy=strategy).strategy == strategy
    directed = Graph.from_any(graph.to_scipy(), directed=True)
    assert Walker(directed, p=0.5, q=2.0).strategy == "rejection"


@given(
    n=st.integers(1, 12),
    edges=st.lists(st.tuples(st.integers(0, 11), st.integers(0, 11)), max_size=14),
    n_steps=st.integers(1, 30),
)
@settings(max_examples=200, deadline=None)
def test_two_colours_are_found_where_there_are_two(n, edges, n_steps):
    g = nx.Graph([(i % n, j % n) for i, j in edges])
    g.add_nodes_from(range(n))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(_tables, "_COLOUR_STEPS", n_steps)
        assert _tables.is_bipartite(Graph.from_any(g)) == nx.is_bipartite(g)
