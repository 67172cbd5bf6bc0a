"""The arcs that walks along a metapath may take, sorted by the step that takes them."""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphembed._kernels import _alias, _partite
from graphembed._threads import run_parallel
from graphembed._validation import Constraint
from graphembed.graph import Graph


def metapath_like() -> Constraint:
    """None, or a list of node types that comes back to its first."""
    return Constraint(
        lambda v: v is None or (isinstance(v, (list, tuple)) and len(v) >= 2 and v[0] == v[-1]),
        "None or a list or tuple of at least 2 node types, the last one equal to the first",
    )


@dataclass(frozen=True)
class MetapathArcs:
    """The graph as the steps of a metapath see it.

    Each arc serves one kind of step, from the type of its tail to the type of its head, so arcs are
    kept once. A node whose type the metapath leaves for several types needs a row for each of them:
    layer l holds its row for the l-th of these types.

    Parameters
    ----------
    starts : ndarray of int32
        The nodes of the first type.
    layers : ndarray of int32, shape (period,)
        The layer of step ``k`` is ``layers[(k - 1) % period]``.
    indptr : ndarray of int64, shape (n_layers, n_nodes + 1)
        Rows in `indices`.
    indices : ndarray of int32, shape (n_kept,)
        Heads of the arcs that some step may take.
    cells : ndarray of uint64, shape (n_kept,) or (0,)
        Their alias cells if the graph is weighted.
    """

    starts: NDArray[np.int32]
    layers: NDArray[np.int32]
    indptr: NDArray[np.int64]
    indices: NDArray[np.int32]
    cells: NDArray[np.uint64]


def metapath_arcs(graph: Graph, metapath: Sequence[Any], n_threads: int) -> MetapathArcs:
    """Sort the arcs by the steps of the metapath. O(n_layers * (n_nodes + n_arcs)) time."""
    if graph.node_types is None or graph.type_names is None:
        raise ValueError(
            "metapath needs a graph with node types: Graph.from_any(G, node_types=...)"
        )
    node_types = graph.node_types
    codes = _codes(metapath, graph.type_names.tolist())
    layers, wanted = _layers(codes, len(graph.type_names))
    indptr = np.zeros((len(wanted), graph.n_nodes + 1), np.int64)

    def count(begin: int, end: int, n: int) -> None:
        _partite.count_heads(graph.indptr, graph.indices, node_types, wanted, indptr, begin, end, n)

    run_parallel(count, graph.n_nodes, n_threads, work=graph.n_arcs)
    np.cumsum(indptr.ravel(), out=indptr.ravel())
    indices = np.empty(indptr[-1, -1], np.int32)
    is_weighted = graph.weights is not None
    weights = np.empty(len(indices) if is_weighted else 0, np.float32)
    source = np.empty(0, np.float32) if graph.weights is None else graph.weights

    def fill(begin: int, end: int, n: int) -> None:
        _partite.gather_heads(
            graph.indptr, graph.indices, source, node_types, wanted, indptr, indices, weights,
            begin, end, n,
        )  # fmt: skip

    run_parallel(fill, graph.n_nodes, n_threads, work=graph.n_arcs)
    cells = np.empty(len(weights), np.uint64)
    for rows in indptr if is_weighted else ():

        def build(begin: int, end: int, n: int, rows: NDArray[np.int64] = rows) -> None:
            _alias.build_alias(rows, weights, cells, begin, end, n)

        run_parallel(build, graph.n_nodes, n_threads, work=int(rows[-1] - rows[0]))
    starts = np.flatnonzero(node_types == codes[0]).astype(np.int32)
    if not len(starts):
        raise ValueError(f"no node has the metapath's first type {metapath[0]!r}")
    return MetapathArcs(starts, layers, indptr, indices, cells)


def _codes(metapath: Sequence[Any], names: list[Any]) -> list[int]:
    for place, name in enumerate(metapath):
        if name not in names:
            raise ValueError(
                f"metapath[{place}] must be a node type of the graph, one of {names!r:.500}, "
                f"got {name!r}"
            )
    return [names.index(name) for name in metapath]


def _layers(codes: list[int], n_types: int) -> tuple[NDArray[np.int32], NDArray[np.int32]]:
    """The layer of every step, and per layer the type that each type is left for, or -1."""
    successors: dict[int, list[int]] = {}
    layers = []
    for here, there in itertools.pairwise(codes):
        known = successors.setdefault(here, [])
        if there not in known:
            known.append(there)
        layers.append(known.index(there))
    wanted = np.full((max(layers) + 1, n_types), -1, np.int32)
    for here, known in successors.items():
        wanted[: len(known), here] = known
    return np.array(layers, np.int32), wanted
