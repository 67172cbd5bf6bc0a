"""Which ids a graph has, in which order and of which type, door by door."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
import pytest

from graphembed.exceptions import GraphFormatError
from graphembed.graph import Graph


def ids_of(graph: Graph) -> tuple[str, list[Any]]:
    return graph.node_ids.dtype.name, graph.node_ids.tolist()


# ---------------------------------------------------------------- edges


@pytest.mark.parametrize(
    ("edges", "dtype", "ids"),
    [
        ([(5, 3), (3, 9)], "int64", [3, 5, 9]),
        ([(-5, 2**62), (2**62, 0)], "int64", [-5, 0, 2**62]),
        ([(5.0, 3.0)], "int64", [3, 5]),
        ([(np.int8(5), np.uint64(3))], "int64", [3, 5]),
        ([("b", "a"), ("c", "b")], "object", ["b", "a", "c"]),
        ([(1, "1"), ("1", 0)], "object", [1, "1", 0]),
        ([((1, 2), (0, 0)), ((0, 0), Fraction(1, 2))], "object", [(1, 2), (0, 0), Fraction(1, 2)]),
        ([[7, 5], [5, 6], [6, 7], [5, 5]], "int64", [5, 6, 7]),
    ],
)
def test_ids_of_tuples(edges: list[Any], dtype: str, ids: list[Any]) -> None:
    assert ids_of(Graph.from_any(edges)) == (dtype, ids)


@pytest.mark.parametrize(
    ("array", "dtype", "ids"),
    [
        (np.array([(5, 3), (3, 9), (1, 1)]), "int64", [1, 3, 5, 9]),
        (np.array([(5, 3), (3, 9), (1, 1)], np.uint64), "int64", [1, 3, 5, 9]),
        (np.array([(5, 3, 0.5), (3, 9, 2)]), "int64", [3, 5, 9]),
        (np.array([("b", "a"), ("c", "b"), ("a", "a")]), "object", ["b", "a", "c"]),
        (np.array([("b", "a", "1.5"), ("c", "b", "2")]), "object", ["b", "a", "c"]),
        (np.array([("b", 1, 1.5), (2, "b", 2)], object), "object", ["b", 1, 2]),
        (np.array([(10**12, 3), (-(10**12), 9), (3, 3)]), "int64", [-(10**12), 3, 9, 10**12]),
    ],
)
def test_ids_of_edge_arrays(array: np.ndarray, dtype: str, ids: list[Any]) -> None:
    graph = Graph.from_any(array)
    assert ids_of(graph) == (dtype, ids)
    rows = [tuple(row) for row in array.tolist()]
    if array.dtype.kind != "U":
        assert graph == Graph.from_any(rows)


def test_numpy_strings_become_str() -> None:
    graph = Graph.from_any(np.array([("b", "a"), ("c", "b"), ("a", "a")]))
    assert {type(node) for node in graph.node_ids} == {str}
    assert {type(node) for node in Graph.from_any([(np.str_("a"), "b")]).node_ids} == {str}


def test_scattered_and_dense_integers_are_numbered_alike() -> None:
    rng = np.random.default_rng(3)
    edges = rng.integers(-20, 20, (200, 2))
    near, far = Graph.from_edges(edges), Graph.from_edges(edges * 10**9)
    np.testing.assert_array_equal(near.node_ids * 10**9, far.node_ids)
    np.testing.assert_array_equal(near.indices, far.indices)
    np.testing.assert_array_equal(near.indptr, far.indptr)


@pytest.mark.parametrize(
    ("edges", "nodes", "ids"),
    [
        ([(5, 3), (3, 9)], [4, 9], [4, 9, 3, 5]),
        ([(5, 3)], (n for n in (7, 5, 7)), [7, 5, 3]),
        ([("b", "a")], ["z", "a"], ["z", "a", "b"]),
        ([("b", "a")], [1], [1, "b", "a"]),
        ([(2, 1)], ["z"], ["z", 2, 1]),
        ([], [3, 1], [3, 1]),
    ],
)
def test_nodes_come_first_in_their_order(edges: list[Any], nodes: Any, ids: list[Any]) -> None:
    graph = Graph.from_any(edges, nodes=nodes)
    assert graph.node_ids.tolist() == ids
    for source, target in edges:
        i, j = graph.index_of([source, target])
        assert graph.to_scipy()[i, j] == 1


# ---------------------------------------------------------------- matrices


def test_ids_of_matrix_rows() -> None:
    matrix = np.array([[0, 1], [1, 0]])
    assert ids_of(Graph.from_dense(matrix)) == ("int64", [0, 1])
    assert ids_of(Graph.from_dense(matrix, nodes=["b", "a"])) == ("object", ["b", "a"])
    assert ids_of(Graph.from_edge_index(matrix, nodes=[7, 5])) == ("int64", [7, 5])


def test_edge_index_keeps_isolated_last_nodes() -> None:
    torch = pytest.importorskip("torch")
    index = torch.tensor([[0, 1], [1, 0]])
    assert Graph.from_any(index).n_nodes == 2
    graph = Graph.from_edge_index(index, num_nodes=4)
    assert graph.n_nodes == 4
    assert not graph.directed
    assert Graph.from_any(torch.eye(4)).n_edges == 4
    weight = torch.tensor([2.0, 2.0], requires_grad=True)
    assert Graph.from_edge_index(index, weight).weights.tolist() == [2, 2]  # type: ignore[union-attr]


@dataclass
class Data:
    """Looks like a torch_geometric Data object."""

    edge_index: Any
    num_nodes: int | None
    edge_weight: Any = None
    edge_attr: Any = None


def test_pyg_data() -> None:
    index = np.array([[0, 1, 1], [1, 0, 2]])
    assert Graph.from_any(Data(index, 4)).n_nodes == 4
    assert Graph.from_any(Data(index, None)).n_nodes == 3
    assert Graph.from_any(Data(index, 3)).directed
    assert Graph.from_any(Data(index[:, :2], 3)).directed is False
    data = Data(index, 3, np.array([1.0, 2, 3]), np.array([[4.0], [5], [6]]))
    assert Graph.from_any(data).weights.tolist() == [1, 2, 3]  # type: ignore[union-attr]
    assert Graph.from_any(data, weight="edge_attr").weights.tolist() == [4, 5, 6]  # type: ignore[union-attr]
    assert Graph.from_any(data, weight=None).weights is None


# ---------------------------------------------------------------- networkx


def test_networkx_keeps_the_order_and_type_of_its_nodes() -> None:
    nx = pytest.importorskip("networkx")
    graph = nx.Graph()
    graph.add_nodes_from([9, 4, 7])
    graph.add_edge(4, 9)
    assert ids_of(Graph.from_any(graph)) == ("int64", [9, 4, 7])
    assert ids_of(Graph.from_any(graph, nodes=[4, 1])) == ("int64", [9, 4, 7, 1])
    assert ids_of(Graph.from_any(graph, nodes=["x"])) == ("object", [9, 4, 7, "x"])
    graph.add_node((1, "a"))
    assert ids_of(Graph.from_any(graph)) == ("object", [9, 4, 7, (1, "a")])


def test_networkx_weights() -> None:
    nx = pytest.importorskip("networkx")
    graph = nx.Graph()
    graph.add_edge("a", "b", weight=2, cost=5.5)
    graph.add_edge("b", "c")
    assert Graph.from_any(graph).weights.tolist() == [2, 2, 1, 1]  # type: ignore[union-attr]
    assert Graph.from_any(graph, weight="cost").weights.tolist() == [5.5, 5.5, 1, 1]  # type: ignore[union-attr]
    assert Graph.from_any(graph, weight=None).weights is None
    assert Graph.from_any(nx.path_graph(3)).weights is None


# ---------------------------------------------------------------- data frames


@pytest.mark.parametrize("values", [["b", "a", "b"], [5, 3, 5]])
@pytest.mark.parametrize("package", ["pandas", "polars", "pyarrow"])
def test_ids_of_frames(package: str, values: list[Any]) -> None:
    module = pytest.importorskip(package)
    make = module.table if package == "pyarrow" else module.DataFrame
    others = values[1:] + values[:1]
    graph = Graph.from_any(make({"source": values, "target": others, "more": [None] * 3}))
    assert graph == Graph.from_any(list(zip(values, others, strict=True)))
    assert {type(node) for node in graph.node_ids.tolist()} == {type(values[0])}


@pytest.mark.parametrize("nodes", [None, ["a", "b"]])
@pytest.mark.parametrize("package", ["pandas", "polars", "pyarrow"])
def test_frames_without_rows(package: str, nodes: list[Any] | None) -> None:
    if package == "pyarrow":
        pa = pytest.importorskip("pyarrow")
        column = pa.chunked_array([], pa.string())
        frame = pa.table({"source": column, "target": column})
    elif package == "pandas":
        pd = pytest.importorskip("pandas")
        frame = pd.DataFrame({"source": [], "target": []}, dtype="string")
    else:
        pl = pytest.importorskip("polars")
        frame = pl.DataFrame(schema={"source": pl.String, "target": pl.String})
    if nodes is None:
        with pytest.raises(GraphFormatError, match="no nodes"):
            Graph.from_any(frame)
    else:
        graph = Graph.from_any(frame, nodes=nodes)
        assert (graph.node_ids.tolist(), graph.n_edges) == (nodes, 0)


@pytest.mark.parametrize("last", [1, (1, 2)])
@pytest.mark.parametrize("column", ["source", "target"])
def test_objects_that_are_strings_at_first(column: str, last: Any) -> None:
    pd = pytest.importorskip("pandas")
    columns = {"source": ["a"] * 201, "target": ["b"] * 201}
    columns[column] = [*columns[column][:200], last]
    frame = pd.DataFrame(columns, dtype=object)
    expected = Graph.from_any(list(zip(columns["source"], columns["target"], strict=True)))
    assert Graph.from_any(frame) == expected


def test_strings_that_are_not_utf8_are_refused() -> None:
    pa = pytest.importorskip("pyarrow")
    offsets = pa.array([0, 1, 2], pa.int32()).buffers()[1]
    bad = pa.Array.from_buffers(pa.string(), 2, [None, offsets, pa.py_buffer(b"a\xff")])
    table = pa.table({"source": ["x", "y"], "target": bad})
    with pytest.raises(GraphFormatError, match="column 'target', row 1: not UTF-8"):
        Graph.from_any(table)


def test_special_columns_of_frames() -> None:
    pd, pl = pytest.importorskip("pandas"), pytest.importorskip("polars")
    frame = pd.DataFrame({"source": ["b", "a"], "target": ["a", "c"], "weight": [2.0, 1.0]})
    expected = Graph.from_any([("b", "a", 2.0), ("a", "c", 1.0)])
    assert Graph.from_any(frame.astype({"source": "category", "target": "category"})) == expected
    assert Graph.from_any(frame.astype({"source": object, "weight": "Float32"})) == expected
    assert Graph.from_any(pl.from_pandas(frame).lazy()) == expected
    whole = pd.DataFrame({"source": pd.array([1, 2], "Int64"), "target": [2.0, 3.0]})
    assert ids_of(Graph.from_any(whole)) == ("int64", [1, 2, 3])
