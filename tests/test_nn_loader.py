"""Mini-batches and layer-wise inference: contents, reproducibility, threads, errors."""

import itertools
import subprocess
import sys
import time
import warnings
from _thread import _count as count_threads

import numpy as np
import pytest
import scipy.sparse as sp
import torch
from torch import nn

from graphembed import _threads
from graphembed.graph import Graph
from graphembed.nn._ops import linear, spmm
from graphembed.nn.adjacency import Adjacency
from graphembed.nn.inference import layerwise_inference
from graphembed.nn.loader import NeighborLoader
from graphembed.nn.sparse import SparseMatrix

N = 200


def random_graph(*, directed=True, weighted=False, seed=0):
    matrix = sp.random_array((N, N), density=0.03, rng=np.random.default_rng(seed), format="csr")
    matrix.data[:] = matrix.data + 0.1 if weighted else 1.0
    matrix = matrix if directed else matrix + matrix.T
    return Graph.from_any(matrix, directed=directed)


@pytest.fixture
def graph():
    return random_graph()


def features(channels=5, dtype=torch.float32):
    return torch.randn(N, channels, generator=torch.Generator().manual_seed(0)).to(dtype)


class Layers(nn.Module):
    """Means and graph convolutions; `layer` as the models of this package have it."""

    def __init__(self, *sizes, gcn=False):
        super().__init__()
        torch.manual_seed(0)
        pairs = list(itertools.pairwise(sizes))
        self.near = nn.ModuleList(nn.Linear(a, b) for a, b in pairs)
        self.own = nn.ModuleList(nn.Linear(a, b) for a, b in pairs)
        self.norm = nn.BatchNorm1d(sizes[1])
        self.gcn, self.num_layers = gcn, len(pairs)

    def layer(self, k, x, edges):
        near, own = self.near[k], self.own[k]
        if self.gcn:
            out = spmm(edges.gcn_matrix(dtype=x.dtype), linear(x, near.weight)) + near.bias
        else:
            out = spmm(edges.mean_matrix(dtype=x.dtype), linear(x, near.weight))
            out = out + linear(x, own.weight, own.bias)[: edges.n_target]
        return self.norm(out).relu() if k == 0 else out

    def forward(self, x, edges):
        blocks = edges if isinstance(edges, list) else [edges] * self.num_layers
        for k, block in enumerate(blocks):
            x = self.layer(k, x, block)
        return x


# ----- Batches ------------------------------------------------------------------------------------


@pytest.mark.parametrize("sparse", [True, False])
def test_contents(graph, sparse):
    x, y = features(), torch.arange(N) % 7
    given = SparseMatrix.from_scipy(sp.csr_array(x.numpy())) if sparse else x
    loader = NeighborLoader(graph, given, [4, 3], 64, y=y, random_state=0)
    assert len(loader) == 4
    seeds = []
    for batch in loader:
        index = batch.node_index.long()
        found = batch.x.to_dense() if sparse else batch.x
        torch.testing.assert_close(found, x[index], rtol=0, atol=0)
        assert torch.equal(batch.y, y[batch.seeds])
        assert torch.equal(index[: batch.n_seeds], batch.seeds)
        outer, inner = batch.edges
        assert isinstance(outer, Adjacency)
        assert (outer.n_source, outer.n_target) == (len(index), inner.n_source)
        assert inner.n_target == batch.n_seeds
        for edges, block in zip(batch.edges, batch.sample.blocks, strict=True):
            assert torch.equal(edges.matrix.indices, torch.from_numpy(block.indices))
        assert Layers(5, 8, 7)(found, batch.edges).shape == (batch.n_seeds, 7)
        seeds += batch.seeds.tolist()
    assert seeds == list(range(N))


@pytest.mark.parametrize(
    "kind", [{"directed": d, "weighted": w} for d in (True, False) for w in (True, False)]
)
@pytest.mark.parametrize("subgraph", [True, False])
def test_all_neighbours_give_the_outputs_of_the_whole_graph(kind, subgraph):
    graph = random_graph(**kind)
    x, model = features(dtype=torch.float64), Layers(5, 8, 3).double().eval()
    full = model(x, Adjacency.from_graph(graph))
    loader = NeighborLoader(graph, x, [-1, -1], 30, shuffle=True, subgraph=subgraph)
    for batch in loader:
        out = model(batch.x, batch.edges)[: batch.n_seeds]
        torch.testing.assert_close(out, full[batch.seeds], rtol=0, atol=1e-6)


def contents(batch):
    yield from (batch.x, batch.seeds, batch.node_index)
    for edges in batch.edges:
        yield from (edges.matrix.indptr, edges.matrix.indices)
        yield edges.matrix.values


@pytest.mark.parametrize("weighted", [True, False])
def test_same_batches_for_any_threads_each_epoch_another(weighted, monkeypatch):
    graph = random_graph(weighted=weighted)

    def epochs(count=2, **options):
        loader = NeighborLoader(
            graph, features(), [4, 3], 32, shuffle=True, random_state=5, **options
        )
        return [list(loader) for _ in range(count)]

    reference = epochs(prefetch=0)
    monkeypatch.setattr(_threads, "_WORK_PER_THREAD", 1)
    for options in ({"prefetch": 1}, {"prefetch": 9, "n_jobs": 3}):
        for one, other in zip(reference, epochs(**options), strict=True):
            for a, b in zip(one, other, strict=True):
                for first, second in zip(contents(a), contents(b), strict=True):
                    assert (first is None and second is None) or torch.equal(first, second)
    first, second = reference
    orders = [torch.cat([batch.seeds for batch in epoch]) for epoch in reference]
    assert all(order.sort().values.tolist() == list(range(N)) for order in orders)
    assert not torch.equal(*orders)
    assert first[0].node_index.tolist() != second[0].node_index.tolist()


def test_draws_differ_between_epochs_without_shuffling(graph):
    loader = NeighborLoader(graph, None, [2], N, random_state=0)
    (first,), (second,) = loader, loader
    assert loader.epoch == 2
    assert first.x is None
    assert torch.equal(first.seeds, second.seeds)
    assert not torch.equal(first.edges[0].matrix.indices, second.edges[0].matrix.indices)
    loader.epoch = 1
    (again,) = loader
    assert torch.equal(again.edges[0].matrix.indices, second.edges[0].matrix.indices)


def test_seeds(graph):
    mask = torch.zeros(N, dtype=torch.bool)
    mask[[5, 50, 150]] = True

    def seeds_of(seeds, **options):
        loader = NeighborLoader(graph, None, [2], 2, seeds=seeds, **options)
        return [batch.seeds.tolist() for batch in loader]

    assert seeds_of(mask) == seeds_of(mask.numpy()) == [[5, 50], [150]]
    assert seeds_of([150, 5, 50]) == seeds_of(torch.tensor([150, 5, 50])) == [[150, 5], [50]]
    assert seeds_of(mask, drop_last=True) == [[5, 50]]
    assert seeds_of([]) == []


def test_subgraph_serves_layers_that_need_degrees(graph):
    model = Layers(5, 8, 3, gcn=True)
    for batch in NeighborLoader(graph, features(), [4, 3], 64, subgraph=True):
        assert batch.edges.n_source == batch.edges.n_target == len(batch.node_index)
        assert model(batch.x, batch.edges)[: batch.n_seeds].shape == (batch.n_seeds, 3)


def test_a_sampled_block_is_no_graph_even_if_it_is_square():
    graph = Graph.from_edges([(0, 1), (2, 1), (3, 1)])
    loader = NeighborLoader(graph, None, [1], 2, seeds=[0, 1], random_state=0)
    blocks = [batch.edges[0] for _ in range(9) for batch in loader]
    assert any(block.n_source == block.n_target for block in blocks)
    for block in [*blocks, *(block.to("meta") for block in blocks)]:
        assert block.is_bipartite
        with pytest.raises(ValueError, match="does not know the degrees of its sources"):
            block.gcn_matrix()


@pytest.mark.parametrize("weighted", [True, False])
def test_pyg_data(weighted):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # PyG scripts a function at its import
        data_module = pytest.importorskip("torch_geometric.data")
        sage = pytest.importorskip("torch_geometric.nn").SAGEConv(5, 2)
    graph = random_graph(weighted=weighted)
    x, y = features(), torch.arange(N)
    seeds = torch.arange(0, N, 3)
    options = {"seeds": seeds, "shuffle": True, "random_state": 0}
    loader = NeighborLoader(graph, x, [4, 3], 16, y=y, as_pyg=True, **options)
    tails = torch.arange(N).repeat_interleave(torch.tensor(graph.degrees))
    heads = torch.tensor(graph.indices).long()
    for data in loader:
        assert isinstance(data, data_module.Data)
        data.validate()
        assert torch.equal(data.x, x[data.n_id])
        assert torch.equal(data.y, data.n_id)
        assert torch.equal(data.n_id[: data.batch_size], seeds[data.input_id])
        assert torch.equal(data.n_id[data.edge_index[0]], tails[data.e_id])
        assert torch.equal(data.n_id[data.edge_index[1]], heads[data.e_id])
        assert ("edge_weight" in data) == weighted
        assert sage(data.x, data.edge_index).shape == (data.num_nodes, 2)
    assert "x" not in next(iter(NeighborLoader(graph, None, [2], 16, as_pyg=True)))


def test_pyg_is_missing(graph, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch_geometric", None)
    monkeypatch.delitem(sys.modules, "torch_geometric.data", raising=False)
    with pytest.raises(ImportError, match="pip install torch-geometric"):
        NeighborLoader(graph, None, [2], 16, as_pyg=True)


def test_to_moves_all_of_a_batch(graph):
    batch = next(iter(NeighborLoader(graph, features(), [4, 3], 64, y=torch.arange(N))))
    moved = batch.to("meta")
    assert {t.device.type for t in (moved.x, moved.y, moved.seeds, moved.node_index)} == {"meta"}
    assert [edges.device.type for edges in moved.edges] == ["meta", "meta"]
    assert moved.sample is batch.sample


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("subgraph", [True, False])
def test_cuda(graph, subgraph):
    model = Layers(5, 8, 3).eval()
    options = {"pin_memory": True, "random_state": 0, "subgraph": subgraph}
    outs = [model(b.x, b.edges) for b in NeighborLoader(graph, features(), [4, 3], 64, **options)]
    model.cuda()
    loader = NeighborLoader(graph, features(), [4, 3], 64, **options)
    for batch, out in zip(loader, outs, strict=True):
        assert batch.x.is_pinned()
        there = batch.to("cuda", non_blocking=True)
        torch.testing.assert_close(model(there.x, there.edges).cpu(), out, rtol=1e-4, atol=1e-4)
    full = layerwise_inference(model, features(), Adjacency.from_graph(graph), device="cuda")
    expected = model.cpu()(features(), Adjacency.from_graph(graph))
    torch.testing.assert_close(full, expected, rtol=1e-4, atol=1e-4)


# ----- The thread ---------------------------------------------------------------------------------


def test_no_thread_is_left(graph):
    before = count_threads()
    loader = NeighborLoader(graph, features(), [4, 3], 10)
    for batch in loader:
        assert batch.n_seeds == 10
        break
    batches = iter(loader)
    next(batches)
    del batches
    list(loader)
    end = time.monotonic() + 30
    while count_threads() > before and time.monotonic() < end:
        time.sleep(0.01)
    assert count_threads() == before


@pytest.mark.parametrize("prefetch", [0, 2])
def test_errors_reach_the_caller_in_their_turn(graph, prefetch, monkeypatch):
    loader = NeighborLoader(graph, features(), [4, 3], 10, prefetch=prefetch)
    sample = loader.sampler.sample

    def failing(seeds, batch):
        if batch == 3:
            raise RuntimeError("the fourth")
        return sample(seeds, batch)

    monkeypatch.setattr(loader.sampler, "sample", failing)
    batches = iter(loader)
    assert [next(batches).n_seeds for _ in range(3)] == [10, 10, 10]
    with pytest.raises(RuntimeError, match="the fourth"):
        next(batches)


def test_at_most_so_many_are_made_ahead(graph, monkeypatch):
    loader = NeighborLoader(graph, None, [2], 10, prefetch=2)
    sample, made = loader.sampler.sample, []

    def counting(seeds, batch):
        made.append(batch)
        return sample(seeds, batch)

    monkeypatch.setattr(loader.sampler, "sample", counting)
    batches = iter(loader)
    next(batches)
    end = time.monotonic() + 10
    while len(made) < 3 and time.monotonic() < end:
        time.sleep(0.01)
    time.sleep(0.1)
    assert len(made) == 3
    assert len(list(batches)) == len(loader) - 1


INTERRUPTED = """
import _thread, random, signal, time
import numpy as np, torch
from graphembed.graph import Graph
from graphembed.nn.loader import NeighborLoader

rng = random.Random(0)
pairs = np.random.default_rng(0).integers(0, 500, (2, 5000))
graph = Graph.from_edge_index(pairs, directed=True, nodes=range(500))
loader = NeighborLoader(graph, torch.ones(500, 3), [5, 5], 20, n_jobs=2)
run = lambda: [batch.n_seeds for batch in loader]

def interrupt(*_):
    raise KeyboardInterrupt

def seconds(function):
    started = time.perf_counter()
    function()
    return time.perf_counter() - started

signal.signal(signal.SIGALRM, interrupt)
usual = min(seconds(run) for _ in range(5))  # one may be held up
before, interrupted, worst = _thread._count(), 0, 0.0
for _ in range(300):
    try:
        signal.setitimer(signal.ITIMER_REAL, rng.uniform(1e-6, 1.2 * usual))
        run()
        signal.setitimer(signal.ITIMER_REAL, 0)
    except KeyboardInterrupt:
        interrupted += 1
end = time.monotonic() + 30
while _thread._count() > before and time.monotonic() < end:
    time.sleep(0.01)
assert interrupted > 100, interrupted
assert _thread._count() <= before, (_thread._count(), before)
assert len(run()) == len(loader)
"""


@pytest.mark.slow
def test_interrupts_leave_no_thread():
    command = [sys.executable, "-c", INTERRUPTED]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 0, result.stderr


# ----- Inference ----------------------------------------------------------------------------------


@pytest.mark.parametrize("gcn", [True, False])
@pytest.mark.parametrize("batch_size", [1, 33, N, 10 * N])
def test_inference_equals_the_whole_graph(gcn, batch_size):
    graph = random_graph(weighted=True)
    x, model = features(dtype=torch.float64), Layers(5, 8, 8, 3, gcn=gcn).double()
    edges = Adjacency.from_graph(graph)
    model(x, edges)  # moves the statistics of the normalisation
    model.own.eval()
    found = layerwise_inference(model, x, edges, batch_size=batch_size)
    assert model.training
    assert model.norm.training
    assert not model.own.training
    assert not found.requires_grad
    torch.testing.assert_close(found, model.eval()(x, edges), rtol=0, atol=1e-6)


def test_inference_on_another_graph_with_sparse_features():
    other = random_graph(directed=False, seed=1)
    x, model = features() * (features() > 0.5), Layers(5, 8, 3).eval()
    sparse = SparseMatrix.from_scipy(sp.csr_array(x.numpy()))
    for given in (sparse, sparse.to_torch()):
        found = layerwise_inference(model, given, other, batch_size=64)
        torch.testing.assert_close(found, model(x, Adjacency.from_graph(other)))


def test_inference_computes_every_node_once_per_layer(graph):
    model, rows = Layers(5, 8, 3), []
    layer = model.layer

    def counting(k, x, edges):
        rows.append(edges.n_target)
        return layer(k, x, edges)

    model.layer = counting
    layerwise_inference(model, features(), graph, batch_size=64)
    assert sum(rows) == 2 * N


def test_inference_of_no_nodes():
    edges = Adjacency.from_edge_index(torch.zeros(2, 0, dtype=torch.int64), 0)
    assert layerwise_inference(Layers(5, 8, 3), torch.zeros(0, 5), edges).shape == (0, 3)


# ----- Errors -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "error", "message"),
    [
        ({"x": features()[:5]}, ValueError, r"x must have the shape \(200, in_channels\)"),
        ({"x": np.zeros((N, 2))}, TypeError, "x must be a Tensor"),
        ({"y": torch.zeros(3)}, ValueError, r"y must have 200 rows.*\(3,\)"),
        ({"y": [1]}, TypeError, "y must be a Tensor"),
        ({"batch_size": 0}, ValueError, "batch_size must be"),
        ({"fanouts": [0]}, ValueError, "fanouts must be"),
        ({"prefetch": -1}, ValueError, "prefetch must be"),
        ({"shuffle": 1}, ValueError, "shuffle must be"),
        ({"seeds": [1, N]}, IndexError, "got 200 at position 1"),
        ({"seeds": [-1]}, IndexError, "got -1 at position 0"),
        ({"seeds": [3, 2, 3]}, ValueError, "got 3 at positions 0 and 2"),
        ({"seeds": [True, False]}, ValueError, r"mask must have the shape \(200,\)"),
        ({"seeds": [0.5]}, ValueError, "seeds must be node indices"),
        ({"weighted": True}, ValueError, "no weights"),
        *[({"pin_memory": True}, ValueError, "needs a CUDA")] * (not torch.cuda.is_available()),
    ],
)
def test_bad_arguments(graph, changes, error, message):
    with pytest.raises(error, match=message):
        NeighborLoader(graph, **{"x": features(), "fanouts": [2], "batch_size": 4, **changes})


def test_bad_arguments_of_inference(graph):
    with pytest.raises(ValueError, match="batch_size must be"):
        layerwise_inference(Layers(5, 3), features(), graph, batch_size=0)


@pytest.mark.parametrize("where", ["module", "frame", "fork"])
def test_an_unfinished_epoch_does_not_keep_the_process(where):
    """The interpreter ends while an iterator lives, and in a forked child it says what is wrong."""
    code = f"""
import os, sys, threading
import torch
from graphembed import Graph
from graphembed.nn import NeighborLoader

graph = Graph.from_any([(i, (i * 7 + 1) % 500) for i in range(500)])
loader = NeighborLoader(graph, torch.zeros(graph.n_nodes, 2), [2, 2], 16, random_state=0)

def main():
    epoch = iter(loader)
    next(epoch)
    if {where!r} == "frame":
        raise RuntimeError("boom")
    if {where!r} == "fork":
        child = os.fork()
        if child == 0:
            try:
                for _ in epoch:
                    pass
            except RuntimeError as error:
                os._exit(7 if "forked" in str(error) else 8)
            os._exit(9)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    return epoch

kept = main()
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == (where == "frame"), done.stderr
    if where == "fork":
        assert done.stdout.split() == ["7"], done.stderr
