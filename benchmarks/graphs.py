"""Graphs of the benchmarks: made of a seed, the same everywhere, and kept in build/bench/graphs.

A graph is a folder of .npy files (indptr, indices, perhaps weights; edges for those that are read
from edges), so that a process without graphembed can load it. BlogCatalog and the other datasets
come from `graphembed.datasets`: from the folder that GRAPHEMBED_DATA names, or downloaded once by
`python -c "from graphembed import datasets; datasets.load('blogcatalog')"`. Without them their rows
are "skipped".
"""

import functools
import gzip
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

CACHE = Path(__file__).parents[1] / "build" / "bench" / "graphs"
DATASETS = ("blogcatalog", "ppi", "musae-facebook", "musae-lastfm")

_WRITE_BLOCK = 1 << 18  # edges formatted at a time
_ROWS_PER_BLOCK = 1 << 20


# ----- Generators: arrays in, arrays out; tests hold their digests --------------------------------


def chung_lu(
    n_nodes: int, n_edges: int, *, exponent: float = 2.5, seed: int = 0
) -> NDArray[np.int32]:
    """Power-law graph: both ends of an edge drawn in proportion to a Pareto weight."""
    rng = np.random.default_rng(seed)
    weights = (np.arange(n_nodes) + 10.0) ** (-1.0 / (exponent - 1.0))
    cumulative = np.cumsum(weights / weights.sum())
    cumulative[-1] = 1.0
    label = rng.permutation(n_nodes).astype(np.int32)
    keys = np.empty(0, np.int64)
    while len(keys) < n_edges:  # a repeated edge is dropped, so draw until there are enough
        ends = label[np.searchsorted(cumulative, rng.random((n_edges - len(keys), 2)))]
        keys = _add_edges(keys, ends, n_nodes)
    return _edges_of(keys, n_nodes)


def rmat(scale: int, edges_per_node: int = 16, *, seed: int = 0) -> NDArray[np.int32]:
    """R-MAT graph of 2**scale nodes (a, b, c, d = 0.57, 0.19, 0.19, 0.05), nodes relabelled."""
    rng = np.random.default_rng(seed)
    n_nodes = 2**scale
    label = rng.permutation(n_nodes).astype(np.int32)
    ends = np.zeros((edges_per_node * n_nodes, 2), np.int32)
    for _ in range(scale):  # one bit of both ends per level: quadrant a, b, c or d
        draw = rng.random(len(ends), np.float32)
        ends[:, 0] = 2 * ends[:, 0] + (draw >= 0.76)
        ends[:, 1] = 2 * ends[:, 1] + (((draw >= 0.57) & (draw < 0.76)) | (draw >= 0.95))
    return _edges_of(_add_edges(np.empty(0, np.int64), label[ends], n_nodes), n_nodes)


def star(n_leaves: int) -> NDArray[np.int32]:
    """Node 0 joined to all others."""
    leaves = np.arange(1, n_leaves + 1, dtype=np.int32)
    return np.column_stack([np.zeros_like(leaves), leaves])


def random_neighbours(
    n_nodes: int, degree: int, *, seed: int = 0
) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
    """CSR of a directed graph; neighbour j is uniform on the j-th of `degree` ranges of nodes.

    So rows are sorted and free of repeats as they are drawn, and no sort is needed.
    """
    rng = np.random.default_rng(seed)
    indptr = np.arange(0, n_nodes * degree + 1, degree, dtype=np.int64)
    indices = np.empty((n_nodes, degree), np.int32)
    width = n_nodes // degree
    offsets = (width * np.arange(degree)).astype(np.int32)
    for first in range(0, n_nodes, _ROWS_PER_BLOCK):
        block = indices[first : first + _ROWS_PER_BLOCK]
        block[:] = rng.integers(0, width, block.shape, dtype=np.int32)
        block += offsets
    return indptr, indices.reshape(-1)


def symmetric_weights(indptr: NDArray[np.int64], indices: NDArray[np.int32]) -> NDArray[np.float32]:
    """Weights in [0.25, 4.23], a function of the two ends, the same in both directions."""
    source = np.repeat(np.arange(len(indptr) - 1, dtype=np.int64), np.diff(indptr))
    low, high = np.minimum(source, indices), np.maximum(source, indices)
    draw = (low * 73_856_093 ^ high * 19_349_663) % 256
    return (0.25 + draw / 64.0).astype(np.float32)


def _add_edges(keys: NDArray[np.int64], ends: NDArray[np.int32], n_nodes: int) -> NDArray[np.int64]:
    low, high = ends.min(axis=1).astype(np.int64), ends.max(axis=1)
    return np.unique(np.concatenate([keys, (low * n_nodes + high)[low != high]]))


def _edges_of(keys: NDArray[np.int64], n_nodes: int) -> NDArray[np.int32]:
    return np.column_stack([keys // n_nodes, keys % n_nodes]).astype(np.int32)


# ----- Graphs by name -----------------------------------------------------------------------------

# Nodes and edges; edges are undirected, and the few nodes without any are left out.
CHUNG_LU = {
    "cl-1k-10k": (1_000, 10_000),
    "cl-10k-100k": (10_000, 100_000),
    "cl-100k-1m": (100_000, 1_000_000),
    "cl-1m-10m": (1_000_000, 10_000_000),
}
_MAKERS: dict[str, Callable[[], NDArray[np.int32]]] = {
    **{name: functools.partial(chung_lu, *sizes) for name, sizes in CHUNG_LU.items()},
    "rmat-17": functools.partial(rmat, 17),
    "rmat-12": functools.partial(rmat, 12),
    "star-30k": functools.partial(star, 30_000),
}
_RANDOM = {"random-10m-20": (10_000_000, 20), "random-10k-20": (10_000, 20)}


@dataclass
class Arrays:
    """CSR arrays of a graph; `weights` is None for an unweighted one."""

    indptr: NDArray[np.int64]
    indices: NDArray[np.int32]
    weights: NDArray[np.float32] | None
    directed: bool

    @property
    def n_nodes(self) -> int:
        """Number of nodes."""
        return len(self.indptr) - 1

    @property
    def nbytes(self) -> int:
        """Bytes of the arrays."""
        return sum(a.nbytes for a in (self.indptr, self.indices, self.weights) if a is not None)

    def sources(self) -> NDArray[np.int32]:
        """Source node of every arc."""
        return np.repeat(np.arange(self.n_nodes, dtype=np.int32), np.diff(self.indptr))


def folder_of(name: str) -> Path:
    """Folder of a graph; it is made if it is not there yet."""
    folder = CACHE / name
    if not folder.exists():
        print(f"making {name}", flush=True)
        with _new_folder(folder) as new:
            for file, array in _make(name).items():
                np.save(new / f"{file}.npy", array)
    return folder


def load_arrays(folder: Path, *, weighted: bool = False) -> Arrays:
    """Load a graph from its folder into memory; made-up weights if asked for."""
    indptr, indices = np.load(folder / "indptr.npy"), np.load(folder / "indices.npy")
    weights = symmetric_weights(indptr, indices) if weighted else None
    return Arrays(indptr, indices, weights, folder.name in _RANDOM)


def text_file(name: str, kind: str) -> Path:
    """Edge list of a graph as text; kind "integers", "strings" (ids such as user000012) or "gz"."""
    path = folder_of(name) / {"integers": "edges.txt", "strings": "names.txt"}.get(
        kind, "edges.txt.gz"
    )
    if path.exists():
        return path
    edges = np.load(folder_of(name) / "edges.npy")
    part = path.with_suffix(".part")
    form = "user%06d user%06d\n" if kind == "strings" else "%d %d\n"
    with gzip.open(part, "wt", 6) if kind == "gz" else part.open("w") as file:
        for first in range(0, len(edges), _WRITE_BLOCK):
            block = edges[first : first + _WRITE_BLOCK]
            file.write((form * len(block)) % tuple(block.ravel().tolist()))
    part.rename(path)
    return path


def _make(name: str) -> dict[str, NDArray[Any]]:
    from graphembed import Graph, datasets

    if name in _RANDOM:
        indptr, indices = random_neighbours(*_RANDOM[name])
        return {"indptr": indptr, "indices": indices}
    if name in DATASETS:
        graph = datasets.load(name, download=False).graph
        return {"indptr": graph.indptr, "indices": graph.indices}
    if name not in _MAKERS:
        raise ValueError(f"no graph {name!r}: one of {sorted([*_MAKERS, *_RANDOM, *DATASETS])}")
    # Not every peer knows what to do at a node without arcs.
    used, edges = np.unique(_MAKERS[name](), return_inverse=True)
    edges = edges.reshape(-1, 2).astype(np.int32)
    graph = Graph.from_edges(edges, nodes=range(len(used)))
    # Read back from a file, edges should not come in the order of the rows.
    shuffled = edges[np.random.default_rng(1).permutation(len(edges))]
    return {"indptr": graph.indptr, "indices": graph.indices, "edges": shuffled}


@contextmanager
def _new_folder(folder: Path) -> Iterator[Path]:
    """A folder that is there with all its files or not at all."""
    new = folder.with_name(folder.name + ".part")
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    yield new
    new.rename(folder)
