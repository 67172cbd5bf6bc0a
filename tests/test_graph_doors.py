"""One abstract graph written in the language of every door: all doors give one and the same."""

import gzip
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from graphembed.graph import Graph


@dataclass(frozen=True)
class Plan:
    """Edges (parallel ones and loops allowed) over nodes 0..n_nodes-1, with whole weights."""

    n_nodes: int
    edges: list[tuple[int, int, int]]
    directed: bool

    @property
    def nodes(self) -> list[int]:
        return list(range(self.n_nodes))

    def dense(self) -> np.ndarray:
        matrix = np.zeros((self.n_nodes, self.n_nodes))
        for i, j, w in self.edges:
            matrix[i, j] += w
            if not self.directed and i != j:
                matrix[j, i] += w
        return matrix


def _networkx(plan: Plan) -> Graph:
    nx = pytest.importorskip("networkx")

    graph = nx.MultiDiGraph() if plan.directed else nx.MultiGraph()
    graph.add_nodes_from(plan.nodes)
    graph.add_weighted_edges_from(plan.edges)
    return Graph.from_any(graph)


def _igraph(plan: Plan) -> Graph:
    igraph = pytest.importorskip("igraph")

    graph = igraph.Graph(plan.n_nodes, [e[:2] for e in plan.edges], directed=plan.directed)
    graph.es["weight"] = [e[2] for e in plan.edges]
    return Graph.from_any(graph)


def _pandas(plan: Plan) -> Graph:
    pd = pytest.importorskip("pandas")

    frame = pd.DataFrame(plan.edges, columns=["source", "target", "weight"]).astype("int64")
    return Graph.from_any(frame, directed=plan.directed, nodes=plan.nodes)


def _polars(plan: Plan) -> Graph:
    pl = pytest.importorskip("polars")

    frame = pl.DataFrame(
        plan.edges, schema={"a": pl.Int32, "b": pl.Int64, "w": pl.Float64}, orient="row"
    )
    return Graph.from_any(
        frame, source="a", target="b", weight="w", directed=plan.directed, nodes=plan.nodes
    )


def _pyarrow(plan: Plan) -> Graph:
    pa = pytest.importorskip("pyarrow")

    columns = dict(zip(("source", "target", "weight"), zip(*plan.edges, strict=True), strict=True))
    return Graph.from_any(
        pa.table({name: list(values) for name, values in columns.items()}),
        directed=plan.directed,
        nodes=plan.nodes,
    )


def _torch(plan: Plan) -> Graph:
    torch = pytest.importorskip("torch")

    entries = sp.coo_array(plan.dense())
    index = torch.tensor(np.stack([entries.row, entries.col]))
    return Graph.from_edge_index(
        index, torch.tensor(entries.data), num_nodes=plan.n_nodes, directed=plan.directed
    )


@dataclass
class FakeData:
    """What we read of a torch_geometric Data object."""

    edge_index: Any
    num_nodes: int | None
    edge_weight: Any = None
    edge_attr: Any = None


def _pyg(plan: Plan) -> Graph:
    entries = sp.coo_array(plan.dense())
    data = FakeData(np.stack([entries.row, entries.col]), plan.n_nodes, entries.data)
    return Graph.from_any(data, directed=plan.directed)


def _scipy(kind: type, form: str) -> Callable[[Plan], Graph]:
    def door(plan: Plan) -> Graph:
        return Graph.from_any(kind(plan.dense()).asformat(form), directed=plan.directed)

    return door


def _csr(plan: Plan) -> Graph:
    matrix = sp.csr_array(plan.dense())
    return Graph.from_csr(matrix.indptr, matrix.indices, matrix.data, directed=plan.directed)


def _csr_shuffled(plan: Plan) -> Graph:
    """Rows in falling order, every entry split into two that add up to it."""
    matrix = sp.csr_array(plan.dense())
    indices = [matrix.indices[a:b][::-1].repeat(2) for a, b in _rows(matrix)]
    weights = [(matrix.data[a:b][::-1] / 2).repeat(2) for a, b in _rows(matrix)]
    return Graph.from_csr(
        matrix.indptr * 2, np.concatenate(indices), np.concatenate(weights), directed=plan.directed
    )


def _rows(matrix: sp.csr_array) -> list[tuple[int, int]]:
    return list(zip(matrix.indptr[:-1], matrix.indptr[1:], strict=True))


def _text(folder: Path, *, sign: str, header: bool, gz: bool) -> Callable[[Plan], Graph]:
    def door(plan: Plan) -> Graph:
        rows = [("source", "target", "weight")] if header else []
        lines = [sign.join(map(str, row)) for row in [*rows, *plan.edges]]
        data = ("# a comment\n\n% another\n" + "\n".join(lines) + "\n").encode()
        path = folder / "edges.txt"
        path.write_bytes(gzip.compress(data) if gz else data)
        return Graph.from_any(path, directed=plan.directed, nodes=plan.nodes)

    return door


def all_doors(folder: Path) -> dict[str, Callable[[Plan], Graph]]:
    """Every way in, by name."""
    doors: dict[str, Callable[[Plan], Graph]] = {
        "networkx": _networkx,
        "igraph": _igraph,
        "pandas": _pandas,
        "polars": _polars,
        "pyarrow": _pyarrow,
        "torch": _torch,
        "pyg": _pyg,
        "csr": _csr,
        "csr shuffled": _csr_shuffled,
        "dense": lambda plan: Graph.from_dense(plan.dense(), directed=plan.directed),
        "tuples": lambda plan: Graph.from_any(
            iter(plan.edges), directed=plan.directed, nodes=plan.nodes
        ),
        "int array": lambda plan: Graph.from_edges(
            np.array(plan.edges), directed=plan.directed, nodes=plan.nodes
        ),
        "float array": lambda plan: Graph.from_edges(
            np.array(plan.edges, dtype=np.float32), directed=plan.directed, nodes=plan.nodes
        ),
        "csv": _text(folder, sign=",", header=True, gz=False),
        "csv.gz": _text(folder, sign=",", header=False, gz=True),
        "tsv": _text(folder, sign="\t", header=True, gz=False),
        "blanks": _text(folder, sign=" ", header=False, gz=False),
        "semicolons": _text(folder, sign=";", header=True, gz=True),
    }
    for form in ("csr", "csc", "coo", "lil", "dok", "dia", "bsr"):
        doors[f"{form} array"] = _scipy(sp.csr_array, form)
    doors["csr matrix"] = _scipy(sp.csr_matrix, "csr")
    doors["coo matrix"] = _scipy(sp.csr_matrix, "coo")
    return doors


DOORS = sorted(all_doors(Path()))


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    n_nodes = draw(st.integers(1, 7))
    node = st.integers(0, n_nodes - 1)
    edges = draw(st.lists(st.tuples(node, node, st.integers(1, 3)), min_size=1, max_size=20))
    return Plan(n_nodes, edges, draw(st.booleans()))


@pytest.mark.parametrize("name", DOORS)
@settings(
    max_examples=25,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(plan=plans())
def test_every_door_gives_the_same_graph(name: str, tmp_path: Path, plan: Plan) -> None:
    graph = all_doors(tmp_path)[name](plan)
    matrix = plan.dense()
    assert graph.directed == plan.directed
    np.testing.assert_array_equal(graph.to_scipy().toarray(), matrix)
    np.testing.assert_array_equal(graph.node_ids, np.arange(plan.n_nodes))
    counted = matrix if plan.directed else np.triu(matrix)
    assert graph.n_edges == np.count_nonzero(counted)
    assert graph.n_arcs == np.count_nonzero(matrix)
    check_invariants(graph)


def check_invariants(graph: Graph) -> None:
    """What the kernels rely on."""
    assert graph.indptr.dtype == np.int64
    assert graph.indices.dtype == np.int32
    assert graph.node_ids.dtype in (np.int64, object)
    assert graph.indptr.shape == (graph.n_nodes + 1,)
    assert graph.indptr[0] == 0
    assert graph.indptr[-1] == graph.n_arcs
    rows = np.repeat(np.arange(graph.n_nodes), graph.degrees)
    keys = rows * graph.n_nodes + graph.indices
    assert (np.diff(keys) > 0).all()
    if graph.weights is not None:
        assert graph.weights.dtype == np.float32
        assert graph.weights.shape == graph.indices.shape
        assert not (graph.weights == 1).all()
    for array in (graph.indptr, graph.indices, graph.weights, graph.node_ids):
        assert array is None or (not array.flags.writeable and array.flags.c_contiguous)


@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
def test_np_matrix_is_read_like_the_array() -> None:
    array = np.array([[0, 1, 0, 2], [1, 0, 3, 0], [0, 3, 0, 0], [2, 0, 0, 1.0]])
    expected = Graph.from_any(array)
    assert Graph.from_any(np.asmatrix(array)) == expected
    assert Graph.from_dense(np.asmatrix(array)) == expected
    edges = np.array([[0, 1, 2.0], [1, 2, 3.0], [4, 2, 1.0], [4, 4, 1.0]])
    assert Graph.from_any(np.asmatrix(edges)) == Graph.from_any(edges)


def test_lists_of_names_are_edges_even_if_square() -> None:
    assert Graph.from_any([["a", "b"], ["b", "c"]]).n_edges == 2
    assert Graph.from_any([[0, 1], [1, 2], [2, 0], [2, 3]]).n_edges == 4
