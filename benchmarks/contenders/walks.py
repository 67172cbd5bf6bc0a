"""Random walks: case = {graph folder, weighted, p, q, walk_length}; one walk from every node.

Ours also takes `n_walks`, the walks from every node, and `strategy`.

The figure is steps (not nodes) per second with the walks returned in memory. Where a peer is slow,
it walks from some of the nodes only.
"""

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from graphs import Arrays, load_arrays
from numpy.typing import NDArray
from worker import Unsupported

from contenders import Contender

Run = Callable[[int], Any]

_WARM_UP = 1000  # number of the run that is not measured
_SLOW_STEPS = 1_000_000  # steps asked of a contender that takes 10 us for one
_STEPS_CHECKED = 20_000


def prepare(contender: Contender, case: dict[str, Any], threads: int) -> Run:
    """Build the peer's graph; run once, so that compilation is not measured."""
    arrays = load_arrays(Path(case["graph"]), weighted=case["weighted"])
    run = contender.start(arrays, case, threads)
    _check(run(_WARM_UP), arrays)
    return run


def finish(result: Any, case: dict[str, Any]) -> dict[str, Any]:
    """Steps walked, and the size of the graph and of the walks."""
    if isinstance(result, list):
        return {"work": sum(map(len, result)) - len(result)}
    return {"work": int(result.size - len(result)), "output_mb": result.nbytes / 1e6}


def _check(walks: Any, arrays: Arrays) -> None:
    """Some steps must be arcs: who walks elsewhere is not timed."""
    for walk in walks[: _STEPS_CHECKED // len(walks[0])]:
        nodes = np.asarray(walk, np.int64)
        for a, b in itertools.pairwise(nodes):
            if b not in arrays.indices[arrays.indptr[a] : arrays.indptr[a + 1]]:
                raise ValueError(f"walked from {a} to {b} where there is no arc")


def _first_order(case: dict[str, Any]) -> bool:
    return bool(case["p"] == 1 and case["q"] == 1)


def _starts(arrays: Arrays, case: dict[str, Any], *, slow: bool) -> NDArray[np.int64]:
    """All nodes, or as many at even distances as a slow walker can do."""
    count = max(1, _SLOW_STEPS // case["walk_length"]) if slow else arrays.n_nodes
    return np.arange(0, arrays.n_nodes, max(1, arrays.n_nodes // count))


def _graphembed(arrays: Arrays, case: dict[str, Any], threads: int) -> Run:
    from graphembed import Graph, sample_walks

    graph = Graph.from_csr(arrays.indptr, arrays.indices, arrays.weights, directed=arrays.directed)
    law = {"p": case["p"], "q": case["q"], "strategy": case.get("strategy", "rejection")}

    def run(number: int) -> NDArray[np.int32]:
        return sample_walks(
            graph, n_walks=case.get("n_walks", 1), walk_length=case["walk_length"],
            random_state=number, n_jobs=threads, **law,
        )  # fmt: skip

    return run


def _grape(arrays: Arrays, case: dict[str, Any], threads: int) -> Run:
    if not _first_order(case):
        raise Unsupported("not by node2vec's law; ends its process for q != 1")
    from contenders.peer_graphs import grape_graph

    graph = grape_graph(arrays)
    return lambda number: graph.complete_walks(
        walk_length=case["walk_length"], iterations=1, random_state=number, max_neighbours=None
    )


def _torch_cluster(arrays: Arrays, case: dict[str, Any], threads: int) -> Run:
    if arrays.weights is not None:
        raise Unsupported("no weights")
    p, q = float(case["p"]), float(case["q"])
    if not _first_order(case) and q < max(1.0, p):
        raise Unsupported("walks uniformly if 1/q is the largest of 1/p, 1, 1/q")
    import torch
    import torch_cluster  # noqa: F401  # registers the operator

    torch.set_num_threads(threads)
    indptr, indices = torch.from_numpy(arrays.indptr), torch.from_numpy(arrays.indices).long()
    starts = torch.from_numpy(_starts(arrays, case, slow=not _first_order(case)))
    steps = case["walk_length"] - 1

    def run(number: int) -> NDArray[np.int64]:
        torch.manual_seed(number)
        walk = torch.ops.torch_cluster.random_walk
        return walk(indptr, indices, starts, steps, p, q)[0].numpy()

    return run


def _fastnode2vec(arrays: Arrays, case: dict[str, Any], threads: int) -> Run:
    from fastnode2vec import graph as kernels
    from numba import njit

    from contenders.peer_graphs import fastnode2vec_graph

    graph = fastnode2vec_graph(arrays)
    length, p, q = case["walk_length"], float(case["p"]), float(case["q"])
    starts = _starts(arrays, case, slow=False)
    if max(p, q, 1 / p, 1 / q) > 100:  # its rejection needs as many trials
        starts = _starts(arrays, case, slow=True)
    step, step_weighted = kernels._random_walk, kernels._random_walk_weighted

    # The loop is compiled too: its own method makes a list of each walk.
    @njit(nogil=True)
    def unweighted(indptr: Any, indices: Any, starts: Any, out: Any) -> None:
        for i in range(len(starts)):
            out[i] = step(indptr, indices, length, p, q, starts[i])

    @njit(nogil=True)
    def weighted(indptr: Any, indices: Any, data: Any, starts: Any, out: Any) -> None:
        for i in range(len(starts)):
            out[i] = step_weighted(indptr, indices, data, length, p, q, starts[i])

    def run(number: int) -> NDArray[np.int32]:
        walks = np.empty((len(starts), length), np.int32)
        if graph.weighted:
            weighted(graph.indptr, graph.indices, graph.data, starts, walks)
        else:
            unweighted(graph.indptr, graph.indices, starts, walks)
        return walks

    return run


def _csrgraph(arrays: Arrays, case: dict[str, Any], threads: int) -> Run:
    if not _first_order(case):
        raise Unsupported("not by node2vec's law")
    import csrgraph
    import scipy.sparse as sp

    weights = arrays.weights if arrays.weights is not None else np.ones(len(arrays.indices))
    shape = (arrays.n_nodes, arrays.n_nodes)
    indptr = arrays.indptr.astype(np.int32)
    matrix = sp.csr_matrix((weights.astype(np.float32), arrays.indices, indptr), shape)
    graph = csrgraph.csrgraph(matrix, threads=threads)

    def run(number: int) -> NDArray[np.uint32]:
        return graph.random_walks(walklen=case["walk_length"], epochs=1)

    return run


def _pecanpy(arrays: Arrays, case: dict[str, Any], threads: int) -> Run:
    if _first_order(case) and arrays.weights is not None:
        raise Unsupported("its tables for weighted walks take minutes")
    if arrays.n_nodes > 200_000:
        raise Unsupported("over a minute on graphs of this size")
    from numba_progress import ProgressBar

    from contenders.peer_graphs import pecanpy_graph

    graph = pecanpy_graph(arrays, p=case["p"], q=case["q"], threads=threads)
    starts = _starts(arrays, case, slow=not _first_order(case)).astype(np.uint32)
    graph._preprocess_transition_probs()
    has_neighbours, move = graph.get_has_nbrs(), graph.get_move_forward()

    # Its simulate_walks() starts from every node and makes lists of strings: here without both.
    def run(number: int) -> NDArray[np.uint32]:
        with ProgressBar(total=len(starts), disable=True) as progress:
            steps = case["walk_length"] - 1
            walks = graph._random_walks(
                len(starts), steps, number, starts, has_neighbours, move, progress
            )
        return walks[:, :-1]

    return run


CONTENDERS = {
    "graphembed": Contender(_graphembed, ("graphembed",)),
    "grape": Contender(_grape, ("ensmallen",)),
    "torch_cluster": Contender(_torch_cluster, ("torch_cluster", "torch")),
    "fastnode2vec": Contender(_fastnode2vec, ("fastnode2vec", "numba")),
    "csrgraph": Contender(_csrgraph, ("csrgraph", "numba")),
    "pecanpy": Contender(_pecanpy, ("pecanpy", "numba")),
}
