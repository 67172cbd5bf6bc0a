"""Models of several layers: what they compute, on graphs and on blocks, and how they are saved."""

import math
from functools import partial

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from graphembed import Graph  # noqa: E402
from graphembed.nn import Adjacency, GCNConv, SparseMatrix, layerwise_inference  # noqa: E402
from graphembed.nn.models import GAT, GCN, ChebNet, GraphSAGE  # noqa: E402
from graphembed.nn.training import (  # noqa: E402
    EarlyStopping,
    Part,
    accuracy,
    evaluate,
    make_optimizer,
    train,
    train_step,
)

# torch's own layout of sparse features
pytestmark = pytest.mark.filterwarnings("ignore:Sparse CSR tensor support is in beta:UserWarning")

N_NODES, N_FEATURES, N_CLASSES = 40, 11, 3
MODELS = {
    "gcn": lambda **options: GCN(N_FEATURES, 8, N_CLASSES, **options),
    "cheb": lambda **options: ChebNet(N_FEATURES, 8, N_CLASSES, K=3, **options),
    "cheb2": lambda **options: ChebNet(N_FEATURES, 8, N_CLASSES, K=2, **options),
    "gat": lambda **options: GAT(N_FEATURES, 8, N_CLASSES, heads=4, **options),
    "gatv2": lambda **options: GAT(N_FEATURES, 8, N_CLASSES, heads=2, v2=True, **options),
    "sage": lambda **options: GraphSAGE(N_FEATURES, 8, N_CLASSES, **options),
    "sage-max": lambda **options: GraphSAGE(
        N_FEATURES, 8, N_CLASSES, aggr="pool", normalize=True, **options
    ),
}


@pytest.fixture(scope="module")
def adjacency():
    rng = np.random.default_rng(0)
    edges = rng.integers(0, N_NODES - 2, (3 * N_NODES, 2))  # the last two are isolated
    edges = np.unique(np.sort(edges, axis=1), axis=0)  # repeated ones would be weights
    return Graph.from_edges(edges, nodes=range(N_NODES)).to_adjacency()


@pytest.fixture(scope="module")
def x():
    generator = torch.Generator().manual_seed(1)
    x = torch.rand(N_NODES, N_FEATURES, generator=generator)
    return x * (torch.rand(N_NODES, N_FEATURES, generator=generator) < 0.3)


def sparse(x):
    return SparseMatrix.from_torch(x.to_sparse_csr())


@pytest.fixture(params=MODELS)
def make(request):
    def make_seeded(**options):
        torch.manual_seed(7)
        return MODELS[request.param](**options)

    return make_seeded


@pytest.mark.parametrize("num_layers", [1, 2, 4])
@pytest.mark.parametrize("options", [{}, {"residual": True, "norm": "layer"}])
def test_blocks_of_restrict_give_the_rows_of_the_whole_graph(
    make, adjacency, x, num_layers, options
):
    model = make(num_layers=num_layers, **options).eval()
    rows = torch.tensor([38, 3, 17, 0])
    full = model(x, adjacency)
    assert full.shape == (N_NODES, N_CLASSES)
    part, blocks = model.restrict(x, adjacency, rows)
    assert len(blocks) == num_layers
    torch.testing.assert_close(model(part, blocks), full[rows])
    mask = torch.zeros(N_NODES, dtype=torch.bool)
    mask[rows] = True
    torch.testing.assert_close(model(*model.restrict(x, adjacency, mask)), full[mask])


def test_restricted_gradients_are_those_of_the_whole_graph(make, adjacency, x):
    model = make(dropout=0.0)
    rows = torch.tensor([5, 20, 39])
    torch.manual_seed(0)
    model(x, adjacency)[rows].square().sum().backward()
    expected = [p.grad.clone() for p in model.parameters()]
    model.zero_grad()
    model(*model.restrict(x, adjacency, rows)).square().sum().backward()
    for parameter, gradient in zip(model.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient)


def test_restrict_reads_fewer_rows():
    path = Graph.from_edges([(i, i + 1) for i in range(99)]).to_adjacency()
    model = GCN(4, 3, 2)
    x, blocks = model.restrict(torch.rand(100, 4), path, torch.tensor([50]))
    assert x.shape == (5, 4)
    assert [(b.n_source, b.n_target) for b in blocks] == [(5, 3), (3, 1)]


def test_sparse_features_give_what_dense_ones_give(make, adjacency, x):
    if make().convs[0].__class__.__name__ == "SAGEConv" and make().convs[0].aggr == "pool":
        pytest.skip("pooling reads dense features after its projection")
    model = make().eval()
    expected = model(x, adjacency)
    torch.testing.assert_close(model(sparse(x), adjacency), expected)
    torch.testing.assert_close(model(x.to_sparse_csr(), adjacency), expected)
    rows = torch.tensor([1, 2])
    part = model.restrict(sparse(x), adjacency, rows)
    assert isinstance(part[0], SparseMatrix)
    torch.testing.assert_close(model(*part), expected[rows])


def test_residual_of_sparse_features_as_wide_as_the_layer(adjacency, x):
    torch.manual_seed(0)
    model = GCN(N_FEATURES, N_FEATURES, N_CLASSES, residual=True).eval()
    torch.testing.assert_close(model(sparse(x), adjacency), model(x, adjacency))


@pytest.mark.parametrize(
    "edges", [lambda a: a, lambda a: torch.stack([a.matrix.indices.long(), a.matrix.rows])]
)
def test_any_kind_of_edges(make, adjacency, x, edges):
    model = make().eval()
    torch.testing.assert_close(model(x, edges(adjacency)), model(x, adjacency))


def test_gcn_is_its_formula(x):
    """Two layers written out, in the order dropout, layer, residual, norm, activation."""
    graph = Graph.from_edges([(0, 1), (1, 2), (2, 3)])
    x = x[:4]
    torch.manual_seed(3)
    model = GCN(N_FEATURES, 5, 2, residual=True, norm="layer", act="elu").eval()
    a = torch.eye(4) + torch.diag(torch.ones(3), 1) + torch.diag(torch.ones(3), -1)
    d = a.sum(1).rsqrt()
    a = d[:, None] * a * d
    first, second = model.convs
    h = a @ x @ first.lin.weight.T + first.bias + x @ model.skips[0].weight.T
    h = torch.nn.functional.elu(model.norms[0](h))
    out = a @ h @ second.lin.weight.T + second.bias + h @ model.skips[1].weight.T
    torch.testing.assert_close(model(x, graph), out)
    torch.testing.assert_close(model.hidden(x, graph), h)


def test_edge_weights_reach_the_layers(adjacency, x):
    model = MODELS["gcn"]().eval()
    weight = torch.linspace(0.1, 2, adjacency.matrix.n_entries)
    a = torch.stack([adjacency.matrix.indices.long(), adjacency.matrix.rows])
    weighted = Adjacency.from_edge_index(a, N_NODES, edge_weight=weight)
    assert not torch.allclose(model(x, a, weight), model(x, a))
    torch.testing.assert_close(model(x, a, weight), model(x, weighted))


def test_hidden_of_blocks(make, adjacency, x):
    model = make().eval()
    assert model.hidden(x, adjacency).shape == (N_NODES, 8)
    with pytest.raises(ValueError, match="no hidden one: num_layers must be >= 2"):
        make(num_layers=1).hidden(x, adjacency)


def test_dropout_is_in_training_only_and_obeys_the_seed(make, adjacency, x):
    model = make(dropout=0.5)
    torch.manual_seed(1)
    first, other = model(x, adjacency), model(x, adjacency)
    assert not torch.equal(first, other)
    torch.manual_seed(1)
    torch.testing.assert_close(model(x, adjacency), first, rtol=0, atol=0)
    model.eval()
    torch.testing.assert_close(model(x, adjacency), model(x, adjacency), rtol=0, atol=0)


def test_state_dict_and_reset(make, adjacency, x):
    model, other = make(norm="batch", residual=True), make(norm="batch", residual=True)
    other.reset_parameters()
    assert not torch.equal(other(x, adjacency), model(x, adjacency))
    other.load_state_dict(model.state_dict())
    model.eval(), other.eval()
    torch.testing.assert_close(other(x, adjacency), model(x, adjacency), rtol=0, atol=0)
    names = set(model.state_dict())
    assert {"norms.0.weight", "norms.0.running_mean", "skips.0.weight"} <= names
    assert any(name.startswith("convs.1.") for name in names)


@pytest.mark.parametrize("name", ["GCN", "GAT", "GraphSAGE"])
def test_parameters_of_pyg_models_fit(name, adjacency, x):
    models = pytest.importorskip("torch_geometric.nn.models")
    options = {"heads": 4} if name == "GAT" else {}
    torch.manual_seed(0)
    theirs = getattr(models, name)(
        N_FEATURES, 8, num_layers=2, out_channels=N_CLASSES, **options
    ).eval()
    ours = {"GCN": GCN, "GAT": GAT, "GraphSAGE": GraphSAGE}[name](
        N_FEATURES, 8, N_CLASSES, act="relu", **options, **({"out_heads": 4} if options else {})
    ).eval()
    ours.load_state_dict(theirs.state_dict())
    edges = torch.stack([adjacency.matrix.indices.long(), adjacency.matrix.rows])
    torch.testing.assert_close(ours(x, edges), theirs(x, edges), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: GCN(4, 3, 2, num_layers=0), "num_layers must be an int >= 1, got 0"),
        (
            lambda: GCN(4, 3, 2, norm="graph"),
            "norm must be one of batch, layer or None, got 'graph'",
        ),
        (lambda: GCN(4, 3, 2, act="swish"), "act must be one of relu, .*got 'swish'"),
        (lambda: GCN(4, 3, 2, dropout=2.0), r"p must be in \[0, 1\], got 2.0"),
        (lambda: GAT(4, 9, 2, heads=0), "GAT: heads must be an int >= 1"),
        (lambda: GAT(4, 9, 2, heads=2), "heads must divide hidden_channels, got heads=2 and .*=9"),
    ],
)
def test_bad_options(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_blocks_that_do_not_fit(adjacency, x):
    model = GCN(N_FEATURES, 8, N_CLASSES)
    part, blocks = model.restrict(x, adjacency, torch.tensor([1]))
    with pytest.raises(ValueError, match="one block for each of 2 layers, got 3"):
        model(part, [*blocks, blocks[-1]])
    with pytest.raises(ValueError, match="edge_weight must be None with a list of blocks"):
        model(part, blocks, torch.ones(3))


def test_activation_may_be_a_function(adjacency, x):
    torch.manual_seed(0)
    model = GCN(N_FEATURES, 8, N_CLASSES, act=torch.sin).eval()
    hidden = GCNConv.forward(model.convs[0], x, adjacency).sin()
    torch.testing.assert_close(model.hidden(x, adjacency), hidden)


# -- The loop --------------------------------------------------------------------------------


@pytest.fixture
def parts(adjacency, x):
    torch.manual_seed(0)
    model = GCN(N_FEATURES, 8, N_CLASSES)
    y = torch.arange(N_NODES) % N_CLASSES
    rows = torch.arange(0, N_NODES, 2), torch.arange(1, N_NODES, 2)
    return model, *(Part.of(model, x, adjacency, y, part) for part in rows)


def test_a_step_goes_down_the_gradient(parts):
    model, part, _ = parts
    model.eval()  # without dropout the loss is a function of the parameters
    optimizer = make_optimizer(model, "sgd", lr=0.1, weight_decay=0.0)
    before = torch.nn.functional.cross_entropy(model(part.x, part.edges), part.y).detach()
    assert train_step(model, optimizer, part) == pytest.approx(float(before))
    assert evaluate(model, part)[0] < float(before)


def test_rows_of_a_part_are_those_that_count(adjacency, x, parts):
    model, part, _ = parts
    model.eval()
    rows = torch.arange(0, N_NODES, 2)
    whole = Part(x, adjacency, part.y, rows)
    torch.testing.assert_close(whole.logits(model), part.logits(model))
    assert evaluate(model, whole) == pytest.approx(evaluate(model, part))


def test_accuracy():
    logits = torch.tensor([[1.0, 2.0], [3.0, 0.0], [0.0, 1.0]])
    assert accuracy(logits, torch.tensor([1, 1, 1])) == pytest.approx(2 / 3)


@pytest.mark.parametrize("name", ["adam", "adamw", "sgd"])
@pytest.mark.parametrize("decay", ["all", "first"])
def test_weight_decay_acts_on_the_layers_it_should(parts, name, decay):
    model, *_ = parts
    optimizer = make_optimizer(model, name, lr=0.01, weight_decay=0.5, decay=decay)
    decayed = {
        id(parameter)
        for group in optimizer.param_groups
        for parameter in group["params"]
        if group["weight_decay"] == 0.5
    }
    wanted = model.parameters() if decay == "all" else model.convs[0].parameters()
    assert decayed == {id(parameter) for parameter in wanted}
    listed = [id(p) for group in optimizer.param_groups for p in group["params"]]
    assert sorted(listed) == sorted(id(p) for p in model.parameters())


def test_optimizer_of_another_name(parts):
    with pytest.raises(ValueError, match="name must be one of 'adam', 'adamw', 'sgd', got 'lion'"):
        make_optimizer(parts[0], "lion")
    with pytest.raises(ValueError, match="decay must be one of 'all', 'first', got 'last'"):
        make_optimizer(parts[0], decay="last")


def test_history_and_callbacks(parts):
    model, part, val = parts
    model.dropout.p = 0.0
    seen = []

    def watch(given, record):
        assert given is model
        seen.append(record)
        return record["epoch"] == 4

    history = train(
        model,
        make_optimizer(model, lr=0.05),
        [part, val],
        epochs=10,
        validate=lambda model: evaluate(model, val),
        callbacks=[watch],
    )
    assert history["epoch"] == [1, 2, 3, 4]
    assert list(history) == ["epoch", "seconds", "train_loss", "val_loss", "val_accuracy"]
    assert [record["val_loss"] for record in seen] == history["val_loss"]
    assert all(seconds > 0 for seconds in history["seconds"])
    assert history["train_loss"][3] < history["train_loss"][0]


def test_a_diverging_loss_is_an_error(parts):
    model, part, _ = parts
    with torch.no_grad():
        model.convs[0].lin.weight.fill_(math.inf)
    with pytest.raises(ValueError, match="training diverged: the loss of epoch 1 is nan; lower lr"):
        train(model, make_optimizer(model), [part], epochs=1)


@pytest.mark.parametrize("name", ["adam", "sgd"])
def test_a_last_step_that_diverges_is_an_error(parts, name):
    model, part, val = parts
    options = {"lr": 1e60, "weight_decay": 0.0}
    with pytest.raises(ValueError, match=r"diverged: the sum of \|.*\| is (nan|inf); lower lr"):
        train(model, make_optimizer(model, name, **options), [part], epochs=1)
    model.reset_parameters()
    with pytest.raises(ValueError, match="diverged: the validation loss of epoch 1 is nan"):
        train(
            model,
            make_optimizer(model, name, **options),
            [part],
            epochs=1,
            validate=lambda model: evaluate(model, val),
        )


def used_stopping():
    stopping = EarlyStopping("loss", 3)
    record = {"epoch": 1, "val_loss": 1.0, "val_accuracy": 0.5}
    stopping.update(torch.nn.Linear(1, 1), record)
    return stopping


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"batches": lambda part: (p for p in [part])}, TypeError, "for each of 2 epochs.* genera"),
        ({"batches": lambda part: []}, ValueError, "batches must give at least one Part"),
        ({"batches": lambda part: part}, TypeError, r"got one Part: say \[part\]"),
        ({"batches": lambda part: [(part.x, part.y)]}, TypeError, r"got tuple; of a batch .* Part"),
        ({"epochs": 0}, ValueError, "epochs must be an int >= 1"),
        ({"stopping": EarlyStopping("loss", 3)}, ValueError, "stopping needs validate"),
        (
            {"stopping": used_stopping(), "validate": lambda model: (0.0, 1.0)},
            ValueError,
            "make a new EarlyStopping",
        ),
    ],
)
def test_bad_arguments_of_train(parts, change, error, message):
    model, part, _ = parts
    options = {"epochs": 2} | change
    batches = options.pop("batches", lambda part: [part])(part)
    before = [parameter.detach().clone() for parameter in model.parameters()]
    with pytest.raises(error, match=message):
        train(model, make_optimizer(model), batches, **options)
    assert all(map(torch.equal, before, model.parameters()))


@pytest.mark.parametrize("options", [{"weight_decay": math.nan}, {"lr": -1}, {"lr": math.inf}])
def test_bad_numbers_of_an_optimizer(parts, options):
    with pytest.raises(ValueError, match=f"make_optimizer: {next(iter(options))} must be a finite"):
        make_optimizer(parts[0], **options)


@pytest.mark.parametrize(
    ("rows", "error", "message"),
    [
        (torch.ones(N_NODES + 1, dtype=torch.bool), ValueError, "rows must have one bool per node"),
        (torch.tensor([0, N_NODES]), IndexError, "rows must be in"),
        (torch.tensor([0, -1]), IndexError, "rows must be in"),
        (torch.tensor([3, 1, 3]), ValueError, "rows must be distinct, got 3 more than once"),
        ([0, 1], TypeError, "rows must be a torch tensor, got list"),
    ],
)
def test_bad_rows_of_restrict(make, adjacency, x, rows, error, message):
    with pytest.raises(error, match=message):
        make().restrict(x, adjacency, rows)


@pytest.mark.parametrize(
    "model",
    [
        lambda: GAT(N_FEATURES, 8, N_CLASSES, heads=2),
        lambda: GAT(N_FEATURES, 8, N_CLASSES, heads=2, v2=True),
        *(partial(GraphSAGE, N_FEATURES, 8, N_CLASSES, aggr=a) for a in ("max", "pool", "lstm")),
    ],
)
def test_weights_that_a_model_would_ignore_are_refused(model, x):
    graph = Graph.from_edges([(i, i + 1, 2.0) for i in range(N_NODES - 1)])
    weighted, net = graph.to_adjacency(), model()
    remedy = r"has no use for weights of edges: .*Graph.from_any\(G, weight=None\)"
    ones = torch.ones(weighted.matrix.n_entries)
    plain = weighted.with_weights(None)
    blocks = GCN(N_FEATURES, 8, N_CLASSES).restrict(x, weighted, torch.tensor([0]))
    for call in (
        lambda: net(x, graph),
        lambda: net(x, weighted),
        lambda: net(x, plain, ones),
        lambda: net.restrict(x, graph, torch.tensor([0])),
        lambda: net(*blocks),
        lambda: layerwise_inference(net, x, graph),
    ):
        with pytest.raises(ValueError, match=remedy):
            call()
    assert net(x, Graph.from_any(graph, weight=None)).shape == (N_NODES, N_CLASSES)


def test_features_of_other_kinds(make, adjacency, x):
    for given, message in ((x.numpy(), r"ndarray: torch.as_tensor"), (x.long(), r"x.float\(\) is")):
        with pytest.raises(TypeError, match=message):
            make()(given, adjacency)


def test_layerwise_inference_refuses_layers_that_look_further(adjacency, x):
    with pytest.raises(ValueError, match=r"ChebNet with K > 2 do not: call model\(x, edge_index\)"):
        layerwise_inference(MODELS["cheb"](), x, adjacency)


def follow(monitor, patience, rows):
    """Give an EarlyStopping rows of loss and accuracy; return its best epoch and the last one."""
    model = torch.nn.Linear(1, 1)
    stopping = EarlyStopping(monitor, patience)
    for epoch, (loss, accuracy_) in enumerate(rows, 1):
        with torch.no_grad():
            model.weight.fill_(epoch)
        record = {"epoch": epoch, "val_loss": loss, "val_accuracy": accuracy_}
        if stopping.update(model, record):
            break
    stopping.restore(model)
    assert float(model.weight.detach()) == stopping.best["epoch"]
    return stopping.best["epoch"], epoch


def test_early_stopping():
    rows = [(3, 0.1), (2, 0.5), (2, 0.5), (2.5, 0.6), (1, 0.6), (4, 0.3), (4, 0.3), (4, 0.9)]
    assert follow("loss", 2, rows) == (2, 4)
    assert follow("loss", 3, rows) == (5, 8)
    assert follow("accuracy", 2, rows) == (5, 7)
    assert follow("accuracy", 3, rows) == (8, 8)
    # epoch 4 is better in accuracy alone: it goes on, but is not the best
    assert follow("both", 1, rows) == (5, 6)
    assert follow("both", 1, rows[:4]) == (3, 4)
    assert follow("both", 3, [(1, 0.5), (2, 0.6), (3, 0.4), (3, 0.4), (3, 0.4)]) == (1, 5)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("auc", 1), "monitor must be one of 'loss', .* got 'auc'"),
        (("loss", 0), "patience must be"),
    ],
)
def test_bad_early_stopping(arguments, message):
    with pytest.raises(ValueError, match=message):
        EarlyStopping(*arguments)


@pytest.mark.cuda
def test_cuda_gives_what_the_cpu_gives(make, adjacency, x):
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    model = make().eval()
    expected = model(x, adjacency)
    model.to("cuda")
    found = model(x.to("cuda"), adjacency.to("cuda")).cpu()
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
