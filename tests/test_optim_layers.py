"""The engine on whole models of every layer, ours and PyG's."""

from functools import partial

import pytest

torch = pytest.importorskip("torch")

from optim_helpers import (  # noqa: E402
    Chain,
    exact_block,
    gcn,
    graph,
    kronecker,
    relative_error,
    run,
    seeded,
)
from torch import nn  # noqa: E402
from torch.nn import functional as F  # noqa: E402, N812

from graphembed import nn as nn_of_ours  # noqa: E402
from graphembed.nn import (  # noqa: E402
    Adjacency,
    GATConv,
    GCNConv,
    Linear,
    PinSageConv,
    SAGEConv,
    SparseMatrix,
)
from graphembed.nn.models import GAT, GCN, ChebNet, GraphSAGE  # noqa: E402
from graphembed.nn.training import Part  # noqa: E402
from graphembed.optim import KFAC, Hop  # noqa: E402
from graphembed.optim._layers import find_layer  # noqa: E402

ROWS = torch.arange(5)
Y = torch.tensor([0, 1, 2, 0, 1])


class Mixed(Chain):
    """As the other one, with graphembed's own `Linear`, too."""

    def forward(self, x, edge_index):
        for k, layer in enumerate(self.layers):
            x = layer(x) if isinstance(layer, (nn.Linear, Linear)) else layer(x, edge_index)
            if k < len(self.layers) - 1:
                x = x.relu()
        return x


MODELS = {
    "gcn": lambda: GCN(4, 8, 3, dropout=0.0),
    "gcn-residual": lambda: GCN(4, 8, 3, dropout=0.0, num_layers=3, residual=True),
    "cheb": lambda: ChebNet(4, 8, 3, K=3, dropout=0.0),
    "sage": lambda: GraphSAGE(4, 8, 3, dropout=0.0),
    "sage-pool": lambda: GraphSAGE(4, 8, 3, aggr="pool", dropout=0.0, normalize=True),
    "gat": lambda: GAT(4, 8, 3, heads=2, dropout=0.0),
    "gatv2": lambda: GAT(4, 8, 3, heads=2, v2=True, dropout=0.0),
    "pinsage": lambda: Mixed([PinSageConv(4, 6, 8), PinSageConv(8, 6, 5), nn.Linear(5, 3)]),
    "mixed": lambda: Mixed([Linear(4, 6), SAGEConv(6, 6), nn.Linear(6, 5), SAGEConv(5, 3)]),
}
MANY = "ignore:KFAC leaves the gradients"


@pytest.mark.filterwarnings(MANY)
@pytest.mark.parametrize("approx", ["reduce", "expand"])
@pytest.mark.parametrize("name", MODELS)
def test_every_model_learns(name, approx):
    edges, x = graph()
    model = seeded(MODELS[name])
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    with KFAC(model, 0.05, rows=ROWS, approx=approx, damping=0.1) as pre:
        values = []
        for _ in range(30):
            optimizer.zero_grad()
            value = F.cross_entropy(model(x, edges)[ROWS], Y)
            value.backward()
            pre.step()
            optimizer.step()
            values.append(float(value.detach()))
    assert values[-1] < 0.8 * values[0]
    covered = sum(p.numel() for block in pre.blocks for p in block.parameters)
    n_attention = sum(p.numel() for name, p in model.named_parameters() if ".att" in name)
    assert covered == sum(p.numel() for p in model.parameters()) - n_attention


@pytest.mark.filterwarnings(MANY)
@pytest.mark.parametrize("name", ["gcn", "gcn-residual", "sage", "sage-pool", "gat", "gatv2"])
def test_restricted_blocks_give_the_same_update(name):
    edges, x = graph()
    found = []
    for is_cut in (False, True):
        model = seeded(MODELS[name])
        part = Part.of(model, x, edges, torch.zeros(14, dtype=torch.int64), ROWS)
        with KFAC(
            model, rows=None if is_cut else ROWS, fisher="exact", kl_clip=None, method="cholesky"
        ) as pre:
            out = part.logits(model) if is_cut else model(x, edges)[ROWS]
            F.cross_entropy(out, Y).backward()
            pre.step()
        found.append([p.grad for p in model.parameters()])
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-8, atol=1e-10)


def test_ways_are_given_up_where_rows_are_mixed():
    class Readout(nn.Module):
        def __init__(self):
            super().__init__()
            self.body = gcn(dims=(4, 3))
            self.head = nn.Linear(3, 3).double()

        def forward(self, x, edges):
            return self.head(self.body(x, edges).relu().view(2, 7, 3).mean(dim=1))

    edges, x = graph()
    torch.manual_seed(0)
    pre, _ = run(Readout(), x, edges, None)
    ones = torch.ones(14, 1, dtype=torch.float64)
    matrix = Adjacency.from_edge_index(edges, 14).gcn_matrix(dtype=x.dtype).to_dense()
    rows = torch.cat([matrix @ x, ones], dim=1)
    torch.testing.assert_close(pre.blocks[1].a.value[0], rows.t() @ rows / 14)


def test_a_module_called_twice_counts_twice():
    class Twice(nn.Module):
        def __init__(self):
            super().__init__()
            self.lin = nn.Linear(4, 4).double()

        def forward(self, x, edges):
            return self.lin(self.lin(x))

    edges, x = graph()
    torch.manual_seed(1)
    model = Twice()
    model.lin.weight.data.normal_()
    for approx in ("reduce", "expand"):
        pre, _ = run(model, x, edges, ROWS, approx=approx)
        inner = torch.cat([x, torch.ones(14, 1).double()], 1)[ROWS]
        outer = torch.cat([model.lin(x), torch.ones(14, 1).double()], 1)[ROWS].detach()
        wanted = (inner.t() @ inner + outer.t() @ outer) / 5
        scale = 1 if approx == "reduce" else 2
        (block,) = pre.blocks
        torch.testing.assert_close(block.a.value[0] * scale, wanted)
        down = model.lin.weight.detach()
        hessian = 0.5 * torch.eye(4, dtype=torch.float64)
        gram = hessian + down.t() @ hessian @ down
        torch.testing.assert_close(block.g.value[0] * (2 / scale if scale == 1 else 1), gram)


@pytest.mark.parametrize("order", range(3))
def test_weights_by_squares_are_exact_where_ways_do_not_mix(order):
    # On a directed cycle every power of the matrix leads to another node.
    n = 7
    cycle = 0.8 * torch.eye(n, dtype=torch.float64).roll(1, dims=1)
    weights = torch.arange(1.0, n + 1, dtype=torch.float64)
    hop = Hop(n, SparseMatrix.from_torch(cycle.to_sparse_csr()), order)
    polynomial = hop.of_rows(torch.eye(n, dtype=torch.float64))
    wanted = weights @ polynomial.square()
    torch.testing.assert_close(hop.weights_after(weights), wanted)
    if order == 2:
        ones = torch.ones_like(weights)
        torch.testing.assert_close(hop.weights_after(ones), 2.6384 * ones)


def test_frozen_parameters_stay_out():
    edges, x = graph()
    model = gcn()
    model.layers[0].lin.weight.requires_grad_(False)
    model.layers[1].bias.requires_grad_(False)
    pre, _ = run(model, x, edges, ROWS)
    assert [(block.d_out, block.d_in) for block in pre.blocks] == [(3, 4), (3, 3), (3, 1)]


PYG = {
    "GCNConv": {},
    "ChebConv": {"K": 3},
    "SAGEConv": {},
    "GATConv": {"heads": 2, "concat": False},
    "GATv2Conv": {},
}


def two_layers(model, x, edges):
    return model.layers[1](model.layers[0](x, edges).relu())


@pytest.mark.filterwarnings(MANY, "ignore::DeprecationWarning")
@pytest.mark.parametrize("name", PYG)
@pytest.mark.parametrize("approx", ["reduce", "expand"])
def test_layers_of_pyg_are_known(name, approx):
    pyg = pytest.importorskip("torch_geometric.nn")
    edges, x = graph()
    options = PYG[name]
    theirs = seeded(lambda: Chain([getattr(pyg, name)(4, 3, **options), pyg.Linear(3, 3)]))
    own = getattr(nn_of_ours, name)(4, 3, **options)
    ours = seeded(lambda: Chain([own, Linear(3, 3)]))
    ours.load_state_dict(theirs.state_dict())
    found = []
    for model in (ours, theirs):
        model.forward = partial(two_layers, model)
        run(model, x, edges, ROWS, approx=approx)
        found.append([p.grad for p in model.parameters()])
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-6, atol=1e-8)


def test_linear_layers_inside_unknown_layers_are_sites_of_their_own():
    pyg = pytest.importorskip("torch_geometric.nn")
    edges, x = graph()
    model = seeded(lambda: Chain([pyg.SAGEConv(4, 3, normalize=True), nn.Linear(3, 3)]))
    with pytest.warns(UserWarning, match=r"all rows count alike: layers\.0 \(SAGEConv\)"):
        pre, _ = run(model, x, edges, ROWS)
    names = [block.name for block in pre.blocks]
    assert names == ["layers.1", "layers.0.lin_r", "layers.0.lin_l"]


UNKNOWN = {
    "GINConv": lambda pyg: pyg.GINConv(nn.Linear(3, 3)),
    "TransformerConv": lambda pyg: pyg.TransformerConv(3, 3),
    "SAGEConv": lambda pyg: pyg.SAGEConv(3, 3, aggr=["mean", "max"]),
    "SGConv": lambda pyg: pyg.SGConv(3, 3, K=2),
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", UNKNOWN)
def test_inside_and_before_unknown_layers_all_rows_count_alike(name):
    pyg = pytest.importorskip("torch_geometric.nn")
    edges, x = graph()
    model = seeded(lambda: Chain([nn.Linear(4, 3), UNKNOWN[name](pyg), nn.Linear(3, 3)]))
    with pytest.warns(UserWarning, match=rf"all rows count alike: layers\.1 \({name}\)"):
        pre, _ = run(model, x, edges, ROWS)
    blocks = {block.name: block for block in pre.blocks}
    rows = torch.cat([x, torch.ones(14, 1).double()], dim=1)
    torch.testing.assert_close(blocks["layers.0"].a.value[0], rows.t() @ rows / 14)
    inner = [block for key, block in blocks.items() if key.startswith("layers.1.")]
    assert inner
    for block in inner:
        if block.bias is not None:  # of which the mean of single rows is 1
            assert float(block.a.value[0, -1, -1]) == pytest.approx(1.0)
    assert all(bool(p.grad.isfinite().all()) for p in model.parameters())
    with KFAC(model, 0.1, rows=ROWS, skip=[name]) as pre:
        F.cross_entropy(model(x, edges)[ROWS], Y).backward()
        pre.step()
        assert [block.name for block in pre.blocks] == ["layers.2", "layers.0"]


@pytest.mark.parametrize("concat", [True, False])
def test_projection_and_bias_of_gat(concat):
    edges, x = graph()
    model = seeded(lambda: Chain([GATConv(4, 3, heads=2, concat=concat)]))
    with pytest.warns(UserWarning, match="att_src"):
        pre, _ = run(model, x, edges, ROWS)
    assert [(block.d_out, block.d_in) for block in pre.blocks] == [(6, 4), (6 if concat else 3, 1)]
    assert relative_error(pre.blocks[1].a.value, torch.ones(1, 1, 1).double()) < 1e-12


# -- Uses that are not plain -------------------------------------------------------------------


class Tied(nn.Module):
    def __init__(self, biases):
        super().__init__()
        self.parts = nn.ModuleList(nn.Linear(4, 4, bias=bias) for bias in biases)
        self.parts[1].weight = self.parts[0].weight

    def forward(self, x):
        return self.parts[1](self.parts[0](x).relu())


@pytest.mark.parametrize("fisher", ["mc", "exact", "empirical"])
@pytest.mark.parametrize("biases", [(True, False), (False, True), (True, True)])
def test_a_weight_of_two_layers_with_different_biases_is_one_block(biases, fisher):
    torch.manual_seed(0)
    model = Tied(biases).double()
    x = torch.randn(6, 4, dtype=torch.float64)
    y = torch.tensor([0, 1, 2, 0, 1, 3])
    hidden = model.parts[0](x).relu().detach()
    with KFAC(model, 0.1, fisher=fisher, approx="expand") as pre:
        for _ in range(3):
            nn.functional.cross_entropy(model(x), y).backward()
            if biases == (True, True) and not pre.n_steps:
                with pytest.warns(UserWarning, match=r"parts\.[01]\.bias"):
                    pre.step()
            else:
                pre.step()
    (block,) = pre.blocks
    assert block.d_in == 5
    ones, zeros = torch.ones(6, 1, dtype=x.dtype), torch.zeros(6, 1, dtype=x.dtype)
    has_first = block.bias is model.parts[0].bias
    first = torch.cat([x, ones if has_first else zeros], dim=1)
    second = torch.cat([hidden, zeros if has_first else ones], dim=1)
    wanted = (first.t() @ first + second.t() @ second) / 12
    torch.testing.assert_close(block.a.value[0], wanted)


def test_linear_layers_that_compute_something_else_are_left_alone():
    class Twice(nn.Linear):
        def forward(self, x):
            return 2 * super().forward(x)

    class Named(nn.Linear):
        pass

    assert find_layer(Twice(3, 3)) is None
    assert find_layer(nn.utils.parametrizations.weight_norm(nn.Linear(3, 3))) is None
    assert find_layer(Named(3, 3)) is not None


def test_layers_whose_messages_flow_back_are_refused():
    layer = GCNConv(4, 3)
    layer.flow = "target_to_source"
    model = nn.Sequential(layer, nn.Linear(3, 3))
    with pytest.raises(ValueError, match=r"0 has flow='target_to_source'.*flip"):
        KFAC(model)
    KFAC(model, skip=["^0$"]).close()


@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
@pytest.mark.parametrize("heads", [2, 4])
def test_heads_of_an_attention_layer_are_not_apart(loss, heads):
    edges, x = graph()
    model = seeded(lambda: Chain([GATConv(4, 3, heads=heads), GATConv(3 * heads, 3)]))
    with pytest.warns(UserWarning, match="att_src"):
        pre, outputs = run(model, x, edges, ROWS, loss=loss)
    block = next(b for b in pre.blocks if b.name == "layers.0[0]")
    wanted = exact_block(block, outputs, loss)
    whole = relative_error(kronecker(block), wanted)
    by_head = torch.block_diag(*[torch.ones(3, 3, dtype=torch.float64)] * heads)
    block.g.value = block.g.value * by_head
    assert whole < relative_error(kronecker(block), wanted)
