"""Importance neighbourhoods of items: a run finds them for all items of a user-item graph.

case = {n_users, n_items, n_interactions, n_walks, top, exact}; 2 traversals, each after the first
with probability 1/2. The figure is seeds per second, and `overlap` the share of the exact top that
was found, for some of the seeds.
"""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from worker import Unsupported

from contenders import Contender

Run = Callable[[int], NDArray[Any]]

_SAMPLE = 200  # seeds whose exact top is compared
_CHUNK = 500  # seeds that numpy walks from at a time


def interactions(n_users: int, n_items: int, count: int) -> NDArray[np.int64]:
    """Different pairs (user, item), both ends drawn by power laws."""
    rng = np.random.default_rng(0)

    def law(n: int, exponent: float) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        weights = (np.arange(n) + 10.0) ** -exponent
        cumulative = np.cumsum(weights / weights.sum())
        cumulative[-1] = 1.0
        return rng.permutation(n), cumulative

    laws = law(n_users, 0.55), law(n_items, 0.6)
    keys = np.empty(0, np.int64)
    while len(keys) < count:
        missing = count - len(keys)
        users, items = (label[np.searchsorted(c, rng.random(missing))] for label, c in laws)
        keys = np.unique(np.concatenate([keys, users * n_items + items]))
    return np.column_stack(np.divmod(keys, n_items))


def prepare(
    contender: Contender, case: dict[str, Any], threads: int
) -> Callable[[int], dict[str, Any]]:
    """Build the graph and the exact top of some items."""
    pairs = interactions(case["n_users"], case["n_items"], case["n_interactions"])
    find = contender.start(pairs, case, threads)
    graph = _graph(pairs, case)
    some = np.random.default_rng(1).choice(case["n_items"], _SAMPLE, replace=False)
    from graphembed.samplers import importance_neighbors

    options = {"top": case["top"], "exact": True, "random_state": 0}
    exact = importance_neighbors(graph, some + case["n_users"], **options)[0] - case["n_users"]

    def overlap(found: NDArray[Any]) -> float:
        pairs = zip(found[some].tolist(), exact.tolist(), strict=True)
        return float(np.mean([len({*a} & {*b}) / case["top"] for a, b in pairs]))

    def run(number: int) -> dict[str, Any]:
        found = find(number)
        return {"work": len(found), "found": found, "overlap": overlap}

    return run


def finish(result: dict[str, Any], case: dict[str, Any]) -> dict[str, Any]:
    """Figures of a run."""
    return {"work": result["work"], "overlap": result["overlap"](result["found"])}


def _graph(pairs: NDArray[np.int64], case: dict[str, Any]) -> Any:
    from graphembed import Graph

    n = case["n_users"] + case["n_items"]
    return Graph.from_edges(pairs + np.array([0, case["n_users"]]), nodes=range(n))


def _graphembed(pairs: NDArray[np.int64], case: dict[str, Any], threads: int) -> Run:
    from graphembed.samplers import importance_neighbors

    graph, n_users = _graph(pairs, case), case["n_users"]
    items = np.arange(n_users, n_users + case["n_items"])
    options = {key: case[key] for key in ("n_walks", "top", "exact")}

    def run(number: int) -> NDArray[Any]:
        found = importance_neighbors(graph, items, random_state=number, n_jobs=threads, **options)
        return found[0] - n_users

    return run


def _dgl(pairs: NDArray[np.int64], case: dict[str, Any], threads: int) -> Run:
    if case["exact"]:
        raise Unsupported("DGL: no exact mode")
    import dgl
    import torch

    torch.set_num_threads(threads)
    users, items = torch.from_numpy(pairs[:, 0].copy()), torch.from_numpy(pairs[:, 1].copy())
    edges = {("user", "has", "item"): (users, items), ("item", "of", "user"): (items, users)}
    graph = dgl.heterograph(edges, {"user": case["n_users"], "item": case["n_items"]})
    sampler = dgl.sampling.PinSAGESampler(
        graph, "item", "user", 2, 0.5, case["n_walks"], case["top"]
    )

    def run(number: int) -> NDArray[Any]:
        sources, targets = (x.numpy() for x in sampler(torch.arange(case["n_items"])).edges())
        found = np.full((case["n_items"], case["top"]), -1)
        order = np.argsort(targets, kind="stable")
        first = np.searchsorted(targets[order], np.arange(case["n_items"]))
        found[targets[order], np.arange(len(order)) - first[targets[order]]] = sources[order]
        return found

    return run


def _numpy(pairs: NDArray[np.int64], case: dict[str, Any], threads: int) -> Run:
    if case["exact"]:
        raise Unsupported("numpy: no exact mode")
    graph = _graph(pairs, case)
    indptr, indices, n = graph.indptr, graph.indices, graph.n_nodes
    n_users, n_walks, top = case["n_users"], case["n_walks"], case["top"]
    degrees = np.diff(indptr)

    def chunk(seeds: NDArray[np.int64], rng: np.random.Generator) -> NDArray[np.int64]:
        owner = np.repeat(np.arange(len(seeds)), n_walks)
        nodes, visits = seeds[owner], []
        for length in (1, 2):
            kept = degrees[nodes] > 0
            if length == 2:
                kept &= rng.random(len(nodes)) < 0.5
            owner, nodes = owner[kept], nodes[kept]
            for _ in range(2):
                steps = (rng.random(len(nodes)) * degrees[nodes]).astype(np.int64)
                nodes = indices[indptr[nodes] + steps]
            visits.append((owner * n + nodes)[nodes != seeds[owner]])
        keys, counts = np.unique(np.concatenate(visits), return_counts=True)
        owner = keys // n
        order = np.lexsort((rng.random(len(keys)), -counts, owner))
        place = np.arange(len(keys)) - np.searchsorted(owner, np.arange(len(seeds)))[owner]
        found = np.full((len(seeds), top), -1)
        kept = place < top
        found[owner[kept], place[kept]] = keys[order][kept] % n - n_users
        return found

    def run(number: int) -> NDArray[Any]:
        rng = np.random.default_rng(number)
        items = np.arange(n_users, n)
        return np.concatenate(
            [chunk(items[i : i + _CHUNK], rng) for i in range(0, len(items), _CHUNK)]
        )

    return run


CONTENDERS = {
    "graphembed": Contender(_graphembed, ("graphembed",)),
    "dgl": Contender(_dgl, ("dgl", "torch")),
    "numpy": Contender(_numpy, ("numpy",)),
}
