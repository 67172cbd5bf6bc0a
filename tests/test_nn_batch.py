"""Batches of small graphs, and readouts."""

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from graphembed.datasets import GraphSample, load_esol  # noqa: E402
from graphembed.nn import GATConv, GCNConv, SAGEConv  # noqa: E402
from graphembed.nn.adjacency import Adjacency  # noqa: E402
from graphembed.nn.batch import (  # noqa: E402
    GraphBatch,
    GraphLoader,
    global_add_pool,
    global_max_pool,
    global_mean_pool,
)

POOLS = {"sum": global_add_pool, "mean": global_mean_pool, "max": global_max_pool}


def sample(n_nodes: int, n_edges: int, seed: int) -> GraphSample:
    """A graph whose edges are in no order, with parallel edges and self-loops."""
    rng = np.random.default_rng(seed)
    edges = rng.integers(0, max(n_nodes, 1), (2, n_edges))
    x, features = rng.normal(size=(n_nodes, 3)), rng.normal(size=(n_edges, 2))
    return GraphSample(x, edges, features, float(rng.normal()), f"graph {seed}")


GRAPHS = [
    sample(n_nodes, n_edges, seed)
    for seed, (n_nodes, n_edges) in enumerate([(5, 9), (1, 0), (4, 12), (7, 3), (1, 2), (6, 20)])
]


def whole(graphs: list[GraphSample] = GRAPHS, **options: object) -> GraphBatch:
    (batch,) = GraphLoader(graphs, batch_size=len(graphs), dtype=torch.float64, **options)
    return batch


def test_a_batch_holds_the_graphs_one_after_another() -> None:
    batch = whole()
    assert repr(batch) == "GraphBatch(n_graphs=6, n_nodes=24, n_edges=46)"
    assert batch.ptr.tolist() == [0, 5, 6, 10, 17, 18, 24]
    assert batch.batch.tolist() == np.repeat(range(6), [5, 1, 4, 7, 1, 6]).tolist()
    assert np.array_equal(batch.x.numpy(), np.concatenate([graph.x for graph in GRAPHS]))
    assert batch.y.tolist() == [graph.y for graph in GRAPHS]
    rows = batch.adjacency.matrix.rows.tolist()
    columns = batch.adjacency.matrix.indices.tolist()
    assert batch.adjacency.edge_order is None
    assert batch.edge_index.tolist() == [columns, rows]
    found = sorted(zip(columns, rows, batch.edge_attr.tolist(), strict=True))
    expected = sorted(
        (source + start, target + start, features)
        for graph, start in zip(GRAPHS, batch.ptr.tolist(), strict=False)
        for source, target, features in zip(
            *graph.edge_index.tolist(), graph.edge_attr.tolist(), strict=True
        )
    )
    assert found == expected


LAYERS: dict[str, Callable[[], torch.nn.Module]] = {
    "gcn": lambda: GCNConv(3, 4),
    "gat": lambda: GATConv(3, 4, heads=2, edge_dim=2),
    "sage": lambda: SAGEConv(3, 4, aggr="max"),
}


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_on_a_batch_is_the_layer_on_every_graph(name: str) -> None:
    torch.manual_seed(0)
    layer = LAYERS[name]().double()
    batch = whole()
    options = {"edge_attr": batch.edge_attr} if name == "gat" else {}
    together = layer(batch.x, batch.adjacency, **options)
    for graph, rows in zip(GRAPHS, together.split(batch.ptr.diff().tolist()), strict=True):
        options = {"edge_attr": torch.from_numpy(graph.edge_attr)} if name == "gat" else {}
        alone = layer(torch.from_numpy(graph.x), torch.from_numpy(graph.edge_index), **options)
        torch.testing.assert_close(rows, alone, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("reduce", POOLS)
def test_readouts_are_those_of_the_rows(reduce: str) -> None:
    batch = whole()
    expected = []
    for rows in batch.x.split(batch.ptr.diff().tolist()):
        expected.append(rows.amax(0) if reduce == "max" else getattr(rows, reduce)(0))
    found = batch.readout(batch.x, reduce)
    torch.testing.assert_close(found, torch.stack(expected))
    torch.testing.assert_close(POOLS[reduce](batch.x, batch.batch), found)
    shuffled = torch.randperm(len(batch.x), generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(POOLS[reduce](batch.x[shuffled], batch.batch[shuffled]), found)


@pytest.mark.parametrize("reduce", POOLS)
def test_gradients_of_readouts(reduce: str) -> None:
    batch = whole()
    x = batch.x.clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda h: batch.readout(h, reduce), (x,))
    assert torch.autograd.gradcheck(lambda h: POOLS[reduce](h, batch.batch), (x,))


def test_a_graph_without_nodes() -> None:
    batch = whole([GRAPHS[0], sample(0, 0, 1), GRAPHS[2]])
    for reduce in POOLS:
        assert batch.readout(batch.x, reduce)[1].tolist() == [0, 0, 0]
        assert POOLS[reduce](batch.x, batch.batch, 5)[[1, 3, 4]].abs().sum() == 0
    empty = torch.zeros(0, 3)
    assert global_mean_pool(empty, torch.zeros(0, dtype=torch.int64)).shape == (0, 3)


def test_readout_checks() -> None:
    batch = whole()
    with pytest.raises(ValueError, match="reduce must be 'sum', 'mean' or 'max', got 'median'"):
        batch.readout(batch.x, "median")
    with pytest.raises(ValueError, match=r"x must have shape \(24, d\), got \(23, 3\)"):
        batch.readout(batch.x[1:])
    with pytest.raises(IndexError, match=r"index must be in \[0, 2\), got"):
        global_add_pool(batch.x, batch.batch, 2)


def epochs(loader: GraphLoader, n: int) -> list[list[list[float]]]:
    return [[batch.y.tolist() for batch in loader] for _ in range(n)]


def test_loader_without_shuffling() -> None:
    loader = GraphLoader(GRAPHS, batch_size=4, dtype=torch.float64)
    targets = [graph.y for graph in GRAPHS]
    assert len(loader) == 2
    assert epochs(loader, 2) == [[targets[:4], targets[4:]]] * 2


def test_loader_shuffles_by_its_seed() -> None:
    first = epochs(GraphLoader(GRAPHS, 4, shuffle=True, random_state=3), 4)
    assert first == epochs(GraphLoader(GRAPHS, 4, shuffle=True, random_state=3), 4)
    assert first != epochs(GraphLoader(GRAPHS, 4, shuffle=True, random_state=4), 4)
    assert len({str(epoch) for epoch in first}) == 4
    for epoch in first:
        assert [len(batch) for batch in epoch] == [4, 2]
        assert np.sort(np.concatenate(epoch)).tolist() == pytest.approx(
            sorted(graph.y for graph in GRAPHS)
        )


def test_shuffled_batches_hold_whole_graphs() -> None:
    by_target = {graph.y: graph for graph in GRAPHS}
    for batch in GraphLoader(GRAPHS, 4, shuffle=True, random_state=1, dtype=torch.float64):
        expected = whole([by_target[y] for y in batch.y.tolist()])
        assert torch.equal(batch.x, expected.x)
        assert torch.equal(batch.edge_attr, expected.edge_attr)
        assert torch.equal(batch.adjacency.matrix.to_dense(), expected.adjacency.matrix.to_dense())


def test_global_generators_are_left_alone() -> None:
    torch.manual_seed(0)
    np.random.seed(0)  # noqa: NPY002
    before = torch.get_rng_state(), np.random.get_state()[1].tolist()  # noqa: NPY002
    epochs(GraphLoader(GRAPHS, 2, shuffle=True), 2)
    assert torch.equal(before[0], torch.get_rng_state())
    assert before[1] == np.random.get_state()[1].tolist()  # noqa: NPY002


def test_pyg_data_and_several_targets() -> None:
    data = pytest.importorskip("torch_geometric.data")
    graphs = [
        data.Data(
            x=torch.from_numpy(graph.x),
            edge_index=torch.from_numpy(graph.edge_index),
            y=torch.tensor([[graph.y, 1.0]], dtype=torch.float64),
        )
        for graph in GRAPHS
    ]
    batch = whole(graphs)
    assert batch.edge_attr is None
    assert batch.y.tolist() == [[graph.y, 1.0] for graph in GRAPHS]
    theirs = data.Batch.from_data_list(graphs)
    assert torch.equal(batch.x, theirs.x)
    assert torch.equal(batch.batch, theirs.batch)
    assert torch.equal(batch.ptr, theirs.ptr)
    ours = Adjacency.from_edge_index(theirs.edge_index, len(batch.x))
    assert torch.equal(batch.adjacency.matrix.to_dense(), ours.matrix.to_dense())


@pytest.mark.parametrize("reduce", POOLS)
def test_pools_are_pyg_s(reduce: str) -> None:
    pyg = pytest.importorskip("torch_geometric.nn")
    theirs = {
        "sum": pyg.global_add_pool,
        "mean": pyg.global_mean_pool,
        "max": pyg.global_max_pool,
    }[reduce]
    batch = whole()
    torch.testing.assert_close(
        POOLS[reduce](batch.x, batch.batch), theirs(batch.x, batch.batch), rtol=1e-12, atol=1e-12
    )
    for rows in (batch.x, batch.x[:, 0]):
        torch.testing.assert_close(POOLS[reduce](rows, None), theirs(rows, None))
    column = batch.x[:, 0]
    torch.testing.assert_close(POOLS[reduce](column, batch.batch), theirs(column, batch.batch))


def changed(**changes: object) -> GraphSample:
    parts = {"x": GRAPHS[0].x, "edge_index": GRAPHS[0].edge_index}
    parts |= {"edge_attr": GRAPHS[0].edge_attr, "y": 0.0, "name": ""}
    return GraphSample(**(parts | changes))


@pytest.mark.parametrize(
    ("graph", "error", "message"),
    [
        (changed(x=np.zeros(5)), ValueError, "x of graph 1 must have 2 dimensions"),
        (changed(x=np.zeros((5, 4))), ValueError, r"shape \(3,\) in graph 0, \(4,\) in"),
        (changed(x=np.zeros((3, 3))), IndexError, r"of graph 1 must be in \[0, 3\), got 0 to 4"),
        (changed(edge_index=-GRAPHS[0].edge_index), IndexError, "got -4 to 0"),
        (changed(edge_index=np.zeros((3, 2))), ValueError, r"shape \(2, n_edges\), got \(3, 2\)"),
        (
            changed(edge_index=np.full((2, 1), 0.5)),
            TypeError,
            "must hold integers, got torch.float64",
        ),
        (changed(edge_attr=np.zeros((2, 2))), ValueError, "must have 9 rows, one for each edge"),
        (changed(edge_attr=None), ValueError, r"shape \(2,\) in graph 0, None in"),
        (changed(y=None), ValueError, "y must be alike in all graphs"),
        (changed(y=[1.0, 2.0]), ValueError, r"shape \(\) in graph 0, \(2,\) in gr"),
    ],
)
def test_graphs_that_do_not_fit(graph: GraphSample, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        GraphLoader([GRAPHS[0], graph])


def test_classes_stay_integers() -> None:
    for y in (1, np.int64(1), torch.tensor([1]), [0, 1], True):
        (batch,) = GraphLoader([changed(y=y), changed(y=y)])
        assert batch.y.dtype == torch.int64
    assert next(iter(GraphLoader([changed(y=0), changed(y=0.5)]))).y.tolist() == [0.0, 0.5]


def test_weights_of_edges_are_refused() -> None:
    data = pytest.importorskip("torch_geometric.data")
    edges = torch.tensor([[0, 1], [1, 0]])
    graph = data.Data(x=torch.ones(2, 1), edge_index=edges, edge_weight=torch.ones(2))
    with pytest.raises(ValueError, match=r"graph 0 has an edge_weight.*edge_attr"):
        GraphLoader([graph])


def test_loader_checks() -> None:
    with pytest.raises(ValueError, match="graphs must hold at least one graph, got none"):
        GraphLoader([])
    with pytest.raises(ValueError, match="batch_size must be an int >= 1"):
        GraphLoader(GRAPHS, 0)
    with pytest.raises(ValueError, match="shuffle must be True or False"):
        GraphLoader(GRAPHS, shuffle=1)
    with pytest.raises(ValueError, match="random_state must be"):
        GraphLoader(GRAPHS, random_state="x")


@pytest.mark.cuda
def test_batches_on_cuda() -> None:
    if not torch.cuda.is_available():
        pytest.skip("no CUDA device")
    torch.manual_seed(0)
    layer = GCNConv(3, 4).double()
    here = whole()
    expected = here.readout(layer(here.x, here.adjacency))
    there = whole(device="cuda")
    assert there.x.device.type == there.adjacency.device.type == "cuda"
    layer.cuda()
    found = there.readout(layer(there.x, there.adjacency))
    torch.testing.assert_close(found.cpu(), expected)


@pytest.mark.data
def test_batches_of_esol(data_dir: Path) -> None:
    pytest.importorskip("rdkit")
    data = load_esol(download=False)
    seen = 0
    for batch in GraphLoader(data, 64, shuffle=True, random_state=0):
        seen += batch.n_graphs
        assert batch.x.shape[1] == 9
        assert batch.edge_attr.shape == (batch.adjacency.matrix.n_entries, 3)
    assert seen == 1128


@pytest.mark.data
def test_the_example_learns(data_dir: Path) -> None:
    pytest.importorskip("rdkit")
    pytest.importorskip("torch_geometric")
    script = Path(__file__).parents[1] / "examples" / "esol_regression.py"
    if not script.is_file():
        pytest.skip("the examples are not in this folder")
    command = [sys.executable, str(script), "--seeds", "1", "--epochs", "5", "--beside-pyg"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=500)
    assert done.returncode == 0, done.stderr
    found = re.findall(r"^(gcn|gat) of (\S+): RMSE ([\d.]+) ", done.stdout, re.MULTILINE)
    assert [(model, layers.partition("_")[0]) for model, layers, _ in found] == [
        ("gcn", "graphembed.nn"),
        ("gcn", "torch"),
        ("gat", "graphembed.nn"),
        ("gat", "torch"),
    ]
    errors = [float(error) for *_, error in found]
    assert max(errors) < 1.8  # the standard deviation of the targets is 2.1
    assert errors[0] == pytest.approx(errors[1], abs=0.1)  # the same weights at the start
    assert errors[2] == pytest.approx(errors[3], abs=0.1)
