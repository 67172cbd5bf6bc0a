"""The edge split: nothing leaks, nothing falls apart, non-edges are uniform."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.sparse.csgraph import connected_components
from scipy.stats import chisquare

from graphembed.evaluation import EdgeSplit, split_edges
from graphembed.evaluation.edge_split import _pairs_before, _PairSpace, _sample_without_replacement
from graphembed.graph import Graph


@st.composite
def graphs(draw):
    """Random graphs: sparse to dense, with self-loops, isolated nodes and several components."""
    n_nodes = draw(st.integers(2, 24))
    directed = draw(st.booleans())
    density = draw(st.sampled_from([0.1, 0.2, 0.4, 0.7]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    matrix = (rng.random((n_nodes, n_nodes)) < density) * rng.integers(1, 4, (n_nodes, n_nodes))
    if not directed:
        matrix = np.triu(matrix) + np.triu(matrix, 1).T
    if draw(st.booleans()):
        matrix = np.minimum(matrix, 1)
    assume(matrix.any())
    return Graph.from_scipy(sp.csr_array(matrix.astype(np.float32)), directed=directed)


def pair_set(pairs):
    return set(map(tuple, pairs.tolist()))


def arcs(graph):
    source, target = graph.to_scipy().nonzero()
    return pair_set(np.column_stack([source, target]))


def n_components(graph):
    return connected_components(graph.to_scipy(), directed=graph.directed, connection="weak")[0]


def edges_without_loops(graph):
    """The pairs of nodes with an arc in at least one direction, the smaller node first."""
    return {(min(arc), max(arc)) for arc in arcs(graph) if arc[0] != arc[1]}


def split_or_none(graph, fraction, seed):
    try:
        return split_edges(graph, test_fraction=fraction, random_state=seed)
    except ValueError as error:
        assert "test_fraction" in str(error)  # noqa: PT017
        return None


@given(graph=graphs(), fraction=st.sampled_from([0.1, 0.3, 0.5]), seed=st.integers(0, 2**32))
@settings(max_examples=200, deadline=None)
def test_laws_of_the_split(graph, fraction, seed):
    split = split_or_none(graph, fraction, seed)
    assume(split is not None)
    all_arcs, edges = arcs(graph), edges_without_loops(graph)
    train_arcs = arcs(split.train_graph)
    removed, kept = pair_set(split.test_pairs), pair_set(split.train_pairs)

    # the right number of edges is gone, in both directions, and nothing else is
    assert len(removed) == len(split.test_pairs) == round(fraction * len(edges))
    assert removed <= edges
    gone = removed | {(j, i) for i, j in removed}
    assert train_arcs == all_arcs - gone
    # nodes, ids, weights and connectivity stay
    assert (split.train_graph.node_ids == graph.node_ids).all()
    assert split.train_graph.directed == graph.directed
    before, after = graph.to_scipy().toarray(), split.train_graph.to_scipy().toarray()
    assert (after[after > 0] == before[after > 0]).all()
    assert n_components(split.train_graph) == n_components(graph)
    # training pairs are edges that stayed
    assert kept <= edges - removed
    # negatives: as many as positives, never an edge or a self-pair, never twice
    for positives, negatives in (
        (split.test_pairs, split.test_negatives),
        (split.train_pairs, split.train_negatives),
    ):
        assert positives.shape == negatives.shape
        assert positives.dtype == negatives.dtype == np.int32
        assert len(pair_set(negatives)) == len(negatives) > 0
        assert not pair_set(negatives) & edges  # an arc in neither direction
        assert (negatives[:, 0] < negatives[:, 1]).all()
        assert negatives.max() < graph.n_nodes
        assert negatives.min() >= 0
    assert not pair_set(split.test_negatives) & pair_set(split.train_negatives)
    n_pairs = graph.n_nodes * (graph.n_nodes - 1) // 2
    free = n_pairs - len(edges)
    assert len(kept) == min(len(edges) - len(removed), free - len(removed))


@given(graph=graphs(), seed=st.integers(0, 2**32))
@settings(max_examples=30, deadline=None)
def test_the_seed_decides(graph, seed):
    split = split_or_none(graph, 0.3, seed)
    assume(split is not None)
    again = split_edges(graph, test_fraction=0.3, random_state=seed)
    assert split.train_graph == again.train_graph
    for name in ("train_pairs", "train_negatives", "test_pairs", "test_negatives"):
        assert (getattr(split, name) == getattr(again, name)).all()
        assert not getattr(split, name).flags.writeable


def ring_with_chords(n_nodes=40):
    node = np.arange(n_nodes)
    return Graph.from_any(
        np.vstack([np.column_stack([node, (node + step) % n_nodes]) for step in (1, 3)])
    )


def test_different_seeds_remove_different_edges():
    graph = ring_with_chords()
    one, two = (split_edges(graph, random_state=seed) for seed in (0, 1))
    assert pair_set(one.test_pairs) != pair_set(two.test_pairs)
    assert pair_set(one.test_negatives) != pair_set(two.test_negatives)


def test_every_edge_of_a_cycle_is_removed_equally_often():
    node = np.arange(12)
    graph = Graph.from_any(np.column_stack([node, (node + 1) % 12]))
    counts = np.zeros((12, 12))
    for seed in range(600):
        split = split_edges(graph, test_fraction=1 / 12, random_state=seed)
        counts[tuple(split.test_pairs.T)] += 1
    assert np.count_nonzero(counts) == 12
    assert chisquare(counts[counts > 0]).pvalue > 1e-4


@pytest.mark.parametrize("directed", [False, True])
def test_negatives_are_uniform_over_the_non_edges(directed):
    rng = np.random.default_rng(0)
    matrix = (rng.random((9, 9)) < 0.35).astype(np.float32)
    if not directed:
        matrix = np.maximum(matrix, matrix.T)
    graph = Graph.from_scipy(sp.csr_array(matrix), directed=directed)
    free = np.triu((matrix == 0) & (matrix.T == 0), 1)
    counts = np.zeros((9, 9))
    for seed in range(800):
        split = split_edges(graph, test_fraction=0.25, random_state=seed)
        counts[tuple(split.test_negatives.T)] += 1
    assert counts[~free].sum() == 0
    # drawn without replacement the counts vary less than chi-square assumes: a safe bound
    assert chisquare(counts[free]).pvalue > 1e-4


@pytest.mark.parametrize("n_nodes", [2, 3, 7])
def test_pairs_are_numbered_without_gaps(n_nodes):
    space = _PairSpace(n_nodes)
    source, target = space.pair(np.arange(space.size))
    expected = [(i, j) for i in range(n_nodes) for j in range(i + 1, n_nodes)]
    assert list(zip(source.tolist(), target.tolist(), strict=True)) == expected
    assert space.rank(source, target).tolist() == list(range(space.size))


def test_pair_numbers_do_not_overflow_on_the_largest_graphs():
    n = 2**31 - 1
    nodes = [0, 1, 2, n // 2, n - 2, n - 1, n]
    exact = [i * (n - 1) - i * (i - 1) // 2 for i in nodes]
    assert _pairs_before(np.array(nodes), n).tolist() == exact
    assert exact[-1] == n * (n - 1) // 2


@pytest.mark.parametrize(("population", "size"), [(10, 10), (10, 3), (100, 3), (10**12, 5000)])
def test_sample_without_replacement(population, size):
    sample = _sample_without_replacement(population, size, np.random.default_rng(0))
    assert len(sample) == size == len(np.unique(sample))
    assert sample.min() >= 0
    assert sample.max() < population
    if size > 100:
        assert (np.diff(sample) < 0).any()  # not sorted: its parts are random, too
        assert sample.mean() == pytest.approx(population / 2, rel=0.05)


def test_both_arcs_of_a_pair_go_together():
    # arcs both ways between all neighbours on a ring: the test must not be answered by the reverse
    node = np.arange(12)
    ring = np.column_stack([node, (node + 1) % 12])
    graph = Graph.from_any(np.vstack([ring, ring[:, ::-1]]), directed=True)
    split = split_edges(graph, test_fraction=1 / 12, random_state=0)
    (i, j) = split.test_pairs[0].tolist()
    matrix = split.train_graph.to_scipy().toarray()
    assert matrix[i, j] == matrix[j, i] == 0
    assert split.train_graph.n_arcs == 22
    assert len(split.train_pairs) == 11


def test_two_opposite_arcs_are_one_bridge():
    graph = Graph.from_any([(0, 1), (1, 0)], directed=True, nodes=[0, 1, 2, 3])
    with pytest.raises(ValueError, match="would remove 1 of 1 edges, but only 0 can be removed"):
        split_edges(graph, test_fraction=0.6)


def test_a_directed_graph_is_split_like_its_undirected_shadow():
    graph = ring_with_chords()
    shadow = split_edges(graph, random_state=0)
    one_way = Graph.from_any(np.argwhere(np.tril(graph.to_scipy().toarray())), directed=True)
    split = split_edges(one_way, random_state=0)
    for name in ("train_pairs", "train_negatives", "test_pairs", "test_negatives"):
        assert (getattr(split, name) == getattr(shadow, name)).all()


def test_ids_weights_and_loops_stay():
    edges = [("a", "b", 2.0), ("b", "c", 1.0), ("c", "a", 1.0), ("a", "a", 5.0), ("d", "d", 1.0)]
    graph = Graph.from_any([*edges, ("e", "f", 1.0)])
    split = split_edges(graph, test_fraction=0.25, random_state=0)
    assert split.train_graph.node_ids.tolist() == graph.node_ids.tolist()
    matrix = split.train_graph.to_scipy().toarray()
    assert matrix[0, 0] == 5.0
    assert len(split.test_pairs) == 1
    assert isinstance(split, EdgeSplit)


def test_weights_that_become_all_one_are_dropped():
    graph = Graph.from_any([(0, 1, 1.0), (1, 2, 1.0), (2, 0, 7.0), (2, 3, 1.0)])
    for seed in range(20):
        train = split_edges(graph, test_fraction=0.25, random_state=seed).train_graph
        heavy = train.to_scipy().toarray().max() == 7.0
        assert train.is_weighted == heavy


def test_other_graph_types_are_taken():
    matrix = ring_with_chords().to_scipy()
    split = split_edges(matrix, random_state=0)
    assert split.train_graph == split_edges(ring_with_chords(), random_state=0).train_graph


def test_dense_graph_gets_fewer_training_pairs():
    # 15 pairs, 12 edges: 3 non-edges, of which 1 tests and 2 train
    matrix = 1.0 - np.eye(6)
    for i, j in ((0, 1), (2, 3), (4, 5)):
        matrix[i, j] = matrix[j, i] = 0.0
    split = split_edges(sp.csr_array(matrix), test_fraction=0.1, random_state=0)
    assert len(split.test_pairs) == 1
    assert len(split.train_pairs) == len(split.train_negatives) == 2
    assert split.train_graph.n_edges == 11


def test_fraction_named_in_the_message_works():
    graph = ring_with_chords(31)  # 62 edges, 30 of them in the forest: 32 can go
    with pytest.raises(ValueError, match=r"remove 37 of 62 edges, but only 32 .* <= 0\.5161"):
        split_edges(graph, test_fraction=0.6)
    assert len(split_edges(graph, test_fraction=0.5161).test_pairs) == 32


@pytest.mark.parametrize("fraction", [0, 1, -0.5, 1.5, float("nan"), "half", None])
def test_bad_fraction(fraction):
    with pytest.raises(ValueError, match=r"test_fraction must be a finite number in \(0, 1\), got"):
        split_edges(ring_with_chords(), test_fraction=fraction)


def test_trees_have_nothing_to_remove():
    path = Graph.from_any(np.column_stack([np.arange(10), np.arange(1, 11)]))
    with pytest.raises(ValueError, match="would remove 5 of 10 edges, but only 0 can be removed"):
        split_edges(path)


def test_too_few_non_edges():
    with pytest.raises(ValueError, match=r"needs 8 pairs without an edge .* has only 0"):
        split_edges(sp.csr_array(1.0 - np.eye(6)), test_fraction=0.5)


def test_no_edge_to_remove():
    loops = Graph.from_scipy(sp.csr_array(np.eye(4)))
    with pytest.raises(ValueError, match=r"test_fraction=0\.5 of 0 edges .* removes none"):
        split_edges(loops)
    with pytest.raises(ValueError, match=r"test_fraction=0\.001 of 80 edges .* removes none"):
        split_edges(ring_with_chords(), test_fraction=0.001)


def test_bad_random_state():
    with pytest.raises(ValueError, match="random_state must be"):
        split_edges(ring_with_chords(), random_state="seed")


@pytest.mark.slow
def test_a_million_edges_take_seconds():
    from time import process_time

    rng = np.random.default_rng(0)
    graph = Graph.from_any(rng.integers(200_000, size=(1_000_000, 2)))
    start = process_time()
    split = split_edges(graph, random_state=0)
    assert process_time() - start < 20  # about 2 s; the bound catches a quadratic step only
    assert n_components(split.train_graph) == n_components(graph)
