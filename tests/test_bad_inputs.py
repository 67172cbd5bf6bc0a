"""The catalogue of bad inputs: each gets an exception that names what is wrong."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import scipy.sparse as sp

from graphembed import Node2Vec, sample_walks
from graphembed.exceptions import GraphFormatError
from graphembed.graph import Graph

Case = tuple[str, Callable[[], Any], type[Exception], str]


def dense(*changes: tuple[int, int, float], dtype: Any = float) -> np.ndarray:
    """A symmetric 4 x 4 matrix with some entries changed."""
    matrix = np.ones((4, 4), dtype=dtype)
    for i, j, value in changes:
        matrix[i, j] = value
    return matrix


def broken_csr(form: str = "csr", **arrays: Any) -> Any:
    """A scipy matrix whose arrays were changed behind scipy's back."""
    matrix = sp.csr_array(dense()).asformat(form)
    for name, values in arrays.items():
        setattr(matrix, name, np.asarray(values))
    return matrix


def broken_coo() -> Any:
    matrix = sp.coo_array(dense())
    matrix.col[5] = 4
    return matrix


def networkx(*edges: Any, **attributes: Any) -> Any:
    nx = pytest.importorskip("networkx")
    graph = nx.Graph()
    graph.add_edges_from(edges, **attributes)
    return graph


def igraph(names: list[Any], weights: list[Any]) -> Any:
    graph = pytest.importorskip("igraph").Graph([(0, 1), (1, 2)])
    graph.vs["name"] = names
    graph.es["weight"] = weights
    return graph


def frame(package: str = "pandas", **columns: Any) -> Any:
    columns = {"source": [1, 2], "target": [2, 3]} | columns
    return pytest.importorskip(package).DataFrame(columns)


def tensor(values: Any) -> Any:
    return pytest.importorskip("torch").tensor(values)


@dataclass
class Data:
    """Looks like a torch_geometric Data object."""

    edge_index: Any
    num_nodes: Any = 2
    edge_weight: Any = None


def any_of(make: Callable[[], Any], **options: Any) -> Callable[[], Graph]:
    return lambda: Graph.from_any(make(), **options)


EDGES = [(0, 1), (1, 2)]
F = GraphFormatError

BAD_GRAPHS: list[Case] = [
    # not a graph at all
    ("None", lambda: Graph.from_any(None), F, "got NoneType"),
    ("a number", lambda: Graph.from_any(42), F, "G must be a networkx .* got int"),
    ("bytes", lambda: Graph.from_any(b"ab"), F, "got bytes"),
    ("a dict", lambda: Graph.from_any({0: [1]}), F, r"networkx\.Graph\(mapping\)"),
    ("a 1-D array", lambda: Graph.from_any(np.arange(3)), F, r"got shape \(3,\)"),
    ("a 3-D array", lambda: Graph.from_any(np.ones((2, 2, 2))), F, r"shape \(2, 2, 2\)"),
    ("an edge_index as array", lambda: Graph.from_any(np.ones((2, 9), int)), F, "from_edge_index"),
    ("an ambiguous 2 x 2 array", lambda: Graph.from_any(np.eye(2)), F, "from_dense or Graph.from_"),
    ("an ambiguous 3 x 3 array", lambda: Graph.from_any(np.eye(3)), F, "from_dense or Graph.from_"),
    ("an ambiguous 2 x 2 list", lambda: Graph.from_any([[0, 1], [1, 0]]), F, "a list of lists of "),
    ("an ambiguous 3 x 3 list", lambda: Graph.from_any(np.eye(3).tolist()), F, r"\(3, 3\) may be"),
    ("a set", lambda: Graph.from_any({(0, 1)}), F, r"edges must have an order.*sorted\(\.\.\.\)"),
    ("a frozenset", lambda: Graph.from_edges(frozenset([(0, 1)])), F, "got a frozenset: a set has"),
    ("a set of nodes", any_of(lambda: [(0, 1)], nodes={7}), F, "^nodes must .* from process to"),
    ("a set of row ids", any_of(dense, nodes=frozenset("abcd")), F, "^nodes .* got a frozenset"),
    ("a data frame column", lambda: Graph.from_any(frame()["source"]), F, "not a data frame"),
    # matrices
    ("not square", lambda: Graph.from_dense(np.ones((2, 3))), F, r"square, got shape \(2, 3\)"),
    ("no rows", lambda: Graph.from_dense(np.ones((0, 0))), F, "no nodes"),
    ("complex", lambda: Graph.from_any(dense(dtype=complex)), F, "real numbers, got dtype complex"),
    ("object", lambda: Graph.from_any(dense(dtype=object)), F, "real numbers, got dtype object"),
    ("strings", lambda: Graph.from_any(dense().astype(str)), F, "real numbers, got dtype <U"),
    ("masked", lambda: Graph.from_any(np.ma.masked_equal(dense(), 1)), F, "masked"),
    ("NaN", lambda: Graph.from_any(dense((1, 2, np.nan))), F, r"\(1, 2\) at position 6.*got nan"),
    ("inf", lambda: Graph.from_any(dense((3, 0, np.inf))), F, r"\(3, 0\) at position 12.*got inf"),
    ("-inf", lambda: Graph.from_any(dense((3, 0, -np.inf))), F, "got -inf"),
    ("negative", lambda: Graph.from_any(dense((0, 3, -1))), F, r"\(0, 3\) at position 3.*got -1.0"),
    ("negative, ids", any_of(lambda: dense((0, 3, -1)), nodes="abcd"), F, r"\('a', 'd'\)"),
    ("asymmetric", any_of(lambda: dense((1, 3, 2)), directed=False), F, r"position \(1, 3\)"),
    ("asymmetric entry", any_of(lambda: dense((3, 0, 0)), directed=False), F, r"\(0, 3\)"),
    ("too few row ids", any_of(dense, nodes=[1, 2]), F, "4 ids wanted, got 2"),
    ("row ids twice", any_of(dense, nodes=[1, 2, 3, 1]), F, "nodes must be distinct, got 1 twice"),
    ("row ids twice, str", any_of(dense, nodes="abca"), F, "distinct, got 'a' twice"),
    # scipy
    ("scipy not square", lambda: Graph.from_any(sp.csr_array((2, 3))), F, "square"),
    ("scipy without rows", lambda: Graph.from_any(sp.coo_array((0, 0))), F, "no nodes"),
    ("scipy complex", lambda: Graph.from_any(sp.csr_array(dense(dtype=complex))), F, "complex128"),
    (
        "scipy falling indptr",
        lambda: Graph.from_any(broken_csr(indptr=[0, 8, 4, 12, 16])),
        F,
        r"indptr\[1\] = 8, indptr\[2\] = 4",
    ),
    ("scipy indptr[0]", lambda: Graph.from_any(broken_csr(indptr=[1, 4, 8, 12, 16])), F, "start"),
    ("scipy indptr[-1]", lambda: Graph.from_any(broken_csr(indptr=[0, 4, 8, 12, 15])), F, "= 15"),
    ("scipy short indptr", lambda: Graph.from_any(broken_csr(indptr=[0, 4, 16])), F, "= 5 entries"),
    ("scipy index 4", lambda: Graph.from_any(broken_csr(indices=[4] * 16)), F, r"indices\[0\] = 4"),
    ("scipy index -1", lambda: Graph.from_any(broken_csr("csc", indices=[-1] * 16)), F, "= -1"),
    ("scipy float indices", lambda: Graph.from_any(broken_csr(indices=[0.5] * 16)), F, "integers"),
    ("scipy short data", lambda: Graph.from_any(broken_csr(data=[1.0] * 9)), F, r"shape \(9,\)"),
    ("scipy coo column", lambda: Graph.from_any(broken_coo()), F, r"col\[5\] = 4"),
    ("scipy NaN", lambda: Graph.from_any(sp.coo_array(dense((2, 2, np.nan)))), F, r"\(2, 2\)"),
    # CSR arrays
    ("csr 2-D indptr", lambda: Graph.from_csr([[0, 1]], [0]), F, "indptr must be a 1-D array"),
    ("csr float indptr", lambda: Graph.from_csr([0.0, 1.0], [0]), F, "dtype float64"),
    ("csr bool indices", lambda: Graph.from_csr([0, 1], [True]), F, "dtype bool"),
    ("csr empty", lambda: Graph.from_csr([0], []), F, "no nodes"),
    ("csr without indptr", lambda: Graph.from_csr([], []), F, "no nodes"),
    ("csr weights", lambda: Graph.from_csr([0, 1], [0], [1.0, 2.0]), F, r"shape \(2,\)"),
    ("csr str weights", lambda: Graph.from_csr([0, 1], [0], ["1"]), F, "real numbers"),
    ("csr NaN", lambda: Graph.from_csr([0, 1], [0], [np.nan], node_ids=["x"]), F, r"'x', 'x'"),
    (
        "csr node_ids",
        lambda: Graph.from_csr([0, 1], [0], node_ids=[1, 2]),
        F,
        "1 ids wanted, got 2",
    ),
    # edge arrays and tuples: shape
    ("no edges", lambda: Graph.from_any([]), F, "no nodes"),
    ("empty array", lambda: Graph.from_any(np.empty((0, 2))), F, "no nodes"),
    ("four columns", lambda: Graph.from_edges(np.ones((5, 4))), F, r"got \(5, 4\)"),
    ("a flat list", lambda: Graph.from_any([0, 1]), F, "got 0 at position 0"),
    ("a list of str", lambda: Graph.from_any([("a", "b"), "bc"]), F, "got 'bc' at position 1"),
    ("ragged", lambda: Graph.from_any([(0, 1), (1, 2, 3.0)]), F, "position 1 has 3 entries"),
    ("a 1-tuple", lambda: Graph.from_any([(0,)]), F, "position 0 has 1 entries"),
    ("a nested matrix", lambda: Graph.from_any([[0, 1, 1, 0]] * 4), F, "Graph.from_dense"),
    # edge arrays and tuples: ids
    ("id 0.5", lambda: Graph.from_edges(np.array([(0, 1), (1, 0.5)])), F, "target of edge 1.*0.5"),
    (
        "id NaN",
        lambda: Graph.from_edges(np.array([(0, 1), (np.nan, 1)])),
        F,
        "source of edge 1.*nan",
    ),
    ("id inf", lambda: Graph.from_edges(np.array([(0, np.inf)])), F, "must be whole, got inf"),
    ("id 2**53", lambda: Graph.from_edges(np.array([(0, 2.0**53)])), F, "too large to be exact"),
    (
        "id 2**24 in float32",
        lambda: Graph.from_edges(np.array([(0, 2**24)], np.float32)),
        F,
        "too large to be exact in float32",
    ),
    ("id 2**63", lambda: Graph.from_edges(np.array([(0, 2**63)], np.uint64)), F, "edge 0.*int64"),
    ("id 2**70", lambda: Graph.from_any([(0, 1), (2**70, 1)]), F, "source of edge 1.*int64"),
    ("id 2**70 among str", lambda: Graph.from_any([("a", -(2**70))]), F, "must fit int64"),
    ("bool array", lambda: Graph.from_edges(np.ones((4, 2), bool)), F, "dtype bool"),
    ("complex array", lambda: Graph.from_edges(np.ones((4, 2), complex)), F, "dtype complex"),
    ("dates", lambda: Graph.from_edges(np.ones((4, 2), "M8[s]")), F, "dtype datetime64"),
    ("id True", lambda: Graph.from_any([(0, True)]), F, "target of edge 0.*must not be a bool"),
    ("id None", lambda: Graph.from_any([(0, 1), (None, 1)]), F, "source of edge 1.*None"),
    ("id 1.5", lambda: Graph.from_any([(0, 1.5)]), F, "must be whole, got 1.5"),
    ("id float nan", lambda: Graph.from_any([("a", float("nan"))]), F, "must be whole, got nan"),
    ("id 1j", lambda: Graph.from_any([(0, 1j)]), F, "target of edge 0.*got 1j"),
    ("id a list", lambda: Graph.from_any([(0, 1), ([1], 1)]), F, "source of edge 1.*hashable"),
    ("id an array", lambda: Graph.from_any([(0, np.ones(2))]), F, "target of edge 0.*hashable"),
    ("nodes with None", any_of(lambda: EDGES, nodes=[5, None]), F, r"nodes\[1\].*None"),
    ("nodes 0.5", any_of(lambda: EDGES, nodes=np.array([0.5])), F, r"nodes\[0\].*whole"),
    ("nodes 2-D", any_of(lambda: EDGES, nodes=np.ones((2, 2))), F, r"nodes\[...\].*1-D"),
    # edge arrays and tuples: weights
    (
        "weight NaN",
        lambda: Graph.from_any([("a", "b", 1.0), ("b", "c", np.nan)]),
        F,
        r"\('b', 'c'\)",
    ),
    ("weight -1", lambda: Graph.from_any([(7, 9, -1)]), F, r"\(7, 9\) at position 0.*got -1.0"),
    ("weight None", lambda: Graph.from_any([(7, 9, None)]), F, r"\(7, 9\).*a number, got None"),
    ("weight 'x'", lambda: Graph.from_any([("a", "b", "x")]), F, r"\('a', 'b'\).*got 'x'"),
    ("weight '2'", lambda: Graph.from_any([(0, 1, "2")]), F, "must be a number, got '2'"),
    ("weight a dict", lambda: Graph.from_any([(0, 1, {"weight": 2})]), F, "must be a number"),
    ("weight 1j", lambda: Graph.from_any([(0, 1, 1j)]), F, "must be a number, got 1j"),
    ("weight 10**400", lambda: Graph.from_any([(0, 1, 10**400)]), F, "too large for float32"),
    ("weight 1e39", lambda: Graph.from_any([(0, 1, 1e39)]), F, "too large for float32; divide"),
    (
        "sum overflows",
        lambda: Graph.from_any([("a", "b", 3e38), ("b", "a", 3e38)]),
        F,
        r"\('a', 'b'\).*parallel edges summed.*too large",
    ),
    ("weight 1e-50", lambda: Graph.from_any([(0, 1, 1e-50)]), F, "too small for float32; multiply"),
    ("weight 1e-40", lambda: Graph.from_any([(0, 1, 1e-40)]), F, "too small for float32; multiply"),
    ("str column", lambda: Graph.from_edges(np.array([("a", "b", "c")])), F, "must hold numbers"),
    # networkx and igraph
    ("networkx empty", lambda: Graph.from_any(networkx()), F, "no nodes"),
    ("networkx str", lambda: Graph.from_any(networkx((0, 1), weight="a")), F, r"\(0, 1\).*'a'"),
    ("networkx NaN", lambda: Graph.from_any(networkx((0, 1), weight=np.nan)), F, r"\(0, 1\).*nan"),
    ("networkx negative", lambda: Graph.from_any(networkx("ab", weight=-2)), F, r"\('a', 'b'\)"),
    ("networkx bool node", lambda: Graph.from_any(networkx((True, 5))), F, "node 0.*bool"),
    ("networkx 0.5", lambda: Graph.from_any(networkx((0, 0.5))), F, "node 1.*whole, got 0.5"),
    ("networkx attribute", any_of(lambda: networkx("ab"), weight="w"), F, "no edge has.*'w'"),
    ("igraph names", lambda: Graph.from_any(igraph(["a", "b", "a"], [1, 2])), F, "distinct.*'a'"),
    ("igraph name None", lambda: Graph.from_any(igraph(["a", "b", None], [1, 2])), F, "vertex 2"),
    (
        "igraph weight",
        lambda: Graph.from_any(igraph(["a", "b", "c"], [1, "x"])),
        F,
        r"\['b', 'c'\]|\('b', 'c'\)",
    ),
    ("igraph negative", lambda: Graph.from_any(igraph(["a", "b", "c"], [1, -1])), F, "'b', 'c'"),
    # data frames
    ("frame columns", lambda: Graph.from_any(frame(), source="x"), F, r"'x'.*source=.*\['source'"),
    ("frame weight", any_of(frame, weight="w"), F, "no column 'w'"),
    ("frame weight target", any_of(frame, weight="target"), F, "own, got 'target', which"),
    (
        "frame source weight",
        any_of(lambda: frame(weight=[1, 2]), source="weight", target="target"),
        F,
        "own, got 'weight', which holds ids",
    ),
    ("frame NaN id", lambda: Graph.from_any(frame(source=[1, np.nan])), F, "'source'.*row 1"),
    ("frame None id", lambda: Graph.from_any(frame(target=["a", None])), F, "'target'.*row 1"),
    ("frame 0.5", lambda: Graph.from_any(frame(target=[1.0, 2.5])), F, "'target', row 1.*2.5"),
    ("frame bool", lambda: Graph.from_any(frame(source=[True, False])), F, "'source'.*bool"),
    ("frame null weight", lambda: Graph.from_any(frame(weight=[1, None])), F, "'weight'.*row 1"),
    ("frame str weight", lambda: Graph.from_any(frame(weight=[1, "x"])), F, r"got 'x'"),
    ("frame negative", lambda: Graph.from_any(frame(weight=[1, -2])), F, r"\(2, 3\) at position 1"),
    ("frame empty", lambda: Graph.from_any(frame(source=[], target=[])), F, "no nodes"),
    (
        "polars null",
        lambda: Graph.from_any(frame("polars", source=[None, 1])),
        F,
        "'source'.*row 0",
    ),
    # edge indices
    ("edge_index (3, 4)", lambda: Graph.from_any(tensor([[0] * 4] * 3)), F, r"shape \(3, 4\)"),
    ("edge_index float", lambda: Graph.from_edge_index(np.ones((2, 3))), F, "dtype float64"),
    (
        "edge_index -1",
        lambda: Graph.from_any(tensor([[0, 1], [1, -1]])),
        F,
        r"edge_index\[1\]\[1\]",
    ),
    (
        "edge_index beyond num_nodes",
        lambda: Graph.from_edge_index([[0, 5], [1, 0]], num_nodes=5),
        F,
        r"0\.\.4, got edge_index\[0\]\[1\] = 5",
    ),
    (
        "num_nodes 2**31",
        lambda: Graph.from_edge_index([[0], [1]], num_nodes=2**31),
        F,
        r"2\*\*31 - 1",
    ),
    ("num_nodes 2**31 - 1", lambda: Graph.from_edge_index([[0], [1]], num_nodes=2**31 - 1), F, "<"),
    ("num_nodes 2.0", lambda: Graph.from_edge_index([[0], [1]], num_nodes=2.0), F, "an int"),
    ("num_nodes 0", lambda: Graph.from_edge_index([[], []], num_nodes=0), F, "no nodes"),
    ("edge_index empty", lambda: Graph.from_edge_index(np.empty((2, 0), int)), F, "no nodes"),
    ("edge_index 2**40", lambda: Graph.from_edge_index([[0], [2**40]]), F, r"2\*\*31 - 1"),
    ("edge_weight", lambda: Graph.from_edge_index([[0], [1]], [1, 2]), F, r"edge_weight.*\(1,\)"),
    ("edge_weight NaN", lambda: Graph.from_edge_index([[0], [1]], [np.nan]), F, r"\(0, 1\).*nan"),
    ("sparse tensor", lambda: Graph.from_any(tensor(np.eye(4)).to_sparse()), F, "sparse torch"),
    ("PyG without edges", lambda: Graph.from_any(Data(None)), F, "no edge_index"),
    ("PyG attribute", any_of(lambda: Data([[0], [1]]), weight="cost"), F, "no attribute 'cost'"),
    ("PyG weight", lambda: Graph.from_any(Data([[0], [1]], 2, [-1.0])), F, r"\(0, 1\).*-1.0"),
]

UNDIRECTED = Graph.from_any(EDGES)

BAD_PARAMETERS: list[Case] = [
    (
        "directed='yes'",
        any_of(lambda: EDGES, directed="yes"),
        ValueError,
        "directed must be None or",
    ),
    ("directed=1", any_of(lambda: EDGES, directed=1), ValueError, "directed must be .* got 1"),
    (
        "weight=3",
        any_of(lambda: EDGES, weight=3),
        ValueError,
        "weight must be None or a name, got 3",
    ),
    ("weight=''", any_of(lambda: EDGES, weight=""), ValueError, "weight must be None or a name"),
    ("weight of tuples", any_of(lambda: EDGES, weight="w"), ValueError, "weight='w' names an attr"),
    ("weight of a matrix", any_of(dense, weight="w"), ValueError, "'dense' does not have"),
    ("source of a matrix", any_of(dense, source="a"), ValueError, "source= and target="),
    ("target of tuples", any_of(lambda: EDGES, target="b"), ValueError, "columns of a data frame"),
    (
        "directed Graph",
        any_of(lambda: UNDIRECTED, directed=True),
        ValueError,
        "graph has directed=F",
    ),
    ("nodes of a Graph", any_of(lambda: UNDIRECTED, nodes=[9]), ValueError, "9 cannot be added"),
    (
        "source of a Graph",
        any_of(lambda: UNDIRECTED, source="a"),
        ValueError,
        "source= and target=",
    ),
    ("weight of a Graph", any_of(lambda: UNDIRECTED, weight="w"), ValueError, "weight='w'"),
]


def fit(**params: Any) -> Callable[[], object]:
    return lambda: Node2Vec(**params).fit(EDGES)


def walks(**params: Any) -> Callable[[], object]:
    return lambda: sample_walks(EDGES, **params)


NAN, INF = float("nan"), float("inf")
WRONG_VALUES: dict[str, list[tuple[Any, str]]] = {
    "n_components": [(0, "an int >= 1"), (2.5, "an int >= 1"), ("8", "an int >= 1")],
    "walk_length": [(0, "an int >= 1"), (-3, "an int >= 1"), (True, "an int >= 1")],
    "n_walks": [(0, "an int >= 1"), (None, "an int >= 1")],
    "window": [(0, "an int >= 1")],
    "p": [(0, "> 0"), (-1.0, "> 0"), (NAN, "a finite number"), (INF, "a finite number"), ("1", "")],
    "q": [
        (np.float32(0), "> 0"),
        (np.float16("nan"), "> 0"),
        (10**400, "> 0"),
        (0.0, "> 0"),
        (NAN, "a finite number"),
        (1j, "a finite number"),
    ],
    "loss": [("softmax", "one of 'ns', 'hs'"), (None, "one of")],
    "negative": [(0, "an int >= 1"), (5.0, "an int >= 1")],
    "ns_exponent": [(2, r"in \[-1, 1\]"), (NAN, r"in \[-1, 1\]")],
    "epochs": [(0, "an int >= 1")],
    "learning_rate": [(0, "> 0"), (NAN, "a finite number > 0"), (INF, "a finite number > 0")],
    "min_learning_rate": [(-0.1, "in"), (NAN, "in"), (1.0, "<= learning_rate=0.025")],
    "shrink_windows": [(1, "True or False"), ("no", "True or False")],
    "negative_sharing": [(0, "an int from 1 to 64"), (65, "from 1 to 64"), (8.0, "from 1 to 64")],
    "strategy": [("fast", "one of 'auto', 'rejection', 'alias'"), (None, "one of")],
    "memory_budget": [(-1, "an int >= 0"), (1.5, "an int >= 0")],
    "trainer": [("pytorch", "one of 'graphembed', 'gensim'")],
    "random_state": [(-1, "an int >= 0"), ("seed", "an int >= 0"), (0.5, "an int >= 0")],
    "n_jobs": [(0, "an int other than 0"), (1.0, "an int other than 0")],
    "verbose": [(-1, "an int >= 0")],
}
BAD_PARAMETERS += [
    (f"{name}={value!r}", fit(**{name: value}), ValueError, f"Node2Vec: {name} must be .*{wish}")
    for name, cases in WRONG_VALUES.items()
    for value, wish in cases
]
BAD_PARAMETERS += [
    ("walks p=0", walks(p=0), ValueError, "sample_walks: p must be a finite number > 0 .* got 0"),
    ("walks n_jobs=0", walks(n_jobs=0), ValueError, "n_jobs must be .* got 0"),
    ("start -1", walks(start_nodes=[0, -1]), ValueError, r"in \[0, 3\), got -1 at position 1"),
    ("start 3", walks(start_nodes=[3]), ValueError, r"in \[0, 3\), got 3 at position 0"),
    ("start 0.5", walks(start_nodes=[0.5]), ValueError, "node indices .* dtype float64"),
    ("starts 2-D", walks(start_nodes=[[0], [1]]), ValueError, r"1-D .* shape \(2, 1\)"),
    (
        "no room for alias tables",
        walks(p=2, strategy="alias", memory_budget=8),
        MemoryError,
        "raise memory_budget or use strategy='rejection'",
    ),
]


def check(case: Case) -> None:
    _, make_input, exception, message = case
    with pytest.raises(exception) as error:
        make_input()
    assert type(error.value) is exception
    assert re.search(message, str(error.value)), f"{message!r} is not in {str(error.value)!r}"


def test_the_cases_have_names_of_their_own() -> None:
    names = [case[0] for case in BAD_GRAPHS + BAD_PARAMETERS]
    assert len(set(names)) == len(names)


@pytest.mark.parametrize("case", BAD_GRAPHS, ids=[case[0] for case in BAD_GRAPHS])
def test_bad_graphs(case: Case) -> None:
    check(case)


@pytest.mark.parametrize("case", BAD_PARAMETERS, ids=[case[0] for case in BAD_PARAMETERS])
def test_bad_parameters(case: Case) -> None:
    check(case)
