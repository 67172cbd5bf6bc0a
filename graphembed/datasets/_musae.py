"""The MUSAE graphs: an edge list and a table of classes, both csv."""

from typing import Literal

import numpy as np
import numpy.typing as npt

from graphembed._validation import check_params, one_of
from graphembed.datasets._dataset import Dataset
from graphembed.datasets._fetch import fetch
from graphembed.datasets._registry import registry
from graphembed.exceptions import FileFormatError
from graphembed.graph import Graph


def load_musae(name: Literal["facebook", "lastfm"], *, download: bool = True) -> Dataset:
    """Load a social graph with one class per node.

    ``"facebook"`` has 22,470 pages, 171,002 mutual likes (179 of them self-loops) and 4 kinds of
    page; ``"lastfm"`` has 7,624 users, 27,806 friendships and 18 countries.

    Parameters
    ----------
    name : {"facebook", "lastfm"}
        Which graph.
    download : bool, default=True
        Download the files (2.1 MB and 0.3 MB) if they are neither under GRAPHEMBED_DATA nor in the
        user cache.

    Returns
    -------
    Dataset
        Undirected and unweighted; labels are an array of classes.

    Raises
    ------
    ValueError
        If there is no such graph.
    DatasetNotFoundError
        If a file is not on this machine and `download` is False.
    DownloadError
        If a download fails.
    FileFormatError
        If a file found is not the one of the registry.
    """
    check_params({"name": name}, {"name": one_of("facebook", "lastfm")})
    entry = registry()[f"musae-{name}"]
    content = fetch(entry, download=download)
    return read_musae(
        content["edges.csv"],
        content["target.csv"],
        name=entry.name,
        description=entry.description,
    )


def read_musae(edges: bytes, target: bytes, *, name: str, description: str) -> Dataset:
    """Turn the bytes of the two tables into a dataset."""
    pairs = read_table(edges, "id_1,id_2", f"{name}: edges.csv")
    classes = read_table(target, "id,target", f"{name}: target.csv")
    node_ids, labels = classes[:, 0], classes[:, 1]
    graph = Graph.from_edges(pairs, nodes=node_ids, directed=False)
    if graph.n_nodes != len(node_ids):
        raise FileFormatError(
            f"{name}: edges.csv names {graph.n_nodes - len(node_ids)} nodes that target.csv lacks"
        )
    if labels.min() < 0:
        raise FileFormatError(f"{name}: classes must be >= 0, got {labels.min()}")
    label_names = tuple(f"class {k}" for k in range(int(labels.max()) + 1))
    return Dataset(name, graph, np.ascontiguousarray(labels), label_names, description)


def read_table(content: bytes, header: str, name: str) -> npt.NDArray[np.int64]:
    """Read a csv table of two columns of integers, with a known header."""
    try:
        first, *rows = content.decode("ascii").splitlines()
        if first != header:
            raise ValueError(f"the first line must be {header!r}, got {first!r}")
        if not rows:
            raise ValueError("there are no rows")
        table = np.loadtxt(rows, delimiter=",", dtype=np.int64, ndmin=2)
        if table.shape[1] != 2:
            raise ValueError(f"there must be 2 columns, got {table.shape[1]}")
    except ValueError as error:
        raise FileFormatError(f"{name}: {error}") from error
    return table
