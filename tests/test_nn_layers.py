"""The layers against their formulas, written out densely; gradients; laws; wrong input."""

import copy
import pickle
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.autograd import gradcheck

from graphembed import Graph
from graphembed.nn import (
    Adjacency,
    ChebConv,
    GATConv,
    GATv2Conv,
    GCNConv,
    Linear,
    PinSageConv,
    SAGEConv,
    SparseMatrix,
    _inputs,
    _ops,
    cheb,
    gcn,
)

pytestmark = pytest.mark.filterwarnings("ignore:Sparse")

# Unsorted; a duplicate (2 -> 1), self-loops at 0 and 3, node 4 has no edge, node 5 only sends.
EDGES = torch.tensor([[0, 1, 2, 2, 0, 3, 3, 0, 5], [1, 0, 1, 1, 3, 3, 2, 0, 2]])
N = 6
SIMPLE = torch.tensor([[0, 1, 2, 0, 3, 5, 2], [1, 0, 1, 3, 2, 2, 5]])


@pytest.fixture(autouse=True)
def _seed() -> None:
    torch.manual_seed(0)


def dense(edge_index: Tensor, weight: Tensor | None, n: int) -> Tensor:
    matrix = torch.zeros(n, n, dtype=torch.float64)
    for k, (source, target) in enumerate(edge_index.T.tolist()):
        matrix[target, source] += 1.0 if weight is None else weight[k]
    return matrix


def sources_of(edge_index: Tensor, target: int, looped: bool = False) -> list[int]:
    """In the order of the edges; with self-loops replaced by one at the end."""
    found = [s for s, t in edge_index.T.tolist() if t == target and not (looped and s == t)]
    return [*found, target] if looped else found


# -- The formulas ----------------------------------------------------------------------------


def gcn_formula(layer: GCNConv, x: Tensor, edges: Tensor, weight: Tensor | None) -> Tensor:
    a = dense(edges, weight, len(x))
    if layer.add_self_loops:
        fill = 2.0 if layer.improved else 1.0
        a = a + torch.diag(torch.where(a.diagonal() == 0, fill, 0.0))
    if layer.normalize:
        scale = torch.where(a.sum(1) > 0, a.sum(1), torch.inf) ** -0.5
        a = scale[:, None] * a * scale
    return a @ x @ layer.lin.weight.T + layer.bias


def cheb_formula(layer: ChebConv, x: Tensor, edges: Tensor, weight: Tensor | None) -> Tensor:
    a = dense(edges, weight, len(x)).fill_diagonal_(0.0)
    degrees, one = a.sum(0), torch.eye(len(x), dtype=torch.float64)
    inverse = torch.where(degrees > 0, 1 / degrees, 0.0)
    laplacian = {
        "sym": one - inverse.sqrt()[:, None] * a * inverse.sqrt(),
        "rw": one - a * inverse,
        None: torch.diag(degrees) - a,
    }[layer.normalization]
    scaled = 2 * laplacian / (2 * laplacian.max()) - one
    polynomials = [one, scaled]
    while len(polynomials) < len(layer.lins):
        polynomials.append(2 * scaled @ polynomials[-1] - polynomials[-2])
    terms = [t @ x @ lin.weight.T for t, lin in zip(polynomials, layer.lins, strict=False)]
    return sum(terms) + layer.bias


def attention_formula(
    layer: Any, edges: Tensor, n: int, score: Callable[[int, int], Tensor], message: Tensor
) -> Tensor:
    """`score` of (source, target) per head; `message` (n, heads, channels)."""
    rows = []
    for target in range(n):
        sources = sources_of(edges, target, looped=True)
        alpha = torch.stack([score(s, target) for s in sources]).softmax(dim=0)
        rows.append(sum(a[:, None] * message[s] for a, s in zip(alpha, sources, strict=True)))
    out = torch.stack(rows)
    return (out.flatten(1) if layer.concat else out.mean(1)) + layer.bias


def gat_formula(layer: GATConv, x: Tensor, edges: Tensor, weight: None) -> Tensor:
    h = (x @ layer.lin.weight.T).view(len(x), layer.heads, -1)

    def score(source: int, target: int) -> Tensor:
        both = (layer.att_src[0] * h[source]).sum(1) + (layer.att_dst[0] * h[target]).sum(1)
        return nn.functional.leaky_relu(both, layer.negative_slope)

    return attention_formula(layer, edges, len(x), score, h)


def gatv2_formula(layer: GATv2Conv, x: Tensor, edges: Tensor, weight: None) -> Tensor:
    left = (x @ layer.lin_l.weight.T + layer.lin_l.bias).view(len(x), layer.heads, -1)
    right = (x @ layer.lin_r.weight.T + layer.lin_r.bias).view(len(x), layer.heads, -1)

    def score(source: int, target: int) -> Tensor:
        both = nn.functional.leaky_relu(left[source] + right[target], layer.negative_slope)
        return (layer.att[0] * both).sum(1)

    return attention_formula(layer, edges, len(x), score, left)


def sage_formula(layer: SAGEConv, x: Tensor, edges: Tensor, weight: Tensor | None) -> Tensor:
    sent = (x @ layer.lin.weight.T + layer.lin.bias).relu() if layer.project else x
    rows = []
    for target in range(len(x)):
        incoming = [k for k in range(edges.shape[1]) if edges[1, k] == target]
        rows.append(torch.zeros_like(sent[0]))
        if incoming:
            messages = sent[edges[0, incoming]]
            if weight is not None:
                messages = weight[incoming][:, None] * messages
            if layer.aggr == "lstm":
                rows[-1] = layer.aggr_module["lstm"](messages[None])[0][0, -1]
            elif layer.aggr in ("max", "pool"):
                rows[-1] = messages.amax(0)
            else:
                rows[-1] = messages.mean(0) if layer.aggr == "mean" else messages.sum(0)
    out = torch.stack(rows) @ layer.lin_l.weight.T + layer.lin_l.bias + x @ layer.lin_r.weight.T
    if not layer.normalize:
        return out
    norms = out.norm(dim=1, keepdim=True)
    return torch.where(norms > 0, out / norms, 0.0)


def pinsage_formula(layer: PinSageConv, x: Tensor, edges: Tensor, weight: Tensor | None) -> Tensor:
    rows = []
    for target in range(len(x)):
        incoming = [k for k in range(edges.shape[1]) if edges[1, k] == target]
        pooled = torch.zeros(layer.hidden_channels, dtype=torch.float64)
        importance = [1.0 if weight is None else weight[k] for k in incoming]
        if sum(importance) > 0:
            for k, a in zip(incoming, importance, strict=True):
                pooled += a / sum(importance) * layer.lin_pool(x[edges[0, k]][None])[0].relu()
        both = torch.cat([x[target], pooled])  # W on the concatenation
        whole = torch.cat([layer.lin_self.weight, layer.lin_neighbors.weight], dim=1)
        z = (whole @ both + layer.lin_self.bias).relu()
        rows.append(z / z.norm() if z.norm() > 0 else z)
    return torch.stack(rows)


Formula = Callable[..., Tensor]
LAYERS: dict[str, tuple[Callable[[int, int], nn.Module], Formula]] = {
    "GCN": (GCNConv, gcn_formula),
    "GCN improved": (lambda i, o: GCNConv(i, o, improved=True), gcn_formula),
    "GCN without loops": (lambda i, o: GCNConv(i, o, add_self_loops=False), gcn_formula),
    "GCN not normalised": (lambda i, o: GCNConv(i, o, normalize=False), gcn_formula),
    "Cheb 1": (lambda i, o: ChebConv(i, o, 1), cheb_formula),
    "Cheb 2": (lambda i, o: ChebConv(i, o, 2), cheb_formula),
    "Cheb 3": (lambda i, o: ChebConv(i, o, 3), cheb_formula),
    "Cheb 6": (lambda i, o: ChebConv(i, o, 6, normalization="rw"), cheb_formula),
    "Cheb D - A": (lambda i, o: ChebConv(i, o, 4, normalization=None), cheb_formula),
    "GAT": (lambda i, o: GATConv(i, o, heads=3), gat_formula),
    "GAT mean of heads": (lambda i, o: GATConv(i, o, heads=2, concat=False), gat_formula),
    "GATv2": (lambda i, o: GATv2Conv(i, o, heads=3), gatv2_formula),
    "SAGE mean": (SAGEConv, sage_formula),
    "SAGE sum": (lambda i, o: SAGEConv(i, o, "sum", normalize=True), sage_formula),
    "SAGE max": (lambda i, o: SAGEConv(i, o, "max"), sage_formula),
    "SAGE pool": (lambda i, o: SAGEConv(i, o, "pool"), sage_formula),
    "SAGE lstm": (lambda i, o: SAGEConv(i, o, "lstm"), sage_formula),
    "PinSage": (lambda i, o: PinSageConv(i, 5, o), pinsage_formula),
}
WEIGHTED = [
    name for name in LAYERS if name.startswith(("GCN", "Cheb", "SAGE mean", "SAGE sum", "Pin"))
]
ONE_HOP = [name for name in LAYERS if name not in ("Cheb 3", "Cheb 6", "Cheb D - A")]
DENSE_ONLY = ("SAGE max", "SAGE lstm")


def make(name: str, channels: tuple[int, int] = (7, 4)) -> nn.Module:
    layer = LAYERS[name][0](*channels).double()
    with torch.no_grad():
        for parameter in layer.parameters():  # biases that are not zero, too
            parameter.copy_(torch.randn_like(parameter) / 2)
    return layer


def features(channels: int = 7, n: int = N) -> Tensor:
    return torch.randn(n, channels, dtype=torch.float64)


def assert_close(got: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(got, expected, rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("channels", [(7, 4), (3, 8)], ids=["wide", "narrow"])
@pytest.mark.parametrize("name", LAYERS)
def test_layer_is_its_formula(name: str, channels: tuple[int, int]) -> None:
    layer, x = make(name, channels), features(channels[0])
    assert_close(layer(x, EDGES), LAYERS[name][1](layer, x, EDGES, None))


@pytest.mark.parametrize("name", WEIGHTED)
def test_weighted_layer_is_its_formula(name: str) -> None:
    layer, x = make(name), features()
    weight = torch.rand(EDGES.shape[1], dtype=torch.float64) + 0.2
    assert_close(layer(x, EDGES, weight), LAYERS[name][1](layer, x, EDGES, weight))
    adjacency = Adjacency.from_edge_index(EDGES, N, edge_weight=weight)
    assert_close(layer(x, adjacency), layer(x, EDGES, weight))


@pytest.mark.parametrize("channels", [(4, 2), (2, 3)], ids=["wide", "narrow"])
@pytest.mark.parametrize("name", LAYERS)
def test_gradients(name: str, channels: tuple[int, int]) -> None:
    layer, x = make(name, channels), features(channels[0]).requires_grad_()
    names = [n for n, _ in layer.named_parameters()]
    inputs = [x, *(p.detach().clone().requires_grad_() for p in layer.parameters())]
    if name in WEIGHTED:
        inputs.append((torch.rand(EDGES.shape[1]).double() + 0.5).requires_grad_())

    def call(x: Tensor, *rest: Tensor) -> Tensor:
        parameters = dict(zip(names, rest, strict=False))
        return torch.func.functional_call(layer, parameters, (x, EDGES, *rest[len(names) :]))

    assert gradcheck(call, inputs, fast_mode=True)


# -- What may be put in ----------------------------------------------------------------------


@pytest.mark.parametrize("name", LAYERS)
def test_every_kind_of_edges(name: str) -> None:
    layer, x = make(name), features()
    expected = layer(x, SIMPLE)
    undirected = torch.cat([SIMPLE, SIMPLE.flip(0)], dim=1).unique(dim=1)
    graph = Graph.from_edge_index(SIMPLE.numpy(), directed=True, nodes=range(N))
    adj_t = torch.sparse_coo_tensor(SIMPLE.flip(0), torch.ones(7).double(), (N, N)).coalesce()
    for edges in (
        SIMPLE.to(torch.int32),
        Adjacency.from_edge_index(SIMPLE, N),
        graph,
        graph.to_adjacency(),
        adj_t,
        adj_t.to_sparse_csr(),
    ):
        if name == "SAGE lstm" and not isinstance(edges, Tensor):
            continue  # a graph sorts its edges, and the order matters here
        if name == "SAGE lstm" and isinstance(edges, Tensor) and edges.layout != torch.strided:
            continue
        assert_close(layer(x, edges), expected)
    if name != "SAGE lstm":
        both = Graph.from_edge_index(undirected.numpy(), directed=False, nodes=range(N))
        assert_close(layer(x, both), layer(x, undirected))


@pytest.mark.parametrize("name", [name for name in LAYERS if name not in DENSE_ONLY])
def test_sparse_features(name: str) -> None:
    layer = make(name, (12, 4))
    x = features(12) * (torch.rand(N, 12) < 0.3)
    matrix = SparseMatrix.from_torch(x.to_sparse_csr())
    for sparse in (matrix, x.to_sparse_csr(), x.to_sparse_coo()):
        layer.zero_grad()
        layer(x, EDGES).square().sum().backward()
        expected = [p.grad.clone() for p in layer.parameters()]
        layer.zero_grad()
        out = layer(sparse, EDGES)
        assert_close(out, layer(x, EDGES))
        out.square().sum().backward()
        for parameter, grad in zip(layer.parameters(), expected, strict=True):
            assert_close(parameter.grad, grad)
    ones = SparseMatrix(matrix.indptr, matrix.indices, None, matrix.shape)
    assert_close(layer(ones, EDGES), layer((x != 0).double(), EDGES))


@pytest.mark.parametrize("name", DENSE_ONLY)
def test_sparse_features_that_would_become_dense(name: str) -> None:
    with pytest.raises(TypeError, match="dense x"):
        make(name)(features().to_sparse_csr(), EDGES)


@pytest.mark.parametrize(
    "channels", [(7, 4), (3, 8), (90, 60)], ids=["wide", "narrow", "multiplied after"]
)
@pytest.mark.parametrize("name", ONE_HOP)
def test_block_gives_the_rows_of_the_graph(name: str, channels: tuple[int, int]) -> None:
    layer, x = make(name, channels), features(channels[0])
    weight = torch.rand(EDGES.shape[1], dtype=torch.float64) + 0.2
    adjacency = Adjacency.from_edge_index(EDGES, N, edge_weight=weight)
    targets = torch.tensor([2, 4])
    block, sources = adjacency.restrict(targets)
    assert block.is_bipartite
    assert_close(layer(x[sources], block), layer(x, adjacency)[targets])
    assert_close(layer((x[sources], x[targets]), block), layer(x, adjacency)[targets])
    if name not in DENSE_ONLY:
        sparse = x[sources].to_sparse_csr()
        assert_close(layer(sparse, block), layer(x, adjacency)[targets])


def test_block_with_features_of_edges() -> None:
    for kind in (GATConv, GATv2Conv):
        layer, x = kind(3, 4, heads=2, edge_dim=2).double(), features(3)
        e = torch.randn(EDGES.shape[1], 2, dtype=torch.float64)
        adjacency = Adjacency.from_edge_index(EDGES, N)
        block, sources = adjacency.restrict(torch.tensor([1, 3]))
        assert_close(layer(x[sources], block, e), layer(x, adjacency, e)[[1, 3]])


# -- Laws ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", LAYERS)
def test_permuting_nodes_permutes_rows(name: str) -> None:
    layer, x = make(name), features()
    order = torch.randperm(N)
    renamed = order.argsort()[EDGES]
    assert_close(layer(x[order], renamed), layer(x, EDGES)[order])


@pytest.mark.parametrize("name", [name for name in LAYERS if name != "SAGE lstm"])
def test_order_of_edges_does_not_matter(name: str) -> None:
    layer, x = make(name), features()
    assert_close(layer(x, EDGES[:, torch.randperm(EDGES.shape[1])]), layer(x, EDGES))


@pytest.mark.parametrize("name", ["GAT", "GATv2", "SAGE max", "SAGE pool", "SAGE lstm"])
def test_weights_that_are_not_looked_at(name: str) -> None:
    layer, x = make(name), features()
    weight = torch.rand(EDGES.shape[1], dtype=torch.float64) + 0.2
    weighted = Adjacency.from_edge_index(EDGES, N, edge_weight=weight)
    assert_close(layer(x, weighted), layer(x, EDGES))


@pytest.mark.parametrize("n", [0, 1, 4])
@pytest.mark.parametrize("name", LAYERS)
def test_no_edges(name: str, n: int) -> None:
    layer, x = make(name), features(n=n).requires_grad_()
    none = torch.empty(2, 0, dtype=torch.int64)
    out = layer(x, none)
    if n and name != "Cheb D - A":  # whose formula divides 0 by 0
        assert_close(out, LAYERS[name][1](layer, x, none, None))
    assert out.shape[0] == n
    out.sum().backward()
    assert torch.isfinite(out).all()
    assert torch.isfinite(x.grad).all()


@pytest.mark.parametrize("name", ["GCN without loops", "GCN not normalised", "SAGE mean"])
def test_isolated_node_has_no_neighbours_to_hear(name: str) -> None:
    layer, x = make(name), features()
    bias = layer.lin_l.bias + x[4] @ layer.lin_r.weight.T if name == "SAGE mean" else layer.bias
    assert_close(layer(x, EDGES)[4], bias)


@pytest.mark.parametrize(
    ("name", "modules"),
    [("GCN", (gcn, _inputs)), ("Cheb 3", (cheb,)), ("SAGE mean", (_inputs,))],
)
def test_the_narrower_side_is_propagated(
    name: str, modules: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    widths = []
    spmm = _ops.spmm

    def watched(matrix: SparseMatrix, x: Tensor, **options: Any) -> Tensor:
        widths.append(x.shape[1])
        return spmm(matrix, x, **options)

    for module in modules:
        monkeypatch.setattr(module, "spmm", watched)
    for channels in ((7, 4), (3, 8)):
        widths.clear()
        make(name, channels)(features(channels[0]), EDGES)
        assert set(widths) == {min(channels)}
    widths.clear()
    make(name, (3, 8))(features(3).to_sparse_csr(), EDGES)
    assert set(widths) == {8}
    if name != "Cheb 3":  # few targets and wide products: better fewer products
        block, sources = Adjacency.from_edge_index(EDGES, N).restrict(torch.tensor([4, 2]))
        widths.clear()
        make(name, (90, 60))(features(90)[sources], block)
        assert set(widths) == {90}


@pytest.mark.parametrize("name", ["Cheb 3", "SAGE mean", "SAGE sum", "GCN"])
def test_hooks_see_every_product(name: str) -> None:
    plain, x = make(name), features()
    watched = copy.deepcopy(plain)
    seen = {}
    for key, module in watched.named_modules():
        if isinstance(module, Linear):
            module.register_forward_hook(
                lambda _, args, out, key=key: seen.update({key: (args[0], out)})
            )
    out, watched_out = plain(x, EDGES), watched(x, EDGES)
    assert_close(watched_out, out)
    weights = {key: m.weight for key, m in watched.named_modules() if isinstance(m, Linear)}
    grads = torch.autograd.grad(watched_out.square().sum(), [o for _, o in seen.values()])
    out.square().sum().backward()
    assert seen.keys() == weights.keys()
    for key, grad in zip(seen, grads, strict=True):  # a sum over rows: grad^T input
        module = plain.get_submodule(key)
        assert_close(grad.T @ seen[key][0], module.weight.grad)


@pytest.mark.parametrize("name", [name for name in LAYERS if name != "SAGE lstm"])
def test_bfloat16_is_close(name: str) -> None:
    layer, x = make(name), features()
    expected = layer(x, EDGES)
    out = layer.bfloat16()(x.bfloat16(), EDGES)
    assert out.dtype == torch.bfloat16
    scale = float(expected.detach().abs().max())
    torch.testing.assert_close(out.double(), expected, rtol=0, atol=0.1 * scale)


@pytest.mark.parametrize("channels", [(7, 4), (3, 8)], ids=["wide", "narrow"])
@pytest.mark.parametrize("name", [name for name in LAYERS if name != "SAGE lstm"])
def test_autocast(name: str, channels: tuple[int, int]) -> None:
    layer, x = make(name, channels).float(), features(channels[0]).float().requires_grad_()
    expected = layer(x, EDGES)
    with torch.autocast("cpu", torch.bfloat16):
        out = layer(x, EDGES)
    scale = float(expected.detach().abs().max())
    torch.testing.assert_close(out.float(), expected, rtol=0, atol=0.1 * scale)
    out.sum().backward()
    assert x.grad.dtype == torch.float32
    assert torch.isfinite(x.grad).all()


@pytest.mark.parametrize("name", LAYERS)
def test_copies_and_states_are_whole(name: str) -> None:
    layer, x = make(name), features()
    other = LAYERS[name][0](7, 4).double()
    other.load_state_dict(layer.state_dict())
    assert_close(other(x, EDGES), layer(x, EDGES))
    if isinstance(layer, GCNConv):
        layer.cached = True
        layer(x, EDGES)
    for twin in (copy.deepcopy(layer), pickle.loads(pickle.dumps(layer))):
        assert_close(twin(x, EDGES), layer(x, EDGES))
    other.reset_parameters()
    assert not torch.equal(other(x, EDGES), layer(x, EDGES))


def test_lstm_reads_neighbours_in_order_and_stops() -> None:
    layer, x = make("SAGE lstm"), features()
    swapped = EDGES.clone()
    swapped[:, [0, 2]] = EDGES[:, [2, 0]]  # both end at node 1
    assert not torch.allclose(layer(x, swapped)[1], layer(x, EDGES)[1])
    # The rows of other nodes do not depend on how many neighbours node 1 has.
    more = torch.cat([EDGES, torch.tensor([[3, 4, 5], [1, 1, 1]])], dim=1)
    keep = [0, 2, 3, 4, 5]
    assert_close(layer(x, more)[keep], layer(x, EDGES)[keep])


# -- PinSage ---------------------------------------------------------------------------------


def test_pinsage_rows_have_length_one_or_zero() -> None:
    layer, x = make("PinSage"), features().requires_grad_()
    with torch.no_grad():
        layer.lin_self.bias.fill_(-1e3)
        layer.lin_self.weight[0, 0] = 1e4
        x[0, 0], x[1:, 0] = 1.0, 0.0  # every row but the first is below ReLU
    out = layer(x, EDGES)
    assert_close(out.norm(dim=1), torch.tensor([1.0] + 5 * [0.0]).double())
    out.sum().backward()
    grads = [x.grad, *(p.grad for p in layer.parameters())]
    assert all(torch.isfinite(grad).all() for grad in grads)
    assert not x.grad[4].any()


def test_pinsage_takes_visit_counts_as_they_are() -> None:
    layer, x = make("PinSage"), features()
    counts = torch.randint(1, 9, (EDGES.shape[1],)).double()
    assert_close(layer(x, EDGES, counts), layer(x, EDGES, counts / 100))
    assert not torch.allclose(layer(x, EDGES, counts), layer(x, EDGES))
    zeros = torch.zeros_like(counts)
    alone = layer(x, EDGES[:, :0])
    assert_close(layer(x, EDGES, zeros), alone)


def test_pinsage_pair() -> None:
    layer = PinSageConv((7, 3), 5, 4).double()
    x, y = features(7, 6), features(3, 2)
    edges = torch.tensor([[0, 5, 3], [1, 1, 0]])
    whole = torch.cat([layer.lin_self.weight, layer.lin_neighbors.weight], dim=1)
    pooled = layer.lin_pool(x).relu()
    pooled = torch.stack([pooled[3], (pooled[0] + pooled[5]) / 2])
    z = (torch.cat([y, pooled], dim=1) @ whole.T + layer.lin_self.bias).relu()
    assert_close(layer((x, y), edges), z / z.norm(dim=1, keepdim=True))


# -- Initial weights -------------------------------------------------------------------------


def is_uniform(sample: Tensor, bound: float) -> bool:
    """Kolmogorov's distance from U(-bound, bound), at a level of about 1e-6."""
    values = sample.detach().flatten().sort().values / bound
    if values[0] < -1 or values[-1] > 1:
        return False
    n = len(values)
    expected = (values.double() + 1) / 2
    steps = torch.arange(n) / n
    distance = torch.maximum((expected - steps).abs(), (expected - steps - 1 / n).abs()).max()
    return float(distance) < 2.7 / n**0.5


def test_initial_weights() -> None:
    glorot, small = (6 / (300 + 80)) ** 0.5, 300**-0.5
    gcn_, cheb_ = GCNConv(300, 80), ChebConv(300, 80, 2)
    gat, gat2 = GATConv(300, 20, heads=4), GATv2Conv(300, 20, heads=4)
    sage_, pin = SAGEConv(300, 80, project=True), PinSageConv(300, 80, 80)
    for lin in (gcn_.lin, *cheb_.lins, gat.lin, gat2.lin_l, gat2.lin_r, pin.lin_pool, pin.lin_self):
        assert is_uniform(lin.weight, glorot)
        assert not is_uniform(lin.weight, 1.05 * glorot)
    for drawn in (sage_.lin_l.weight, sage_.lin_r.weight, sage_.lin.weight, sage_.lin_l.bias):
        assert is_uniform(drawn, small)
    attention = torch.cat([GATConv(2, 50, heads=9).att_src for _ in range(20)])
    assert is_uniform(attention, (6 / 59) ** 0.5)
    for layer in (gcn_, cheb_, gat, gat2):
        assert not layer.bias.any()
    assert is_uniform(torch.cat([SAGEConv(100, 90).lin_l.bias for _ in range(9)]), 0.1)


def test_widths_may_be_numpy_integers() -> None:
    for name, (build, _) in LAYERS.items():
        layer = build(np.int64(7), np.int64(4)).double()
        assert layer(features(), EDGES).shape == make(name)(features(), EDGES).shape


def test_width_left_open_is_taken_from_x() -> None:
    for name, (build, _) in LAYERS.items():
        if name in ("SAGE pool", "SAGE lstm"):
            with pytest.raises(ValueError, match="need in_channels, got -1"):
                build(-1, 4)
            continue
        layer = build(-1, 4).double()
        assert layer(features(), EDGES).shape[0] == N
        with pytest.raises(ValueError, match=r"x has 8 channels, .* in_channels=7"):
            layer(features(8), EDGES)
    lazy = GCNConv(-1, 300)
    lazy(torch.randn(N, 80), EDGES)
    assert is_uniform(lazy.lin.weight, (6 / 380) ** 0.5)


# -- Wrong input -----------------------------------------------------------------------------

FLOW = {"flow": "target_to_source"}


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: GCNConv(7, 4, **FLOW), NotImplementedError, r"flow=.*edge_index.flip\(0\)"),
        (lambda: ChebConv(7, 4, 2, **FLOW), NotImplementedError, "flow='target_to_source'"),
        (lambda: GATConv(7, 4, **FLOW), NotImplementedError, "GATConv does not support flow"),
        (lambda: GATv2Conv(7, 4, **FLOW), NotImplementedError, "GATv2Conv does not"),
        (lambda: SAGEConv(7, 4, **FLOW), NotImplementedError, "SAGEConv does not support flow"),
        (lambda: GCNConv(7, 4, aggr="max"), NotImplementedError, "aggr='max'"),
        (lambda: GCNConv(7, 4, biass=True), TypeError, "unexpected keyword argument 'biass'"),
        (lambda: GCNConv(0, 4), ValueError, "in_channels must be an int >= 1, or -1 .*got 0"),
        (lambda: GCNConv(7, -1), ValueError, "out_channels must be an int >= 1 .*got -1"),
        (
            lambda: GCNConv(7, 4, add_self_loops=True, normalize=False),
            ValueError,
            "add_self_loops=True needs normalize=True",
        ),
        (lambda: ChebConv(7, 4, 0), ValueError, "K must be an int >= 1"),
        (lambda: ChebConv(7, 4, 2, "both"), ValueError, "normalization must be .* got 'both'"),
        (lambda: SAGEConv((1, 2, 3), 4), ValueError, r"the two widths .*got \(1, 2, 3\)"),
        (lambda: GATConv(7, 0, heads=2), ValueError, "out_channels must be .*got 0"),
        (lambda: GATv2Conv(7, 4, edge_dim=0), ValueError, "edge_dim must be None or .*got 0"),
        (lambda: GATConv(7, 4, heads=0), ValueError, "heads must be"),
        (lambda: GATConv(7, 4, dropout=1.5), ValueError, r"dropout must be .*\[0, 1\].*1.5"),
        (lambda: GATConv(7, 4, fill_value="sum"), ValueError, "fill_value must be .*'sum'"),
        (lambda: SAGEConv(7, 4, "median"), ValueError, "aggr must be one of 'mean'"),
    ],
)
def test_wrong_parameters(build: Callable[[], nn.Module], error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        build()


def call_with(name: str, *arguments: Any, **options: Any) -> Callable[[], Any]:
    return lambda: make(name)(*arguments, **options)


X = torch.zeros(N, 7, dtype=torch.float64)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (call_with("GCN", X[:5], EDGES), IndexError, r"must be in \[0, 5\), got 5 at position 8"),
        (call_with("GCN", X, EDGES.double()), TypeError, "edge_index must be .*int64"),
        (call_with("GCN", X, EDGES.T), ValueError, r"shape \(2, n_edges\), got \(9, 2\)"),
        (call_with("GCN", X, EDGES, torch.ones(3)), ValueError, "edge_weight must have .*9"),
        (call_with("GCN", X, EDGES, [1.0] * 9), TypeError, "edge_weight must be a Tensor, got li"),
        (call_with("SAGE mean", X, EDGES, (N, N)), TypeError, "size is given by keyword"),
        (call_with("SAGE max", X, EDGES, torch.ones(9)), ValueError, "'max' takes no edge_weight"),
        (call_with("GCN", X.long(), EDGES), ValueError, "x must hold floating-point numbers"),
        (call_with("GCN", X[0], EDGES), ValueError, r"x must have the shape \(n_nodes, channels\)"),
        (call_with("GCN", np.zeros((N, 7)), EDGES), TypeError, "x must be a Tensor .* ndarray"),
        (call_with("GCN", (X, X, X), EDGES), ValueError, r"a pair \(x_source, x_target\), got 3"),
        (call_with("SAGE mean", (X, "y"), EDGES), TypeError, r"x\[1\] must be a Tensor"),
        (call_with("SAGE mean", X[:, :5], EDGES), ValueError, "x has 5 channels, .*in_channels=7"),
        (
            call_with("SAGE mean", (X, X), EDGES, size=(N, 4)),
            ValueError,
            r"size must be \(6, 6\).*got \(6, 4\)",
        ),
        (call_with("GAT", X, EDGES, torch.ones(9, 2)), ValueError, "edge_attr needs edge_dim"),
        (call_with("GATv2", (X, None), EDGES), ValueError, "needs the rows of the targets"),
        (call_with("PinSage", (X, None), EDGES), ValueError, "needs the rows of the targets"),
        (
            call_with("Cheb 3", X, Adjacency.from_edge_index(EDGES[:, :2], N, 2)),
            ValueError,
            "K=3 needs edges among the same nodes, got 6 sources and 2 targets",
        ),
        (
            call_with("Cheb 3", X, EDGES, lambda_max=torch.tensor([1.0, 2.0])),
            ValueError,
            "lambda_max holds 2 numbers, one per graph: give batch",
        ),
        (
            call_with("GCN", X, Adjacency.from_edge_index(EDGES, N + 1)),
            ValueError,
            "7 sources",
        ),
        (
            call_with("SAGE mean", X[:2], torch.ones(N, 2).to_sparse_coo()),
            ValueError,
            r"x has 2 rows for 6 targets: give \(x_source, x_target\)",
        ),
    ],
)
def test_wrong_arguments(call: Callable[[], Any], error: type, message: str) -> None:
    with pytest.raises(error, match=message):
        call()


@pytest.mark.parametrize("rows", [8, 10])
@pytest.mark.parametrize("add_self_loops", [True, False])
def test_wrong_number_of_edge_features(rows: int, add_self_loops: bool) -> None:
    layer = GATConv(7, 4, edge_dim=2, add_self_loops=add_self_loops)
    with pytest.raises(ValueError, match="edge_attr must have 9 rows"):
        layer(X.float(), EDGES, torch.zeros(rows, 2))


def test_missing_torch_is_an_import_error_with_the_pip_command() -> None:
    code = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Blocker())
for name in ("graphembed.nn", "graphembed.nn.gcn"):
    try:
        __import__(name)
    except ImportError as error:
        print(error)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True
    )
    assert done.stdout.count("pip install 'graphembed[torch]'") == 2


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("name", LAYERS)
def test_cuda_is_cpu(name: str) -> None:
    layer, x = make(name), features().requires_grad_()
    layer(x, EDGES).square().sum().backward()
    expected = [layer(x, EDGES), x.grad, *(p.grad for p in layer.parameters())]
    there, y = copy.deepcopy(layer).cuda(), x.detach().cuda().requires_grad_()
    there.zero_grad()
    there(y, EDGES.cuda()).square().sum().backward()
    got = [there(y, EDGES.cuda()), y.grad, *(p.grad for p in there.parameters())]
    for a, b in zip(got, expected, strict=True):
        torch.testing.assert_close(a.cpu(), b, rtol=1e-8, atol=1e-8)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_chebyshev_of_sparse_ones_keeps_the_dtype_of_the_layer(dtype: torch.dtype) -> None:
    ones = SparseMatrix(torch.arange(N + 1), torch.arange(N) % 3, None, (N, 3))
    layer = ChebConv(3, 2, K=3).to(dtype)
    options = {"batch": torch.arange(N) % 2, "lambda_max": torch.tensor([1.5, 2.0])}
    out = layer(ones, EDGES, **options)
    assert out.dtype == dtype
    torch.testing.assert_close(out, layer(ones.to_dense(dtype), EDGES, **options))


def test_chebyshev_refuses_a_pair_of_all_nodes() -> None:
    x = features(3).float()
    with pytest.raises(ValueError, match=r"got a pair \(x_source, x_target\)"):
        ChebConv(3, 2, K=2)((x, x.clone()), EDGES)


def test_states_of_layers_that_have_seen_no_rows() -> None:
    lazy, other, seen = GCNConv(-1, 2), GCNConv(-1, 2), GCNConv(3, 2)
    for layer in (other, seen):
        layer.load_state_dict(pickle.loads(pickle.dumps(lazy.state_dict())))
        assert layer(torch.ones(2, 4), torch.tensor([[0], [1]])).shape == (2, 2)
    lazy.load_state_dict(other.state_dict())
    assert torch.equal(lazy.lin.weight, other.lin.weight)


def test_feature_dropout_comes_after_the_scores():
    """What is summed is dropped, the attention is that of whole features."""
    torch.manual_seed(0)
    x, edge_index = torch.randn(6, 4), torch.tensor([[0, 1, 2, 3, 4], [1, 0, 1, 1, 5]])
    layer = GATConv(4, 3, heads=2, feature_dropout=0.5, bias=False)
    whole, (edges, alpha) = layer.eval()(x, edge_index, return_attention_weights=True)
    torch.testing.assert_close(whole, GATConv.forward(layer.train(False), x, edge_index))
    layer.train()
    total = torch.zeros_like(whole)
    for _ in range(2000):
        out, (_, same) = layer(x, edge_index, return_attention_weights=True)
        torch.testing.assert_close(same, alpha)
        total += out
    torch.testing.assert_close(total / 2000, whole, atol=0.15, rtol=0)
    # Node 5 hears of itself and of node 4: each of its sums is one of four.
    parts = layer.lin(x).view(6, 2, 3) * 2
    last = [(int(s), a) for s, t, a in zip(*edges.tolist(), alpha, strict=True) if t == 5]
    (j, a), (k, b) = last
    sums = [p * a[:, None] * parts[j] + q * b[:, None] * parts[k] for p in (0, 1) for q in (0, 1)]
    nearest = torch.stack([(out[5].view(2, 3) - s).abs() for s in sums]).amin(0)
    assert nearest.max() < 1e-5
    with pytest.raises(ValueError, match="feature_dropout"):
        GATConv(4, 3, feature_dropout=1.5)
