"""_summary: the numbers of `graphembed info`, counted by hand and by networkx."""

import networkx as nx
import numpy as np
import pytest

from graphembed import Graph
from graphembed.cli._summary import summarize


def test_a_small_graph_by_hand():
    edges = [("a", "b"), ("b", "c"), ("c", "c"), ("d", "d"), ("e", "f")]
    summary = summarize(Graph.from_edges(edges, nodes=["lonely"]))
    assert (summary.n_nodes, summary.n_edges) == (7, 5)
    assert (summary.min_degree, summary.max_degree) == (0, 2)
    assert summary.median_degree == 1
    assert summary.mean_degree == pytest.approx(8 / 7)
    assert summary.n_self_loops == 2
    assert summary.n_isolated == 2  # d has an edge to itself only
    assert (summary.components, summary.largest_component) == (4, 3)
    assert summary.strong_components is None


@pytest.mark.parametrize("directed", [False, True])
def test_random_graphs_against_networkx(directed):
    G = nx.gnp_random_graph(60, 0.025, seed=7, directed=directed)
    summary = summarize(Graph.from_networkx(G))
    degrees = [d for _, d in (G.out_degree() if directed else G.degree())]
    connected = nx.weakly_connected_components if directed else nx.connected_components
    components = list(connected(G))
    assert summary.n_edges == G.number_of_edges()
    assert summary.mean_degree == pytest.approx(np.mean(degrees))
    assert summary.median_degree == np.median(degrees)
    assert (summary.min_degree, summary.max_degree) == (min(degrees), max(degrees))
    assert summary.n_isolated == nx.number_of_isolates(G)
    assert summary.components == len(components)
    assert summary.largest_component == max(map(len, components))
    assert summary.directed == directed
    if directed:
        assert summary.strong_components == nx.number_strongly_connected_components(G)


def test_a_node_with_arcs_coming_in_is_not_isolated():
    assert summarize(Graph.from_edges([(0, 1)], directed=True)).n_isolated == 0


def test_memory_is_that_of_the_arrays():
    light = Graph.from_edges([(0, 1), (1, 2)])
    heavy = Graph.from_edges([(0, 1, 2.0), (1, 2, 3.0)])
    assert summarize(heavy).n_bytes - summarize(light).n_bytes == 4 * 4  # four arcs, float32
    assert summarize(light).n_bytes == 4 * 8 + 4 * 4 + 3 * 8


@pytest.mark.parametrize(("n_nodes", "unit"), [(2, "bytes"), (1000, "KiB"), (100_000, "MiB")])
def test_table(n_nodes, unit):
    text = str(summarize(Graph.from_edges([(0, 1)], nodes=range(n_nodes))))
    rows = dict(line.split("  ", 1) for line in text.splitlines())
    assert rows["nodes"].strip() == f"{n_nodes:,}"
    assert rows["memory"].strip().endswith(unit)
