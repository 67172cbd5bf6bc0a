"""The factors against explicit curvature, and the laws that the update obeys; in float64."""

import pytest

torch = pytest.importorskip("torch")

from optim_helpers import (  # noqa: E402
    N_NODES,
    Chain,
    exact_block,
    gcn,
    graph,
    kronecker,
    loss_hessians,
    relative_error,
    run,
    seeded,
)
from torch import nn  # noqa: E402

from graphembed.nn import (  # noqa: E402
    Adjacency,
    ChebConv,
    GATConv,
    GATv2Conv,
    GCNConv,
    PinSageConv,
    SAGEConv,
    SparseMatrix,
    _sites,
)
from graphembed.nn._sites import dense_product, selection  # noqa: E402
from graphembed.optim import KFAC, NGD  # noqa: E402
from graphembed.optim._layers import find_layer  # noqa: E402

ROWS = torch.arange(5)


def projected(a, b):
    return SAGEConv(a, b, project=True)


def updates(pre):
    return [torch.cat([p.grad.flatten() for p in block.parameters]) for block in pre.blocks]


# -- The sites ---------------------------------------------------------------------------------


def site_gradient(site, z_gradient):
    """Sum over rows of output gradient times [a, 1]."""
    n = len(z_gradient)
    identity = selection(torch.arange(n), torch.ones(n, dtype=torch.float64), n)
    columns = [dense_product(hop.after(identity), x) for hop, x in site.parts]
    if site.bias is not None:
        columns.append(torch.ones(n, 1, dtype=torch.float64))
    return z_gradient.t() @ torch.cat(columns, dim=1)


LAYERS = {
    "linear": lambda: nn.Linear(4, 3),
    "gcn": lambda: GCNConv(4, 3),
    "gcn-wide": lambda: GCNConv(4, 9),
    "gcn-improved": lambda: GCNConv(4, 3, improved=True),
    "gcn-plain": lambda: GCNConv(4, 3, normalize=False, bias=False),
    "cheb-1": lambda: ChebConv(4, 3, K=1),
    "cheb-2": lambda: ChebConv(4, 9, K=2, normalization="rw"),
    "cheb-4": lambda: ChebConv(4, 3, K=4, normalization=None),
    "sage": lambda: SAGEConv(4, 3),
    "sage-wide": lambda: SAGEConv(4, 9),
    "sage-sum": lambda: SAGEConv(4, 3, aggr="sum", root_weight=False),
    "sage-max": lambda: SAGEConv(4, 3, aggr="max"),
    "sage-pool": lambda: SAGEConv(4, 3, aggr="pool"),
    "sage-normalized": lambda: SAGEConv(4, 3, normalize=True, bias=False),
    "pinsage": lambda: PinSageConv(4, 5, 3),
}
# Their attention vectors, their weights of edge features and an LSTM have no site.
ATTENTION = {
    "gat": (lambda: GATConv(4, 3), 2),
    "gat-heads": (lambda: GATConv(4, 3, heads=2, residual=True), 2),
    "gat-mean": (lambda: GATConv(4, 3, heads=2, concat=False, add_self_loops=False), 2),
    "gat-pair": (lambda: GATConv((4, 4), 3, heads=2, bias=False), 2),
    "gatv2": (lambda: GATv2Conv(4, 3, heads=2), 1),
    "gatv2-shared": (lambda: GATv2Conv(4, 3, heads=2, share_weights=True), 1),
    "sage-lstm": (lambda: SAGEConv(4, 3, aggr="lstm"), 4),
}


@pytest.mark.parametrize("name", [*LAYERS, *ATTENTION])
@pytest.mark.parametrize("is_sparse", [False, True])
def test_gradient_of_a_weight_is_a_sum_over_rows(name, is_sparse):
    if is_sparse and name in ("linear", "sage-max", "sage-lstm"):
        pytest.skip("takes dense rows")
    edges, x = graph()
    make, n_others = ATTENTION.get(name, (LAYERS.get(name), 0))
    layer = seeded(make)
    rows = SparseMatrix.from_torch(x.to_sparse_csr()) if is_sparse else x
    args = (rows,) if isinstance(layer, nn.Linear) else (rows, edges)
    assert_sites_give_gradients(layer, args, n_others)


@pytest.mark.parametrize("name", [*LAYERS, *ATTENTION])
def test_gradients_of_blocks(name):
    make, n_others = ATTENTION.get(name, (LAYERS.get(name), 0))
    if name in ("linear", "cheb-4"):
        pytest.skip("does not take blocks")
    edges, x = graph()
    block, sources = Adjacency.from_edge_index(edges, N_NODES).restrict(ROWS)
    assert_sites_give_gradients(seeded(make), (x[sources], block), n_others)


def test_gradients_of_weighted_edges_and_of_laplacians_by_graph():
    edges, x = graph()
    weights = torch.rand(edges.shape[1], dtype=torch.float64)
    for name in ("gcn", "gcn-plain", "cheb-2", "sage", "sage-sum", "pinsage"):
        assert_sites_give_gradients(seeded(LAYERS[name]), (x, edges, weights), 0)
    two = torch.cat([edges, edges + N_NODES], 1)
    batch = torch.arange(2).repeat_interleave(N_NODES)
    args = (torch.cat([x, x]), two, None, batch, torch.tensor([1.5, 1.9]))
    assert_sites_give_gradients(seeded(LAYERS["cheb-4"]), args, 0)
    assert_sites_give_gradients(seeded(LAYERS["cheb-2"]), (x, edges, None, None, 1.7), 0)
    pair = seeded(lambda: GATv2Conv(4, 3, share_weights=True))
    assert_sites_give_gradients(pair, ((x, x.clone()), edges), 1)


def assert_sites_give_gradients(layer, args, n_others):
    linear_sites, outputs = find_layer(layer)
    caught = {}
    for module in outputs:

        def keep(module, _, out):
            if out.requires_grad:
                n_before = sum(key[0] is module for key in caught)
                caught[module, n_before] = None
                out.register_hook(lambda g: caught.__setitem__((module, n_before), g))

        module.register_forward_hook(keep)
    out = layer(*args)
    generator = torch.Generator().manual_seed(8)
    (out * torch.randn(out.shape, dtype=out.dtype, generator=generator)).sum().backward()
    sums = {}
    for site in linear_sites(*args).sites:
        found = site_gradient(site, caught[site.output, site.nth])
        parameters = (*site.weights, *([] if site.bias is None else [site.bias]))
        sums[parameters] = sums.get(parameters, 0) + found
    for parameters, found in sums.items():
        wanted = [p.grad if p.dim() == 2 else p.grad.unsqueeze(1) for p in parameters]
        torch.testing.assert_close(found, torch.cat(wanted, dim=1), rtol=1e-12, atol=1e-12)
    assert sum(map(len, sums)) == len(list(layer.parameters())) - n_others


# -- Exactness ---------------------------------------------------------------------------------


@pytest.mark.parametrize("fisher", ["exact"])
def test_reduce_is_exact_for_deep_linear_gcn_and_expand_is_not(fisher):
    edges, x = graph()
    for approx in ("reduce", "expand"):
        model = gcn(relu=False)
        pre, outputs = run(model, x, edges, ROWS, approx=approx, fisher=fisher)
        errors = [
            relative_error(kronecker(block), exact_block(block, outputs, "mse"))
            for block in pre.blocks
        ]
        assert errors[0] < 1e-10  # the last layer
        if approx == "reduce":
            assert max(errors) < 1e-10
        else:
            assert min(errors[1:]) > 0.1


@pytest.mark.parametrize("make", [ChebConv, SAGEConv])
def test_reduce_is_exact_where_every_layer_has_one_propagation(make):
    edges, x = graph()
    options = {"K": 1} if make is ChebConv else {"root_weight": False}
    model = seeded(lambda: Chain([make(4, 3, **options), make(3, 3, **options)], relu=False))
    pre, outputs = run(model, x, edges, ROWS)
    for block in pre.blocks:
        assert relative_error(kronecker(block), exact_block(block, outputs, "mse")) < 1e-10


@pytest.mark.parametrize("approx", ["reduce", "expand"])
def test_labelled_rows_that_nothing_reaches(approx):
    edges, x = graph()
    edges = edges[:, ~((edges == 0) | (edges == 3)).any(dim=0)]  # two labelled nodes are isolated
    options = {"root_weight": False}
    model = seeded(lambda: Chain([SAGEConv(4, 3, **options), SAGEConv(3, 3, **options)], False))
    pre, outputs = run(model, x, edges, ROWS, approx=approx)
    if approx == "reduce":
        for block in pre.blocks:
            assert relative_error(kronecker(block), exact_block(block, outputs, "mse")) < 1e-10
    for rows in (ROWS[:1], ROWS[[0, 3]]):  # nothing reaches any of them
        pre, _ = run(model, x, edges, rows, approx=approx)
        assert all(bool(p.grad.isfinite().all()) for p in model.parameters())
        assert bool((pre.blocks[1].g.value == 0).all())


@pytest.mark.parametrize("aggr", ["mean", "sum"])
def test_reduce_is_exact_below_a_projected_sage(aggr):
    edges, x = graph()
    model = seeded(
        lambda: Chain([SAGEConv(4, 3, aggr=aggr, project=True, root_weight=False)], relu=False)
    )
    with torch.no_grad():
        model.layers[0].lin.bias.fill_(99.0)  # the inner ReLU is linear
    pre, outputs = run(model, x, edges, ROWS)
    assert {block.name for block in pre.blocks} == {"layers.0[0]", "layers.0[1]"}
    for block in pre.blocks:
        assert relative_error(kronecker(block), exact_block(block, outputs, "mse")) < 1e-10


@pytest.mark.parametrize("unlabeled_weight", [0.0, 0.5])
def test_rows_that_are_there_twice_count_twice(unlabeled_weight):
    edges, x = graph()
    rows = torch.tensor([3, 3, 5])
    pre, outputs = run(gcn(relu=False), x, edges, rows, unlabeled_weight=unlabeled_weight)
    everything, all_outputs = run(gcn(relu=False), x, edges, None)
    weights = torch.full((N_NODES,), unlabeled_weight, dtype=torch.float64)
    weights[3], weights[5] = 2.0, 1.0
    for found, block in zip(pre.blocks, everything.blocks, strict=True):
        single = [exact_block(block, all_outputs[i : i + 1], "mse") for i in range(N_NODES)]
        wanted = sum(w * part for w, part in zip(weights, single, strict=True)) / weights.sum()
        assert relative_error(kronecker(found), wanted) < 1e-10
        if not unlabeled_weight:
            wanted = exact_block(found, outputs, "mse")
            assert relative_error(kronecker(found), wanted) < 1e-10


@pytest.mark.parametrize("make", [lambda a, b: ChebConv(a, b, K=3), SAGEConv], ids=["cheb", "sage"])
def test_no_kronecker_product_is_exact_below_layers_with_several_propagations(make):
    edges, x = graph()
    model = seeded(lambda: Chain([make(4, 3), make(3, 3)], relu=False))
    pre, outputs = run(model, x, edges, ROWS)
    last, first = pre.blocks
    assert relative_error(kronecker(last), exact_block(last, outputs, "mse")) < 1e-10
    wanted = exact_block(first, outputs, "mse")
    d_out, d_in = first.d_out, first.d_in
    # The singular values of the rearranged matrix tell how near a Kronecker product can come (Van
    # Loan & Pitsianis 1993).
    rearranged = wanted.view(d_out, d_in, d_out, d_in).permute(0, 2, 1, 3)
    values = torch.linalg.svdvals(rearranged.reshape(d_out**2, d_in**2))
    assert float(values[1:].norm() / values.norm()) > 0.2
    # It is near in direction and size; zero, whose relative error is 1, is not.
    found = kronecker(first)
    assert float((found * wanted).sum() / (found.norm() * wanted.norm())) > 0.6
    assert float(found.trace() / wanted.trace()) == pytest.approx(1.0, rel=0.2)


def test_reduce_follows_restricted_blocks():
    edges, x = graph()
    full = gcn(relu=False)
    pre, _ = run(full, x, edges, ROWS)
    blocks, rows = [], ROWS
    for _ in full.layers:
        block, rows = Adjacency.from_edge_index(edges, N_NODES).restrict(rows)
        blocks.insert(0, block)

    class Blocks(nn.Module):
        def __init__(self, layers):
            super().__init__()
            self.layers = layers

        def forward(self, x, blocks):
            for layer, block in zip(self.layers, blocks, strict=True):
                x = layer(x, block)
            return x

    cut = Blocks(gcn(relu=False).layers)
    pre_cut, _ = run(cut, x[rows], blocks, None)
    for a, b in zip(pre.blocks, pre_cut.blocks, strict=True):
        torch.testing.assert_close(kronecker(a), kronecker(b), rtol=1e-10, atol=1e-12)


@pytest.mark.parametrize("approx", ["reduce", "expand"])
def test_last_layer_is_exact_under_squared_loss_whatever_is_below(approx):
    edges, x = graph()
    pre, outputs = run(gcn(), x, edges, ROWS, approx=approx)
    block = pre.blocks[0]
    assert relative_error(kronecker(block), exact_block(block, outputs, "mse")) < 1e-10


@pytest.mark.parametrize("fisher", ["exact", "empirical"])
def test_one_labelled_row_is_exact_in_the_last_layer(fisher):
    edges, x = graph()
    pre, outputs = run(gcn(), x, edges, ROWS[:1], loss="cross_entropy", fisher=fisher)
    block = pre.blocks[0]
    if fisher == "exact":
        wanted = exact_block(block, outputs, "cross_entropy")
    else:  # the square of the one gradient
        torch.manual_seed(11)
        y = torch.randint(3, (1,))
        value = nn.functional.cross_entropy(outputs, y)
        grads = torch.autograd.grad(value, block.parameters)
        flat = torch.cat([g if g.dim() == 2 else g.unsqueeze(1) for g in grads], 1).flatten()
        wanted = torch.outer(flat, flat)
    assert relative_error(kronecker(block), wanted) < 1e-10


@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
@pytest.mark.parametrize("approx", ["reduce", "expand"])
def test_drawn_targets_give_the_exact_fisher_in_the_mean(loss, approx):
    edges, x = graph()
    model = gcn(relu=approx == "expand")
    options = {"approx": approx, "loss": loss}
    exact, _ = run(model, x, edges, ROWS, **options)
    drawn, _ = run(model, x, edges, ROWS, fisher="mc", n_passes=800, **options)
    for a, b in zip(drawn.blocks, exact.blocks, strict=True):
        tolerance = 0.2 if loss == "cross_entropy" and approx == "reduce" else 0.15
        assert relative_error(a.g.value, b.g.value) < tolerance
        torch.testing.assert_close(a.a.value, b.a.value)


def test_drawn_targets_of_several_labels_per_row():
    edges, x = graph()
    model = gcn()
    options = {"approx": "expand", "loss": "binary_cross_entropy"}

    def factors(fisher, n_passes):
        pre = KFAC(model, rows=ROWS, fisher=fisher, kl_clip=None, **options)
        model.zero_grad()
        for _ in range(n_passes):
            out = model(x, edges)[ROWS]
            nn.functional.binary_cross_entropy_with_logits(out, torch.ones_like(out)).backward()
        pre.step()
        pre.close()
        return [block.g.value for block in pre.blocks]

    for a, b in zip(factors("mc", 800), factors("exact", 1), strict=True):
        assert relative_error(a, b) < 0.15


def test_empirical_fisher_is_biased_where_labelled_nodes_are_neighbours():
    # A path of labelled nodes: one backward pass adds up their gradients in shared rows.
    n = 8
    one_way = torch.stack([torch.arange(n - 1), torch.arange(1, n)])
    edges = torch.cat([one_way, one_way.flip(0)], dim=1)
    x = torch.randn(n, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    model = gcn(relu=False, dims=(4, 3, 3))
    y = torch.zeros(n, dtype=torch.int64)
    one_by_one = []
    for i in range(n):
        pre, _ = run(
            model,
            x,
            edges,
            torch.tensor([i]),
            loss="cross_entropy",
            y=y[:1],
            fisher="empirical",
            approx="expand",
        )
        one_by_one.append(pre.blocks[1].g.value)
    per_row = torch.stack(one_by_one).mean(0)
    options = {"loss": "cross_entropy", "approx": "expand", "y": y}
    together, _ = run(model, x, edges, None, fisher="empirical", **options)
    assert relative_error(together.blocks[1].g.value, per_row) > 0.5
    exact, _ = run(model, x, edges, None, fisher="exact", **options)
    drawn, _ = run(model, x, edges, None, fisher="mc", n_passes=800, **options)
    assert relative_error(drawn.blocks[1].g.value, exact.blocks[1].g.value) < 0.15


# -- The whole natural gradient ----------------------------------------------------------------


def natural_gradient(parameters, outputs, loss, gradient, damping):
    """``(F + damping I)^-1 gradient`` of all parameters, by the Jacobian of the outputs.

    ``F = J^T H J / n`` with the Hessians H of the rows' losses, and S their roots. By the Woodbury
    identity it is ``(g - K^T (damping I + K K^T)^-1 K g) / damping`` with ``K = S J / sqrt(n)``.
    """
    rows = []
    for value in outputs.flatten():
        parts = torch.autograd.grad(value, parameters, retain_graph=True, allow_unused=True)
        pairs = zip(parts, parameters, strict=True)
        rows.append(
            torch.cat([(torch.zeros_like(p) if j is None else j).flatten() for j, p in pairs])
        )
    n, k = outputs.shape
    jacobian = torch.stack(rows).view(n, k, -1)
    values, vectors = torch.linalg.eigh(loss_hessians(loss, outputs.detach()))
    roots = vectors * values.clamp(min=0).sqrt().unsqueeze(1)
    factor = torch.einsum("icd,icp->idp", roots, jacobian).reshape(n * k, -1) / n**0.5
    inner = damping * torch.eye(n * k, dtype=factor.dtype) + factor @ factor.t()
    found = (gradient - factor.t() @ torch.linalg.solve(inner, factor @ gradient)) / damping
    fisher = factor.t() @ factor
    dense = torch.linalg.solve(fisher + damping * torch.eye(len(fisher)).double(), gradient)
    torch.testing.assert_close(found, dense, rtol=1e-6, atol=1e-10)
    return found, fisher


def flat_gradient(value, parameters):
    return torch.cat(
        [g.flatten() for g in torch.autograd.grad(value, parameters, retain_graph=True)]
    )


def loss_of(outputs, loss):
    """The loss that `run` takes."""
    torch.manual_seed(11)
    if loss == "mse":
        return nn.functional.mse_loss(outputs, torch.randn(outputs.shape, dtype=outputs.dtype))
    return nn.functional.cross_entropy(outputs, torch.randint(outputs.shape[1], (len(outputs),)))


@pytest.mark.parametrize("damping", [1e-1, 1e-3])
@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
@pytest.mark.parametrize("name", ["linear", "gcn", "cheb-4", "sage", "sage-sum"])
def test_the_update_of_one_layer_is_the_damped_natural_gradient(name, loss, damping):
    edges, x = graph()
    model = seeded(lambda: Chain([LAYERS[name]()]))
    rows = ROWS if loss == "mse" else ROWS[2:3]  # of several rows, G is a mean over their Hessians
    pre, outputs = run(model, x, edges, rows, loss=loss, method="eigh", damping=damping)
    (block,) = pre.blocks
    gradient = flat_gradient(loss_of(outputs, loss), block.parameters)
    wanted, _ = natural_gradient(block.parameters, outputs, loss, gradient, damping)
    found = torch.cat([p.grad.flatten() for p in block.parameters])
    torch.testing.assert_close(found, wanted, rtol=1e-7, atol=1e-9)


@pytest.mark.parametrize("damping", [1e-1, 1e-3])
def test_deep_linear_updates_are_natural_gradients_of_every_layer(damping):
    edges, x = graph()
    model = gcn(relu=False)
    pre, outputs = run(model, x, edges, ROWS, method="eigh", damping=damping)
    value = loss_of(outputs, "mse")
    parameters = [p for block in pre.blocks for p in block.parameters]
    gradient = flat_gradient(value, parameters)
    whole, fisher = natural_gradient(parameters, outputs, "mse", gradient, damping)
    found = torch.cat([p.grad.flatten() for p in parameters])
    start = 0
    for block in pre.blocks:
        stop = start + sum(p.numel() for p in block.parameters)
        part = fisher[start:stop, start:stop] + damping * torch.eye(stop - start).double()
        wanted = torch.linalg.solve(part, gradient[start:stop])
        torch.testing.assert_close(found[start:stop], wanted, rtol=1e-7, atol=1e-9)
        start = stop
    # What lies between the layers is left out; all the same it is nearer than the gradient.
    cosines = [float(nn.functional.cosine_similarity(v, whole, dim=0)) for v in (found, gradient)]
    assert relative_error(found, whole) > 0.1
    assert cosines[0] > max(cosines[1], 0.5)


@pytest.mark.parametrize("method", ["dual", "cholesky", "eigh"])
def test_one_step_of_one_layer_solves_least_squares(method):
    edges, x = graph()
    model = gcn(dims=(4, 3))
    y = torch.randn(N_NODES, 3, dtype=torch.float64)
    optimizer = NGD(
        model, 1.0, loss="mse", fisher="exact", damping=1e-14, kl_clip=None, method=method
    )
    values = []
    for _ in range(2):
        optimizer.zero_grad()
        value = nn.functional.mse_loss(model(x, edges), y)
        value.backward()
        optimizer.step()
        values.append(float(value.detach()))
    matrix = seeded(lambda: GCNConv(4, 4, bias=False))
    with torch.no_grad():
        matrix.lin.weight.copy_(torch.eye(4))
        inputs = torch.cat([matrix(x, edges), torch.ones(N_NODES, 1).double()], dim=1)
        residual = y - inputs @ torch.linalg.lstsq(inputs, y).solution
    assert values[0] > 1.1 * values[1]
    assert values[1] == pytest.approx(float(residual.square().mean()), rel=1e-5)


# -- Large graphs ------------------------------------------------------------------------------


@pytest.fixture
def no_products(monkeypatch):
    monkeypatch.setattr(_sites, "MAX_PRODUCTS", -(10**9))


@pytest.mark.parametrize("make", [GCNConv, SAGEConv, lambda a, b: ChebConv(a, b, K=4)])
@pytest.mark.parametrize("is_sparse", [False, True])
def test_inputs_are_the_same_where_products_are_too_large(make, is_sparse, monkeypatch):
    edges, x = graph()
    rows = SparseMatrix.from_torch(x.to_sparse_csr()) if is_sparse else x
    usual, _ = run(seeded(lambda: Chain([make(4, 3)])), rows, edges, ROWS)
    for most in (-40, -(10**9)):  # beside the entries: some rows at a time, and single ones
        monkeypatch.setattr(_sites, "MAX_PRODUCTS", most)
        found, _ = run(seeded(lambda: Chain([make(4, 3)])), rows, edges, ROWS)
        for a, b in zip(usual.blocks, found.blocks, strict=True):
            torch.testing.assert_close(kronecker(a), kronecker(b), rtol=1e-12, atol=1e-14)


def test_weights_of_rows_are_those_of_expand_after_one_propagation(monkeypatch):
    edges, x = graph()
    usual, _ = run(gcn(dims=(4, 3, 3)), x, edges, ROWS, approx="expand")
    monkeypatch.setattr(_sites, "MAX_PRODUCTS", -(10**9))
    for approx in ("expand", "reduce"):
        with pytest.warns(UserWarning, match="too many entries on this graph") as told:
            found, _ = run(gcn(dims=(4, 3, 3)), x, edges, ROWS, approx=approx, n_passes=2)
        assert len(told) == 1
        for a, b in zip(usual.blocks, found.blocks, strict=True):
            torch.testing.assert_close(kronecker(a), kronecker(b), rtol=1e-12, atol=1e-14)


@pytest.mark.filterwarnings("ignore:KFAC. the propagation")
@pytest.mark.usefixtures("no_products")
@pytest.mark.parametrize(
    "make",
    [GCNConv, SAGEConv, lambda a, b: ChebConv(a, b, K=3), projected],
    ids=["gcn", "sage", "cheb", "projected"],
)
def test_nodes_that_no_label_can_reach_do_not_count_by_weights_either(make):
    edges, x = graph()
    more = torch.cat([edges, torch.tensor([[N_NODES, N_NODES + 1], [N_NODES + 1, N_NODES]])], 1)
    inputs = [(x, edges), (torch.cat([x, 9 * torch.ones(2, 4).double()]), more)]
    found = []
    for args in inputs:
        model = seeded(lambda: Chain([make(4, 3), make(3, 3), make(3, 3)]))
        found.append(updates(run(model, *args, ROWS)[0]))
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12)


def test_nodes_that_no_label_can_reach_do_not_count_where_ways_are_too_many():
    edges, x = graph()
    more = torch.cat([edges, torch.tensor([[N_NODES, N_NODES + 1], [N_NODES + 1, N_NODES]])], 1)
    found = []
    for args in ((x, edges), (torch.cat([x, 9 * torch.ones(2, 4).double()]), more)):
        model = seeded(lambda: Chain([SAGEConv(4, 3), *(SAGEConv(3, 3) for _ in range(6))]))
        found.append(updates(run(model, *args, ROWS)[0]))
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12)


# -- Invariances -------------------------------------------------------------------------------


def test_update_does_not_depend_on_the_order_of_nodes():
    edges, x = graph()
    pre, _ = run(gcn(), x, edges, ROWS)
    order = torch.randperm(N_NODES, generator=torch.Generator().manual_seed(5))
    place = order.argsort()
    moved, _ = run(gcn(), x[order], place[edges], place[ROWS])
    for a, b in zip(updates(pre), updates(moved), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("approx", ["reduce", "expand"])
def test_nodes_that_no_label_can_reach_change_nothing(approx):
    edges, x = graph()
    pre, _ = run(gcn(), x, edges, ROWS, approx=approx)
    more = torch.cat([edges, torch.tensor([[N_NODES, N_NODES + 1], [N_NODES + 1, N_NODES]])], 1)
    larger, _ = run(gcn(), torch.cat([x, 9 * torch.ones(2, 4).double()]), more, ROWS, approx=approx)
    for a, b in zip(updates(pre), updates(larger), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("approx", ["reduce", "expand"])
def test_the_same_graph_twice_changes_nothing(approx):
    edges, x = graph()
    y = torch.randn(5, 3, dtype=torch.float64)
    pre, _ = run(gcn(), x, edges, ROWS, y=y, approx=approx)
    twice, _ = run(
        gcn(),
        torch.cat([x, x]),
        torch.cat([edges, edges + N_NODES], 1),
        torch.cat([ROWS, ROWS + N_NODES]),
        y=torch.cat([y, y]),
        approx=approx,
    )
    for a, b in zip(updates(pre), updates(twice), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-9, atol=1e-12)


def test_undamped_update_is_invariant_to_linear_maps_of_the_features():
    edges, x = graph()
    rows = torch.arange(N_NODES)
    t = torch.randn(4, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    plain, other = gcn(dims=(4, 3, 3)), gcn(dims=(4, 3, 3))
    with torch.no_grad():
        weight = other.layers[0].lin.weight
        weight.copy_(weight @ torch.linalg.inv(t))
    tiny = {"damping": 1e-24, "y": torch.randn(N_NODES, 3).double()}
    run(plain, x, edges, rows, **tiny)
    run(other, x @ t.t(), edges, rows, **tiny)
    found = other.layers[0].lin.weight.grad @ t
    wanted = plain.layers[0].lin.weight.grad
    assert relative_error(found, wanted) < 1e-6
    run(plain, x, edges, rows, **tiny | {"damping": 0.1})
    run(other, x @ t.t(), edges, rows, **tiny | {"damping": 0.1})
    assert (
        relative_error(other.layers[0].lin.weight.grad @ t, plain.layers[0].lin.weight.grad) > 1e-2
    )


def test_gcn_on_a_graph_of_self_loops_is_linear():
    _, x = graph()
    none = torch.empty(2, 0, dtype=torch.int64)
    model = gcn(dims=(4, 3, 3))
    plain = Chain([nn.Linear(4, 3), nn.Linear(3, 3)]).double()
    with torch.no_grad():
        for a, b in zip(plain.layers, model.layers, strict=True):
            a.weight.copy_(b.lin.weight)
            a.bias.copy_(b.bias)
    for approx in ("reduce", "expand"):
        first, _ = run(model, x, none, ROWS, approx=approx)
        second, _ = run(plain, x, none, ROWS, approx=approx)
        for a, b in zip(updates(first), updates(second), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-12, atol=1e-14)


# -- Solvers -----------------------------------------------------------------------------------


@pytest.mark.parametrize("approx", ["reduce", "expand"])
@pytest.mark.parametrize("damping", [1e-1, 1e-4, 1e-8])
def test_dual_equals_dense(approx, damping):
    edges, x = graph()
    options = {"approx": approx, "damping": damping}
    dense, _ = run(gcn(), x, edges, ROWS, **options)
    dual, _ = run(gcn(), x, edges, ROWS, method="dual", **options)
    for a, b in zip(updates(dense), updates(dual), strict=True):
        assert relative_error(b, a) < 1e-7


def test_blocks_that_hold_everything_are_no_blocks_and_blocks_of_one_are_the_diagonal():
    edges, x = graph()
    dense, _ = run(gcn(), x, edges, ROWS)
    whole, _ = run(gcn(), x, edges, ROWS, method="thor", block_size=5)
    for a, b in zip(updates(dense), updates(whole), strict=True):
        assert torch.equal(a, b)
    single, _ = run(gcn(), x, edges, ROWS, method="thor", block_size=1)
    for a, b in zip(dense.blocks, single.blocks, strict=True):
        torch.testing.assert_close(a.a.value[0].diagonal(), b.a.value[:, 0, 0])
    halves, _ = run(gcn(), x, edges, ROWS, method="thor", block_size=2)
    for a, b in zip(dense.blocks, halves.blocks, strict=True):
        padded = nn.functional.pad(a.a.value[0], (0, 1, 0, 1))
        assert torch.equal(b.a.value[1], padded[2:4, 2:4])


def test_eigh_inverts_the_damped_product():
    edges, x = graph()
    model = gcn()
    damping = 0.03
    pre, outputs = run(model, x, edges, ROWS, method="eigh", damping=damping)
    torch.manual_seed(11)
    value = nn.functional.mse_loss(outputs, torch.randn(outputs.shape, dtype=outputs.dtype))
    for block in pre.blocks:
        grads = torch.autograd.grad(value, block.parameters, retain_graph=True)
        flat = torch.cat([g if g.dim() == 2 else g.unsqueeze(1) for g in grads], 1).flatten()
        matrix = kronecker(block) + damping * torch.eye(len(flat), dtype=torch.float64)
        found = torch.cat(
            [p.grad if p.dim() == 2 else p.grad.unsqueeze(1) for p in block.parameters], 1
        )
        torch.testing.assert_close(found.flatten(), torch.linalg.solve(matrix, flat))


@pytest.mark.parametrize("fisher", ["mc", "exact", "empirical"])
@pytest.mark.parametrize("method", ["dual", "cholesky", "eigh", "thor"])
@pytest.mark.parametrize("damping", [1e-8, 1e-3, 10.0])
def test_updates_are_descent_directions(fisher, method, damping):
    edges, x = graph()
    model = gcn()
    pre = KFAC(
        model, rows=ROWS, fisher=fisher, method=method, damping=damping, block_size=2, kl_clip=None
    )
    value = nn.functional.cross_entropy(model(x, edges)[ROWS], torch.zeros(5, dtype=torch.int64))
    value.backward()
    before = [p.grad.clone() for p in model.parameters()]
    pre.step()
    pre.close()
    after = [p.grad for p in model.parameters()]
    for block in pre.blocks:
        ids = {id(p) for p in block.parameters}
        pairs = [
            (a, b)
            for p, a, b in zip(model.parameters(), before, after, strict=True)
            if id(p) in ids
        ]
        assert sum((a * b).sum() for a, b in pairs) > 0


@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
@pytest.mark.parametrize("approx", ["reduce", "expand"])
def test_factors_of_a_perceptron_are_those_of_curvlinops(loss, approx):
    curvlinops = pytest.importorskip("curvlinops")
    torch.manual_seed(0)
    layers = [nn.Linear(4, 5), nn.ReLU(), nn.Linear(5, 3)]
    model = nn.Sequential(*layers).double()
    x = torch.randn(7, 4, dtype=torch.float64)
    if loss == "mse":
        y, loss_function = torch.randn(7, 3, dtype=torch.float64), nn.MSELoss()
    else:
        y, loss_function = torch.randint(3, (7,)), nn.CrossEntropyLoss()
    with KFAC(model, approx=approx, fisher="exact", loss=loss, kl_clip=None) as pre:
        loss_function(model(x), y).backward()
        pre.step()
    parameters = list(model.parameters())
    theirs = curvlinops.KFACLinearOperator(
        model,
        loss_function,
        parameters,
        [(x, y)],
        fisher_type="type-2",
        kfac_approx=approx,
        separate_weight_and_bias=False,
        check_deterministic=False,
    )
    directions = [torch.randn_like(p) for p in parameters]
    wanted = theirs @ directions
    for block, k in zip(pre.blocks, (2, 0), strict=True):
        joint = torch.cat([directions[k], directions[k + 1].unsqueeze(1)], dim=1)
        found = block.curvature(joint)
        torch.testing.assert_close(found[:, :-1], wanted[k])
        torch.testing.assert_close(found[:, -1], wanted[k + 1])
