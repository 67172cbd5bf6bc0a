"""From edges to CSR arrays: order, sums and symmetry, for any number of threads."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

from graphembed import _threads
from graphembed._ingest import arcs, csr, integers, threads
from graphembed._ingest.edge_list import EdgeList
from graphembed.graph import Graph


def many_buckets(monkeypatch: pytest.MonkeyPatch, n_threads: int) -> None:
    """Small chunks and buckets, so that small graphs have several."""
    monkeypatch.setattr(threads, "usable_cores", lambda: n_threads)
    monkeypatch.setattr(_threads, "_WORK_PER_THREAD", 1)
    monkeypatch.setattr(arcs, "_CHUNK", 50)
    monkeypatch.setattr(arcs, "_BUCKET", 40)


def summed(
    source: np.ndarray, target: np.ndarray, weights: np.ndarray, mirror: bool
) -> dict[tuple[int, int], float]:
    """Sums in float64, in the order of the edges."""
    sums: dict[tuple[int, int], float] = {}
    for u, v, w in zip(source.tolist(), target.tolist(), weights.tolist(), strict=True):
        if w:
            sums[u, v] = sums.get((u, v), 0.0) + w
            if mirror and u != v:
                sums[v, u] = sums.get((v, u), 0.0) + w
    return sums


@pytest.mark.parametrize("n_threads", [1, 2, 3, 4])
@pytest.mark.parametrize("openmp", [True, False])
@pytest.mark.parametrize("narrow", [True, False])
@pytest.mark.parametrize("directed", [True, False])
@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize(("n_nodes", "n_edges"), [(1, 5), (7, 500), (300, 900), (100_000, 2000)])
def test_arcs_are_sorted_and_summed_in_the_order_of_the_edges(
    n_nodes: int,
    n_edges: int,
    weighted: bool,
    directed: bool,
    narrow: bool,
    openmp: bool,
    n_threads: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    many_buckets(monkeypatch, n_threads)
    if not openmp:
        monkeypatch.setattr(_threads, "_use_openmp", False)
    if not narrow:
        monkeypatch.setattr(arcs, "_NARROW_BITS", 0)
    rng = np.random.default_rng(n_nodes)
    source, target = (n_nodes * rng.random((2, n_edges)) ** 2).astype(np.int32)
    weights = (
        rng.random(n_edges) * 10.0 ** rng.integers(-9, 9, n_edges) * (rng.random(n_edges) < 0.9)
    )
    values = weights if weighted else np.ones(n_edges)
    ids = np.arange(n_nodes)
    graph = csr.assemble(EdgeList(source, target, weights if weighted else None, ids, directed))
    expected = summed(source, target, values, not directed)
    rows = np.repeat(ids, np.diff(graph.indptr)).tolist()
    assert list(zip(rows, graph.indices.tolist(), strict=True)) == sorted(expected)
    sums = np.array([expected[pair] for pair in sorted(expected)])
    if graph.weights is None:
        assert (sums == 1).all()
    else:
        np.testing.assert_array_equal(graph.weights, sums.astype(np.float32))
    assert graph.indptr.dtype == np.int64
    assert graph.indices.dtype == np.int32


def test_a_hub_with_more_arcs_than_a_bucket(monkeypatch: pytest.MonkeyPatch) -> None:
    many_buckets(monkeypatch, 3)
    leaves = np.random.default_rng(0).permutation(5000) + 1
    graph = Graph.from_edges(np.column_stack([np.zeros(5000, int), leaves]))
    assert graph.indptr[:3].tolist() == [0, 5000, 5001]
    np.testing.assert_array_equal(graph.indices[:5000], np.arange(1, 5001))


@pytest.mark.parametrize("bits", [20, 22, 25])
def test_far_ids_of_many_nodes(bits: int) -> None:
    n_nodes = 2**bits
    source = np.array([n_nodes - 1, 0, n_nodes // 2, 0, n_nodes - 1], np.int32)
    target = np.array([n_nodes - 2, n_nodes - 1, 0, 5, n_nodes - 1], np.int32)
    found = arcs.sort_arcs(source, target, None, n_nodes, mirror=False)
    pairs = [found.pair(i) for i in range(5)]
    assert pairs == sorted(zip(source.tolist(), target.tolist(), strict=True))


@pytest.mark.parametrize("seed", range(20))
def test_symmetry(seed: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csr, "_ARCS_PER_CALL", 7)
    rng = np.random.default_rng(seed)
    matrix = sp.random_array((30, 30), density=0.15, rng=rng, dtype=np.float32).tocsr()
    whole = (matrix + matrix.T).tocsr()
    whole.sort_indices()

    def ask(m: sp.csr_array) -> bool:
        return csr.is_symmetric(m.indptr.astype(np.int64), m.indices, m.data)

    assert ask(whole)
    assert csr.is_symmetric(whole.indptr.astype(np.int64), whole.indices, None)
    for entry in range(whole.nnz):
        row = int(np.searchsorted(whole.indptr, entry, side="right")) - 1
        if row == whole.indices[entry]:
            continue
        other = whole.copy()
        other.data[entry] *= 2
        assert not ask(other)
        dense = whole.toarray()
        dense[row, whole.indices[entry]] = 0
        assert not ask(sp.csr_array(dense))


@pytest.mark.parametrize("n_threads", [1, 4])
@pytest.mark.parametrize("dtype", [np.int32, np.int64])
@pytest.mark.parametrize("spread", [5, 100, 4000, 10**9])
@pytest.mark.parametrize("low", [0, -7, 1000])
def test_integer_ids_are_ranked(
    low: int, spread: int, dtype: type, n_threads: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    many_buckets(monkeypatch, n_threads)
    monkeypatch.setattr(integers, "_MARKS_PER_CALL", 2000)
    ids = np.random.default_rng(spread).integers(low, low + spread, (5000, 2)).astype(dtype)
    expected, inverse = np.unique(ids, return_inverse=True)
    for source, target in ((ids[:, 0], ids[:, 1]), (ids[:, 0].copy(), ids[:, 1].copy())):
        node_ids, i, j = integers.index_integers(source, target)
        np.testing.assert_array_equal(node_ids, expected)
        np.testing.assert_array_equal(np.column_stack([i, j]), inverse.reshape(-1, 2))
        assert node_ids.dtype == np.int64
        assert i.dtype == j.dtype == np.int32


@pytest.mark.parametrize("weighted", [False, True])
def test_loading_checks_without_copies(tmp_path: Path, weighted: bool) -> None:
    rng = np.random.default_rng(0)
    ends = rng.integers(0, 20_000, (400_000, 2))
    edges = np.column_stack([ends, rng.random(len(ends))]) if weighted else ends
    graph = Graph.from_edges(edges)
    graph.save(tmp_path / "graph.gr")
    size = (tmp_path / "graph.gr").stat().st_size
    tracemalloc.start()
    loaded = Graph.load(tmp_path / "graph.gr")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert loaded == graph
    # a cursor and a sorted copy of the ids, and pieces of 4 MB; no array over the arcs
    assert peak < 32 * graph.n_nodes + 3 * 2**22 < 2 * size + 2**23


def test_input_arrays_of_a_dense_graph_are_not_copied() -> None:
    pairs = np.array([[0, 1, 2], [1, 2, 0]], np.int32)
    _, source, target = integers.index_integers(pairs[0], pairs[1])
    assert np.shares_memory(source, pairs)
    assert np.shares_memory(target, pairs)
