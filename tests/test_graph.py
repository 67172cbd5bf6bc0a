"""The Graph object: what it keeps, how it answers, and that nobody's arrays change."""

import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from graphembed._storage import write_arrays
from graphembed.exceptions import FileFormatError
from graphembed.graph import Graph, NodeIndex

TRIANGLE = [(0, 1, 2.0), (1, 2, 1.0), (2, 0, 0.5)]


def weights_of(graph: Graph) -> dict[tuple[Any, Any], float]:
    entries = graph.to_scipy().tocoo()
    ids = graph.node_ids.tolist()
    return {
        (ids[i], ids[j]): float(w)
        for i, j, w in zip(entries.row, entries.col, entries.data, strict=True)
    }


# ---------------------------------------------------------------- what an edge means


def test_undirected_edges_are_stored_both_ways_and_a_loop_once() -> None:
    graph = Graph.from_any([(0, 1, 2.0), (1, 1, 3.0)])
    assert weights_of(graph) == {(0, 1): 2.0, (1, 0): 2.0, (1, 1): 3.0}
    assert (graph.n_edges, graph.n_arcs) == (2, 3)
    assert graph.degrees.tolist() == [1, 2]


def test_parallel_edges_are_summed_in_both_directions() -> None:
    graph = Graph.from_any([(0, 1, 1.5), (1, 0, 2.0), (0, 1, 0.25)])
    assert weights_of(graph) == {(0, 1): 3.75, (1, 0): 3.75}


def test_directed_edges_are_not_merged_with_their_reverse() -> None:
    graph = Graph.from_any([(0, 1, 1.5), (1, 0, 2.0), (0, 1, 0.25)], directed=True)
    assert weights_of(graph) == {(0, 1): 1.75, (1, 0): 2.0}
    assert graph.n_edges == 2


def test_parallel_edges_without_weights_get_their_number() -> None:
    graph = Graph.from_any([("a", "b"), ("b", "a"), ("b", "c")])
    assert weights_of(graph)["a", "b"] == 2.0
    assert weights_of(graph)["c", "b"] == 1.0


def test_the_sum_of_many_is_made_in_float64() -> None:
    graph = Graph.from_edges(np.array([(0, 1, 0.1)] * 10_000 + [(1, 2, 5.0)]))
    assert graph.weights is not None
    assert graph.weights[0] == np.float32(1000)  # in float32, the sum would be 999.9029


def test_both_directions_get_one_weight_whatever_the_order_of_the_sum() -> None:
    rng = np.random.default_rng(0)
    ends = rng.integers(0, 5, (4000, 2))
    matrix = Graph.from_edges(np.column_stack([ends, rng.random(4000)])).to_scipy().toarray()
    np.testing.assert_array_equal(matrix, matrix.T)


def test_zero_weights_vanish_and_their_nodes_stay() -> None:
    graph = Graph.from_any([(0, 1, 1.0), (2, 3, 0.0), (1, 0, 0.0)])
    assert weights_of(graph) == {(0, 1): 1.0, (1, 0): 1.0}
    assert graph.node_ids.tolist() == [0, 1, 2, 3]
    assert not graph.is_weighted


def test_weights_that_are_all_one_are_dropped() -> None:
    assert Graph.from_any([(0, 1, 1), (1, 2, 1)]).weights is None
    assert Graph.from_csr([0, 1, 2], [1, 0], [1.0, 1.0]).weights is None
    assert Graph.from_any([(0, 1, 0.5), (0, 1, 0.5)]).weights is None


def test_nodes_without_edges_are_a_graph() -> None:
    graph = Graph.from_any([], nodes=["x", "y"])
    assert (graph.n_nodes, graph.n_edges) == (2, 0)
    assert graph.to_scipy().nnz == 0
    assert Graph.from_scipy(sp.csr_array((3, 3))).n_nodes == 3


# ---------------------------------------------------------------- direction


def test_direction_of_a_matrix_is_read_off_its_values() -> None:
    same = np.array([[0, 2], [2, 0]])
    other_value = np.array([[0, 2], [1, 0]])
    assert not Graph.from_dense(same).directed
    assert Graph.from_dense(other_value).directed
    assert not Graph.from_dense(other_value, weighted=False).directed
    assert Graph.from_dense(same, directed=True).directed


def test_networkx_says_its_direction_and_can_be_overruled() -> None:
    nx = pytest.importorskip("networkx")
    graph, digraph = nx.Graph([(0, 1), (1, 1)]), nx.DiGraph([(0, 1), (1, 0), (1, 2)])
    assert not Graph.from_any(graph).directed
    assert Graph.from_any(digraph).directed
    both = Graph.from_any(graph, directed=True)
    assert both.directed
    assert weights_of(both) == {(0, 1): 1, (1, 0): 1, (1, 1): 1}
    merged = Graph.from_any(digraph, directed=False)
    assert weights_of(merged) == {(0, 1): 2, (1, 0): 2, (1, 2): 1, (2, 1): 1}


def test_igraph_direction_names_and_missing_weights() -> None:
    igraph = pytest.importorskip("igraph")
    graph = igraph.Graph([(0, 1), (1, 2)], directed=True)
    assert Graph.from_any(graph).directed
    assert Graph.from_any(graph).node_ids.tolist() == [0, 1, 2]
    graph.vs["name"] = ["z", "y", "x"]
    graph.es["weight"] = [4.0, None]
    assert weights_of(Graph.from_any(graph)) == {("z", "y"): 4.0, ("y", "x"): 1.0}
    assert Graph.from_any(graph, weight=None, directed=False).n_arcs == 4


# ---------------------------------------------------------------- Graph in, Graph out


def test_a_graph_is_returned_as_it_is() -> None:
    graph = Graph.from_any(TRIANGLE)
    assert Graph.from_any(graph) is graph
    assert Graph.from_any(graph, directed=False, nodes=[2, 0]) is graph
    bare = Graph.from_any(graph, weight=None)
    assert bare.weights is None
    assert bare == Graph.from_any(TRIANGLE, weight=None)


def test_equality_and_repr() -> None:
    graph = Graph.from_any(TRIANGLE)
    assert graph == Graph.from_any(TRIANGLE)
    assert graph != Graph.from_any(TRIANGLE, weight=None)
    assert graph != Graph.from_any(TRIANGLE, directed=True)
    assert graph != Graph.from_any(TRIANGLE, nodes=[2])
    assert Graph.from_any([(1, 2)]) != Graph.from_any([("1", "2")])
    assert graph != "a graph"
    assert repr(graph) == "Graph(n_nodes=3, n_edges=3, undirected, weighted)"
    with pytest.raises(TypeError, match="unhashable"):
        hash(graph)


def test_a_graph_cannot_be_changed() -> None:
    graph = Graph.from_any(TRIANGLE)
    with pytest.raises(AttributeError, match="immutable"):
        graph.directed = True
    with pytest.raises(AttributeError, match="immutable"):
        del graph.indices
    with pytest.raises(ValueError, match="read-only"):
        graph.indices[0] = 1
    with pytest.raises(TypeError, match="from_any"):
        Graph()
    graph.to_scipy().data[:] = 7  # a copy: writable, and of no effect here
    assert graph == Graph.from_any(TRIANGLE)


@pytest.mark.parametrize("ids", [None, ["a", ("b", 1), 2]])
def test_pickle_and_copies(ids: list[Any] | None) -> None:
    graph = Graph.from_dense(np.array([[0, 2, 0], [2, 0, 1], [0, 1, 0]]), nodes=ids)
    for other in (pickle.loads(pickle.dumps(graph)), copy.copy(graph), copy.deepcopy(graph)):
        assert other == graph
        assert type(other) is Graph
        assert not other.indices.flags.writeable


# ---------------------------------------------------------------- finding nodes


@pytest.mark.parametrize(
    "ids",
    [
        range(5),
        [7, 3, -2, 10**15, 4],
        ["a", "b", "1", "é", ""],
        [1, "1", (1, 2), b"1", frozenset([1])],
    ],
)
def test_nodes_are_found_by_their_ids(ids: Any) -> None:
    ids = list(ids)
    graph = Graph.from_csr([0] * 6, [], node_ids=ids)
    assert graph.index_of(ids[::-1]).tolist() == [4, 3, 2, 1, 0]
    assert graph.index_of([]).tolist() == []
    assert all(node in graph for node in ids)
    index = NodeIndex(graph.node_ids)
    assert [index.position(node) for node in ids] == list(range(5))


@pytest.mark.parametrize("missing", [99, -1, "zz", None, 0.5, True, 2**70, (0, 1)])
@pytest.mark.parametrize("ids", [range(5), [0, 2, 4, 6, 8], list("abcde"), [0, 1, 2, 3, "e"]])
def test_a_missing_id_is_named(ids: Any, missing: Any) -> None:
    graph = Graph.from_csr([0] * 6, [], node_ids=ids)
    assert missing not in graph
    with pytest.raises(KeyError) as error:
        graph.index_of([graph.node_ids[0], missing])
    assert error.value.args == (missing,)


def test_numpy_scalars_find_what_python_values_find() -> None:
    numbers, texts = NodeIndex(np.array([5, 3])), NodeIndex(np.array(["b", "a"], object))
    assert numbers.position(np.int32(3)) == numbers.position(3.0) == 1
    assert numbers.positions(np.array([3, 5], np.uint8)).tolist() == [1, 0]
    assert texts.positions(np.array(["a", "b"])).tolist() == [1, 0]
    assert [1] not in texts
    with pytest.raises(TypeError, match="list or an array"):
        texts.positions("ab")


# ---------------------------------------------------------------- the caller's arrays


def read_only(array: np.ndarray) -> np.ndarray:
    array = array.copy()
    array.flags.writeable = False
    return array


def memory_map(folder: Path, name: str, array: np.ndarray) -> np.memmap:
    np.save(folder / f"{name}.npy", array)
    return np.load(folder / f"{name}.npy", mmap_mode="r")


def example_arrays() -> dict[str, tuple[Any, tuple[np.ndarray, ...]]]:
    matrix = sp.csr_array(np.array([[0, 2.0, 0], [2, 0, 3], [0, 3, 1]]))
    entries = matrix.tocoo()
    pairs = np.stack([entries.row, entries.col])
    return {
        "csr": (Graph.from_csr, (matrix.indptr, matrix.indices, matrix.data)),
        "dense": (Graph.from_dense, (matrix.toarray(),)),
        "edges": (Graph.from_edges, (np.column_stack([*pairs, entries.data])[:3],)),
        "edge_index": (Graph.from_edge_index, (pairs, entries.data)),
        "scipy": (
            lambda *parts: Graph.from_scipy(sp.csr_array(parts, shape=(3, 3))),
            (matrix.data, matrix.indices, matrix.indptr),
        ),
    }


@pytest.mark.parametrize("name", list(example_arrays()))
def test_inputs_may_be_read_only_or_mapped_and_are_never_changed(name: str, tmp_path: Path) -> None:
    door, arrays = example_arrays()[name]
    before = [array.copy() for array in arrays]
    graph = door(*arrays)
    for array, old in zip(arrays, before, strict=True):
        np.testing.assert_array_equal(array, old)
        assert array.dtype == old.dtype
        assert array.flags.writeable
    assert door(*map(read_only, arrays)) == graph
    assert door(*(memory_map(tmp_path, str(i), a) for i, a in enumerate(arrays))) == graph


@pytest.mark.parametrize("name", ["dense", "edges", "edge_index", "scipy"])
def test_later_changes_of_the_input_do_not_reach_the_graph(name: str) -> None:
    door, arrays = example_arrays()[name]
    graph = door(*arrays)
    kept = copy.deepcopy(graph)
    for array in arrays:
        array[:] = 0
    assert graph == kept


def test_ids_of_the_caller_are_copied() -> None:
    ids = np.array([5, 6])
    graph = Graph.from_csr([0, 1, 2], [1, 0], node_ids=ids)
    ids[0] = 7
    assert graph.node_ids.tolist() == [5, 6]


def test_canonical_csr_arrays_are_not_copied(tmp_path: Path) -> None:
    indptr = np.array([0, 1, 3, 4])
    indices = np.array([1, 0, 2, 1], np.int32)
    weights = np.array([2, 2, 3, 3], np.float32)
    graph = Graph.from_csr(indptr, indices, weights)
    assert not graph.directed
    for mine, theirs in zip(
        (graph.indptr, graph.indices, graph.weights), (indptr, indices, weights), strict=True
    ):
        assert mine is not None
        assert np.shares_memory(mine, theirs)
        assert not mine.flags.writeable
        assert theirs.flags.writeable
    mapped = [memory_map(tmp_path, n, a) for n, a in (("p", indptr), ("i", indices))]
    graph = Graph.from_csr(*mapped)
    assert isinstance(graph.indptr, np.memmap)
    assert isinstance(graph.indices, np.memmap)


def test_other_csr_arrays_are_converted() -> None:
    graph = Graph.from_csr([0, 3, 4], [1, 0, 1, 0], [1.0, 5.0, 1.0, 2.0])
    assert weights_of(graph) == {(0, 0): 5.0, (0, 1): 2.0, (1, 0): 2.0}
    assert not graph.directed


def test_sortedness_is_seen_across_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    from graphembed._ingest import csr, edge_list

    matrix = sp.csr_array(np.random.default_rng(1).integers(0, 5, (40, 40)) // 4)
    plain = Graph.from_scipy(matrix)
    monkeypatch.setattr(csr, "BLOCK", 7)
    monkeypatch.setattr(edge_list, "BLOCK", 7)
    assert Graph.from_csr(plain.indptr, plain.indices, plain.weights) == plain
    indices = plain.indices.copy()
    for position in range(1, len(indices)):
        if position in plain.indptr:
            continue
        swapped = indices.copy()
        swapped[[position - 1, position]] = swapped[[position, position - 1]]
        assert not csr.has_sorted_rows(plain.indptr, swapped)
    assert csr.has_sorted_rows(plain.indptr, indices)


# ---------------------------------------------------------------- files


IDS = [None, [3, 1, 2], ["a", "ü", "c"], [1, "1", ("x", 2)]]


@pytest.mark.parametrize("ids", IDS)
@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("mmap", [True, False])
def test_save_and_load(tmp_path: Path, ids: Any, weighted: bool, mmap: bool) -> None:
    matrix = np.array([[0, 2.5, 0], [0, 1, 3], [0, 1, 0]])
    graph = Graph.from_dense(matrix, nodes=ids, weighted=weighted)
    graph.save(tmp_path / "graph.gr")
    loaded = Graph.load(tmp_path / "graph.gr", mmap=mmap)
    assert loaded == graph
    assert not loaded.indices.flags.writeable
    loaded.save(tmp_path / "graph.gr")  # over the file it is mapped from
    assert Graph.load(tmp_path / "graph.gr", verify=False) == graph
    assert loaded == graph


GOOD_META = {"directed": False, "node_ids": {"encoding": "int64", "count": 3}}
GOOD_ARRAYS = {
    "node_ids": np.arange(3),
    "indptr": np.array([0, 1, 3, 4]),
    "indices": np.array([1, 0, 2, 1], np.int32),
    "weights": np.array([2, 2, 3, 3], np.float32),
}
HOSTILE = {
    "indptr falls": ({}, {"indptr": np.array([0, 3, 1, 4])}, "must not fall"),
    "indptr does not start at 0": ({}, {"indptr": np.array([1, 1, 3, 4])}, "start with 0"),
    "indptr ends too late": ({}, {"indptr": np.array([0, 1, 3, 5])}, "end with len"),
    "indptr is short": ({}, {"indptr": np.array([0, 1, 4])}, "3"),
    "indptr is empty": ({}, {"indptr": np.array([], np.int64)}, "no nodes"),
    "indptr is 2-D": ({}, {"indptr": np.array([[0, 1, 3, 4]])}, "1-D"),
    "indptr has another dtype": ({}, {"indptr": np.array([0, 1, 3, 4], np.int32)}, "dtype"),
    "index too large": ({}, {"indices": np.array([1, 0, 3, 1], np.int32)}, r"indices\[2\] = 3"),
    "index negative": ({}, {"indices": np.array([1, -1, 2, 1], np.int32)}, r"indices\[1\] = -1"),
    "row not sorted": ({}, {"indices": np.array([1, 2, 0, 1], np.int32)}, "not canonical"),
    "index twice": ({}, {"indices": np.array([1, 0, 0, 1], np.int32)}, "not canonical"),
    "weights too few": ({}, {"weights": np.ones(3, np.float32)}, "shape"),
    "weight NaN": ({}, {"weights": np.array([2, 2, np.nan, 3], np.float32)}, "finite"),
    "weight zero": ({}, {"weights": np.array([2, 2, 0, 0], np.float32)}, "not canonical"),
    "weight negative": ({}, {"weights": np.array([2, 2, -3, -3], np.float32)}, "finite and >= 0"),
    "weight denormal": ({}, {"weights": np.full(4, 1e-40, np.float32)}, "not canonical"),
    "weights float64": ({}, {"weights": np.ones(4)}, "dtype"),
    "asymmetric weights": ({}, {"weights": np.array([2, 1, 3, 3], np.float32)}, "symmetric"),
    "asymmetric arcs": ({}, {"indices": np.array([2, 0, 2, 1], np.int32)}, "symmetric"),
    "ids twice": ({}, {"node_ids": np.array([0, 1, 1])}, "distinct"),
    "too few ids": ({"node_ids": {"encoding": "int64", "count": 2}}, {}, "expected"),
    "directed is no bool": ({"directed": 1}, {}, "true or false"),
    "indices missing": ({}, {"indices": None}, "no indptr and indices"),
}


@pytest.mark.parametrize("name", list(HOSTILE))
def test_a_hostile_file_is_refused(tmp_path: Path, name: str) -> None:
    meta, arrays, message = HOSTILE[name]
    merged = {k: v for k, v in {**GOOD_ARRAYS, **arrays}.items() if v is not None}
    path = tmp_path / "graph.gr"
    write_arrays(path, kind="graph", meta={**GOOD_META, **meta}, arrays=merged)
    with pytest.raises(FileFormatError, match=message) as error:
        Graph.load(path)
    assert str(path) in str(error.value)


def test_the_hostile_files_are_one_step_from_a_good_one(tmp_path: Path) -> None:
    path = tmp_path / "graph.gr"
    write_arrays(path, kind="graph", meta=GOOD_META, arrays=GOOD_ARRAYS)
    assert Graph.load(path).n_edges == 2


def test_ids_that_need_pickle_are_not_saved(tmp_path: Path) -> None:
    graph = Graph.from_any([(frozenset([1]), frozenset([2]))])
    with pytest.raises(TypeError, match="frozenset"):
        graph.save(tmp_path / "graph.gr")
    assert not list(tmp_path.iterdir())
