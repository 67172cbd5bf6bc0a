"""The layers beside PyTorch Geometric's: same weights, same results, same gradients."""

import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import graphembed.nn as ours
from graphembed.nn import Adjacency, SparseMatrix

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # PyG scripts a function at its import
    pyg = pytest.importorskip("torch_geometric.nn")

N = 13
WIDE, NARROW = (9, 4), (4, 9)
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-10}
# A sparse CSR tensor is "in beta", says torch at the first one.
pytestmark = pytest.mark.filterwarnings("ignore:Sparse CSR", "ignore:Sparse")


def random_edges(n_edges: int, n_source: int = N, n_target: int = N) -> Tensor:
    """Edges with a direction, unsorted; the last node of each side has none."""
    return torch.stack(
        [torch.randint(n_source - 1, (n_edges,)), torch.randint(n_target - 1, (n_edges,))]
    )


def without_loops(edge_index: Tensor) -> Tensor:
    return edge_index[:, edge_index[0] != edge_index[1]]


def make_graphs() -> dict[str, Tensor]:
    generator = torch.random.get_rng_state()
    torch.manual_seed(7)
    directed = without_loops(random_edges(30)).unique(dim=1)
    directed = directed[:, torch.randperm(directed.shape[1])]
    graphs = {
        "directed": directed,
        "undirected": torch.cat([directed, directed.flip(0)], dim=1).unique(dim=1),
        "self-loops": torch.cat([torch.tensor([[2, 5], [2, 5]]), directed], dim=1),
        "duplicates": torch.cat([directed, directed[:, :9], directed[:, :2]], dim=1),
        "no edges": torch.empty(2, 0, dtype=torch.int64),
    }
    torch.random.set_rng_state(generator)
    return graphs


GRAPHS = make_graphs()
LAYERS: dict[str, tuple[str, dict[str, Any]]] = {
    "GCN": ("GCNConv", {}),
    "GCN improved": ("GCNConv", {"improved": True}),
    "GCN without loops": ("GCNConv", {"add_self_loops": False}),
    "GCN not normalised": ("GCNConv", {"normalize": False}),
    "GCN without bias": ("GCNConv", {"bias": False}),
    **{f"Cheb {K}": ("ChebConv", {"K": K}) for K in (1, 2, 3, 5)},
    "Cheb rw": ("ChebConv", {"K": 3, "normalization": "rw"}),
    "Cheb D - A": ("ChebConv", {"K": 3, "normalization": None, "bias": False}),
    "GAT": ("GATConv", {}),
    "GAT heads": ("GATConv", {"heads": 3, "negative_slope": 0.4}),
    "GAT mean of heads": ("GATConv", {"heads": 2, "concat": False, "residual": True}),
    "GAT without loops": ("GATConv", {"heads": 2, "add_self_loops": False, "bias": False}),
    "GATv2": ("GATv2Conv", {"heads": 3}),
    "GATv2 shared": ("GATv2Conv", {"heads": 2, "share_weights": True, "concat": False}),
    "GATv2 residual": ("GATv2Conv", {"residual": True, "add_self_loops": False, "bias": False}),
    "SAGE": ("SAGEConv", {}),
    "SAGE sum": ("SAGEConv", {"aggr": "sum", "normalize": True}),
    "SAGE add": ("SAGEConv", {"aggr": "add", "bias": False}),
    "SAGE max": ("SAGEConv", {"aggr": "max"}),
    "SAGE without root": ("SAGEConv", {"root_weight": False}),
    "SAGE project": ("SAGEConv", {"project": True}),
    "SAGE pool": ("SAGEConv", {"aggr": "max", "project": True}),
}
NOT_OBEYED = ["GCN improved"]  # by PyG, on edges without weights
WEIGHTED = [name for name in LAYERS if LAYERS[name][0] in ("GCNConv", "ChebConv")]
BIPARTITE = [name for name in LAYERS if LAYERS[name][0] in ("GATConv", "GATv2Conv", "SAGEConv")]


def make_pair(name: str, channels: Any, dtype: torch.dtype) -> tuple[nn.Module, nn.Module]:
    """Our layer with the weights of PyG's."""
    kind, options = LAYERS[name]
    theirs = getattr(pyg, kind)(*channels, **options).to(dtype)
    mine = getattr(ours, kind)(*channels, **options).to(dtype)
    with torch.no_grad():
        for parameter in theirs.parameters():  # biases that are not zero, too
            parameter.copy_(torch.randn_like(parameter) / 2)
    mine.load_state_dict(theirs.state_dict())
    return mine, theirs


def outcome(
    layer: nn.Module, call: Callable[[nn.Module], Tensor], leaves: list[Tensor], cotangent: Tensor
) -> dict[str, Tensor]:
    """The result, and the gradients of parameters and leaves for a random cotangent."""
    layer.zero_grad()
    for leaf in leaves:
        leaf.grad = None
    out = call(layer)
    assert out.shape == cotangent.shape
    (out * cotangent).sum().backward()
    grads = {name: parameter.grad for name, parameter in layer.named_parameters()}
    grads |= {f"leaf {i}": leaf.grad for i, leaf in enumerate(leaves)}
    none = [name for name, grad in grads.items() if grad is None]
    result = {name: grad.clone() for name, grad in grads.items() if grad is not None}
    return {"out": out.detach(), **result, **{f"no {name}": torch.ones(()) for name in none}}


def assert_same(
    pair: tuple[nn.Module, nn.Module],
    call: Callable[[nn.Module], Tensor],
    leaves: list[Tensor],
    call_theirs: Callable[[nn.Module], Tensor] | None = None,
) -> None:
    mine, theirs = pair
    with torch.no_grad():
        expected = (call_theirs or call)(theirs)
    cotangent = torch.randn_like(expected)
    wanted = outcome(theirs, call_theirs or call, leaves, cotangent)
    got = outcome(mine, call, leaves, cotangent)
    # A gradient that is all zero may be missing: the part was not used.
    names = {name for name in wanted | got if not name.startswith("no ")}
    for name in names:
        other = (wanted if name in wanted else got)[name]
        zero = torch.zeros_like(other)
        difference = (got.get(name, zero) - wanted.get(name, zero)).abs()
        bound = TOLERANCE[expected.dtype] * (1 + other.abs().amax()) if other.numel() else 0
        assert (difference <= bound).all(), name


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def features(n: int, channels: int, dtype: torch.dtype) -> Tensor:
    return torch.randn(n, channels, dtype=dtype).requires_grad_()


@pytest.mark.parametrize(
    ("channels", "dtype"),
    [(WIDE, torch.float32), (WIDE, torch.float64), (NARROW, torch.float64)],
    ids=["wide f32", "wide f64", "narrow f64"],
)
@pytest.mark.parametrize(
    ("name", "graph"),
    # Of D - A without edges PyG divides 0 by 0.
    [(n, g) for n in LAYERS for g in GRAPHS if (n, g) != ("Cheb D - A", "no edges")],
)
def test_edge_index(name: str, graph: str, channels: tuple[int, int], dtype: torch.dtype) -> None:
    x = features(N, channels[0], dtype)
    edge_index = GRAPHS[graph]
    ones = torch.ones(edge_index.shape[1], dtype=dtype)
    theirs = (edge_index, ones) if name in NOT_OBEYED else (edge_index,)
    assert_same(
        make_pair(name, channels, dtype),
        lambda layer: layer(x, edge_index),
        [x],
        lambda layer: layer(x, *theirs),
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["f32", "f64"])
@pytest.mark.parametrize("graph", ["directed", "undirected", "self-loops", "duplicates"])
@pytest.mark.parametrize("name", WEIGHTED)
def test_edge_weight_and_its_gradient(name: str, graph: str, dtype: torch.dtype) -> None:
    x, edge_index = features(N, WIDE[0], dtype), GRAPHS[graph]
    weight = (torch.rand(edge_index.shape[1], dtype=dtype) + 0.1).requires_grad_()
    pair = make_pair(name, WIDE, dtype)
    assert_same(pair, lambda layer: layer(x, edge_index, weight), [x, weight])
    constant = weight.detach()
    assert_same(pair, lambda layer: layer(x, edge_index, constant), [x])


@pytest.mark.parametrize("name", [n for n in LAYERS if n not in (*NOT_OBEYED, "SAGE max")])
def test_sparse_x_is_dense_x(name: str) -> None:
    pair = make_pair(name, WIDE, torch.float64)
    dense = torch.randn(N, WIDE[0], dtype=torch.float64) * (torch.rand(N, WIDE[0]) < 0.3)
    edge_index = GRAPHS["self-loops"]
    for x in (dense.to_sparse_csr(), SparseMatrix.from_torch(dense.to_sparse_csr())):
        assert_same(
            pair,
            lambda layer, x=x: layer(x, edge_index),
            [],
            lambda layer: layer(dense, edge_index),
        )


@pytest.mark.parametrize("name", [name for name in LAYERS if "Cheb" not in name])
def test_sparse_adjacency(name: str) -> None:
    # PyG adds to a self-loop that a sparse adjacency has, so there is none.
    edge_index = GRAPHS["directed"]
    x = features(N, WIDE[0], torch.float64)
    size = (N, N)
    values = torch.ones(edge_index.shape[1], dtype=torch.float64)
    adj_t = torch.sparse_coo_tensor(edge_index.flip(0), values, size, is_coalesced=False)
    adj_t = adj_t.coalesce().to_sparse_csr()
    pair = make_pair(name, WIDE, torch.float64)
    assert_same(pair, lambda layer: layer(x, adj_t), [x])
    coo = adj_t.to_sparse_coo()
    assert_same(pair, lambda layer: layer(x, coo), [x], lambda layer: layer(x, adj_t))


@pytest.mark.parametrize("name", ["GCN", "GCN not normalised", "SAGE", "SAGE sum"])
def test_weights_of_a_sparse_adjacency(name: str) -> None:
    edge_index = GRAPHS["directed"]
    x = features(N, WIDE[0], torch.float64)
    values = torch.rand(edge_index.shape[1], dtype=torch.float64) + 0.1
    adj_t = torch.sparse_coo_tensor(edge_index.flip(0), values, (N, N)).coalesce().to_sparse_csr()
    assert_same(make_pair(name, WIDE, torch.float64), lambda layer: layer(x, adj_t), [x])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=["f32", "f64"])
@pytest.mark.parametrize("sizes", [(11, 6), (6, 11)], ids=["block", "more targets"])
@pytest.mark.parametrize("name", BIPARTITE)
def test_bipartite_pair(name: str, sizes: tuple[int, int], dtype: torch.dtype) -> None:
    edge_index = random_edges(25, *sizes)
    widths = (WIDE[0], 5) if "shared" not in name else (WIDE[0], WIDE[0])
    x = features(sizes[0], widths[0], dtype), features(sizes[1], widths[1], dtype)
    pair = make_pair(name, (widths, WIDE[1]), dtype)
    assert_same(pair, lambda layer: layer(x, edge_index), list(x))


@pytest.mark.parametrize("name", ["GAT heads", "SAGE", "SAGE max", "SAGE sum"])
def test_pair_without_targets(name: str) -> None:
    x = features(11, WIDE[0], torch.float64)
    edge_index = random_edges(25, 11, 6)
    pair = make_pair(name, ((WIDE[0], 5), WIDE[1]), torch.float64)
    assert_same(pair, lambda layer: layer((x, None), edge_index, size=(11, 6)), [x])


@pytest.mark.parametrize("kind", ["GATConv", "GATv2Conv"])
@pytest.mark.parametrize("graph", ["self-loops", "duplicates", "no edges"])
@pytest.mark.parametrize("fill", ["mean", "add", "min", "max", "mul", 0.5, "tensor"])
def test_edge_features(kind: str, graph: str, fill: Any) -> None:
    edge_index = GRAPHS[graph]
    fill = torch.rand(3, dtype=torch.float64) if fill == "tensor" else fill
    options = {"heads": 2, "edge_dim": 3, "fill_value": fill}
    theirs = getattr(pyg, kind)(*WIDE, **options).double()
    mine = getattr(ours, kind)(*WIDE, **options).double()
    mine.load_state_dict(theirs.state_dict())
    x = features(N, WIDE[0], torch.float64)
    e = torch.rand(edge_index.shape[1], 3, dtype=torch.float64).requires_grad_()
    assert_same((mine, theirs), lambda layer: layer(x, edge_index, e), [x, e])
    for layer in (mine, theirs):
        layer.add_self_loops = False
    assert_same((mine, theirs), lambda layer: layer(x, edge_index, e), [x, e])


@pytest.mark.parametrize("kind", ["GATConv", "GATv2Conv"])
def test_edge_features_of_one_number(kind: str) -> None:
    edge_index = GRAPHS["directed"]
    theirs = getattr(pyg, kind)(*WIDE, edge_dim=1)
    mine = getattr(ours, kind)(*WIDE, edge_dim=1)
    mine.load_state_dict(theirs.state_dict())
    x, e = features(N, WIDE[0], torch.float32), torch.rand(edge_index.shape[1])
    assert_same((mine, theirs), lambda layer: layer(x, edge_index, e), [x])
    assert_same((mine, theirs), lambda layer: layer(x, edge_index), [x])


@pytest.mark.parametrize("name", ["GAT heads", "GAT without loops", "GATv2"])
@pytest.mark.parametrize("graph", ["self-loops", "duplicates", "no edges"])
def test_attention_weights(name: str, graph: str) -> None:
    mine, theirs = make_pair(name, WIDE, torch.float64)
    x = features(N, WIDE[0], torch.float64)
    out, (edges, alpha) = mine(x, GRAPHS[graph], return_attention_weights=True)
    their_out, (their_edges, their_alpha) = theirs(x, GRAPHS[graph], return_attention_weights=True)
    assert torch.equal(edges, their_edges)
    torch.testing.assert_close(alpha, their_alpha, rtol=0, atol=1e-10)
    torch.testing.assert_close(out, their_out, rtol=0, atol=1e-10)


@pytest.mark.parametrize("normalization", ["sym", "rw", None])
@pytest.mark.parametrize("kind", ["number", "tensor", "per graph"])
@pytest.mark.parametrize("K", [2, 4])
def test_lambda_max(normalization: str | None, kind: str, K: int) -> None:
    first = GRAPHS["directed"]
    edge_index = torch.cat([first, GRAPHS["undirected"] + N], dim=1)
    batch = torch.arange(2 * N) // N
    options: dict[str, Any] = {
        "number": {"lambda_max": 2.7},
        "tensor": {"lambda_max": torch.tensor(1.3, dtype=torch.float64)},
        "per graph": {"lambda_max": torch.tensor([1.1, 2.6]).double(), "batch": batch},
    }[kind]
    theirs = pyg.ChebConv(*WIDE, K, normalization=normalization).double()
    mine = ours.ChebConv(*WIDE, K, normalization=normalization).double()
    mine.load_state_dict(theirs.state_dict())
    x = features(2 * N, WIDE[0], torch.float64)
    assert_same((mine, theirs), lambda layer: layer(x, edge_index, **options), [x])
    if kind != "number":
        largest = options["lambda_max"].requires_grad_()
        assert_same((mine, theirs), lambda layer: layer(x, edge_index, **options), [x, largest])


def test_lstm_where_all_nodes_have_as_many_neighbours() -> None:
    # With unequal degrees PyG's LSTM goes on over the padding, ours stops.
    target = torch.arange(N).repeat_interleave(3)
    edge_index = torch.stack([torch.randint(N, (3 * N,)), target])
    theirs = pyg.SAGEConv(*WIDE, aggr="lstm").double()
    mine = ours.SAGEConv(*WIDE, aggr="lstm").double()
    mine.load_state_dict(theirs.state_dict())
    x = features(N, WIDE[0], torch.float64)
    assert_same((mine, theirs), lambda layer: layer(x, edge_index), [x])


def test_cached_keeps_the_first_edges() -> None:
    theirs, mine = pyg.GCNConv(*WIDE, cached=True), ours.GCNConv(*WIDE, cached=True)
    mine.load_state_dict(theirs.state_dict())
    x = features(N, WIDE[0], torch.float32)
    for graph in ("directed", "duplicates"):
        assert_same((mine, theirs), lambda layer, g=graph: layer(x, GRAPHS[g]), [x])
    mine.reset_parameters()
    mine.load_state_dict(theirs.state_dict())
    theirs = pyg.GCNConv(*WIDE)
    theirs.load_state_dict(mine.state_dict())
    assert_same((mine, theirs), lambda layer: layer(x, GRAPHS["duplicates"]), [x])


@pytest.mark.parametrize("name", [name for name in LAYERS if "shared" not in name])
def test_same_seed_same_initial_weights(name: str) -> None:
    kind, options = LAYERS[name]
    torch.manual_seed(3)
    theirs = getattr(pyg, kind)(20, 30, **options)
    torch.manual_seed(3)
    mine = getattr(ours, kind)(20, 30, **options)
    states = theirs.state_dict(), mine.state_dict()
    assert states[0].keys() == states[1].keys()
    assert all(torch.equal(states[0][key], states[1][key]) for key in states[0])


@pytest.mark.parametrize("name", [name for name in LAYERS if "project" not in LAYERS[name][1]])
def test_lazy_width(name: str) -> None:
    kind, options = LAYERS[name]
    x, edge_index = features(N, WIDE[0], torch.float32), GRAPHS["directed"]
    whole, theirs = make_pair(name, WIDE, torch.float32)
    lazy = getattr(ours, kind)(-1, WIDE[1], **options)
    lazy(x, edge_index)
    assert {k: v.shape for k, v in lazy.state_dict().items()} == {
        k: v.shape for k, v in theirs.state_dict().items()
    }
    loaded = getattr(ours, kind)(-1, WIDE[1], **options)
    loaded.load_state_dict(theirs.state_dict())
    torch.testing.assert_close(loaded(x, edge_index), whole(x, edge_index))


@pytest.mark.parametrize("name", ["GAT heads", "GATv2"])
def test_attention_dropout_has_pygs_mean(name: str) -> None:
    # Other random numbers, the same law: the means over many calls agree.
    mine, theirs = make_pair(name, WIDE, torch.float64)
    mine.dropout = theirs.dropout = 0.5
    x, edge_index = features(N, WIDE[0], torch.float64).detach(), GRAPHS["directed"]
    exact = theirs.eval()(x, edge_index).detach()
    with torch.no_grad():
        draws = torch.stack([mine(x, edge_index) for _ in range(2000)])
    error = (draws.mean(0) - exact).abs() / (draws.std(0) / 2000**0.5 + 1e-12)
    assert float(error.max()) < 5
    assert float(draws.std(0).mean()) > 0.01


def test_a_whole_model_of_pyg_runs_with_our_layers_put_in() -> None:
    class Net(nn.Module):
        def __init__(self, library: Any) -> None:
            super().__init__()
            self.first = library.GCNConv(WIDE[0], 16)
            self.second = library.GATConv(16, 4, heads=2)
            self.third = library.SAGEConv(8, 3)

        def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
            x = self.first(x, edge_index).relu()
            return self.third(self.second(x, edge_index).relu(), edge_index).log_softmax(dim=1)

    theirs, mine = Net(pyg), Net(ours)
    mine.load_state_dict(theirs.state_dict())
    x, y = torch.randn(N, WIDE[0]), torch.randint(3, (N,))
    for net in (theirs, mine):
        optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
        for _ in range(20):
            optimizer.zero_grad()
            nn.functional.nll_loss(net(x, GRAPHS["undirected"]), y).backward()
            optimizer.step()
    a, b = theirs(x, GRAPHS["undirected"]), mine(x, GRAPHS["undirected"])
    torch.testing.assert_close(a, b, rtol=0, atol=1e-4)
    adjacency = Adjacency.from_edge_index(GRAPHS["undirected"], N)
    torch.testing.assert_close(mine(x, adjacency), b, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", [name for name in LAYERS if name != "SAGE add"])
def test_layers_are_shown_alike(name: str) -> None:
    kind, options = LAYERS[name]
    assert repr(getattr(ours, kind)(3, 4, **options)) == repr(getattr(pyg, kind)(3, 4, **options))
