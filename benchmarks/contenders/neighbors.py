"""Sampled neighbourhoods: a run samples the batches of some random seeds.

case = {graph folder, directed, weighted, replace, fanouts, batch_size, n_batches, channels}. The
figure is sampled edges per second, blocks with numbered nodes included. Fan-outs begin at the
seeds. Peers differ: DGL and ours sample for every layer anew, PyG once for every node; numpy draws
with replacement. The contender "training" is ours with a GraphSAGE step on every batch.
"""

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp
from graphs import Arrays, load_arrays
from numpy.typing import NDArray
from worker import Unsupported

from contenders import Contender

Run = Callable[[int], dict[str, Any]]
Batch = Callable[[NDArray[np.int64], int], int]

_WARM_UP = 1000  # number of the run that is not measured
_HIDDEN, _CLASSES = 64, 10


def prepare(contender: Contender, case: dict[str, Any], threads: int) -> Run:
    """Build the graph; run once."""
    arrays = load_arrays(Path(case["graph"]), weighted=case["weighted"])
    if case["directed"]:
        arrays = _one_way(arrays)
    run = contender.start(arrays, case, threads)
    run(_WARM_UP)
    return run


def finish(result: dict[str, Any], case: dict[str, Any]) -> dict[str, Any]:
    """Figures of a run."""
    return {"batches": case["n_batches"], **result}


def _one_way(arrays: Arrays) -> Arrays:
    """Every edge in one direction, from its lower end; the ends have random numbers."""
    sources = arrays.sources()
    kept = sources < arrays.indices
    counts = np.bincount(sources[kept], minlength=arrays.n_nodes)
    return Arrays(
        np.concatenate([[0], np.cumsum(counts)]),
        arrays.indices[kept],
        None if arrays.weights is None else arrays.weights[kept],
        directed=True,
    )


def _by_target(arrays: Arrays) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    shape = (arrays.n_nodes, arrays.n_nodes)
    ones = np.ones(len(arrays.indices), np.int8)
    matrix = sp.csr_array((ones, arrays.indices, arrays.indptr), shape).tocsc()
    return matrix.indptr.astype(np.int64), matrix.indices.astype(np.int64)


def _seeds(arrays: Arrays, case: dict[str, Any], number: int) -> NDArray[np.int64]:
    """Seeds of all batches of a run."""
    count = case["n_batches"] * case["batch_size"]
    order = np.random.default_rng(number).choice(arrays.n_nodes, count, replace=False)
    return order.reshape(case["n_batches"], case["batch_size"])


def _over_batches(arrays: Arrays, case: dict[str, Any], sample: Batch) -> Run:
    def run(number: int) -> dict[str, Any]:
        seeds = _seeds(arrays, case, number)
        return {"work": sum(sample(part, k) for k, part in enumerate(seeds))}

    return run


def _graph(arrays: Arrays) -> Any:
    from graphembed import Graph

    return Graph.from_csr(arrays.indptr, arrays.indices, arrays.weights, directed=arrays.directed)


def _graphembed(arrays: Arrays, case: dict[str, Any], threads: int) -> Run:
    from graphembed.samplers import NeighborSampler

    sampler = NeighborSampler(
        _graph(arrays), case["fanouts"], replace=case["replace"], random_state=0, n_jobs=threads
    )

    def sample(seeds: NDArray[np.int64], number: int) -> int:
        return sum(len(block.indices) for block in sampler.sample(seeds, number).blocks)

    return _over_batches(arrays, case, sample)


def _plain(arrays: Arrays, case: dict[str, Any], name: str) -> None:
    if case["weighted"]:
        raise Unsupported(f"{name}: draws in proportion to weights are not compared")


def _dgl(arrays: Arrays, case: dict[str, Any], threads: int) -> Run:
    _plain(arrays, case, "DGL")
    import dgl
    import torch

    torch.set_num_threads(threads)
    indptr, indices = map(torch.from_numpy, _by_target(arrays))
    graph = dgl.graph(("csc", (indptr, indices, [])))
    # Its fan-outs begin at the input layer.
    sampler = dgl.dataloading.NeighborSampler(case["fanouts"][::-1], replace=case["replace"])

    def sample(seeds: NDArray[np.int64], number: int) -> int:
        blocks = sampler.sample(graph, torch.from_numpy(seeds))[2]
        return sum(block.num_edges() for block in blocks)

    return _over_batches(arrays, case, sample)


def _torch_sparse(arrays: Arrays, case: dict[str, Any], threads: int) -> Run:
    _plain(arrays, case, "torch-sparse")
    import torch
    import torch_sparse  # noqa: F401  # registers the operator

    indptr, indices = map(torch.from_numpy, _by_target(arrays))

    def sample(seeds: NDArray[np.int64], number: int) -> int:
        call = torch.ops.torch_sparse.neighbor_sample
        found = call(
            indptr, indices, torch.from_numpy(seeds), case["fanouts"], case["replace"], True
        )
        return len(found[1])

    return _over_batches(arrays, case, sample)


def _pyg(arrays: Arrays, case: dict[str, Any], threads: int) -> Run:
    _plain(arrays, case, "PyG")
    import torch
    from torch_geometric.data import Data
    from torch_geometric.loader import NeighborLoader

    targets = torch.from_numpy(arrays.indices).long()
    data = Data(
        edge_index=torch.stack([torch.from_numpy(arrays.sources()).long(), targets]),
        num_nodes=arrays.n_nodes,
    )

    def run(number: int) -> dict[str, Any]:
        seeds = torch.from_numpy(_seeds(arrays, case, number).ravel())
        loader = NeighborLoader(
            data, case["fanouts"], seeds, replace=case["replace"], batch_size=case["batch_size"]
        )
        return {"work": sum(batch.edge_index.shape[1] for batch in loader)}

    NeighborLoader(data, case["fanouts"], torch.arange(1))  # says what it needs
    return run


def _numpy(arrays: Arrays, case: dict[str, Any], threads: int) -> Run:
    _plain(arrays, case, "numpy")
    indptr, indices = _by_target(arrays)
    rng = np.random.default_rng(0)

    def sample(seeds: NDArray[np.int64], number: int) -> int:
        nodes, count = seeds, 0
        for fanout in case["fanouts"]:
            degree = indptr[nodes + 1] - indptr[nodes]
            some = nodes[degree > 0]
            drawn = (rng.random((len(some), fanout)) * degree[degree > 0][:, None]).astype(np.int64)
            sources = indices[indptr[some][:, None] + drawn]
            nodes = np.unique(np.concatenate([nodes, sources.ravel()]))
            np.searchsorted(nodes, sources)
            count += sources.size
        return count

    return _over_batches(arrays, case, sample)


def _training(arrays: Arrays, case: dict[str, Any], threads: int) -> Run:
    """GraphSAGE with mini-batches: the parts one after the other, then with batches made ahead."""
    import torch

    from graphembed.nn.loader import NeighborLoader
    from graphembed.nn.models import GraphSAGE

    torch.set_num_threads(threads)
    torch.manual_seed(0)
    graph = _graph(arrays)
    x = torch.randn(arrays.n_nodes, case["channels"])
    y = torch.randint(_CLASSES, (arrays.n_nodes,))
    model = GraphSAGE(case["channels"], _HIDDEN, _CLASSES, num_layers=len(case["fanouts"]))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)

    def step(batch: Any) -> None:
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(batch.x, batch.edges), batch.y).backward()
        optimizer.step()

    def run(number: int) -> dict[str, Any]:
        seeds = _seeds(arrays, case, number).ravel()
        options = {"seeds": seeds, "y": y, "random_state": number, "n_jobs": threads}
        plan = (x, case["fanouts"], case["batch_size"])
        at_once = NeighborLoader(graph, *plan, prefetch=0, **options)
        ahead = NeighborLoader(graph, *plan, **options)
        clock, edges = time.perf_counter, 0
        seconds = dict.fromkeys(("sampling", "gathering", "training"), 0.0)
        for k, part in enumerate(seeds.reshape(case["n_batches"], -1)):
            start = clock()
            at_once.sampler.sample(part, k)
            seconds["sampling"] += clock() - start
        start = clock()
        for batch in at_once:
            seconds["gathering"] += clock() - start
            start = clock()
            step(batch)
            seconds["training"] += clock() - start
            edges += sum(block.matrix.n_entries for block in batch.edges)
            start = clock()
        seconds["gathering"] -= seconds["sampling"]
        start = clock()
        for batch in ahead:
            step(batch)
        return {"work": edges, "phases": seconds, "wall_seconds": clock() - start}

    return run


CONTENDERS = {
    "graphembed": Contender(_graphembed, ("graphembed",)),
    "dgl": Contender(_dgl, ("dgl", "torch")),
    "torch_sparse": Contender(_torch_sparse, ("torch-sparse", "torch")),
    "pyg": Contender(_pyg, ("torch-geometric", "torch")),
    "numpy": Contender(_numpy, ("numpy",)),
    "training": Contender(_training, ("graphembed", "torch")),
}
